"""A visual vocabulary from a folder of pictures: what ``xlxmert codebook`` does."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import square
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.cells import LabelledCells, label_cells
from xlxmert.data.pictures import list_pictures
from xlxmert.data.world.golden import golden_pictures
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.sources import things_of
from xlxmert.vision.backbone import Backbone
from xlxmert.vision.backbones import open_backbone
from xlxmert.vision.labels import LESSONS, CellLabels
from xlxmert.vision.network import PictureNetwork
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary

FEATURES = FeatureSpec(depths=(Depth(4, 2), Depth(8, 2)), colour_parts=4, kept=96, whiten=0.65)
"""Two depths of the backbone and 4x4 mean colours per cell; chosen by the measurements in docs/results.md."""
TAUGHT = dataclasses.replace(FEATURES, embedded=64)
"""The same after a learned vector that tells things and their attributes apart, as the papers' detector does."""
STATISTICS = 600
"""Pictures on which the features' linear maps are measured."""
REMEMBERED = 64
"""Pictures whose features' statistics the vocabulary keeps."""
MOST_CODES = 2**16
"""What the store's 16 bits can tell apart."""


@dataclass(frozen=True)
class CodebookRecipe:
    """How a visual vocabulary is fitted."""

    codes: int = 8192
    """K, the size of the vocabulary."""
    iterations: int = 12
    """Rounds of k-means."""
    seed: int = 0
    """Of the choice of pictures and of k-means."""
    features: FeatureSpec = FEATURES
    """What a code stands for."""
    pictures: int = 12_000
    """Most pictures that are looked at, drawn at random; 0 takes all."""
    balance: float = 1.0
    """How much k-means prefers things to plain areas."""
    per_code: int = 32
    """Most cells per code that k-means uses."""
    size: int = 256
    """Side in pixels to which pictures are brought."""
    crop: bool = False
    """Keep the centre square of a picture instead of squashing it."""
    workers: int = 2
    """Threads that decode pictures."""
    instances: Path | None = None
    """COCO's ``instances_*.json`` of the pictures, with or without attributes: codes then tell its things apart."""
    lessons: int = LESSONS
    """With instances: steps in which the features are taught."""
    backbone: str = Backbone.name
    """The network that looks at pictures; see `open_backbone`."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.codes <= MOST_CODES:
            raise UsageError(f"expected between 1 and {MOST_CODES} codes, found {self.codes}: pass --codes")
        low = [name for name in ("iterations", "per_code", "size", "workers", "lessons") if getattr(self, name) < 1]
        if low or self.pictures < 0 or self.balance < 0:
            raise UsageError(
                "expected iterations, per_code, size, workers and lessons of at least 1, pictures and balance of at "
                f"least 0, found {self}"
            )
        if self.instances is not None and self.crop:
            raise UsageError("boxes are of whole pictures (found crop with instances): leave one of the two out")
        if (self.instances is None) != (not self.features.embedded):
            raise UsageError(
                f"expected instances and a feature spec with embedded > 0, or neither (found {self.instances} and "
                f"embedded={self.features.embedded})"
            )


@dataclass(frozen=True)
class Fitted:
    """What came of it."""

    vocabulary: VisualVocabulary
    pictures: int
    """Pictures that were looked at."""
    unreadable: dict[Path, str]
    """Files that could not be read, and why."""


def parse_depths(texts: tuple[str, ...]) -> tuple[Depth, ...]:
    """The backbone's depths from texts such as ``8:2`` or ``16:1:0.5``: stride, parts and, unless it is 1, weight.

    Raises:
        UsageError: a text has another shape or a number out of range.
    """
    depths = []
    for text in texts:
        match = re.fullmatch(r"(\d+):(\d+)(?::(\d+(?:\.\d+)?))?", text)
        if match is None:
            raise UsageError(f"expected a depth as stride:parts or stride:parts:weight, such as 8:2, found '{text}'")
        stride, parts, weight = match.groups(default="1")
        depths.append(Depth(int(stride), int(parts), float(weight)))
    return tuple(depths)


def suited(spec: FeatureSpec, backbone: PictureNetwork, size: int) -> FeatureSpec:
    """The spec, with other depths where the usual ones are asked of a backbone that has none of their strides.

    Raises:
        UsageError: depths were chosen that the backbone does not have.
    """
    missing = [depth.stride for depth in spec.depths if depth.stride not in backbone.strides]
    if not missing:
        return spec
    if spec.depths != FEATURES.depths:
        raise UsageError(
            f"expected --depths of strides {', '.join(map(str, backbone.strides))}, which {backbone.name} has, found "
            f"{', '.join(map(str, missing))}: leave --depths out, or choose among these"
        )
    strides = [stride for stride in backbone.strides if size % (stride * spec.grid) == 0][:2]
    if not strides:
        raise UsageError(
            f"expected a --size in multiples of {backbone.strides[0] * spec.grid} for {backbone.name}, found {size}"
        )
    depths = (Depth(stride, max(min(size // (stride * spec.grid), 2), 1)) for stride in strides)
    return dataclasses.replace(spec, depths=tuple(depths))


def fit_codebook(
    images: Path,
    recipe: CodebookRecipe = CodebookRecipe(),
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
    paths: Sequence[Path] | None = None,
) -> Fitted:
    """Fit a visual vocabulary on the pictures under a folder.

    Args:
        images: a folder; folders within are searched too.
        recipe: see `CodebookRecipe`.
        device: where the backbone runs.
        progress: is told how many pictures were looked at.
        paths: look at these of the folder's pictures; by default at all.

    Raises:
        XlxmertError: the folder holds no picture, none can be read, or too few for this many codes.
    """
    paths = _chosen(list_pictures(images, nested=True) if paths is None else paths, recipe)
    cells = len(paths) * recipe.features.cells
    if cells < recipe.codes:
        raise XlxmertError(
            f"expected at least {recipe.codes} cells for {recipe.codes} codes, found {cells} in {len(paths)} pictures "
            f"of {images}: add pictures or pass a smaller --codes"
        )
    things = things_of(images, recipe.instances) if recipe.instances is not None else None
    reader = PictureReader(recipe.size, recipe.crop, recipe.workers)
    first, total = paths[:STATISTICS], len(paths) + len(paths[:STATISTICS])
    backbone = open_backbone(recipe.backbone, recipe.features.deepest).to(device)
    spec = suited(recipe.features, backbone, recipe.size)
    sample = (picture for _, picture in reader.read(first, total, progress))
    extractor = FeatureExtractor.fit(backbone, spec, sample)
    seen: list[Path] = []

    def every() -> Iterator[np.ndarray]:
        for path, picture in reader.read(paths, total, lambda done, _: progress(len(first) + done, total)):
            seen.append(path)
            yield picture

    def labels() -> CellLabels:
        assert things is not None
        return cell_labels(label_cells([things.get(path, ()) for path in seen], recipe.features.grid))

    vocabulary = fit_vocabulary(
        extractor,
        every(),
        recipe.codes,
        recipe.iterations,
        recipe.seed,
        balance=recipe.balance,
        per_code=recipe.per_code,
        labels=None if things is None else labels,
        lessons=recipe.lessons,
    )
    looked = [picture for _, picture in reader.read(paths[:REMEMBERED], total)]
    vocabulary = remembered(vocabulary, looked, recipe.size, recipe.crop)
    return Fitted(vocabulary, len(paths) - len(reader.unreadable), reader.unreadable)


def remembered(
    vocabulary: VisualVocabulary, sample: Sequence[np.ndarray], size: int, crop: bool = False
) -> VisualVocabulary:
    """The vocabulary with a reference of its features, for ``xlxmert doctor``; ``sample`` is brought to ``size``."""
    golden = [square(Image.fromarray(picture), size, crop) for picture in golden_pictures().values()]
    known, other = (torch.from_numpy(np.stack(pictures)) for pictures in (golden, sample))
    return vocabulary.with_reference(known, other, crop)


def cell_labels(cells: LabelledCells) -> CellLabels:
    """The labels of P pictures' cells as one row of M = P * N cells."""
    arrays = torch.from_numpy(cells.things), torch.from_numpy(cells.attributes), torch.from_numpy(cells.parts)
    return CellLabels(*(array.flatten(0, 1) for array in arrays))


def _chosen(paths: Sequence[Path], recipe: CodebookRecipe) -> list[Path]:
    """The pictures to look at, in random order: the first of them measure the statistics."""
    order = numpy_generator("codebook", recipe.seed).permutation(len(paths))
    return [paths[int(place)] for place in order[: recipe.pictures or None]]
