"""X-LXMERT's grid and box features, from and to ``maskrcnn_train_grid8.h5``, ``…_boxes36.h5`` and their like.

Each picture is a group that is named after its file. A grid's group has ``features`` (8, 8, 2048); a group of boxes has
``features`` (36, 2048), ``obj_id`` (36,), ``boxes`` (36, 4) in pixels, ``img_w`` and ``img_h``
(github.com/allenai/x-lxmert, feature_extraction). Needs h5py, which the extra ``h5`` brings.
"""

import contextlib
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path
from xlxmert.data.entries import Entry, brief
from xlxmert.data.features import SeenPicture, check_features, is_wanted, normalised
from xlxmert.data.records import Id

SLACK = 0.2
"""Share of a picture's sides that a box may reach outside: the authors' boxes were cut off at the padded picture."""
MOST_NUMBERS = 2**26
"""In one array; more is a mistake."""


def read_h5_features(path: Path, wanted: Container[Id] | None = None, flat: bool = False) -> Iterator[SeenPicture]:
    """The pictures of a file, one at a time, sorted by name.

    Args:
        path: the file.
        wanted: the pictures to read; None reads all.
        flat: accept boxes of no area.

    Raises:
        XlxmertError: h5py is not installed; the file is missing, cut short or of another format, a number is not
            finite, a picture has another number of features than the first, or a box is broken.
    """
    h5py = load_h5py()
    with _opened(h5py, Path(path)) as file:
        shape: tuple[int, ...] = ()
        if not len(file):
            raise XlxmertError(f"expected a group for every picture in {path}, found none: check the file")
        for name in file:
            if is_wanted(name, wanted):
                entry = Entry({}, Path(path), f"picture {brief(name)}")
                picture = _picture(h5py, file, name, entry, flat)
                shape = shape or picture.features.shape
                if picture.features.shape != shape:
                    raise entry.wrong(f"features {shape} as before", str(picture.features.shape))
                yield picture


def write_h5_features(
    path: Path, pictures: Iterable[tuple[SeenPicture, int, int]], facts: Mapping[str, str] | None = None
) -> None:
    """Write such a file, whole or not at all, from pictures with their widths and heights.

    Args:
        path: where to.
        pictures: grids, or boxes with their labels; each once.
        facts: how they were made, kept as the file's attributes, which others pass over.

    Raises:
        XlxmertError: h5py is not installed, a grid is not square, boxes have no labels, a picture's name cannot be a
            group's, or the file cannot be written.
    """
    h5py = load_h5py("writing")
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(facts or {})
        for picture, width, height in pictures:
            if "/" in picture.picture_id or picture.picture_id in ("", ".") or picture.picture_id in file:
                raise XlxmertError(
                    f"expected pictures of different names without slashes for {path}, found {picture.picture_id!r}: "
                    "rename it"
                )
            group = file.create_group(picture.picture_id)
            for name, content in _contents(picture, width, height).items():
                group[name] = content


def _contents(picture: SeenPicture, width: int, height: int) -> dict[str, Any]:
    """The data sets of a picture's group, as the authors wrote them."""
    count, features = len(picture.features), picture.features.astype(np.float32)
    if picture.boxes is None:
        side = round(count**0.5)
        if side * side != count:
            raise XlxmertError(f"expected a square grid of picture {picture.picture_id!r}, found {count} cells")
        return {"features": features.reshape(side, side, -1)}
    if picture.labels is None:
        raise XlxmertError(f"expected labels beside the boxes of picture {picture.picture_id!r}, found none")
    sides = np.array([width, height, width, height])
    boxes = (picture.boxes * sides).astype(np.float32)
    return {"features": features, "obj_id": picture.labels, "boxes": boxes, "img_w": width, "img_h": height}


def load_h5py(doing: str = "reading") -> Any:
    """The library.

    Raises:
        XlxmertError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise XlxmertError(f"{doing} h5 features needs h5py: install the extra, pip install 'xlxmert[h5]'") from error
    return h5py


@contextlib.contextmanager
def _opened(h5py: Any, path: Path) -> Iterator[Any]:
    """The file; whatever h5py finds wrong with it becomes one line."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise XlxmertError(f"expected h5 features at {path}, found {found}: check the path")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        reason = str(error).replace("\n", " ")
        raise XlxmertError(
            f"expected h5 features in {path}, found a file that cannot be read to its end ({reason[:160]}): "
            "it was cut short or is something else; download it again"
        ) from error


def _picture(h5py: Any, file: Any, name: str, entry: Entry, flat: bool) -> SeenPicture:
    if file.get(name, getlink=True).__class__ is not h5py.HardLink or not isinstance(file[name], h5py.Group):
        raise entry.wrong('a group with "features"', "something else")
    group = file[name]
    features = _array(h5py, group, "features", entry, "f")
    if features.ndim == 3:
        cells = features.shape[0] * features.shape[1]
        if features.shape[0] != features.shape[1] or not features.size:
            raise entry.wrong("a square grid of features", f"the shape {features.shape}")
        features = features.reshape(cells, -1)
        check_features(entry, features)
        return SeenPicture(name, features)
    if features.ndim != 2 or not features.size:
        raise entry.wrong("features (8, 8, F) of a grid or (N, F) of boxes", f"the shape {features.shape}")
    check_features(entry, features)
    width, height = (_side(h5py, group, side, entry) for side in ("img_w", "img_h"))
    boxes = _array(h5py, group, "boxes", entry, "f")
    labels = _array(h5py, group, "obj_id", entry, "iu").astype(np.int64) if "obj_id" in group else None
    count = len(features)
    if boxes.shape != (count, 4) or (labels is not None and labels.shape != (count,)):
        found = f"boxes {boxes.shape}" + ("" if labels is None else f" and obj_id {labels.shape}")
        raise entry.wrong(f"boxes ({count}, 4) and obj_id ({count},), as many as features", found)
    if labels is not None and (labels < 0).any():
        raise entry.wrong('numbers from 0 as "obj_id"', str(labels.min()))
    return SeenPicture(name, features, normalised(entry, boxes, width, height, SLACK, flat), labels)


def _array(h5py: Any, group: Any, name: str, entry: Entry, kinds: str) -> np.ndarray:
    """A data set of numbers of these kinds; floats in single precision."""
    if name not in group:
        raise entry.wrong(f'"{name}"', f"only {', '.join(list(group)[:6]) or 'nothing'}")
    found = group[name] if group.get(name, getlink=True).__class__ is h5py.HardLink else None
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds or found.size > MOST_NUMBERS:
        what = f"{found.dtype} {found.shape}" if isinstance(found, h5py.Dataset) else "no array"
        raise entry.wrong(f'{"floats" if kinds == "f" else "whole numbers"} as "{name}"', what)
    content: np.ndarray = np.asarray(found[()])
    return content.astype(np.float32) if kinds == "f" else content


def _side(h5py: Any, group: Any, name: str, entry: Entry) -> int:
    value = _array(h5py, group, name, entry, "iu")
    if value.size != 1 or not 1 <= int(value.ravel()[0]) <= 10**6:
        raise entry.wrong(f'a whole number from 1 as "{name}"', brief(value.tolist()))
    return int(value.ravel()[0])
