"""``xlxmert evaluate``: measures a checkpoint, on the built-in world or on files of the published formats."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xlxmert.cli.choices import PaintChoices
from xlxmert.cli.common import Common, print_json, print_table
from xlxmert.cli.progress import progress_bar
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError
from xlxmert.core.files import write_json
from xlxmert.data.store import Store
from xlxmert.metrics.caption_java import JavaScore
from xlxmert.recipes.captioned import Part
from xlxmert.recipes.evaluate import MAIN, WorldTest, measure_world
from xlxmert.recipes.evaluate_files import Files, check_files, evaluate_files
from xlxmert.recipes.evaluate_paint import PICTURES, PaintTest, evaluate_paint
from xlxmert.recipes.evaluate_store import evaluate_store
from xlxmert.recipes.judging import ON_WORLD, Judging
from xlxmert.sampling import Beam
from xlxmert.studio import Studio
from xlxmert.studio.describer import DECODING
from xlxmert.studio.devices import pick_device
from xlxmert.studio.options import PaintOptions

TaskName = Literal["paint", "caption", "vqa", "match", "gqa", "nlvr2", "retrieval", "fidelity", "r-precision", "hummus"]
PAINTING = ("paint", "fidelity", "r-precision", "hummus")
"""Tasks that paint, of which several may be measured together on files."""
WORLD_SPLITS = ("test", "val", "heldout")
"""What the built-in world can be measured on."""
ON_THE_WORLD = 200
"""Pictures of the built-in world, by default."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Measure a checkpoint on unseen pictures of the built-in world, or on files.

    xlxmert evaluate paint vqa --pictures 200 --split heldout

    xlxmert evaluate vqa --images val2014 --questions QUESTIONS --annotations ANNOTATIONS

    xlxmert evaluate paint --images val2014 --captions captions_val2014.json

    xlxmert evaluate caption --images val2014 --karpathy dataset_coco.json --split test
    """

    tasks: Annotated[tuple[TaskName, ...], tyro.conf.Positional] = ()
    """What to measure; the first four by default. ``paint`` brings the ceiling: pictures rebuilt from their true codes.
    ``nlvr2`` needs a checkpoint that was fine-tuned on it. ``fidelity``, ``r-precision`` and ``hummus`` measure
    paintings as papers do; on files, ``paint`` is the first two of them."""
    split: Literal["test", "val", "heldout", "train", "restval"] | None = None
    """test by default. Of the built-in world also val and heldout, which has combinations of noun, colour and setting
    that no training picture shows; with --karpathy also val, train and restval."""
    folds: int = 1
    """retrieval on files: cut the pictures into this many parts, in the file's order, and take the mean of the parts'
    scores; 5 for the 1K protocol of COCO's 5,000 test pictures."""
    pictures: int | None = None
    """How many pictures: by default 200 of the built-in world, and on files up to 30,000 that are painted."""
    seed: int = 0
    """Of the world and of the painting."""
    choices: tyro.conf.OmitArgPrefixes[PaintChoices] = field(default_factory=PaintChoices)
    """How pictures are painted. What is not given is as --quality says."""
    files: tyro.conf.OmitArgPrefixes[Files] = field(default_factory=Files)
    """Files of the published formats instead of the built-in world."""
    store: Path | None = None
    """vqa, gqa and nlvr2: a store of questions or statements instead of the built-in world; for checkpoints that read
    published features or codes it is the only way."""
    network: Literal["auto", "torch-fidelity", "fid-helper", "efficientnet-lite0"] = "auto"
    """fidelity: whose features are compared; auto takes the first that is installed."""
    scorer: str | None = None
    """r-precision: who says which caption fits: own (the checkpoint's matching head), world (the world's parser), clip
    or clip:MODEL/WEIGHTS; by default world on the world and own on files."""
    words: Literal["coco", "world"] | None = None
    """r-precision and hummus: whose words are swapped and hidden; by default the world's there and COCO's on files."""
    model: str = "auto"
    """caption: who writes: a captioner's folder or its name on the Hugging Face hub, or none for the checkpoint itself,
    by masked words; auto is the bundled captioner beside the bundled checkpoint."""
    beam: int = DECODING.size
    """caption: sentences that a captioner follows at once; the paper tests with 2."""
    java: tuple[JavaScore, ...] = ()
    """caption: further scores, which need Java and the package pycocoevalcap."""
    painted: Path | None = None
    """On files: measure the pictures of this folder, whoever painted them, instead of painting any."""
    keep: Path | None = None
    """Keep what is painted in this folder; an interrupted painting goes on there."""
    out: Path | None = None
    """Also write the scores to this JSON file."""


def run(options: Options) -> int:
    """Measure, print and keep the scores."""
    if options.keep is not None and not set(options.tasks or MAIN) & set(PAINTING):
        raise UsageError("expected a task that paints beside --keep, found none: add paint, or leave --keep out")
    if options.folds != 1 and (options.tasks != ("retrieval",) or not options.files.given):
        raise UsageError(f"expected --folds for retrieval on files only, found {options.folds}: leave it out")
    if options.store is not None:
        return _on_store(options, options.store)
    return _on_files(options) if options.files.given else _on_world(options)


