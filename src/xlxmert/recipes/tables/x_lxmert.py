"""The tables of the X-LXMERT paper about painting, on a part of the built-in world.

    python -m xlxmert.recipes.tables.x_lxmert --tables 2 3 4 --out runs/tables

Table 2: LXMERT and UNITER with and without "X-". Table 3: X-LXMERT without each of its refinements. Table 4: samplers.
Every row is trained from nothing on the same pictures for the same number of steps; tables share the rows that they
have in common. Results, time and machine: docs/results.md. Stopped, the same command goes on.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlxmert.core.files import read_json, write_json, write_text
from xlxmert.core.images import contact_sheet, save_png
from xlxmert.core.task import OptimConfig
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.lxmert import LxmertConfig
from xlxmert.models.uniter import UniterConfig
from xlxmert.recipes import train_store
from xlxmert.recipes.tables.data import SIZES, Data, Sizes, make_data
from xlxmert.recipes.tables.painting import Gallery
from xlxmert.recipes.tables.plots import plot
from xlxmert.recipes.tables.rows import Column, Measure, Row, Scores, file_name, measured, table
from xlxmert.recipes.train_store import pretrain_loop
from xlxmert.sampling import EasyFirst, MaskGIT, MaskPredict, RandomOrder, Raster, Sampler
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.tasks.world_scores import true_pictures
from xlxmert.train import TrainConfig

SHARED = {
    "width": 192, "heads": 6, "feed_forward": 768, "dropout": 0.0, "attention_dropout": 0.0, "max_text": 64,
    "code_head": "both", "code_input": "both", "grid_position": "learned", "norm": "before", "mask_start": "normal",
}  # fmt: skip
"""Sizes and choices of all rows; those of codes go where there are none (`without_codes`)."""
LXMERT = LxmertConfig(**SHARED, language_layers=2, relation_layers=1, cross_layers=3)  # type: ignore[arg-type]
UNITER = UniterConfig(**SHARED, layers=6)  # type: ignore[arg-type]
"""Per step about the work of LXMERT."""
X = PretrainConfig(
    modalities=(0.5, 0.2, 0.3),
    targets=("codes",),
    visual_mask="uniform",
    code_kinds=("caption",),
    match_kinds=("caption",),
    optim=OptimConfig(lr=1e-3, muon_lr=0.02, betas=(0.9, 0.98), weight_decay=0.01),
)
"""X-LXMERT's objectives, at the rates that a short run bears."""
EVERY_KIND = ("caption", "question", "region")


@dataclass(frozen=True)
class Budget:
    """What every row gets."""

    steps: int = 2500
    """Steps of pre-training."""
    batch: int = 64
    """Sentences a step."""
    pictures: int = 300
    """Captions of the test split that are painted."""


def without_codes(shape: ModelConfig) -> ModelConfig:
    """The same model with LXMERT's heads for features and labels instead of codes."""
    return dataclasses.replace(
        shape, codes=0, code_head="centroids", code_input="centroids", regress=True, labels=1, label_input="feature"
    )


def regressing(objectives: PretrainConfig) -> PretrainConfig:
    """The same objectives with features and labels as targets (MVFR, MOC), read and predicted."""
    return dataclasses.replace(objectives, targets=("features", "labels"), visual_input="features")


def before(objectives: PretrainConfig) -> PretrainConfig:
    """LXMERT's objectives: no refinement at all."""
    return dataclasses.replace(regressing(objectives), visual_mask="bernoulli", code_kinds=EVERY_KIND)


@dataclass(frozen=True)
class Training:
    """What a row is trained with, and what the paper's row reached."""

    shape: ModelConfig
    objectives: PretrainConfig
    inception: str
    frechet: str


