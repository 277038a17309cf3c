"""Which sampler, steps, guidance and number of drafts: quality of painted pictures against time, on the built-in world.

    python -m xlxmert.recipes.painting_study --out runs/study

Every row paints the first captions of the splits test and heldout with the same seeds. It is scored by the facts that
its pictures show, by FID and KID against the true pictures of the same captions, and timed picture by picture with
nothing beside it (`--only time` measures that alone). What is there from an earlier call is read, not measured again.
The table, a plot and a sheet of the first captions as every sampler paints them go to OUT. Results, time and machine:
docs/results.md, "The painting study".
"""

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from xlxmert.core.axes import Tensor, UInt8
from xlxmert.core.files import atomic_path, write_text
from xlxmert.core.images import contact_sheet, save_png
from xlxmert.data.world.parser import parse_pictures
from xlxmert.metrics.fidelity import frechet_distance, kernel_distance
from xlxmert.recipes.tables.rows import Column, Row, Scores, file_name, measured, table
from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Guidance,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
)
from xlxmert.studio import PaintOptions, Studio
from xlxmert.studio.options import JOINT, QUALITIES
from xlxmert.tasks.world_scores import Example, examples, fact_scores, true_pictures
from xlxmert.vision.fidelity_networks import FeatureNetwork, look, open_network

SPLITS = ("test", "heldout")
NONE, HALF, ONE = Guidance(0.0), Guidance(0.5), Guidance(1.0)
COOL = 0.5
"""The token temperature that the bundled checkpoint was found to paint best with."""


def maskgit(steps: int) -> MaskGIT:
    """MaskGIT with cool tokens."""
    return MaskGIT(steps, token_temperature=COOL)


ROWS: Mapping[str, PaintOptions] = {
    "Mask-Predict-4, no guidance (the paper)": PaintOptions(MaskPredict(4), NONE),
    "Mask-Predict-4": PaintOptions(MaskPredict(4), HALF),
    "Mask-Predict-10": PaintOptions(MaskPredict(10), HALF),
    "Raster": PaintOptions(Raster(temperature=COOL), HALF),
    "Random order": PaintOptions(RandomOrder(temperature=COOL), HALF),
    "Easy-first": PaintOptions(EasyFirst(temperature=COOL), HALF),
    "MaskGIT-8 (draft)": QUALITIES["draft"].with_changes(guidance=HALF),
    "MaskGIT-16": PaintOptions(maskgit(16), HALF),
    "MaskGIT-24": PaintOptions(maskgit(24), HALF),
    "MaskGIT-28 (standard)": QUALITIES["standard"].with_changes(guidance=HALF),
    "MaskGIT-32": PaintOptions(maskgit(32), HALF),
    "MaskGIT-16, no guidance": PaintOptions(maskgit(16), NONE),
    "MaskGIT-16, guidance 1": PaintOptions(maskgit(16), ONE),
    "MaskGIT-16, guidance 1 rising": PaintOptions(maskgit(16), Guidance(1.0, ramp=True)),
    "MaskGIT-16, guidance 0.5 from a third on": PaintOptions(maskgit(16), Guidance(0.5, start=0.33)),
    "Moment-16": PaintOptions(Moment(16, token_temperature=COOL), HALF),
    "Halton-8": PaintOptions(Halton(8, token_temperature=COOL), HALF),
    "Halton-16": PaintOptions(Halton(16, token_temperature=COOL), HALF),
    "Halton-32": PaintOptions(Halton(32, token_temperature=COOL), HALF),
    "Entropy bound 2": PaintOptions(EntropyBound(2.0, token_temperature=COOL), HALF),
    "Entropy bound 8": PaintOptions(EntropyBound(8.0, token_temperature=COOL), HALF),
    "ReMDM-32": PaintOptions(ReMDM(32, token_temperature=COOL), HALF),
    "ReMDM-64": PaintOptions(ReMDM(64, token_temperature=COOL), HALF),
    "MaskGIT-16, revised": PaintOptions(Revised(maskgit(16)), HALF),
    "MaskGIT-32, revised": PaintOptions(Revised(maskgit(32)), HALF),
    "Halton-16, revised": PaintOptions(Revised(Halton(16, token_temperature=COOL)), HALF),
    "MaskGIT-8, best of 2": PaintOptions(maskgit(8), HALF, best_of=2, likelihood=JOINT),
    "MaskGIT-16, best of 2": PaintOptions(maskgit(16), HALF, best_of=2, likelihood=JOINT),
    "MaskGIT-16, best of 4 (high)": QUALITIES["high"].with_changes(guidance=HALF),
    "MaskGIT-16, best of 8": PaintOptions(maskgit(16), HALF, best_of=8, likelihood=JOINT),
    "MaskGIT-16, best of 8 by matching alone": PaintOptions(maskgit(16), HALF, best_of=8),
    "ReMDM-32, best of 4 (best)": QUALITIES["best"].with_changes(guidance=HALF),
}
"""What is compared; every family of samplers at least once."""
SHEET = (
    "Mask-Predict-4, no guidance (the paper)", "Mask-Predict-4", "Raster", "Random order", "Easy-first", "MaskGIT-16",
    "Moment-16", "Halton-16", "Entropy bound 2", "ReMDM-32", "MaskGIT-16, revised", "MaskGIT-16, best of 8",
)  # fmt: skip
"""One row per sampler on the sheet."""
COLUMNS = (
    Column("test: facts right", "test/facts"), Column("every fact", "test/every"),
    Column("heldout: facts right", "heldout/facts"), Column("every fact", "heldout/every"),
    Column("FID, test", "test/fid", share=False), Column("KID × 1000, test", "test/kid", share=False, unit=0.001),
    Column("ms a picture", "ms", share=False, unit=0.001),
)  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """How much is measured."""

    pictures: int = 80
    """Captions of each split."""
    timed: int = 7
    """Pictures whose painting is timed, one by one; the median counts."""


