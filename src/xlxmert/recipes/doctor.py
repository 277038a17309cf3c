"""Whether features that somebody holds are those that a checkpoint expects: half of what ``xlxmert doctor`` does.

Of pictures that are at hand (one's own, or the known ones of `golden_pictures`) the features are computed again and
compared number by number; then a mistake can be named. Of others only their spread can be compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.convert.locate import CODEBOOK, locate
from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_whole, save_png
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import read_h5_features
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.store import Store
from xlxmert.data.tsv_features import read_tsv_features
from xlxmert.data.world.golden import golden_pictures
from xlxmert.recipes.checks import Check, differs, note, ok
from xlxmert.recipes.explain import Explained, Views, explain, explain_statistics
from xlxmert.recipes.features import FORMATS
from xlxmert.vision.reference import Reference
from xlxmert.vision.vocabulary import VisualVocabulary

MOST = 256
"""Pictures of a file that are looked at."""
PAIRS = 8
"""Pictures whose features are computed again."""
SAME = 0.02
"""Share of numbers outside a picture by which boxes in other units are known."""
WIDTHS = "width and height were written where the format has the far corner"
EXTRACT = "extract the features again without the mistake"


@dataclass(frozen=True)
class Expected:
    """What features are held against."""

    name: str
    reference: Reference
    vocabulary: VisualVocabulary | None = None
    """Computes features of pictures; None where only statistics are known."""


def expected_of_checkpoint(name: str | None) -> tuple[Expected | None, list[Check]]:
    """What a checkpoint expects, and what is to be said of it."""
    folder = locate(name)
    bundle = Bundle.from_pretrained(folder)
    if bundle.vocabulary is not None:
        return expected_of_vocabulary(folder / CODEBOOK, bundle.vocabulary)
    centroids = bundle.model.centroids
    if centroids is None:
        found = "it has neither a visual vocabulary nor centroids, so it tells nothing of its features"
        return None, [note("reference", found, "pass the store that it was trained on with --store")]
    return _of_centroids(str(folder), centroids.detach()), [
        note("reference", f"{len(centroids)} centroids and no backbone: only statistics can be compared")
    ]


def expected_of_vocabulary(path: Path, vocabulary: VisualVocabulary | None = None) -> tuple[Expected, list[Check]]:
    """What a visual vocabulary expects; it is also held against its own memory."""
    vocabulary = VisualVocabulary.load(path) if vocabulary is None else vocabulary.to("cpu")
    reference = vocabulary.reference
    if reference is None:
        told = "made by an earlier version, which kept none: features of pictures at hand and centroids are compared"
        centroids = _of_centroids(str(path), vocabulary.codebook.centroids)
        return Expected(str(path), centroids.reference, vocabulary), [
            note("reference", told, "fit a vocabulary with `xlxmert codebook` to have one")
        ]
    views = Views(vocabulary, list(golden_pictures().values()), reference.size, reference.crop)
    found = explain(reference.golden, views)
    move = "install the versions of the training, or fit a vocabulary here with `xlxmert codebook`"
    return Expected(str(path), reference, vocabulary), [
        _compared("backbone", found, f"{len(reference.golden)} known pictures give what they gave in training", move)
    ]


def expected_of_store(folder: Path) -> Expected:
    """What a store's features, on which something was trained, expect of others.

    Raises:
        XlxmertError: it is no store, or has no features.
    """
    store = Store.open(folder)
    rows = store.rows("features", _spread(store.size))
    return Expected(str(folder), Reference.of(rows))


def check_features(
    file: Path, expected: Expected, images: Path | None = None, size: int = 256, crop: bool = False
) -> list[Check]:
    """Hold a file's features against what is expected.

    Args:
        file: X-LXMERT's h5, LXMERT's tsv, or a store with features.
        expected: see `Expected`.
        images: the folder of the file's pictures, if it is at hand.
        size: side to which pictures were brought, where the reference does not tell it.
        crop: whether their centre was kept; likewise.
    """
    try:
        held = list(islice(_read(file), MOST))
    except UsageError:
        raise
    except XlxmertError as error:
        turned = "that ends before it begins" in str(error)
        cause = "the file is damaged, or not in the published format"
        return [differs("file", str(error), WIDTHS if turned else cause, EXTRACT)]
    shape = _check_shape(held, expected)
    checks = [ok("file", f"{len(held)} pictures of {file.name} were looked at"), shape, *_check_boxes(held)]
    checks.append(_check_numbers(held))
    if shape.verdict == "differs":
        return checks
    reference, vocabulary = expected.reference, expected.vocabulary
    pairs = _pairs(held, images) if vocabulary is not None else []
    if not pairs or vocabulary is None:
        return [*checks, *_check_statistics(held, expected)]
    views = Views(vocabulary, [picture for _, picture in pairs], reference.size or size, reference.crop or crop)
    rows = torch.from_numpy(np.stack([one.features for one, _ in pairs]))
    said = f"{len(pairs)} pictures give what the file holds"
    return [*checks, _compared("features", explain(rows, views), said, EXTRACT), _lengths(rows, views)]


def write_golden(folder: Path) -> list[Path]:
    """Write the known pictures, to be run through somebody's own extractor; gives the files."""
    paths = []
    for name, picture in golden_pictures().items():
        save_png(folder / f"{name}.png", picture)
        paths.append(folder / f"{name}.png")
    return paths


def _of_centroids(name: str, centroids: Float[Tensor, "K F"]) -> Expected:
    """Centroids stand for the training's features, one for each kind of cell."""
    rows = centroids.cpu().float()
    known = Reference.of(rows[:, None], placed=False, pictures=0)
    return Expected(name, known)


