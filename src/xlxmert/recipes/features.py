"""A folder of pictures to a detector's features, as the papers' feature files hold them: ``xlxmert features``."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import xlxmert
from xlxmert.convert.detector_layout import read_detector
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import locked
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import load_h5py, write_h5_features
from xlxmert.data.pictures import list_pictures
from xlxmert.data.tsv_features import write_tsv_features
from xlxmert.models.detector import Detector, RegionReader, Regions
from xlxmert.recipes.parts import Part, Parts, key_of, parts_folder
from xlxmert.recipes.reading import Attempt, PictureReader, Progress, no_progress

PART = 32
"""Pictures of a part: as much as an interruption can cost, and what batches are put together from."""
FORMATS = {".h5": "h5", ".hdf5": "h5", ".tsv": "tsv"}
"""Formats by suffix."""
RegionKind = Literal["grid", "boxes"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class FeaturesRecipe:
    """What is read of each picture, and how."""

    regions: RegionKind = "grid"
    """The cells of a grid (X-LXMERT's), or the boxes in which things are found (LXMERT's)."""
    cells: int = 8
    """With grid: cells per side."""
    count: int = 36
    """With boxes: how many of a picture; one in which fewer are found is left out and named."""
    batch: int = 4
    """Most pictures that go through the detector together; only those of one size in it can."""
    precision: Precision = "fp32"
    """Numbers in which the network computes; files hold single precision either way."""
    workers: int = 2
    """Threads that decode pictures."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        low = [name for name in ("cells", "count", "batch", "workers") if getattr(self, name) < 1]
        if low:
            raise UsageError(f"expected {' and '.join(f'--{name}' for name in low)} of at least 1, found {self}")


@dataclass(frozen=True)
class Extracted:
    """What came of it."""

    pictures: int
    """Pictures in the file."""
    width: int
    """F, of a feature."""
    unreadable: dict[Path, str]
    """Files that were left out, and why."""


