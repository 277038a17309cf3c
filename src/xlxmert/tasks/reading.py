"""What the fine-tuning tasks share: pictures as a model reads them, what it makes of them, and whether a store fits."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.data.store import Store
from xlxmert.models.base import Transformer
from xlxmert.models.config import CommonConfig
from xlxmert.models.reader import Reader

VisualInput = Literal["codes", "features"]
"""Whether a model reads pictures as codes or as the exact features (as X-LXMERT's published fine-tuning does)."""


@dataclass(frozen=True)
class View:
    """Pictures as a model reads them."""

    picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"]
    """Codes or features."""
    boxes: Float[Tensor, "B N 4"] | None
    """Where the visual tokens are, x0 y0 x1 y1 in [0, 1]; None for the cells of the model's grid."""


def view(store: Store, pictures: np.ndarray, visual_input: VisualInput) -> View:
    """Some pictures of a store.

    Raises:
        XlxmertError: the store was prepared without codes, or without features.
    """
    boxes = store.rows("boxes", pictures) if "boxes" in store.pictures else None
    return View(store.rows(visual_input, pictures), boxes)


def has_answer(store: Store, sentences: np.ndarray) -> Bool[np.ndarray, " B"]:
    """Which of some sentences are questions that the store's table knows an answer to."""
    offsets = store.arrays["answer_offsets"]
    known: np.ndarray = offsets[sentences + 1] > offsets[sentences]
    return known


def pooled(model: Reader, words: Int[Tensor, "B T"], seen: View) -> Float[Tensor, "B D"]:
    """One vector for each sentence beside its picture; a transformer computes nothing that it does not depend on."""
    if not isinstance(model, Transformer):
        return model(words, seen.picture, seen.boxes).pooled
    mask = words > 0
    language, vision = model.encode_words(words, mask), model.encode_picture(seen.picture, seen.boxes)
    return model.pooler(model.cross_words(language, vision, mask))  # type: ignore[no-any-return]


def paper_optim() -> OptimConfig:
    """LXMERT's fine-tuning (section 4, and its code): 4 epochs of batches of 32, the rate rising for a tenth of them.

    X-LXMERT (section C.6) has 10 epochs with a rate of 5e-4 instead; its code 5e-4, 1e-5 and 5e-5 for VQA, GQA and
    NLVR2.
    """
    return OptimConfig(lr=5e-5, weight_decay=0.01, eps=1e-6, clip=5.0)


def check_store(config: CommonConfig, store: Store, visual_input: VisualInput) -> None:
    """Make sure that a model of this config can read a store's sentences and pictures.

    Raises:
        XlxmertError: words, codes, features, cells or the length of sentences do not fit, or are not there.
    """
    store.picture_array(visual_input)
    longest = store.longest + 2
    wanted = {"words": config.vocabulary, visual_input: config.codes}
    found = {"words": store.tokenizer.size, visual_input: store.count("codes")}
    if visual_input == "features":
        wanted[visual_input], found[visual_input] = config.feature_width, store.feature_width
    if "boxes" not in store.pictures:
        wanted["cells"], found["cells"] = config.cells, store.tokens
    if wanted != found:
        raise XlxmertError(
            f"expected a store of {_listed(wanted)}, as the model has, found {_listed(found)} in {store.folder}: "
            "prepare it with the model's codebook and tokenizer"
        )
    if longest > config.max_text:
        raise XlxmertError(
            f"expected sentences of at most {config.max_text} tokens, found one of {longest} in {store.folder}: "
            f"leave the long ones out (`xlxmert prepare --longest {config.max_text - 2}`), or train a model with a "
            "larger max_text"
        )


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size} {name}" for name, size in sizes.items())
