"""The model as samplers see it: codes, or words, to logits; whatever stays the same is computed once."""

from collections.abc import Callable

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.base import Transformer


class PaintingNetwork:
    """Codes and what is hidden to code logits, for fixed prompts.

    The language encoder does not see the picture, so each prompt is encoded once for all steps; the relation encoder's
    view of a wholly hidden grid is the same for every picture.

    Args:
        model: the transformer.
        words: (B, T) the prompt of every picture; what comes twice is encoded once.
        blank: the encoding of a wholly hidden grid, from `blank_picture`.
        head: what gives the logits, by default the model's own; a folded one costs less.
    """

    def __init__(
        self,
        model: Transformer,
        words: Int[Tensor, "B T"],
        blank: Float[Tensor, "1 N D"],
        head: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Encode the prompts; see the class."""
        self.head = model.code_logits if head is None else head
        different, rows = torch.unique(words, dim=0, return_inverse=True)  # (U, T), (B)
        self.model, self.blank, self.mask = model, blank, words > 0
        self.language = model.encode_words(different)[rows]  # (B, T, D)

    def __call__(self, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N K"]:
        """Logits for every cell."""
        if bool(hidden.all()):
            vision = self.blank.expand(len(codes), -1, -1)  # (B, N, D)
        else:
            vision = self.model.encode_picture(codes, hidden=hidden)  # (B, N, D)
        return self.head(self.model.cross_picture(self.language, vision, self.mask))  # (B, N, K)


def blank_picture(model: Transformer, device: torch.device | str) -> Float[Tensor, "1 N D"]:
    """The relation encoder's view of a grid of which nothing is known."""
    cells = model.config.cells
    codes = torch.zeros(1, cells, dtype=torch.long, device=device)
    return model.encode_picture(codes, hidden=torch.ones_like(codes, dtype=torch.bool))


class WritingNetwork:
    """Words to word logits, for fixed pictures.

    Args:
        model: the transformer.
        vision: (B, N, D) the encoded picture of every sentence.
    """

    def __init__(self, model: Transformer, vision: Float[Tensor, "B N D"]) -> None:
        """Keep the encoded pictures; see the class."""
        self.model, self.vision = model, vision

    def __call__(self, words: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits for every position."""
        mask = words > 0
        language = self.model.cross_words(self.model.encode_words(words, mask), self.vision, mask)  # (B, T, D)
        return self.model.word_logits(language)  # (B, T, V)


class FeaturePaintingNetwork:
    """Features and what is hidden to regressed features, for fixed prompts: a model without codes as a painter.

    Args:
        model: the transformer.
        words: (B, T) the prompt of every picture.
    """

    def __init__(self, model: Transformer, words: Int[Tensor, "B T"]) -> None:
        """Encode the prompts; see the class."""
        self.model, self.mask = model, words > 0
        self.language = model.encode_words(words)  # (B, T, D)

    def __call__(self, features: Float[Tensor, "B N F"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
        """Features for every cell."""
        vision = self.model.encode_picture(features, hidden=hidden)  # (B, N, D)
        return self.model.predicted_features(self.model.cross_picture(self.language, vision, self.mask))  # (B, N, F)