class Study:
    """The captions, their true pictures and the network of the distances, each made once.

    Args:
        studio: what paints.
        budget: how much.
        network: what tells how close pictures come; see `open_network`.
    """

    def __init__(self, studio: Studio, budget: Budget, network: FeatureNetwork) -> None:
        """Draw the scenes; see the class."""
        self.studio, self.budget, self.network = studio, budget, network
        self.found: dict[str, list[Example]] = {split: examples(split, budget.pictures) for split in SPLITS}

    def quality(self, name: str, options: PaintOptions) -> Row:
        """A row of scores; the first pictures of test are kept as arrays for the sheet."""

        def measure(folder: Path, seed: int) -> Scores:
            scores: dict[str, float] = {}
            for split, found in self.found.items():
                prompts = [example.captions[0].text for example in found]
                seeds = [seed + place for place in range(len(prompts))]
                paintings = self.studio.paint(prompts, seeds=seeds, options=options)
                pictures = torch.from_numpy(np.stack([painting.picture for painting in paintings]))
                scores |= {f"{split}/{name}": value for name, value in self._scores(split, pictures).items()}
                if split == SPLITS[0]:
                    folder.mkdir(parents=True, exist_ok=True)
                    np.save(folder / "first.npy", pictures[:SHOWN].numpy())
            return scores

        return Row(name, measure)

    def duration(self, name: str, options: PaintOptions) -> Row:
        """How long a picture takes, after one that is not counted."""

        def measure(folder: Path, seed: int) -> Scores:
            spent = []
            for place, example in enumerate(self.found["test"][: self.budget.timed + 1]):
                begun = time.perf_counter()
                self.studio.paint(example.captions[0].text, seed=seed + place, options=options)
                spent.append(time.perf_counter() - begun)
            return {"ms": statistics.median(spent[1:])}

        return Row(name, measure)

    def _scores(self, split: str, pictures: UInt8[Tensor, "B S S 3"]) -> dict[str, float]:
        stated = [example.captions[0].facts for example in self.found[split]]
        mine, true = self._features(pictures), self._true[split]
        distances = {"fid": frechet_distance(mine, true), "kid": kernel_distance(mine, true).mean}
        return {**dict(fact_scores(stated, parse_pictures(pictures))), **distances}

    @functools.cached_property
    def _true(self) -> dict[str, np.ndarray]:
        """The true pictures' features, asked for only where distances are still to be measured."""
        return {split: self._features(true_pictures(found)) for split, found in self.found.items()}

    def _features(self, pictures: UInt8[Tensor, "B S S 3"]) -> np.ndarray:
        return look(self.network, pictures).features.double().numpy()


