"""``xlxmert evaluate``: measures a checkpoint, on the built-in world or on files of the published formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xlxmert.cli.common import Common, print_json, print_table
from xlxmert.cli.progress import progress_bar
from xlxmert.cli.samplers import SamplerOptions
from xlxmert.core.errors import UsageError
from xlxmert.core.files import write_json
from xlxmert.recipes.evaluate import MAIN, evaluate_world
from xlxmert.recipes.evaluate_files import Files, check_files, evaluate_files

TaskName = Literal["paint", "caption", "vqa", "match", "gqa", "nlvr2", "retrieval"]


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Measure a checkpoint on unseen pictures of the built-in world, or on files.

    xlxmert evaluate paint vqa --pictures 200 --split heldout

    xlxmert evaluate vqa --images val2014 --questions QUESTIONS --annotations ANNOTATIONS
    """

    tasks: Annotated[tuple[TaskName, ...], tyro.conf.Positional] = ()
    """What to measure; the first four by default. ``paint`` brings the ceiling: pictures rebuilt from their true codes.
    ``nlvr2`` needs a checkpoint that was fine-tuned on it."""
    split: Literal["test", "val", "heldout"] = "test"
    """heldout has combinations of noun, colour and setting that no training picture shows."""
    pictures: int = 200
    """How many pictures of the built-in world."""
    seed: int = 0
    """Of the world and of the painting."""
    sampling: tyro.conf.OmitArgPrefixes[SamplerOptions] = field(default_factory=SamplerOptions)
    """How the pictures' codes are chosen; see xlxmert paint --help."""
    guidance: float | None = None
    """How much stronger than learned the words speak; by default what suits the checkpoint."""
    files: tyro.conf.OmitArgPrefixes[Files] = field(default_factory=Files)
    """Files of the published formats instead of the built-in world."""
    out: Path | None = None
    """Also write the scores to this JSON file."""


def run(options: Options) -> int:
    """Measure, print and keep the scores."""
    return _on_files(options) if options.files.given else _on_world(options)


def _on_world(options: Options) -> int:
    sampler = options.sampling.build()
    studio, tasks = options.studio(), options.tasks or MAIN
    scores = evaluate_world(
        studio, options.pictures, options.split, options.seed, tasks, sampler, guidance=options.guidance
    )
    report = {
        "split": options.split,
        "pictures": options.pictures,
        "seed": options.seed,
        "sampler": repr(sampler),
        "guidance": options.guidance,
        "scores": scores,
    }
    _tell(options, report, f"{options.pictures} pictures of the split {options.split}")
    return 0


def _on_files(options: Options) -> int:
    if len(options.tasks) != 1:
        raise UsageError(f"expected one task to score on files, found {len(options.tasks)}: name vqa, for example")
    (task,) = options.tasks
    check_files(task, options.files)
    with progress_bar("answering") as progress:
        found = evaluate_files(options.studio(), task, options.files, progress)
    named = {name: str(path) for name, path in options.files.given.items()}
    report: dict[str, Any] = {"task": task, "files": named, "examples": found.examples}
    report |= {"shortened": found.shortened, "scores": found.scores}
    _tell(options, report, f"{found.examples} examples of {task}")
    return 0


def _tell(options: Options, report: Mapping[str, Any], title: str) -> None:
    """Keep and print a report."""
    if options.out is not None:
        write_json(options.out, report)
    if options.json:
        print_json(report)
        return
    scores = report["scores"]
    if scores:
        print_table(("score", "value"), [(name, f"{value:.3f}") for name, value in scores.items()], title)
    if options.files.submission is not None:
        print(f"{title}: answers written to {options.files.submission}")
