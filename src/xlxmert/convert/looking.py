"""What every checkpoint that looks at pictures has: a visual vocabulary, loaded when it is first asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.vision.vocabulary import VisualVocabulary

Lazy = VisualVocabulary | Callable[[], VisualVocabulary] | None
"""A visual vocabulary, a function that loads it, or nothing."""
LOOKS = "looks"
"""The fact of a checkpoint without a visual vocabulary that tells what it reads instead: see `told_looks`."""

PICTURE_SIZE = "picture_size"
"""The fact of a checkpoint that tells the side in pixels at which its training looked at pictures."""
SIZE = 256
"""That side where a checkpoint does not say."""


def picture_size(facts: Mapping[str, Any]) -> int:
    """The side in pixels at which a checkpoint looks at pictures."""
    return int(facts.get(PICTURE_SIZE, SIZE))


def told_looks(facts: Mapping[str, Any]) -> str:
    """What a checkpoint that cannot look at pictures reads instead, in a few words; empty where nobody knows."""
    found = facts.get(LOOKS)
    if not isinstance(found, Mapping):
        return "its detector's features" if "converted" in facts else ""
    what = f"{found.get('tokens')} {'boxes' if found.get('boxes') else 'cells'} a picture"
    how = [f"features of width {found['feature_width']}"] if found.get("feature_width") else []
    how += [f"codes of the {found['codes']} centroids {found.get('codebook')}"] if found.get("codes") else []
    files = ", ".join(map(str, found.get("files", ())))
    return f"{' and '.join(how)}, {what}" + (f", as in {files}" if files else "")


def cannot_look(facts: Mapping[str, Any], owner: str, option: str) -> XlxmertError:
    """The error of an ``owner`` without a visual vocabulary that is shown a picture."""
    reads = told_looks(facts)
    if not reads:
        return XlxmertError(
            f"looking at pictures needs a {owner} with a visual vocabulary (found none in it): name another with "
            f"{option}"
        )
    return XlxmertError(
        f"looking at pictures needs a {owner} with a visual vocabulary (found none in it; it reads {reads}): give it a "
        f"store of those (`xlxmert finetune`), or name another with {option}"
    )


class Looking:
    """The owner of a visual vocabulary.

    Args:
        vocabulary: from pixels to features and codes; a function is called when it is first needed.
    """

    def __init__(self, vocabulary: Lazy) -> None:
        """Load nothing yet; see the class."""
        self._vocabulary = vocabulary

    @property
    def vocabulary(self) -> VisualVocabulary | None:
        """From pixels to codes and back; None for a checkpoint that cannot look at pictures."""
        if self._vocabulary is not None and not isinstance(self._vocabulary, VisualVocabulary):
            self._vocabulary = self._vocabulary()
        return self._vocabulary

    def looking_on(self, device: torch.device | str) -> Lazy:
        """The visual vocabulary on another device, as lazily as it was."""
        parts = self._vocabulary
        if parts is None or isinstance(parts, VisualVocabulary):
            return parts and parts.to(device)
        return lambda: parts().to(device)