def extract(
    images: Path,
    detector: Path,
    out: Path,
    recipe: FeaturesRecipe = FeaturesRecipe(),
    device: torch.device | str = "cpu",
    allow: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Extracted:
    """Write a file of features; whatever can be checked is checked before the first picture is read.

    A run that is interrupted leaves the parts that it has finished beside ``out``, and the same call goes on from
    there; the file is the same as that of a run without interruption.

    Args:
        images: a folder; folders within are searched too. A picture is named after its file, without the suffix.
        detector: see `read_detector`.
        out: the file; ``.h5`` is X-LXMERT's format, ``.tsv`` LXMERT's, which has boxes with attributes only.
        recipe: see `FeaturesRecipe`.
        device: where the detector runs.
        allow: weights of the detector that need not fit.
        progress: is told how many pictures are done.

    Raises:
        UsageError: the format cannot hold what is asked for.
        XlxmertError: two pictures have one name, the detector does not fit its file, no picture can be read, or the
            disk is full.
    """
    out = Path(out)
    _check_format(out, recipe)
    paths = _named(list_pictures(images, nested=True))
    model, _ = read_detector(detector, allow)
    if FORMATS[out.suffix.lower()] == "tsv" and not model.config.attributes:
        raise UsageError(
            f"expected a detector that tells attributes for {out}, found none in {detector}: write .h5, or take "
            "faster_rcnn_from_caffe_attr.pkl or the like"
        )
    key = key_of(Path(detector), torch.device(device).type)
    reader = PictureReader(0, workers=recipe.workers, ahead=2 * recipe.workers)
    looking = _Looking(model.to(device), recipe)
    parts = Parts.of(parts_folder(out), paths, PART, (key, recipe, tuple(allow)))
    with locked(parts_folder(out)):
        parts.complete(reader, looking.part, progress)
        finished = list(parts.finished())
        unreadable = {path: reason for part in finished for path, reason in part.unreadable.items()}
        if len(unreadable) < len(paths):
            _write(out, finished, model, f"{Path(detector).name} {key}", recipe)
        shutil.rmtree(parts_folder(out), ignore_errors=True)
    if len(unreadable) == len(paths):
        raise XlxmertError(
            f"expected pictures that can be read, found none among {len(paths)}; the first: "
            f"{next(iter(unreadable.values()))}"
        )
    return Extracted(len(paths) - len(unreadable), model.config.feature_width, unreadable)


@dataclass(frozen=True)
class _Looking:
    """Makes the arrays of a part."""

    detector: Detector
    recipe: FeaturesRecipe

    def part(
        self, attempts: Iterator[tuple[Path, Attempt]], tell: Callable[[int], None]
    ) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        """The arrays of the pictures that can be read, and the places of the others with the reason."""
        tried = list(attempts)
        left_out = {place: str(one) for place, (_, one) in enumerate(tried) if isinstance(one, XlxmertError)}
        readable = {place: one for place, (_, one) in enumerate(tried) if isinstance(one, np.ndarray)}
        done = len(left_out)

        def told(count: int) -> None:
            nonlocal done
            done += count
            tell(done)

        tell(done)
        reader = RegionReader(self.detector, self.recipe.batch, self.recipe.precision == "bf16", told)
        if self.recipe.regions == "grid":
            return self._cells(reader, list(readable.values())), left_out
        return self._boxes(reader, readable, {place: path for place, (path, _) in enumerate(tried)}, left_out)

    def _cells(self, reader: RegionReader, pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
        shape = (0, self.recipe.cells**2, self.detector.config.feature_width)
        features = reader.grid(pictures, self.recipe.cells).numpy() if pictures else np.zeros(shape, np.float32)
        return {"features": features, "sizes": _sizes(picture.shape[:2] for picture in pictures)}

    def _boxes(
        self, reader: RegionReader, readable: dict[int, np.ndarray], paths: dict[int, Path], left_out: dict[int, str]
    ) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        count = self.recipe.count
        kept: list[Regions] = []
        for place, regions in zip(readable, reader.boxes(list(readable.values()), count), strict=True):
            if len(regions.boxes) == count:
                kept.append(regions)
            else:
                left_out[place] = (
                    f"expected {count} boxes in {paths[place]}, found {len(regions.boxes)}: the picture is too small "
                    "or too plain; pass a smaller --count, or leave it out"
                )
        return _stacked(kept, count, self.detector.config.feature_width), left_out


def _stacked(regions: Sequence[Regions], count: int, width: int) -> dict[str, np.ndarray]:
    """The boxes of many pictures as arrays (P, count, ...)."""
    shapes = {"features": (count, width), "boxes": (count, 4), "labels": (count,), "scores": (count,)}
    if regions and regions[0].attributes is not None:
        shapes |= {"attributes": (count,), "attribute_scores": (count,)}
    arrays = {
        name: np.stack([getattr(one, name).numpy() for one in regions]) if regions else np.zeros((0, *shape), "f4")
        for name, shape in shapes.items()
    }
    return arrays | {"sizes": _sizes(one.size for one in regions)}


def _sizes(sizes: Iterator[tuple[int, ...]]) -> np.ndarray:
    """Heights and widths as (P, 2)."""
    return np.array(list(sizes), np.uint32).reshape(-1, 2)


def _write(out: Path, parts: Sequence[Part], detector: Detector, source: str, recipe: FeaturesRecipe) -> None:
    if FORMATS[out.suffix.lower()] == "tsv":
        return write_tsv_features(out, _seen(parts))
    made = {
        "by": f"xlxmert {xlxmert.__version__}",
        "detector": source,
        "layout": detector.config.layout,
        "precision": recipe.precision,
    }
    write_h5_features(out, _seen(parts), {"made": json.dumps(made)})


def _seen(parts: Sequence[Part]) -> Iterator[tuple[SeenPicture, int, int]]:
    """What was seen in each picture, with its width and height."""
    for part in parts:
        arrays = part.arrays
        sizes = arrays.pop("sizes")
        names = {"scores": "label_scores"}
        for row, path in enumerate(part.paths):
            seen = {names.get(name, name): array[row] for name, array in arrays.items()}
            height, width = sizes[row].tolist()
            yield SeenPicture(path.stem, **seen), width, height


def _check_format(out: Path, recipe: FeaturesRecipe) -> None:
    """Complain about a file that cannot hold what is asked for."""
    kind = FORMATS.get(out.suffix.lower())
    if kind is None:
        raise UsageError(f"expected --out as a file that ends in {', '.join(FORMATS)}, found {out}: rename it")
    if kind == "tsv" and recipe.regions == "grid":
        raise UsageError(f"expected an .h5 file for grids, found {out}: rename it, or pass --regions boxes")
    if kind == "h5":
        load_h5py("writing")


def _named(paths: list[Path]) -> list[Path]:
    """The same paths, each of whose stems occurs once."""
    first: dict[str, Path] = {}
    for path in paths:
        if first.setdefault(path.stem, path) != path:
            raise XlxmertError(
                f"expected pictures of different names, found {first[path.stem]} and {path}: features are kept under "
                "the file's name without its suffix; rename one of them"
            )
    return paths
