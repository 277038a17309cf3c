"""Where the mixture's pictures come from: picture files, LXMERT's or X-LXMERT's published features, or published codes.

Each gives rows for the store, one picture at a time, and nothing needs them all in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.clusters import read_centroids, read_cluster_ids
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import read_h5_features
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.tsv_features import read_tsv_features
from xlxmert.recipes.reading import PictureReader, Progress
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary

LABELS, ATTRIBUTES = 1600, 400
"""What the papers' detectors tell apart (Visual Genome's vocabularies)."""
BATCH = 32
"""Pictures that are encoded at a time."""

Row = dict[str, np.ndarray]
"""One picture's part of each of the store's arrays."""


@dataclass(frozen=True)
class PictureSources:
    """Pictures or what was seen in them: one of images, tsv, h5 and clusters."""

    images: Path | None = None
    """A folder of pictures, with --codebook; folders within are searched too."""
    codebook: Path | None = None
    """With --images: the visual vocabulary that `xlxmert codebook` wrote."""
    tsv: tuple[Path, ...] = ()
    """LXMERT's features, train2014_obj36.tsv and its like."""
    h5: tuple[Path, ...] = ()
    """X-LXMERT's features, maskrcnn_train_grid8.h5, maskrcnn_train_boxes36.h5 and their like."""
    clusters: tuple[Path, ...] = ()
    """X-LXMERT's codes, ..._img_id_to_cluster_id_10000_iter20_d2048_grid8.pkl, with --centroids."""
    centroids: Path | None = None
    """X-LXMERT's centroids, ..._centroids10000_iter20_d2048_grid8.npy; with --h5 they turn features into codes."""

    def __post_init__(self) -> None:
        """Check that they go together."""
        given = [name for name in ("images", "tsv", "h5", "clusters") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(f"--{name}" for name in given) or "none"
            raise UsageError(f"expected one of --images, --tsv, --h5 and --clusters, found {found}")
        if (self.images is None) != (self.codebook is None):
            raise UsageError("expected --images and --codebook together, found one without the other")
        if self.clusters and self.centroids is None:
            raise UsageError("expected --centroids beside --clusters, found none: codes mean nothing without")
        if self.centroids is not None and given[0] not in ("h5", "clusters"):
            raise UsageError(f"expected --centroids beside --h5 or --clusters, found it beside --{given[0]}")

    @property
    def names(self) -> list[str]:
        """The names of all files and folders."""
        single = (self.images, self.codebook, self.centroids)
        return [path.name for path in (*(path for path in single if path), *self.tsv, *self.h5, *self.clusters)]


@runtime_checkable
class Look(Protocol):
    """Gives the store's rows."""

    @property
    def codebook(self) -> Codebook | None:
        """Of the codes; None where there are none."""

    @property
    def unreadable(self) -> dict[Path, str]:
        """Picture files that could not be read, and why."""

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, str, Row]]:
        """Id, name for the store, and row of the wanted pictures that are there, in any order, each once."""


@dataclass
class PictureFiles:
    """Encodes pictures with a visual vocabulary."""

    folder: PictureFolder
    vocabulary: VisualVocabulary
    reader: PictureReader
    features: bool

    @property
    def codebook(self) -> Codebook | None:
        """Of the vocabulary."""
        return self.vocabulary.codebook

    @property
    def unreadable(self) -> dict[Path, str]:
        """What the reader passed over."""
        return self.reader.unreadable

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, str, Row]]:
        """Codes and, if wanted, features."""
        ids = {self.folder.path(each): each for each in wanted if each in self.folder}
        waiting: list[Path] = []

        def pictures() -> Iterator[np.ndarray]:
            for path, picture in self.reader.read(list(ids), len(ids), progress):
                waiting.append(path)
                yield picture

        for features, codes in self.vocabulary.extract(pictures(), BATCH):
            for one, other in zip(codes.cpu().numpy(), features.half().cpu().numpy(), strict=True):
                path = waiting.pop(0)
                row = {"codes": one.astype(np.uint16)} | ({"features": other} if self.features else {})
                yield ids[path], path.relative_to(self.folder.folder).as_posix(), row


@dataclass
class Detected:
    """Reads published features and, with centroids, turns them into codes."""

    tsv: tuple[Path, ...]
    h5: tuple[Path, ...]
    codebook: Codebook | None
    features: bool
    flat: bool
    unreadable: dict[Path, str] = field(default_factory=dict)

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, str, Row]]:
        """Features, boxes, labels and attributes, as far as the files hold them; of two files the first counts."""
        left = set(wanted)
        for path in (*self.tsv, *self.h5):
            read = read_tsv_features if path in self.tsv else read_h5_features
            for seen in read(path, left, self.flat):
                left.discard(seen.picture_id)
                progress(len(wanted) - len(left), len(wanted))
                yield seen.picture_id, seen.picture_id, self._row(seen, path)

    def _row(self, seen: SeenPicture, path: Path) -> Row:
        row: Row = {}
        if self.codebook is not None:
            row["codes"] = self.codebook.assign(torch.from_numpy(np.array(seen.features))).numpy().astype(np.uint16)
        if self.features or self.codebook is None:
            with np.errstate(over="ignore"):
                row["features"] = seen.features.astype(np.float16)
            if not np.isfinite(row["features"]).all():
                raise XlxmertError(
                    f"expected features below 65504 of picture {seen.picture_id!r} in {path}, found "
                    f"{np.abs(seen.features).max():g}: half precision cannot hold it; extract the features again"
                )
        if seen.boxes is not None:
            row["boxes"] = seen.boxes
        for name, numbers, most in (("labels", seen.labels, LABELS), ("attributes", seen.attributes, ATTRIBUTES)):
            if numbers is not None:
                if (largest := int(numbers.max())) >= most:
                    raise XlxmertError(
                        f"expected {name} below {most} of picture {seen.picture_id!r} in {path}, found {largest}: "
                        "the features are another detector's"
                    )
                row[name] = numbers.astype(np.uint16)
        return row


@dataclass
class Codes:
    """Reads published codes."""

    clusters: tuple[Path, ...]
    codebook: Codebook | None
    unreadable: dict[Path, str] = field(default_factory=dict)

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, str, Row]]:
        """Codes; of two files the first counts."""
        assert self.codebook is not None
        left = dict.fromkeys(wanted)
        for path in self.clusters:
            codes = read_cluster_ids(path, len(self.codebook))
            for each in [each for each in left if each in codes]:
                del left[each]
                yield each, each, {"codes": codes[each]}
            progress(len(wanted) - len(left), len(wanted))


def open_look(
    sources: PictureSources,
    reader: PictureReader,
    features: bool = False,
    flat: bool = False,
    device: torch.device | str = "cpu",
) -> Look:
    """What reads the pictures.

    Args:
        sources: see `PictureSources`.
        reader: of picture files.
        features: keep features beside codes.
        flat: accept boxes of no area.
        device: where the backbone runs.

    Raises:
        XlxmertError: the folder, the visual vocabulary or the centroids are missing or damaged.
    """
    if sources.images is not None and sources.codebook is not None:
        vocabulary = VisualVocabulary.load(sources.codebook).to(device)
        return PictureFiles(PictureFolder(sources.images), vocabulary, reader, features)
    codebook = None
    if sources.centroids is not None:
        codebook = Codebook(torch.from_numpy(read_centroids(sources.centroids)))
    if sources.clusters:
        return Codes(sources.clusters, codebook)
    return Detected(sources.tsv, sources.h5, codebook, features, flat)