def _read(file: Path) -> Iterator[SeenPicture]:
    """The pictures of a file or a store."""
    if (file / "store.json").is_file():
        store = Store.open(file)
        names, boxes = store.facts["pictures"], store.pictures.get("boxes")
        for place in _spread(store.size).tolist():
            features = store.rows("features", [place])[0].numpy()
            yield SeenPicture(Path(names[place]).stem, features, None if boxes is None else np.array(boxes[place]))
        return
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"expected --features as a store, or a file of {', '.join(FORMATS)}, found {file}: name one")
    read = read_h5_features if kind == "h5" else read_tsv_features
    yield from read(file, flat=True)


def _spread(size: int) -> np.ndarray:
    """Places all over a store."""
    return np.unique(np.linspace(0, size - 1, min(size, MOST)).astype(np.int64))


def _check_shape(held: Sequence[SeenPicture], expected: Expected) -> Check:
    """Width and number of cells."""
    count, width = held[0].features.shape
    cells, wanted = expected.reference.mean.shape
    if expected.vocabulary is not None:
        cells = expected.vocabulary.spec.cells
    elif not expected.reference.placed:
        cells = count
    found = f"{count} x {width} numbers a picture"
    if width != wanted:
        cause = "they are another network's, or another layer's"
        return differs("width", f"{found}, expected {cells} x {wanted}", cause, "take the backbone of the checkpoint")
    if count != cells:
        cause = "boxes instead of a grid, or a grid of another size" if held[0].boxes is not None else "another grid"
        return differs("cells", f"{found}, expected {cells} x {wanted}", cause, "take as many cells, or another file")
    return ok("width and cells", found)


def _check_numbers(held: Sequence[SeenPicture]) -> Check:
    """Precision, from what the numbers could be stored in."""
    rows = np.concatenate([one.features for one in held[:PAIRS]])
    if not np.isfinite(rows).all():
        return differs("numbers", "some are not finite", "the detector or the conversion overflowed", EXTRACT)
    kinds: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("bfloat16 (8 bits)", lambda values: values.bfloat16().float()),
        ("half precision (11 bits)", lambda values: values.half().float()),
    ]
    values = torch.from_numpy(rows)
    kind = next((name for name, turn in kinds if torch.equal(turn(values), values)), "single precision")
    return ok("numbers", f"finite, {kind}")


def _check_boxes(held: Sequence[SeenPicture]) -> list[Check]:
    """Units of the boxes, which are shares of the picture once they are read."""
    boxes = [one.boxes for one in held if one.boxes is not None]
    if not boxes:
        return []
    every = np.concatenate(boxes)
    if every.max() > 1.001:
        return [differs("boxes", f"up to {every.max():g}", "they are in pixels where shares are expected", EXTRACT)]
    if every[:, 2:].max() < SAME:
        cause = "shares from 0 to 1 were written where the format has pixels"
        return [differs("boxes", f"none reaches beyond {every.max():.2g} of its picture", cause, EXTRACT)]
    turned = (every[:, 2:] < every[:, :2]).any(1).mean()
    if turned > SAME:
        return [differs("boxes", f"{turned:.0%} end before they begin", WIDTHS, EXTRACT)]
    return [ok("boxes", "corners within their pictures")]


def _pairs(held: Sequence[SeenPicture], images: Path | None) -> list[tuple[SeenPicture, np.ndarray]]:
    """Pictures at hand, each with what the file holds of it."""
    golden = golden_pictures()
    known = [(one, golden[one.picture_id]) for one in held if one.picture_id in golden]
    if known or images is None:
        return known
    folder = PictureFolder(images)
    there = [one for one in held if one.picture_id in folder][:PAIRS]
    if not there:
        raise XlxmertError(
            f"expected pictures of the file in {images}, found none of {held[0].picture_id}, …: pass their folder"
        )
    return [(one, load_whole(folder.path(one.picture_id))) for one in there]


def _check_statistics(held: Sequence[SeenPicture], expected: Expected) -> list[Check]:
    """Spread and order of cells, where no picture can be looked at again."""
    rows = torch.from_numpy(np.stack([one.features for one in held]))
    found, reference = explain_statistics(rows, expected.reference), expected.reference
    length = float(rows.norm(dim=-1).mean())
    said = f"mean length {length:.3g} (expected about {reference.length:.3g}), mean {found.before:.2f} deviations away"
    if found.causes:
        return [differs("statistics", said, "; ".join(found.causes), EXTRACT)]
    more = "pass --images with their pictures, or the known ones (--pictures-to), to compare number by number"
    return [note("statistics", f"{said}: no usual mistake explains more than other pictures would", more)]


def _lengths(rows: Float[Tensor, "P N F"], views: Views) -> Check:
    """Mean length of a cell's feature beside what it should be."""
    right = views.seen("")
    found, wanted = (float(some.norm(dim=-1).mean()) for some in (rows, rows if right is None else right))
    return note("length", f"a cell's feature has a mean length of {found:.4g}, expected {wanted:.4g}")


def _compared(what: str, found: Explained, same: str, move: str) -> Check:
    """An explanation as a finding."""
    if found.causes:
        left = f"they differ by {found.before:.2f} of their spread, and by {found.error:.3f} once that is undone"
        return differs(what, left, "; ".join(found.causes), move)
    if found.solved:
        return ok(what, f"{same} (difference {found.error:.4f} of their spread)")
    cause = "no usual mistake explains it: another network, other weights, or other pictures"
    return differs(what, f"they differ by {found.before:.2f} of their spread", cause, move)