TRAININGS: Mapping[str, Training] = {
    "X-LXMERT": Training(LXMERT, X, "22.7", "37.4"),
    "LXMERT + Grid": Training(without_codes(LXMERT), before(X), "1.6", "316.7"),
    "X-UNITER": Training(UNITER, X, "20.1", "51.4"),
    "UNITER + Grid": Training(without_codes(UNITER), before(X), "2.4", "253.5"),
    "w/o discrete visual representations": Training(without_codes(LXMERT), regressing(X), "1.5", "304.4"),
    "w/o uniform masking": Training(LXMERT, dataclasses.replace(X, visual_mask="bernoulli"), "2.1", "227.9"),
    "w/o updating pre-training data": Training(LXMERT, dataclasses.replace(X, code_kinds=EVERY_KIND), "21.6", "46.1"),
}
"""The rows of tables 2 and 3, by name."""


def rows(data: Data, gallery: Callable[[], Gallery], budget: Budget) -> dict[str, Row]:
    """All trained rows, ready to be measured."""
    return {
        name: Row(name, _painter(data, gallery, budget, each), {"IS": each.inception, "FID": each.frechet})
        for name, each in TRAININGS.items()
    }


TABLES: Mapping[int, tuple[str, ...]] = {
    2: ("UNITER + Grid", "X-UNITER", "LXMERT + Grid", "X-LXMERT"),
    3: (
        "LXMERT + Grid", "X-LXMERT", "w/o discrete visual representations", "w/o uniform masking",
        "w/o updating pre-training data",
    ),
}  # fmt: skip
"""The rows of each table, in the paper's order."""
COLUMNS = (
    Column("facts right", "facts"), Column("nouns", "noun"), Column("colours", "colour"), Column("counts", "count"),
    Column("relations", "relation"), Column("settings", "setting"),
    Column("one object, every fact", "every_one_object"), Column("features snapped to codes: facts", "snapped/facts"),
    Column("parameters, M", "parameters", share=False, unit=1e6),
)  # fmt: skip
SAMPLERS: Mapping[str, tuple[Sampler, dict[str, str]]] = {
    "Mask-Predict-4": (MaskPredict(4), {"IS": "22.7", "FID": "37.4", "R-prec easy/hard": "40.8/25.1"}),
    "TL→BR": (Raster(), {"IS": "19.8", "FID": "48.5", "R-prec easy/hard": "26.9/18.9"}),
    "Random": (RandomOrder(), {"IS": "22.6", "FID": "35.9", "R-prec easy/hard": "39.5/24.7"}),
    "Mask-Predict-1": (MaskPredict(1), {"IS": "19.5", "FID": "51.4", "R-prec easy/hard": "36.8/21.4"}),
    "Random-200": (RandomOrder.of_steps(200), {"R-prec easy/hard": "-/23.3"}),
    "Easy-First": (EasyFirst(), {"R-prec easy/hard": "-/22.0"}),
    "Mask-Predict-10": (MaskPredict(10), {"R-prec easy/hard": "-/22.6"}),
    "MaskGIT-32 (ours)": (MaskGIT(32, token_temperature=0.5), {}),
}
"""Table 4, with the rows that table 6 adds and our own default."""


def _painter(data: Data, gallery: Callable[[], Gallery], budget: Budget, training: Training) -> Measure:
    """Train a row and score its pictures."""

    def measure(folder: Path, seed: int) -> Scores:
        model = trained(data, folder, seed, budget, training)
        scores = gallery().score(model, folder / "sheet.png")
        if not model.config.codes:
            snapped = gallery().score(model, folder / "snapped.png", snapped=True)
            scores |= {f"snapped/{name}": value for name, value in snapped.items()}
        weights = sum(weight.numel() for weight in model.parameters())
        return {**scores, "parameters": weights, "minutes": read_json(folder / "time.json")["seconds"] / 60}

    return measure


def trained(data: Data, folder: Path, seed: int, budget: Budget, training: Training) -> Transformer:
    """The trained model of a row; an earlier training goes on."""
    loop = pretrain_run(folder / "train", budget.steps, budget.batch, seed)
    model = train_store.pretrain(data.pretraining, training.shape, training.objectives, loop)
    write_json(folder / "time.json", {"seconds": seconds_of(loop.out)})
    return model


