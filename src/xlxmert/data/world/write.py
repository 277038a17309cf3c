"""The built-in world as files: pictures and annotations as COCO, VQA v2, GQA, NLVR2 and Visual Genome publish theirs,
and captions with Karpathy's splits.

Every picture is a pure function of (split, seed, index), so workers share the work in any order and two runs give the
same bytes. All is written into a sibling folder, which takes its place when it is whole.
"""

import concurrent.futures
import concurrent.futures.process
import contextlib
import functools
import multiprocessing
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data import coco, gqa, karpathy, nlvr2, visual_genome, vqa
from xlxmert.data.records import About
from xlxmert.data.world import annotations as world
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import SPLITS, Scene, make_scene
from xlxmert.data.world.statements import NAMES, PAIRS, SENTENCES, make_pair_set

VERSION = 1
"""Of the world: the same version, seed and index give the same picture and words."""
MARK = "xlxmert world"
"""By this, in ``world.json``, a folder is known as written here."""
CONTENTS = ("annotations", "gqa", "images", "nlvr2", "visual_genome", "vqa", "world.json")
"""What lies at the top of a written folder."""
ABOUT = About(
    "The built-in world of xlxmert, drawn from Microsoft's Fluent Emoji 3D",
    "xlxmert",
    license_name="MIT",
    license_url="https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE",
)
HELD_OUT = (
    "about one in ten combinations of noun, colour and setting: every picture of the split heldout shows at least one "
    "of them, no picture of another split shows any"
)
CHUNK = 64
"""Pictures that a worker makes at a time."""
SMALL = 300
"""Up to this many pictures, starting workers takes longer than they save."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in pictures."""


@dataclass(frozen=True)
class Task:
    """A share of the work that one worker does alone."""

    make: Callable[["Task"], None]
    folder: Path
    split: str
    seed: int
    start: int
    stop: int
    weight: int
    """Its share of the progress, in pictures."""


