"""Where a store's pictures come from: picture files, LXMERT's or X-LXMERT's published features, or published codes.

Each gives what the store keeps of them, and nothing needs them all in memory. What ``xlxmert prepare`` and the recipe
``mixture`` share.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.arrays import Pieces, Rows
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.clusters import read_centroids, read_cluster_ids
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import read_h5_features
from xlxmert.data.store import UNCODED
from xlxmert.data.tsv_features import read_tsv_features
from xlxmert.recipes.encoding import Encoder
from xlxmert.recipes.parts import key_of, parts_folder
from xlxmert.recipes.reading import PictureReader, Progress
from xlxmert.recipes.telling import Picture
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary

LABELS, ATTRIBUTES = 1600, 400
"""What the papers' detectors tell apart (Visual Genome's vocabularies)."""

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


@dataclass(frozen=True)
class Seen:
    """What the store keeps of many pictures."""

    pictures: Sequence[Picture]
    """Those that are there and can be read, by row."""
    names: Sequence[str]
    """What the store calls them."""
    arrays: Mapping[str, np.ndarray | Pieces]
    """See `xlxmert.data.store.PICTURES`; they may lie on the disk."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    """Picture files that could not be read, and why."""
    same: Sequence[Sequence[Path]] = ()
    """Files that show the very same pixels, two or more each."""

    @property
    def places(self) -> dict[Picture, int]:
        """Each picture's row."""
        return {picture: place for place, picture in enumerate(self.pictures)}


@dataclass(frozen=True)
class PictureFiles:
    """Encodes pictures with a visual vocabulary; a run that is interrupted goes on (`Encoder.encoded`)."""

    folder: Path
    """The folder of the pictures."""
    encoder: Encoder
    centroids: None = None
    """For the store to keep: none, as the vocabulary is a file of its own."""

    @property
    def codebook(self) -> Codebook:
        """Of the vocabulary."""
        return self.encoder.vocabulary.codebook

    @contextmanager
    def seen(self, out: Path, wanted: Sequence[Picture], progress: Progress) -> Iterator[Seen]:
        """Codes and, if wanted, features of pictures, to be used within the block.

        Args:
            out: the store's folder; what is encoded lies beside it meanwhile.
            wanted: the pictures, each once; those that are no files are missing.
            progress: is told how many are done.

        Raises:
            XlxmertError: no picture can be read, or the disk is full.
        """
        files = [picture for picture in wanted if isinstance(picture, Path)]
        if not files:
            yield Seen((), (), {})
            return
        with self.encoder.encoded(parts_folder(out), files, progress) as found:
            self.codebook.check(found.codes, str(self.folder))
            names = [path.relative_to(self.folder).as_posix() for path in found.paths]
            yield Seen(found.paths, names, found.arrays, found.unreadable, found.same)


class Published(ABC):
    """What others published of pictures: rows that are put into files beside the store first."""

    codebook: Codebook | None

    @property
    def centroids(self) -> np.ndarray | None:
        """Of the codes."""
        return None if self.codebook is None else self.codebook.centroids.numpy()

    @abstractmethod
    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, Row]]:
        """Name and row of the wanted pictures that are there, in any order, each once."""

    @contextmanager
    def seen(self, out: Path, wanted: Sequence[Picture], progress: Progress) -> Iterator[Seen]:
        """All rows as arrays, to be used within the block; see `PictureFiles.seen`.

        Raises:
            XlxmertError: a file is damaged, rows are not alike, or the disk is full.
        """
        names: list[str] = []
        with Rows(out.with_name(f".{out.name}.rows")) as rows:
            for name, row in self.rows([str(picture) for picture in wanted], progress):
                names.append(name)
                rows.add(**row)
            yield Seen(names, names, rows.arrays())


@dataclass
class Detected(Published):
    """Reads published features and, with centroids, turns them into codes."""

    tsv: tuple[Path, ...]
    h5: tuple[Path, ...]
    codebook: Codebook | None
    features: bool
    flat: bool

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, Row]]:
        """Features, boxes, labels and attributes, as far as the files hold them; of two files the first counts."""
        left = set(wanted)
        for path in (*self.tsv, *self.h5):
            read = read_tsv_features if path in self.tsv else read_h5_features
            for seen in read(path, left, self.flat):
                left.discard(seen.picture_id)
                progress(len(wanted) - len(left), len(wanted))
                yield seen.picture_id, self._row(seen, path)

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
class Codes(Published):
    """Reads published codes."""

    clusters: tuple[Path, ...]
    codebook: Codebook | None

    def rows(self, wanted: Sequence[str], progress: Progress) -> Iterator[tuple[str, Row]]:
        """Codes; of two files the first counts."""
        assert self.codebook is not None
        left = dict.fromkeys(wanted)
        for path in self.clusters:
            codes = read_cluster_ids(path, len(self.codebook))
            for each in [each for each in left if each in codes]:
                del left[each]
                yield each, {"codes": codes[each]}
            progress(len(wanted) - len(left), len(wanted))


Look = PictureFiles | Published
"""What gives the store what it keeps of pictures."""


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
        key = key_of(sources.codebook, torch.device(device).type)
        return PictureFiles(sources.images, Encoder(reader, vocabulary, features, key))
    codebook = None
    if sources.centroids is not None:
        codebook = Codebook(torch.from_numpy(read_centroids(sources.centroids)))
    if sources.clusters:
        return Codes(sources.clusters, codebook)
    return Detected(sources.tsv, sources.h5, codebook, features, flat)


def store_facts(look: Look, sources: PictureSources, seen: Seen) -> dict[str, Any]:
    """What `write_store` is told of the pictures besides their arrays."""
    codebook = look.codebook
    counts = {name: most for name, most in (("labels", LABELS), ("attributes", ATTRIBUTES)) if name in seen.arrays}
    published = {} if sources.images is not None else {"looked": sources.names, **counts}
    return {
        "codebook": UNCODED if codebook is None else codebook.fingerprint,
        "size": 0 if codebook is None else len(codebook),
        "centroids": look.centroids,
        "facts": published,
    }


def check_missing(wanted: Sequence[Picture], seen: Seen, sources: PictureSources, allowed: bool) -> int:
    """How many of the wanted pictures are not to be found.

    Raises:
        XlxmertError: some are and none may be, or all are.
    """
    there = {*seen.pictures, *seen.unreadable}
    missing = [picture for picture in wanted if picture not in there]
    if missing and (not allowed or not seen.pictures):
        raise XlxmertError(
            f"expected picture {str(missing[0])!r} in {', '.join(sources.names)}, found it and {len(missing) - 1} more "
            f"of {len(wanted)} missing: add the files that hold them, or pass --missing to leave such pictures out"
        )
    return len(missing)
