"""The tables of the XGPT paper about captioning, on a part of the built-in world.

    python -m xlxmert.recipes.tables.xgpt --tables 2 3 6 7 --seeds 3 --out runs/tables

Table 2: which objectives, and how many stages of pre-training. Table 3: what encoder and decoder share. Table 6: one
mask for a span, or one for each of its words. Table 7: retrieval with and without written captions.

As in the paper there are two sorts of pictures. Out of domain: many, of the whole world, with one noisy caption each:
a fifth of the captions are another picture's, a fifth are cut short. In domain: few, of the small part of the world
that is tested, with five captions each. Every row takes the same number of steps in all, but for two of table 2 that
take the paper's. Stopped, the same command goes on. Results, time and machine: docs/results.md.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.core.axes import Float, Tensor
from xlxmert.core.files import write_text
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.annotations import captions_of
from xlxmert.data.world.captions import facts_of_text
from xlxmert.data.world.render import render as render_scene
from xlxmert.data.world.scene import WORLD, Scene, make_scene
from xlxmert.metrics.caption import caption_scores
from xlxmert.models.xgpt import WORLD as XGPT_WORLD
from xlxmert.models.xgpt import Xgpt, XgptConfig
from xlxmert.recipes.captioner import Stage, captioner_loop, of_stage, train_captioner
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.tables.data import SEED, SIZES, Data, Sizes, begun_with, make_data, scene_of
from xlxmert.recipes.tables.plots import plot
from xlxmert.recipes.tables.rows import Column, Measure, Row, Scores, measured, table
from xlxmert.recipes.tables.x_lxmert import seconds_of
from xlxmert.recipes.train_store import Prepared
from xlxmert.sampling import Beam
from xlxmert.studio import Describer
from xlxmert.tasks.generative import GenerativeConfig, Objective
from xlxmert.tasks.world_scores import fact_scores
from xlxmert.train import TrainConfig

SHAPE = dataclasses.replace(XGPT_WORLD, width=128, heads=4, feed_forward=512, layers=3, refine_layers=1)
"""The XGPT of all rows but table 3's."""
WRONG, SHORT = 0.2, 0.2
"""Shares of out-of-domain captions that are another picture's, and that are cut to their first three words."""
COLUMNS = (
    Column("CIDEr-D", "CIDEr-D", share=False), Column("BLEU-4", "BLEU-4", share=False),
    Column("facts right", "facts"), Column("captions with every fact right", "every"),
    Column("minutes", "minutes", share=False),
)  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """What every row gets."""

    outside: int = 6000
    """Out-of-domain pictures."""
    inside: int = 150
    """In-domain pictures."""
    first: int = 300
    """Steps out of domain, where a stage in domain follows."""
    second: int = 150
    """Steps of pre-training in domain; without that stage the first has them too."""
    tune: int = 150
    """Steps of captioning in domain; without pre-training it has all."""
    batch: int = 64
    """Captions a step."""
    tested: int = 300
    """Unseen pictures of the test."""

    @property
    def whole(self) -> int:
        """Steps of a row."""
        return self.first + self.second + self.tune


BUDGET = Budget()


@dataclass(frozen=True)
class Told:
    """Both sorts of pictures, ready to learn from."""

    outside: Prepared
    inside: Prepared


def make_stores(data: Data, budget: Budget) -> Told:
    """Write the two stores if they are not there yet, and open them.

    Raises:
        XlxmertError: the folder was begun with other numbers of pictures.
    """
    folder = data.folder / "xgpt"
    begun_with(folder / "pictures.json", {"outside": budget.outside, "inside": budget.inside})
    outside = [make_scene("train", SEED, index, WORLD) for index in range(budget.outside)]
    inside = [scene_of(index) for index in range(budget.inside)]
    if not (folder / "inside/store.json").exists():
        noisy = _noisy(outside)
        clean = [
            Sentence(each.text, index)
            for index, scene in enumerate(inside)
            for each in captions_of(scene, "train", SEED, index)
        ]
        tokenizer = Tokenizer.train([each.text for each in [*noisy, *clean]], 4000)
        _write(data, folder / "outside", outside, noisy, tokenizer)
        _write(data, folder / "inside", inside, clean, tokenizer)
    fingerprint = data.vocabulary.codebook.fingerprint
    return Told(*(Prepared(Store.open(folder / name, fingerprint), data.vocabulary) for name in ("outside", "inside")))


