"""The tables of the LXMERT paper about what pre-training is good for, on a part of the built-in world.

    python -m xlxmert.recipes.tables.lxmert --tables 3 4 5 --out runs/tables

Table 3: the attention baseline; no pre-training, with one to five cross-modality layers; with pre-training. Table 4:
with and without questions in pre-training, and data augmentation instead. Table 5: which visual objectives. Each row
is fine-tuned on VQA, GQA and NLVR2. Regions are the 8 x 8 cells of the grid, as in LXMERT + Grid of the X-LXMERT paper;
BERT's weights take no part. Every row is fine-tuned for the same number of steps (in the paper, appendix D, those
without pre-training for five times the epochs).
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from xlxmert.core.files import write_text
from xlxmert.data.store import Store
from xlxmert.models.base import Transformer
from xlxmert.models.butd import Butd, ButdConfig
from xlxmert.models.families import build
from xlxmert.models.lxmert import LxmertConfig
from xlxmert.recipes import train_store
from xlxmert.recipes.finetune import carried
from xlxmert.recipes.tables.data import SIZES, Data, Sizes, make_data
from xlxmert.recipes.tables.plots import plot
from xlxmert.recipes.tables.reading import Exams, tune
from xlxmert.recipes.tables.rows import Column, Row, Scores, file_name, measured, table
from xlxmert.recipes.tables.x_lxmert import EVERY_KIND, LXMERT, pretrain_run, without_codes
from xlxmert.tasks.pretrain import PretrainConfig

TASKS = ("vqa", "gqa", "nlvr2")
PAPER = "VQA / GQA / NLVR2"
"""The paper's column."""
SHAPE: LxmertConfig = dataclasses.replace(
    without_codes(LXMERT),
    width=128,
    heads=4,
    feed_forward=512,  # type: ignore[assignment]
)
"""The LXMERT of all rows."""


@dataclass(frozen=True)
class Budget:
    """What every row gets."""

    pretrain: int = 1500
    """Steps of pre-training, 64 sentences each."""
    tune: int = 800
    """Steps of fine-tuning on each task, 32 examples each."""
    pictures: int = 200
    """Unseen pictures of every test."""


OBJECTIVES = PretrainConfig(
    policy="all",
    targets=("features", "labels"),
    visual_input="features",
    visual_mask="bernoulli",
    code_kinds=EVERY_KIND,
    match_kinds=("caption",),
)
"""LXMERT's: everything at once."""


def _start_of_questions(budget: Budget, asked: bool) -> int:
    """The step from which questions are asked: half of the run, or never."""
    return budget.pretrain // 2 if asked else budget.pretrain


