"""What every checkpoint that looks at pictures has: a visual vocabulary, loaded when it is first asked for."""

from collections.abc import Callable

import torch

from xlxmert.vision.vocabulary import VisualVocabulary

Lazy = VisualVocabulary | Callable[[], VisualVocabulary] | None
"""A visual vocabulary, a function that loads it, or nothing."""


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