def _noisy(scenes: Sequence[Scene]) -> list[Sentence]:
    """One caption of each scene, some of them another's or cut short."""
    rng = numpy_generator(SEED, "noisy captions")
    texts = [captions_of(scene, "train", SEED, index)[0].text for index, scene in enumerate(scenes)]
    kinds, others = rng.random(len(texts)), rng.permutation(len(texts))
    told = []
    for index, (text, kind, other) in enumerate(zip(texts, kinds, others, strict=True)):
        if kind < WRONG:
            text = texts[other]
        elif kind < WRONG + SHORT:
            text = " ".join(text.split()[:3])
        told.append(Sentence(text, index))
    return told


def _write(
    data: Data, folder: Path, scenes: Sequence[Scene], sentences: Sequence[Sentence], tokenizer: Tokenizer
) -> None:
    visual = encoded(data.vocabulary, (np.array(render_scene(scene)) for scene in scenes), keep_features=True)
    codebook, names = data.vocabulary.codebook, [str(index) for index in range(len(scenes))]
    write_store(folder, visual, names, sentences, tokenizer, AnswerTable(()), codebook.fingerprint, len(codebook))


@dataclass(frozen=True)
class CaptionExam:
    """Unseen pictures of one split, to be captioned."""

    tokenizer: Tokenizer
    """The captioners' words."""
    scenes: Sequence[Scene]
    features: Float[Tensor, "P N F"]
    references: Sequence[Sequence[str]]
    """The true captions."""

    @classmethod
    def of(cls, data: Data, tokenizer: Tokenizer, split: str, count: int) -> "CaptionExam":
        """The first pictures of ``val`` or ``test``, encoded."""
        scenes = [scene_of(index, split) for index in range(count)]
        drawn = [np.array(render_scene(scene)) for scene in scenes]
        features = torch.cat([found for found, _ in data.vocabulary.extract(drawn)]).half().float()
        told = [[each.text for each in captions_of(scene, split, SEED, i)] for i, scene in enumerate(scenes)]
        return cls(tokenizer, scenes, features, told)

    def score(self, model: Xgpt) -> dict[str, float]:
        """Facts, and the caption metrics in per cent, with two beams, as the paper tests (section 5.3)."""
        describer = Describer(Captioner(model, self.tokenizer), "cpu")
        texts = [found[0].text for found in describer.write(self.features, decoding=Beam(2))]
        stated = [facts_of_text(text) for text in texts]
        return dict(fact_scores(stated, self.scenes)) | caption_scores(texts, self.references)


@dataclass(frozen=True)
class Plan:
    """How a row is trained: its stages with their objectives and steps, and the model's shape."""

    stages: tuple[tuple[Stage, tuple[Objective, ...], int], ...]
    """The last one is captioning."""
    shape: XgptConfig = SHAPE
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Fields of `GenerativeConfig` that are the row's own."""
    plenty: bool = False
    """Learn captioning from all pictures of the tables' part of the world, of which those in domain are few."""


ALL: tuple[Objective, ...] = ("captioning", "imlm", "ida", "tifg")
FULL = "out- and in-domain: IC + IMLM + IDA + TIFG"
"""The row of table 2 with all objectives and both stages."""