SHOWN = 8
"""Captions on the sheet, the first of test."""


def run(
    out: Path,
    checkpoint: str | None = None,
    network: str = "auto",
    budget: Budget = Budget(),
    only: Literal["all", "quality", "time"] = "all",
    rows: Mapping[str, PaintOptions] = ROWS,
    log: Callable[[str], None] = print,
) -> str:
    """Measure what is missing; write ``out/study.md``, ``out/study.png`` and ``out/samplers.png``."""
    study = Study(Studio.from_pretrained(checkpoint), budget, open_network(network))
    scores: list[dict[str, float]] = [{} for _ in rows]
    for part, make in (("quality", study.quality), ("time", study.duration)):
        if only in ("all", part):
            found = measured(out / part, [make(*pair) for pair in rows.items()], range(1), log)
            scores = [{**old, **new} for old, new in zip(scores, found, strict=True)]
    shown = [column for column in COLUMNS if any(column.score in found for found in scores)]
    title = f"{budget.pictures} captions of each split; FID and KID by {study.network.name}"
    text = f"{title}\n\n{table([study.quality(*pair) for pair in rows.items()], scores, shown)}\n"
    write_text(out / "study.md", text)
    if only == "all":
        plot(out / "study.png", list(rows), scores)
        sheet(out, study.found["test"], [name for name in SHEET if name in rows])
    return text


def plot(path: Path, names: Sequence[str], scores: Sequence[Scores]) -> None:
    """Facts right against seconds per picture, a point per row, with the frontier that no other row beats."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(9.5, 6), layout="constrained")
    points = [(found["ms"], 100 * found["test/facts"], 100 * found["heldout/facts"]) for found in scores]
    for seconds, test, heldout in points:
        panel.plot([seconds, seconds], [test, heldout], color="#cccccc", zorder=1)
    panel.scatter([p[0] for p in points], [p[1] for p in points], color="#4477aa", label="test", zorder=2)
    panel.scatter([p[0] for p in points], [p[2] for p in points], color="#ee6677", s=14, label="heldout", zorder=2)
    best = [p for p in sorted(points) if all(p[1] > q[1] for q in points if q[0] < p[0])]
    panel.plot([p[0] for p in best], [p[1] for p in best], color="#4477aa", linewidth=1, zorder=1)
    named = sorted((point, name) for name, point in zip(names, points, strict=True) if point in best)
    for place, (point, name) in enumerate(named):
        below = {"xytext": (4, -14)} if place % 2 else {"xytext": (-4, 7), "ha": "right"}
        panel.annotate(name, point[:2], textcoords="offset points", fontsize=8, **below)
    panel.set(xscale="log", xlabel="seconds per picture", ylabel="facts right, %")
    low, high = min(p[0] for p in points) / 2, 2 * max(p[0] for p in points)
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0) if low < tick < high]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_xticks([], minor=True)
    panel.margins(x=0.18)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="lower right")
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=110)
    pyplot.close(figure)


def sheet(out: Path, found: Sequence[Example], names: Sequence[str]) -> None:
    """The first captions as every sampler paints them: ``out/samplers.png``."""
    truth = list(true_pictures(found[:SHOWN]).numpy())
    pictures, titles = [truth], ["the pictures that the captions are of"]
    for name in names:
        pictures.append(list(np.load(out / "quality" / file_name(name) / "0" / "first.npy")))
        titles.append(name)
    captions = [[example.captions[0].text for example in found[:SHOWN]] for _ in pictures]
    save_png(out / "samplers.png", contact_sheet(pictures, captions, titles, tile=96))


def main() -> None:
    """Run the study from the command line."""
    import tyro

    def study(
        out: Path = Path("runs/study"),
        checkpoint: str | None = None,
        network: str = "auto",
        only: Literal["all", "quality", "time"] = "all",
        budget: Budget = Budget(),
    ) -> None:
        """Compare samplers, steps, guidance and drafts; call it again to go on after a stop."""
        print(run(out, checkpoint, network, budget, only))

    tyro.cli(study)


if __name__ == "__main__":
    main()
