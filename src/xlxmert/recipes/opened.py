"""How a store's pictures were looked at: with a visual vocabulary, or by others, who published codes or features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from xlxmert.convert.looking import PICTURE_SIZE, picture_size
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.data.clusters import read_centroids
from xlxmert.data.store import CENTROIDS, UNCODED, Store
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary


def open_codebook(path: Path) -> VisualVocabulary | Codebook:
    """A visual vocabulary, or centroids alone: X-LXMERT's published ``.npy``, or safetensors without the rest.

    Raises:
        XlxmertError: the file is missing, damaged or something else.
    """
    if path.suffix == ".npy":
        return Codebook(torch.from_numpy(read_centroids(path)))
    return VisualVocabulary.load(path) if "config" in read_tensors(path)[1] else Codebook.load(path)


def own_centroids(store: Store) -> Codebook | None:
    """The centroids that a store of others' codes holds; None where there are no codes.

    Raises:
        UsageError: the codes were made with a visual vocabulary, which is a file of its own.
        XlxmertError: the centroids are damaged, or others than those of the codes.
    """
    path = store.folder / CENTROIDS
    if path.is_file():
        found = Codebook.load(path)
        if found.fingerprint != store.fingerprint:
            raise XlxmertError(
                f"expected the centroids {store.fingerprint} in {path}, found {found.fingerprint}: "
                "write the store again"
            )
        return found
    if store.fingerprint == UNCODED:
        return None
    raise UsageError(
        f"expected --codebook with the visual vocabulary of {store.folder} (codebook {store.fingerprint}), found none: "
        "pass the file that `xlxmert codebook` wrote, or the published centroids (.npy)"
    )


def looks(store: Store) -> dict[str, Any]:
    """What others saw in a store's pictures, for the checkpoint that is trained on it: see `told_looks`."""
    boxes, codes = "boxes" in store.pictures, store.count("codes")
    return {
        "tokens": store.tokens,
        "boxes": boxes,
        "feature_width": store.feature_width,
        "codes": codes,
        "codebook": store.fingerprint,
        "files": store.facts.get("looked", []),
    }


def looked_size(store: Store) -> dict[str, Any]:
    """The fact of a checkpoint that tells at which side in pixels pictures are looked at, as far as a store knows."""
    return {PICTURE_SIZE: store.facts["size"]} if isinstance(store.facts.get("size"), int) else {}


def check_size(store: Store, facts: Mapping[str, Any], owner: str) -> None:
    """Make sure that a store's pictures were looked at as large as its reader, ``owner``, does, where both say it.

    Raises:
        XlxmertError: they were not.
    """
    found = looked_size(store).get(PICTURE_SIZE)
    if found is not None and facts.get(PICTURE_SIZE, found) != found:
        wanted = picture_size(facts)
        raise XlxmertError(
            f"expected pictures that were looked at with a side of {wanted} pixels, as the {owner} does, found {found} "
            f"in {store.folder}: prepare it with --size {wanted}"
        )


def card(family: str, told: str) -> str:
    """The model card of a checkpoint that was trained on what others saw."""
    return (
        f"# {family.upper()}, trained on published features or codes\n\n"
        f"It reads {told}, and no pictures: `xlxmert finetune` takes it further on stores of the same. To look at a "
        "picture file it needs the detector that made them.\n"
    )