class Rows:
    """The rows of all three tables, each pre-training shared by the rows that need it."""

    def __init__(self, data: Data, budget: Budget, out: Path) -> None:
        """Keep what all rows need."""
        self.data, self.budget, self.out = data, budget, out
        self._exams: Exams | None = None

    def table3(self) -> list[Row]:
        """The baseline, models without pre-training, and LXMERT."""
        rows = [self._scratch("GRU + BUTD", self._butd, "63.1 / 50.0 / 52.6")]
        papers = ("64.6 / 55.5 / 52.4", "65.8 / 56.1 / 50.9", "66.4 / 56.6 / 50.9", "66.4 / 56.0 / 50.9")
        for layers, paper in enumerate((*papers, "66.5 / 56.3 / 50.9"), start=1):
            shape = dataclasses.replace(SHAPE, relation_layers=0, cross_layers=layers)
            rows.append(self._scratch(f"{layers} CrossAtt, no pre-training", _builder(shape), paper))
        rows.append(self._scratch("LXMERT, no pre-training", _builder(SHAPE), "65.1 / 50.0 / 50.9"))
        return [*rows, self._tuned("LXMERT, pre-trained", "P10+QA10", OBJECTIVES, True, "69.9 / 60.0 / 74.9")]

    def table4(self) -> list[Row]:
        """With and without questions in pre-training; more questions in fine-tuning instead."""
        return [
            self._tuned("P20 + DA", "P20", OBJECTIVES, False, "68.0 / 58.1 / -", augmented=True),
            self._tuned("P20 + FT", "P20", OBJECTIVES, False, "68.9 / 58.2 / 72.4"),
            self._tuned("P10+QA10 + DA", "P10+QA10", OBJECTIVES, True, "69.1 / 59.2 / -", augmented=True),
            self._tuned("P10+QA10 + FT", "P10+QA10", OBJECTIVES, True, "69.9 / 60.0 / 74.9"),
        ]

    def table5(self) -> list[Row]:
        """Which visual objectives."""

        def with_targets(*targets: str) -> PretrainConfig:
            return dataclasses.replace(OBJECTIVES, targets=targets)  # type: ignore[arg-type]

        return [
            self._tuned("No Vision Tasks", "No Vision Tasks", with_targets(), True, "66.3 / 57.1 / 50.9"),
            self._tuned("Feat", "Feat", with_targets("features"), True, "69.2 / 59.5 / 72.9"),
            self._tuned("Label", "Label", with_targets("labels"), True, "69.5 / 59.3 / 73.5"),
            self._tuned("Feat + Label", "P10+QA10", OBJECTIVES, True, "69.9 / 60.0 / 74.9"),
        ]

    def _butd(self, store: Store) -> nn.Module:
        width = self.data.vocabulary.width
        shape = ButdConfig(
            vocabulary=store.tokenizer.size, max_text=64, word_width=128, width=256, feature_width=width, codes=0,
            answers=len(store.answers), pairs=True, dropout=0.2,
        )  # fmt: skip
        return Butd(shape)

    def _scratch(self, name: str, make: Callable[[Store], nn.Module], paper: str) -> Row:
        """A row without pre-training."""

        def measure(folder: Path, seed: int) -> Scores:
            return self._on_all_tasks(folder, seed, make)

        return Row(name, measure, {PAPER: paper})

    def _tuned(
        self, name: str, training: str, objectives: PretrainConfig, asked: bool, paper: str, augmented: bool = False
    ) -> Row:
        """A row with pre-training, fine-tuned on each task's own data or, ``augmented``, on all questions."""
        objectives = dataclasses.replace(objectives, answers_from=_start_of_questions(self.budget, asked))

        def measure(folder: Path, seed: int) -> Scores:
            old = self._pretrained(training, seed, objectives)
            known = self.data.pretraining.store.answers

            def make(store: Store) -> nn.Module:
                return carried(old, known, store.answers or None, True, seed)

            shared = self.out / "tuned" / file_name(training + " augmented" * augmented) / str(seed)
            return self._on_all_tasks(shared, seed, make, augmented)

        return Row(name, measure, {PAPER: paper})

    def _pretrained(self, name: str, seed: int, objectives: PretrainConfig) -> Transformer:
        out = self.out / "pretrained" / file_name(name) / str(seed)
        loop = pretrain_run(out, self.budget.pretrain, 64, seed)
        return train_store.pretrain(self.data.pretraining, SHAPE, objectives, loop)

    def _on_all_tasks(
        self, folder: Path, seed: int, make: Callable[[Store], nn.Module], augmented: bool = False
    ) -> dict[str, float]:
        """Fine-tune on each task, in folders that rows of the same training share, and score."""
        scores: dict[str, float] = {}
        for task in TASKS[: 2 if augmented else 3]:
            store = (self.data.pretraining if augmented else getattr(self.data, task)).store
            torch.manual_seed(seed)
            model = tune(make(store), store, task, self.budget.tune, folder / task, seed)
            found = getattr(self._exam(), task)(model, store)
            scores |= {f"{task}/{k}": v for k, v in found.items()} if isinstance(found, dict) else {task: found}
        return scores

    def _exam(self) -> Exams:
        if self._exams is None:
            self._exams = Exams(self.data, self.budget.pictures)
        return self._exams


def _builder(shape: LxmertConfig) -> Callable[[Store], nn.Module]:
    """Builds a fresh model of a shape for a store."""

    def make(store: Store) -> nn.Module:
        sizes = {
            "vocabulary": store.tokenizer.size, "answers": len(store.answers), "pairs": True, "labels": 0,
            "feature_width": store.feature_width, "label_input": "state",
        }  # fmt: skip
        return build(dataclasses.replace(shape, **sizes))  # type: ignore[arg-type]

    return make


COLUMNS = (
    Column("VQA", "vqa"),
    Column("GQA", "gqa"),
    Column("NLVR2", "nlvr2/accuracy"),
    Column("NLVR2 consistency", "nlvr2/consistency"),
)


def run(
    out: Path,
    tables: tuple[int, ...] = (3, 4, 5),
    seeds: int = 1,
    budget: Budget = Budget(),
    sizes: Sizes = SIZES,
) -> str:
    """Train and measure what is missing, and write ``out/lxmert.md`` and a plot of every table."""
    rows = Rows(make_data(out, sizes), budget, out / "lxmert")
    made: Mapping[int, Callable[[], list[Row]]] = {3: rows.table3, 4: rows.table4, 5: rows.table5}
    texts = []
    for number in tables:
        some = made[number]()
        found = measured(out / "lxmert", some, range(seeds))
        texts.append(f"## Table {number}\n\n{table(some, found, COLUMNS, [PAPER])}\n")
        plot(out / f"lxmert-table-{number}.png", f"LXMERT, table {number}", some, found, COLUMNS[:3], PAPER)
    text = "\n".join(texts)
    write_text(out / "lxmert.md", text)
    return text


def main() -> None:
    """Run tables from the command line."""
    import tyro

    def tables(
        out: Path = Path("runs/tables"), tables: tuple[int, ...] = (3, 4, 5), seeds: int = 1, budget: Budget = Budget()
    ) -> None:
        """Redo tables 3, 4 and 5 of the LXMERT paper on the built-in world; call it again to go on after a stop."""
        print(run(out, tables, seeds, budget))

    tyro.cli(tables)


if __name__ == "__main__":
    main()