def split_sizes(images: int) -> dict[str, int]:
    """Pictures by split: ``images`` for training, a tenth (at least 20, at most 1,000) for each of the others.

    Raises:
        UsageError: there would be no picture, or too many to number.
    """
    if not 1 <= images <= world.PER_SPLIT:
        raise UsageError(f"expected between 1 and {world.PER_SPLIT} pictures, found {images}: pass --images")
    return {split: images if split == "train" else min(max(images // 10, 20), 1000) for split in SPLITS}


def pair_sets(pictures: int) -> int:
    """Sets of pairs for a split of this many pictures: one set of eight pictures for every sixteen, and one more."""
    return pictures // (4 * PAIRS) + 1


def write_world(
    out: Path,
    images: int,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    workers: int = 2,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the built-in world into a folder.

    Args:
        out: a folder that is new or empty, or with ``overwrite`` a world written earlier.
        images: pictures for training; see `split_sizes` for the other splits.
        seed: of everything drawn.
        sizes: pictures by split, instead of `split_sizes`.
        workers: processes that draw and write.
        overwrite: replace a world written earlier, and nothing else.
        progress: is told how far the work has come.

    Returns:
        The content of ``world.json``: version, seed, counts and the held-out rule.

    Raises:
        UsageError: a number makes no sense.
        XlxmertError: the folder holds something else, or cannot be written.
    """
    out = Path(out)
    sizes = dict(sizes or split_sizes(images))
    if unknown := set(sizes) - set(SPLITS):
        raise UsageError(f"expected sizes for {', '.join(SPLITS)}, found {', '.join(sorted(unknown))}")
    check_folder(out, overwrite)
    try:
        with _replacing(out.resolve()) as folder:
            _run(_tasks(folder, seed, sizes), workers, progress or (lambda done, total: None))
            _write_splits(folder / "annotations", [split for split in karpathy.NAMES if split in sizes])
            facts = _facts(seed, sizes)
            write_json(folder / "world.json", facts)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise XlxmertError(
            f"could not write the world to {out}: {reason}; what was there before is unharmed: "
            "free some space or choose another folder"
        ) from error
    return facts


def check_folder(out: Path, overwrite: bool = False) -> None:
    """Make sure that a folder may be written.

    Raises:
        XlxmertError: it is a file, holds something else, or holds a world that is not to be replaced.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise XlxmertError(f"expected a folder at {out}, found a file: choose another folder")
    found = sorted(entry.name for entry in out.iterdir())
    if not found:
        return
    if not _is_world(out):
        some = ", ".join(found[:3])
        raise XlxmertError(f"expected a new or an empty folder at {out}, found {some}: choose another folder")
    if not overwrite:
        raise XlxmertError(f"expected a new folder at {out}, found a world: pass --overwrite to replace it")
    if strange := [name for name in found if name not in CONTENTS]:
        raise XlxmertError(
            f"expected nothing but a world in {out}, found {', '.join(strange[:3])} beside it: "
            "move that elsewhere first, or choose another folder"
        )


def _is_world(folder: Path) -> bool:
    with contextlib.suppress(XlxmertError):
        facts = read_json(folder / "world.json")
        return isinstance(facts, dict) and facts.get("written_by") == MARK
    return False


@contextlib.contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a new folder beside ``out``, which takes its place when the block ends without an error."""
    mark = secrets.token_hex(4)
    part, old = (out.with_name(f".{out.name}.{mark}.{word}") for word in ("part", "old"))
    try:
        part.mkdir(parents=True)
        yield part
        if out.exists():
            out.replace(old)
        part.replace(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.replace(out)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _tasks(folder: Path, seed: int, sizes: Mapping[str, int]) -> list[Task]:
    """All the work; the longest tasks come first."""
    tasks = [Task(_write_annotations, folder, split, seed, 0, size, size // 2 + 1) for split, size in sizes.items()]
    for split, size in sizes.items():
        for make, count, chunk, each in (
            (_write_statements, pair_sets(size), pair_sets(size), 1),
            (_draw_pairs, pair_sets(size), CHUNK // 8, 2 * PAIRS),
            (_draw_pictures, size, CHUNK, 1),
        ):
            for start in range(0, count, chunk):
                stop = min(start + chunk, count)
                tasks.append(Task(make, folder, split, seed, start, stop, (stop - start) * each))
    return tasks


def _run(tasks: list[Task], workers: int, progress: Progress) -> None:
    """Do all tasks, in this process where there are few."""
    done, total = 0, sum(task.weight for task in tasks)
    progress(done, total)
    with _doing(tasks, workers, total) as finished:
        for weight in finished:
            done += weight
            progress(done, total)


@contextlib.contextmanager
def _doing(tasks: list[Task], workers: int, total: int) -> Iterator[Iterator[int]]:
    """The weights of tasks as they are finished; an error or Ctrl-C drops those that have not begun."""
    if workers < 2 or total < SMALL:
        yield map(_do, tasks)
        return
    context, before = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    ignore = functools.partial(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with concurrent.futures.ProcessPoolExecutor(workers, context, initializer=ignore) as pool:
        try:
            futures = [pool.submit(_do, task) for task in tasks]
            yield (future.result() for future in concurrent.futures.as_completed(futures))
        except BaseException as error:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise XlxmertError(
                    "expected all workers to finish, found one ended from outside: "
                    "memory may be short; pass --workers 1"
                ) from error
            raise


def _do(task: Task) -> int:
    task.make(task)
    return task.weight


def _draw_pictures(task: Task) -> None:
    folder = task.folder / "images" / task.split
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(task.start, task.stop):
        _save(folder / world.picture_of(task.split, index).file_name, make_scene(task.split, task.seed, index))


def _draw_pairs(task: Task) -> None:
    folder = task.folder / "images" / "nlvr2" / NAMES[task.split]
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(task.start, task.stop):
        for stem, scene in make_pair_set(task.split, task.seed, index).pictures().items():
            _save(folder / f"{stem}.png", scene)


def _save(path: Path, scene: Scene) -> None:
    Image.fromarray(render(scene)).save(path, format="PNG", compress_level=1)


def _write_statements(task: Task) -> None:
    sets = (make_pair_set(task.split, task.seed, index) for index in range(task.start, task.stop))
    records = (record for pair_set in sets for record in pair_set.records())
    nlvr2.write_nlvr2(task.folder / "nlvr2" / f"{NAMES[task.split]}.json", records)


def _write_annotations(task: Task) -> None:
    """COCO's, VQA's, GQA's and Visual Genome's files of one split."""
    folder, split, seed = task.folder, task.split, task.seed
    scenes = [make_scene(split, seed, index) for index in range(task.stop)]
    pictures = [world.picture_of(split, index) for index in range(task.stop)]
    captions = (each for i, scene in enumerate(scenes) for each in world.captions_of(scene, split, seed, i))
    coco.write_captions(folder / "annotations" / f"captions_{split}.json", pictures, captions, ABOUT)
    instances = (each for i, scene in enumerate(scenes) for each in world.instances_of(scene, split, i))
    coco.write_instances(
        folder / "annotations" / f"instances_{split}.json", pictures, instances, world.CATEGORIES, ABOUT
    )
    asked = (each for i, scene in enumerate(scenes) for each in world.vqa_of(scene, split, seed, i))
    vqa.write_vqa(
        folder / "vqa" / f"v2_OpenEnded_mscoco_{split}_questions.json",
        folder / "vqa" / f"v2_mscoco_{split}_annotations.json",
        asked,
        split,
        ABOUT,
    )
    reasoned = (each for i, scene in enumerate(scenes) for each in world.gqa_of(scene, split, seed, i))
    gqa.write_gqa(folder / "gqa" / f"{split}_all_questions.json", reasoned)
    genome = folder / "visual_genome" / split
    visual_genome.write_image_data(genome / "image_data.json", pictures)
    regions = (each for i, scene in enumerate(scenes) for each in world.regions_of(scene, split, i))
    visual_genome.write_regions(genome / "region_descriptions.json", pictures, regions)
    pairs = (each for i, scene in enumerate(scenes) for each in world.genome_questions_of(scene, split, seed, i))
    visual_genome.write_question_answers(genome / "question_answers.json", [each.id for each in pictures], pairs)


def _write_splits(annotations: Path, splits: Sequence[str]) -> None:
    """The captions of several splits once more, in one file as Karpathy has them."""
    read = {split: coco.read_captions(annotations / f"captions_{split}.json") for split in splits}
    pictures = (
        karpathy.SplitPicture(picture.id, f"{split}/{picture.file_name}", split)
        for split, (some, _) in read.items()
        for picture in some
    )
    captions = (caption for _, some in read.values() for caption in some)
    karpathy.write_karpathy(annotations / "dataset_world.json", "world", pictures, captions)


def _facts(seed: int, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "written_by": MARK,
        "version": VERSION,
        "seed": seed,
        "pictures": dict(sizes),
        "pairs": {split: pair_sets(size) * PAIRS for split, size in sizes.items()},
        "sentences_per_pair": SENTENCES,
        "held_out": HELD_OUT,
        "license": f"{ABOUT.license_name}: {ABOUT.description}",
    }