def pretrain_run(out: Path, steps: int, batch: int, seed: int) -> TrainConfig:
    """Length and schedule of a row's pre-training into ``out``."""
    return dataclasses.replace(pretrain_loop(out, steps, batch, seed, quiet=True), keep=1, tensorboard=False)


def seconds_of(run: Path) -> float:
    """How long the steps of a run took, from its curve: every stretch between two lines, stops left out."""
    total, before_it = 0.0, 0.0
    for line in (run / "timing.jsonl").read_text(encoding="utf-8").splitlines():
        now = float(json.loads(line)["seconds"])
        total, before_it = total + (now - before_it if now > before_it else now), now
    return total


def sampler_rows(data: Data, gallery: Callable[[], Gallery], budget: Budget, out: Path) -> list[Row]:
    """Table 4: one trained X-LXMERT, many samplers."""

    def row(name: str, sampler: Sampler, paper: dict[str, str]) -> Row:
        def measure(folder: Path, seed: int) -> Scores:
            model = trained(data, out / "x-lxmert" / str(seed), seed, budget, TRAININGS["X-LXMERT"])
            return gallery().score(model, folder / "sheet.png", sampler)

        return Row(name, measure, paper)

    return [row(name, sampler, paper) for name, (sampler, paper) in SAMPLERS.items()]


def figure(out: Path, data: Data, gallery: Gallery, budget: Budget, names: Sequence[str], count: int = 6) -> None:
    """The first captions as every row paints them, as in the paper's Fig. 2: ``out/x-lxmert.png``."""
    truth = list(true_pictures(gallery.found[:count]).numpy())
    pictures, titles = [truth], ["the pictures that the captions are of"]
    for name in names:
        model = trained(data, out / file_name(name) / "0", 0, budget, TRAININGS[name])
        pictures.append(list(gallery.paint(model, count).numpy()))
        titles.append(name)
    captions = [gallery.prompts[:count], *([[""] * count] * len(names))]
    save_png(out / "x-lxmert.png", contact_sheet(pictures, captions, titles, tile=120))


def run(
    out: Path, tables: tuple[int, ...] = (2, 3, 4), seeds: int = 1, budget: Budget = Budget(), sizes: Sizes = SIZES
) -> str:
    """Train and measure what is missing, and write ``out/x-lxmert.md`` with a plot of every table and a sheet."""
    data = make_data(out, sizes)
    opened: list[Gallery] = []

    def gallery() -> Gallery:
        if not opened:
            opened.append(Gallery(data, budget.pictures))
        return opened[0]

    every, texts = rows(data, gallery, budget), []
    for number in tables:
        if number == 4:
            some, columns = sampler_rows(data, gallery, budget, out), list(COLUMNS[:-2])
            papers, where = ["IS", "FID", "R-prec easy/hard"], out / "samplers"
        else:
            some, columns = [every[name] for name in TABLES[number]], list(COLUMNS)
            papers, where = ["IS", "FID"], out
        found = measured(where, some, range(seeds))
        texts.append(f"## Table {number}\n\n{table(some, found, columns, papers)}\n")
        shown = [COLUMNS[0], COLUMNS[6]]
        plot(out / f"x-lxmert-table-{number}.png", f"X-LXMERT, table {number}", some, found, shown, papers[1])
    names = list(dict.fromkeys(name for number in tables for name in TABLES.get(number, ())))
    if names:
        figure(out, data, gallery(), budget, names)
    text = "\n".join(texts)
    write_text(out / "x-lxmert.md", text)
    return text


def main() -> None:
    """Run tables from the command line."""
    import tyro

    def tables(
        out: Path = Path("runs/tables"), tables: tuple[int, ...] = (2, 3, 4), seeds: int = 1, budget: Budget = Budget()
    ) -> None:
        """Redo tables 2, 3 and 4 of the X-LXMERT paper on the built-in world; call it again to go on after a stop."""
        print(run(out, tables, seeds, budget))

    tyro.cli(tables)


if __name__ == "__main__":
    main()
