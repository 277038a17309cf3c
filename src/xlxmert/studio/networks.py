"""The model as samplers see it: codes, or words, to logits; whatever stays the same is computed once."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.base import Transformer
from xlxmert.nn.heads import FoldedHead
from xlxmert.sampling import Guidance, mix


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
        vision = self._picture(codes, hidden)  # (B, N, D)
        return self.head(self.model.cross_picture(self.language, vision, self.mask))  # (B, N, K)

    def _picture(self, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """The relation encoder's view of the pictures."""
        if bool(hidden.all()):
            return self.blank.expand(len(codes), -1, -1)  # (B, N, D)
        return self.model.encode_picture(codes, hidden=hidden)  # (B, N, D)


class GuidedPaintingNetwork(PaintingNetwork):
    """As `PaintingNetwork`, with guidance: both branches in one pass.

    What is the same for both is computed once: the relation encoder reads the picture before any word, and the last map
    of the head is linear, so it reads the mix of the two states. Where no picture is guided, there is one branch only.

    Args:
        model: the transformer.
        words: (B, T) the prompt of every picture.
        against: (B, U) what the pictures are guided away from: no words, or what they should not show.
        guidance: how strongly.
        unknown: (B, N) the cells that are filled, by which the guidance knows how far the painting has come.
        blank: the encoding of a wholly hidden grid, from `blank_picture`.
        head: what gives the logits.
    """

    def __init__(
        self,
        model: Transformer,
        words: Int[Tensor, "B T"],
        against: Int[Tensor, "B U"],
        guidance: Guidance,
        unknown: Bool[Tensor, "B N"],
        blank: Float[Tensor, "1 N D"],
        head: FoldedHead,
    ) -> None:
        """Encode the prompts and what they are guided away from; see the class."""
        longest = max(words.shape[1], against.shape[1])
        both = torch.cat([F.pad(side, (0, longest - side.shape[1])) for side in (words, against)])  # (2B, T)
        super().__init__(model, both, blank, head)
        self.guidance, self.unknown, self.folded = guidance, unknown, head

    def __call__(self, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N K"]:
        """Logits for every cell."""
        strength, vision = self.guidance.at(hidden, self.unknown), self._picture(codes, hidden)  # (B), (B, N, D)
        if not bool(strength.any()):
            some = slice(len(codes))
            return self.folded(self.model.cross_picture(self.language[some], vision, self.mask[some]))  # (B, N, K)
        states = self.model.cross_picture(self.language, torch.cat([vision, vision]), self.mask)  # (2B, N, D)
        told, untold = self.folded.transform(states).chunk(2)
        return self.folded.scores(mix(told, untold, strength))  # (B, N, K)


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