def _on_store(options: Options, folder: Path) -> int:
    """Score the questions or statements of a store."""
    if len(options.tasks) != 1 or options.files.given or options.split is not None:
        raise UsageError("expected one task beside --store, no files and no --split: name vqa, for example")
    (task,) = options.tasks
    device = pick_device(options.device)
    bundle, store = Bundle.from_pretrained(options.checkpoint, device), Store.open(folder)
    with progress_bar("answering") as progress:
        examples, scores = evaluate_store(bundle, store, task, progress)
    report = {"task": task, "store": str(folder), "examples": examples, "scores": scores}
    _tell(options, report, f"{examples} examples of {task}")
    return 0


def _studio(options: Options) -> Studio:
    """The checkpoint, with whoever captions at its side."""
    captioner = None if options.model == "none" else options.model
    return Studio.from_pretrained(options.checkpoint, options.device, captioner, Beam(options.beam))


def _on_world(options: Options) -> int:
    split = options.split or WORLD_SPLITS[0]
    if split not in WORLD_SPLITS:
        known = ", ".join(WORLD_SPLITS)
        raise UsageError(
            f"expected a split of the built-in world ({known}), found {split}: choose one, or pass --karpathy"
        )
    if options.painted is not None:
        raise UsageError("expected --images and --captions beside --painted, found none: pass the real pictures' files")
    painting = options.choices.options()
    test = WorldTest(
        options.tasks or MAIN,
        ON_THE_WORLD if options.pictures is None else options.pictures,
        split,
        options.seed,
        painting,
        judging=_judging(options, ON_WORLD),
        java=options.java,
        keep=options.keep,
    )
    with progress_bar("painting") as progress:
        found = measure_world(_studio(options), test, options.checkpoint or "", progress)
    report = {
        "split": split,
        "pictures": test.pictures,
        "seed": options.seed,
        **(_manner(painting) if set(test.tasks) & set(PAINTING) else {}),
        **(_writer(options) if "caption" in test.tasks else {}),
        "scores": found.scores,
    }
    _tell(options, report | found.details, f"{test.pictures} pictures of the split {split}")
    return 0


def _on_files(options: Options) -> int:
    if options.split is not None and options.files.karpathy is None:
        raise UsageError(f"expected --karpathy beside --split {options.split}, found none: only its files have splits")
    if options.tasks and set(options.tasks) <= set(PAINTING):
        return _paintings(options)
    if len(options.tasks) != 1:
        raise UsageError(f"expected one task to score on files, found {len(options.tasks)}: name vqa, for example")
    (task,) = options.tasks
    check_files(task, options.files)
    part = Part(options.split or "test", options.folds)
    with progress_bar("answering") as progress:
        found = evaluate_files(_studio(options), task, options.files, progress, options.java, part)
    report: dict[str, Any] = {"task": task, "files": _named(options)}
    report |= {"split": part.split} if options.files.karpathy is not None else {}
    report |= {"folds": part.folds} if task == "retrieval" else {}
    report |= _writer(options) if task == "caption" else {}
    report |= {"examples": found.examples, "shortened": found.shortened, "empty": found.empty, "scores": found.scores}
    title = f"{found.examples} examples of {task}"
    title += f", split {part.split}" if options.files.karpathy is not None else ""
    title += f", {found.shortened} shortened" if found.shortened else ""
    title += f", {found.empty} empty captions left out" if found.empty else ""
    _tell(options, report, title)
    return 0


def _paintings(options: Options) -> int:
    """Paintings against real pictures."""
    files = options.files
    if files.images is None or files.captions is None or len(files.given) > 2:
        given = " and ".join(f"--{name}" for name in files.given)
        raise UsageError(f"expected --images and --captions, and no other files, for paintings, found {given}")
    painting = options.choices.options()
    test = PaintTest(
        files.images,
        files.captions,
        PICTURES if options.pictures is None else options.pictures,
        options.seed,
        painting,
        _judging(options, Judging()),
        options.painted,
        options.keep,
    )
    with progress_bar("measuring" if options.painted else "painting") as progress:
        found = evaluate_paint(_studio(options), options.tasks, test, options.checkpoint or "", progress)
    report: dict[str, Any] = {"tasks": list(options.tasks), "files": _named(options), "pictures": found.pictures}
    report |= {"seed": options.seed, **_manner(painting)}
    report |= {"shortened": found.shortened, "scores": found.scores}
    _tell(options, report | found.details, f"{found.pictures} paintings")
    return 0


def _judging(options: Options, usual: Judging) -> Judging:
    return Judging(options.network, options.scorer or usual.scorer, options.words or usual.words)


def _named(options: Options) -> dict[str, str]:
    """The files that were given, for the report."""
    named = {name: str(path) for name, path in options.files.given.items()}
    return named | ({"painted": str(options.painted)} if options.painted is not None else {})


def _manner(painting: PaintOptions) -> dict[str, Any]:
    """How pictures were painted, for the report."""
    guidance = painting.guidance and dataclasses.asdict(painting.guidance)
    manner: dict[str, Any] = {"sampler": repr(painting.sampler), "guidance": guidance, "negative": painting.negative}
    return manner | {"best_of": painting.best_of, "likelihood": painting.likelihood}


def _writer(options: Options) -> dict[str, Any]:
    """Who captioned, for the report."""
    masked = options.model == "none" or (options.model == "auto" and options.checkpoint is not None)
    return {"captioner": None} if masked else {"captioner": options.model, "beam": options.beam}


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
