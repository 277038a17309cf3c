"""The whole road on one's own folder of pictures: what ``xlxmert train DIR`` does.

    xlxmert train PICTURES --out RUN

goes on where it was stopped when it is called again:

1. ``plan.json``                what was found, and how long the training is
2. ``train.jsonl, held.jsonl``  the captions, and those of the pictures that are kept out
3. ``vocabulary.safetensors``   the visual vocabulary
4. ``store/``                   codes and captions
5. ``pretrain/``                the transformer
6. ``render/``                  the image generator
7. ``checkpoint/``              a checkpoint that paints, captions and matches, with its scores and model card
8. ``sheet.png``                pictures that it never saw, rebuilt, captioned, and painted from their captions

Time and scores on two sets of pictures: docs/results.md and docs/own-pictures.md.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.convert.locate import CONFIG
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json, write_json, write_text
from xlxmert.core.images import contact_sheet, load_picture, save_png
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.folder_captions import Names, Told, told_pictures
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.config import ModelConfig
from xlxmert.models.generator import Generator, GeneratorConfig
from xlxmert.models.generator.presets import WORLD as WORLD_GENERATOR
from xlxmert.models.lxmert.presets import WORLD as WORLD_MODEL
from xlxmert.recipes.card import folder_card
from xlxmert.recipes.codebook import FEATURES, TAUGHT, CodebookRecipe, fit_codebook
from xlxmert.recipes.evaluate_files import Files, evaluate_files
from xlxmert.recipes.plan import LOOKS, Plan, Rehearsal, plan_of, rehearse
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.small_world import SMALL
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.train_store import (
    GUIDANCE,
    OBJECTIVES,
    PRETRAIN_BATCH,
    RENDER_BATCH,
    WARM_START,
    Prepared,
    from_folder,
    pretrain,
    pretrain_loop,
    render,
    render_loop,
)
from xlxmert.studio import Studio
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.tasks.render import RenderConfig

Bar = Callable[[str], contextlib.AbstractContextManager[Progress]]
"""A progress bar by its title."""
LEAST = 8
"""Pictures with captions that a training needs."""
MANY = 5000
"""From as many pictures on, the model and the rates are those of the bundled checkpoint."""
FEW = dataclasses.replace(SMALL.pretrain, most_cells=OBJECTIVES.most_cells)
"""The objectives below that: the rates of a short run."""
SHOWN = 6
"""Pictures of the sheet."""


def no_bar(title: str) -> contextlib.AbstractContextManager[Progress]:
    """Show nothing."""
    return contextlib.nullcontext(no_progress)


@dataclass(frozen=True)
class FolderRecipe:
    """How a folder of pictures is trained on."""

    captions: tuple[Path, ...] = ()
    """Caption files, in COCO's format or one's own .jsonl, .csv, .tsv or .txt; by default those that lie in the folder
    as captions*, metadata*, or as a .txt beside each picture."""
    names: Names = "none"
    """Take the captions from the names of the pictures (files) or of their folders (folders) instead."""
    instances: Path | None = None
    """COCO's instances_*.json of the pictures, if there is one: the codes are taught to tell its things apart."""
    minutes: float = 0.0
    """Train for about this long in all; 0 leaves it to the number of pictures."""
    codes: int = 0
    """Size of the visual vocabulary; 0 leaves it to the number of pictures."""
    seed: int = 0
    """Of everything that is drawn."""
    plan: Plan | None = None
    """Sizes and lengths; by default the number of pictures, minutes and codes decide."""
    model: ModelConfig | None = None
    """The transformer; by default the bundled one's shape, with a cross layer less below 5,000 pictures."""
    generator: GeneratorConfig = WORLD_GENERATOR
    """The image generator."""
    losses: RenderConfig = WARM_START
    """Its losses."""
    log: Callable[[str], None] = field(default=print, compare=False)
    """Where progress goes."""
    quiet: bool = False
    """Show no progress bars."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.minutes < 0 or self.codes < 0:
            raise UsageError(f"expected minutes and codes of at least 0, found {self.minutes:g} and {self.codes}")

    def codebook(self, codes: int) -> CodebookRecipe:
        """How the visual vocabulary is fitted."""
        features = FEATURES if self.instances is None else TAUGHT
        return CodebookRecipe(codes, seed=self.seed, features=features, balance=4.0, instances=self.instances)

    def rehearsal(self, pictures: int, plan: Plan) -> Rehearsal:
        """What is tried before the training."""
        shape, objectives = self.shape(pictures), self.objectives(pictures)
        return Rehearsal(self.codebook(plan.codes), shape, objectives, self.generator, self.losses)

    @property
    def longest(self) -> int:
        """Most tokens of a caption, without the two that frame it; the same for any number of pictures."""
        return (self.model or WORLD_MODEL).max_text - 2

    def shape(self, pictures: int) -> ModelConfig:
        """The transformer for as many pictures."""
        return self.model or (WORLD_MODEL if pictures >= MANY else SMALL.model)

    def objectives(self, pictures: int) -> PretrainConfig:
        """The objectives for as many pictures."""
        return OBJECTIVES if pictures >= MANY else FEW


def train_folder(
    images: Path,
    out: Path,
    recipe: FolderRecipe = FolderRecipe(),
    device: torch.device | str = "cpu",
    bar: Bar = no_bar,
) -> Bundle:
    """Walk the road into ``out``, each stage only if it is not there yet, and return the checkpoint.

    Args:
        images: the folder of pictures; folders within are searched too.
        out: the run's folder.
        recipe: see `FolderRecipe`.
        device: where pictures are looked at; training takes an accelerator if there is one.
        bar: shows how many pictures were looked at, under a title.

    Raises:
        XlxmertError: there are too few pictures or no captions, a file is damaged, or ``out`` holds another run.
    """
    told = told_pictures(images, recipe.captions, recipe.names)
    plan = _planned(images, out, recipe, told)
    if (done := _finished(out / "checkpoint")) is not None:
        return done
    held = _split(images, out, told, plan, recipe)
    paths, count = [path for path in told if path not in held], len(told)
    prepared = _prepared(images, paths, out, recipe, plan, device, bar)
    loop = pretrain_loop(out / "pretrain", plan.pretrain_steps, PRETRAIN_BATCH, recipe.seed, recipe.quiet)
    model = pretrain(prepared, recipe.shape(count), recipe.objectives(count), loop)
    generator = _generator(images, out, recipe, plan, prepared)
    facts = {"pictures": prepared.store.size, "plan": dataclasses.asdict(plan), "guidance": GUIDANCE}
    bundle = prepared.bundle(model, generator, facts)
    bundle.save_pretrained(out / "checkpoint")
    return _scored(images, out, recipe, bundle, held)


def _finished(folder: Path) -> Bundle | None:
    """The checkpoint of an earlier call, if it has its scores."""
    if not (folder / CONFIG).exists():
        return None
    bundle = Bundle.from_pretrained(folder)
    return bundle if "scores" in bundle.facts else None


def _generator(images: Path, out: Path, recipe: FolderRecipe, plan: Plan, prepared: Prepared) -> Generator:
    loop = render_loop(out / "render", plan.render_steps, RENDER_BATCH, recipe.seed, recipe.quiet)
    pictures = from_folder(prepared, images, recipe.generator.size)
    return render(prepared, pictures, recipe.generator, recipe.losses, loop)


def _planned(images: Path, out: Path, recipe: FolderRecipe, told: Told) -> Plan:
    """The plan of an earlier call, or a new one after a rehearsal.

    Raises:
        XlxmertError: there are too few pictures, or the earlier call saw other ones or was asked for something else.
    """
    if len(told) < LEAST:
        raise XlxmertError(f"expected at least {LEAST} pictures with captions in {images}, found {len(told)}: add some")
    path, wanted = out / "plan.json", _facts(images, recipe, told)
    if path.exists():
        found = read_json(path)
        if changed := [name for name, value in wanted.items() if found.get(name) != value]:
            raise XlxmertError(
                f"expected in {path} the {', '.join(changed)} of this call, found another: choose another --out, or "
                "put things back to go on"
            )
        return Plan(**found["plan"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise XlxmertError(f"expected a new or an empty folder at {out}, found something else: choose another --out")
    plan = recipe.plan or _rehearsed(recipe, told)
    write_json(path, {**wanted, "plan": dataclasses.asdict(plan)})
    return plan


def _facts(images: Path, recipe: FolderRecipe, told: Told) -> dict[str, Any]:
    """What decides a run."""
    texts = json.dumps([(path.relative_to(images).as_posix(), captions) for path, captions in told.items()])
    return {
        "pictures and captions": hashlib.blake2b(texts.encode(), digest_size=8).hexdigest(),
        "minutes": recipe.minutes,
        "codes": recipe.codes,
        "seed": recipe.seed,
        "instances": None if recipe.instances is None else str(recipe.instances),
    }


def _rehearsed(recipe: FolderRecipe, told: Told) -> Plan:
    """A plan, with what it will take said aloud."""
    count = len(told)
    plan = plan_of(count, recipe.codebook(1).features.cells)
    if recipe.codes:
        plan = dataclasses.replace(plan, codes=recipe.codes)
    recipe.log(
        f"{count:,} pictures with {sum(map(len, told.values())):,} captions; measuring the speed of this machine"
    )
    order = numpy_generator("rehearsal", recipe.seed).permutation(count)[: 2 * LOOKS]
    paths = list(told)
    reader = PictureReader()
    looks = list(reader.read([paths[int(place)] for place in order], len(order)))[:LOOKS]
    tokenizer = Tokenizer.train([text for texts in told.values() for text in texts], PrepareRecipe.words)
    captions = [_short(told[path], tokenizer, recipe.longest) for path, _ in looks]
    pace = rehearse([picture for _, picture in looks], captions, tokenizer, recipe.rehearsal(count, plan))
    if recipe.minutes:
        plan = pace.fitted(plan, count, recipe.minutes)
    needed = pace.seconds(plan, count)
    parts = ", ".join(f"{stage} {seconds / 60:.1f}" for stage, seconds in needed.items())
    recipe.log(f"about {sum(needed.values()) / 60:.0f} minutes: {parts}; stop at any time, the same command goes on")
    return plan


def _short(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> str:
    """The first of some captions that a model can read, or the beginning of a word where there is none."""
    lengths = tokenizer.lengths(texts)
    return next((text for text, length in zip(texts, lengths, strict=True) if length <= longest), texts[0].strip()[:4])


def _split(images: Path, out: Path, told: Told, plan: Plan, recipe: FolderRecipe) -> Told:
    """Write the captions of the training and of the pictures that are kept out, which can be read; returns these."""
    order = numpy_generator("held out", recipe.seed).permutation(len(told))
    paths = list(told)
    candidates = [paths[int(place)] for place in order[: plan.held_out]]
    readable = {path for path, _ in PictureReader().read(candidates, len(candidates))} if candidates else set()
    held = {path: captions for path, captions in told.items() if path in readable}
    rest = {path: captions for path, captions in told.items() if path not in readable}
    for name, some in (("train", rest), ("held", held)):
        lines = [{"image": path.relative_to(images).as_posix(), "caption": texts} for path, texts in some.items()]
        write_text(out / f"{name}.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return held


def _prepared(
    images: Path,
    paths: Sequence[Path],
    out: Path,
    recipe: FolderRecipe,
    plan: Plan,
    device: torch.device | str,
    bar: Bar,
) -> Prepared:
    """The visual vocabulary of the pictures at ``paths`` and their store, made or opened."""
    codebook, store, captions = out / "vocabulary.safetensors", out / "store", out / "train.jsonl"
    if not codebook.exists():
        recipe.log(f"fitting {plan.codes:,} codes")
        with bar("looking at pictures") as progress:
            fitted = fit_codebook(images, recipe.codebook(plan.codes), device, progress, paths)
        fitted.vocabulary.save(codebook)
    if not (store / "store.json").exists():
        recipe.log("turning pictures into codes and captions into words")
        settings = PrepareRecipe(longest=recipe.longest)
        with bar("encoding pictures") as progress:
            made = prepare(store, Sources(images, captions=(captions,)), codebook, settings, device, progress=progress)
        for path, reason in made.unreadable.items():
            recipe.log(f"passed over {path}: {reason}")
        if made.too_long:
            recipe.log(f"left out {made.too_long} captions of more than {recipe.longest} tokens")
    return Prepared.open(store, codebook)


def _scored(images: Path, out: Path, recipe: FolderRecipe, bundle: Bundle, held: Told) -> Bundle:
    """Measure the checkpoint on the pictures that were kept out, write scores, card and sheet."""
    scores: dict[str, float] = {}
    if held:
        recipe.log(f"scoring {len(held)} pictures that it never saw")
        studio, files = Studio(bundle), Files(images=images, captions=out / "held.jsonl")
        for task in ("caption", "retrieval"):
            scores |= evaluate_files(studio, task, files).scores
        save_png(out / "sheet.png", _sheet(studio, held))
    bundle.facts["scores"] = {"held out": {name: round(value, 4) for name, value in scores.items()}}
    bundle.card = folder_card(bundle, images.resolve().name, scores, len(held))
    bundle.save_pretrained(out / "checkpoint")
    return bundle


def _sheet(studio: Studio, held: Mapping[Path, list[str]]) -> np.ndarray:
    """Pictures that were kept out and what the checkpoint makes of them."""
    paths = list(held)[:: max(1, len(held) // SHOWN)][:SHOWN]
    prompts = [held[path][0] for path in paths]
    rebuilt = studio.rebuild(paths)
    painted = [studio.paint(prompt)[0] for prompt in prompts]
    written = [captions[0].text for captions in studio.caption(paths)]
    true = [load_picture(path, studio.size) for path in paths]
    rows = [true, [each.picture for each in rebuilt], [each.picture for each in painted]]
    titles = ["never seen, and how it describes them", "rebuilt from their codes", "painted from their captions"]
    return contact_sheet(rows, [written, [""] * len(paths), prompts], titles)
