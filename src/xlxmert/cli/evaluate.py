"""``xlxmert evaluate``: measures a checkpoint on the built-in world."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xlxmert.cli.common import Common, print_json, print_table
from xlxmert.cli.paint import SamplerName, make_sampler
from xlxmert.core.files import write_json
from xlxmert.recipes.evaluate import TASKS, evaluate_world

TaskName = Literal["paint", "caption", "vqa", "match"]


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Measure a checkpoint on unseen pictures of the built-in world.

    xlxmert evaluate paint vqa --pictures 200 --split heldout
    """

    tasks: Annotated[tuple[TaskName, ...], tyro.conf.Positional] = ()
    """What to measure; everything by default. ``paint`` brings the ceiling: pictures rebuilt from their true codes."""
    split: Literal["test", "val", "heldout"] = "test"
    """heldout has combinations of noun, colour and setting that no training picture shows."""
    pictures: int = 200
    """How many pictures."""
    seed: int = 0
    """Of the world and of the painting."""
    sampler: SamplerName = "maskgit"
    """How the pictures' codes are chosen; see xlxmert paint --help."""
    steps: int | None = None
    """Steps of the sampler."""
    temperature: float | None = None
    """Spread of the drawn codes."""
    choice_temperature: float | None = None
    """Noise in which cells maskgit settles first."""
    guidance: float | None = None
    """How much stronger than learned the words speak; by default what suits the checkpoint."""
    out: Path | None = None
    """Also write the scores to this JSON file."""


def run(options: Options) -> int:
    """Measure, print and keep the scores."""
    sampler = make_sampler(options.sampler, options.steps, options.temperature, options.choice_temperature)
    studio = options.studio()
    tasks = options.tasks or TASKS
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
    if options.out is not None:
        write_json(options.out, report)
    if options.json:
        print_json(report)
    else:
        title = f"{options.pictures} pictures of the split {options.split}"
        print_table(("score", "value"), [(name, f"{value:.3f}") for name, value in scores.items()], title)
    return 0