class Rows:
    """The rows of the tables about captioning."""

    def __init__(self, data: Data, budget: Budget) -> None:
        """Keep what all rows need."""
        self.data, self.budget = data, budget

    @cached_property
    def told(self) -> Told:
        """The stores."""
        return make_stores(self.data, self.budget)

    @cached_property
    def exam(self) -> CaptionExam:
        """The test."""
        return CaptionExam.of(self.data, self.told.inside.store.tokenizer, "test", self.budget.tested)

    def table2(self) -> list[Row]:
        """Which objectives, in one stage or two; the first row is ours.

        All rows take the same number of steps, so that an objective costs captioning its steps. In the paper every
        iteration has a step of each objective, and captioning as many as without them: the two rows before the last.
        The last one sums the objectives, so that each has as many as captioning alone.
        """
        rows = [
            self._row("captioning in domain alone", Plan((("captioning", (), self.budget.whole),)), ""),
            self._row("text pre-training (XGPT* of table 1)", staged(self.budget, ("mass", "mlm"), "text"), "113.0"),
        ]
        names: dict[str, tuple[Objective, ...]] = {
            "IC": ("captioning",),
            "IC + IMLM": ("captioning", "imlm"),
            "IC + IDA": ("captioning", "ida"),
            "IC + TIFG": ("captioning", "tifg"),
            "IC + IMLM + IDA + TIFG": ALL,
        }
        one, two = ("116.4", "117.7", "118.1", "117.3", "118.3"), ("", "119.1", "119.2", "118.2", "120.1")
        rows += [
            self._row(f"out-of-domain: {name}", staged(self.budget, objectives), paper)
            for (name, objectives), paper in zip(names.items(), one, strict=True)
        ]
        rows += [
            self._row(f"out- and in-domain: {name}", staged(self.budget, objectives, two_stages=True), paper)
            for (name, objectives), paper in zip(names.items(), two, strict=True)
        ]
        as_in_paper = {"out-of-domain": (False, "118.3"), "out- and in-domain": (True, "120.1")}
        for name, (both, paper) in as_in_paper.items():
            plan = staged(self.budget, ALL, two_stages=both, rounds=True)
            rows.append(self._row(f"{name}: all four, as many rounds", plan, paper))
        summed = dataclasses.replace(staged(self.budget, ALL), changes={"combine": "sum"})
        return [*rows, self._row("out-of-domain: all four, summed at every step", summed, "")]

    def table3(self) -> list[Row]:
        """What encoder and decoder share, without pre-training; base has twice the layers of tiny."""
        base = dataclasses.replace(SHAPE, layers=2 * SHAPE.layers)
        shapes = {
            "Tiny Enc": (dataclasses.replace(SHAPE, arch="enc"), "112.1"),
            "Tiny EncDec": (dataclasses.replace(SHAPE, arch="encdec"), "110.8"),
            "Tiny EncDecShare": (SHAPE, "112.7"),
            "Base EncDecShare": (base, "112.9"),
        }
        stages: tuple[tuple[Stage, tuple[Objective, ...], int], ...] = (("captioning", (), self.budget.whole),)
        return [self._row(name, Plan(stages, shape, plenty=True), paper) for name, (shape, paper) in shapes.items()]

    def table6(self) -> list[Row]:
        """IDA with one mask for each word of a span, or one for the whole; the paper gives the difference alone."""
        plan = staged(self.budget, ("captioning", "ida"), two_stages=True)
        multi = dataclasses.replace(plan, changes={"span_mask": "multi"})
        return [
            self._row("IDA, multi [MASK]", multi, "-0.3"),
            self._row("out- and in-domain: IC + IDA", plan, "0", "IDA, single [MASK]"),
        ]

    def _row(self, name: str, plan: Plan, paper: str, title: str = "") -> Row:
        return Row(name, self._captioner(plan), {"CIDEr": paper}, title)

    def _captioner(self, plan: Plan) -> Measure:
        """Train a row and score its captions."""

        def measure(folder: Path, seed: int) -> Scores:
            model = self.trained(plan, folder, seed)
            seconds = sum(seconds_of(folder / f"stage-{number}") for number in range(len(plan.stages)))
            exam = dataclasses.replace(self.exam, tokenizer=self._learned(plan, "captioning").store.tokenizer)
            return {**exam.score(model), "minutes": seconds / 60}

        return measure

    def _learned(self, plan: Plan, stage: Stage) -> Prepared:
        """The pictures that a stage learns from."""
        if stage in ("text", "out-of-domain"):
            return self.told.outside
        return self.data.pretraining if plan.plenty else self.told.inside

    def trained(self, plan: Plan, folder: Path, seed: int) -> Xgpt:
        """All stages of a row, each from the moving average of the one before.

        The paper averages the best four checkpoints. Here stages are so short that checkpoints lie far apart, and
        their mean is worse than each: 46 instead of 70 of CIDEr-D on val after 450 rounds of four objectives.
        """
        model: XgptConfig | Xgpt = plan.shape
        for number, (stage, objectives, steps) in enumerate(plan.stages):
            loop = _loop(folder / f"stage-{number}", steps, self.budget.batch, seed, last=stage == "captioning")
            config = chosen(stage, objectives, plan.changes)
            model = train_captioner(self._learned(plan, stage), model, config, loop)
        assert isinstance(model, Xgpt)
        return model


def staged(
    budget: Budget,
    objectives: tuple[Objective, ...],
    stage: Stage = "out-of-domain",
    two_stages: bool = False,
    rounds: bool = False,
) -> Plan:
    """A row of table 2: pre-training in one stage or two, then captioning.

    Args:
        budget: how many steps.
        objectives: of pre-training.
        stage: the first.
        two_stages: whether one in domain follows.
        rounds: whether the steps of pre-training are rounds, in each of which every objective has a step.
    """
    times = len(objectives) if rounds else 1
    first, second = times * budget.first, times * budget.second
    pre: tuple[tuple[Stage, tuple[Objective, ...], int], ...]
    if two_stages:
        pre = ((stage, objectives, first), ("in-domain", objectives, second))
    else:
        pre = ((stage, objectives, first + second),)
    return Plan((*pre, ("captioning", (), budget.tune)))


def chosen(stage: Stage, objectives: tuple[Objective, ...], changes: Mapping[str, object]) -> GenerativeConfig:
    """A stage's objectives, those alone that the row has."""
    config = dataclasses.replace(of_stage(stage), together=1)
    left_out = {} if not objectives else {name: 0.0 for name in config.weights if name not in objectives}
    return dataclasses.replace(config, **left_out, **changes)  # type: ignore[arg-type]


def _loop(out: Path, steps: int, batch: int, seed: int, last: bool) -> TrainConfig:
    """A stage of a row; those of pre-training have the paper's schedule."""
    loop = captioner_loop(out, steps, batch, seed, quiet=True)
    loop = dataclasses.replace(loop, ema=0.98, keep=1, tensorboard=False)
    return loop if last else dataclasses.replace(loop, decay="inverse_sqrt", warmup=0.1, final_share=0.0)


TABLES: Mapping[int, Callable[[Rows], list[Row]]] = {2: Rows.table2, 3: Rows.table3, 6: Rows.table6}


def run(
    out: Path, tables: tuple[int, ...] = (2, 3, 6), seeds: int = 1, budget: Budget = Budget(), sizes: Sizes = SIZES
) -> str:
    """Train and measure what is missing, and write ``out/xgpt.md`` with a plot of every table."""
    rows, texts = Rows(make_data(out, sizes), budget), []
    for number in tables:
        some = TABLES[number](rows)
        found = measured(out / "xgpt", some, range(seeds))
        texts.append(f"## Table {number}\n\n{table(some, found, COLUMNS, ['CIDEr'])}\n")
        plot(out / f"xgpt-table-{number}.png", f"XGPT, table {number}", some, found, [COLUMNS[0], COLUMNS[3]], "CIDEr")
    text = "\n".join(texts)
    write_text(out / "xgpt.md", text)
    return text


def main() -> None:
    """Run tables from the command line."""
    import tyro

    def tables(
        out: Path = Path("runs/tables"), tables: tuple[int, ...] = (2, 3, 6), seeds: int = 1, budget: Budget = Budget()
    ) -> None:
        """Redo tables 2, 3 and 6 of the XGPT paper on the built-in world; call it again to go on after a stop."""
        print(run(out, tables, seeds, budget))

    tyro.cli(tables)


if __name__ == "__main__":
    main()
