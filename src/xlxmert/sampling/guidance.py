"""Guidance: what the words change in a network's answer, made stronger."""

from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Tensor
from xlxmert.core.errors import UsageError


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022) for masked tokens: ``told + s * (told - untold)``.

    ``told`` are the logits with the prompt, ``untold`` those without words or with words that say what the picture
    should not show. Cells then get the codes that the prompt makes likelier, not those that are common anyway. The
    softmax comes after the mixing, so that chances stay chances (arXiv 2507.08965).

    Raises:
        UsageError: the strength is negative, or the interval is empty or leaves [0, 1].
    """

    strength: float = 0.0
    """s, 0 or more; 0 is none and costs nothing."""
    ramp: bool = False
    """Let s grow with the share of cells that are settled, from 0 to ``strength`` (Muse, arXiv 2301.00704)."""
    start: float = 0.0
    """Guide only from this settled share on, in [0, 1]; before it a look costs one branch instead of two."""
    end: float = 1.0
    """Guide only up to this settled share."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if not self.strength >= 0:
            raise UsageError(f"expected a guidance of at least 0, found {self.strength}: 0 is none, 1 is strong")
        if not 0 <= self.start < self.end <= 1:
            raise UsageError(
                f"expected guidance between two shares of settled cells in [0, 1], found {self.start} to {self.end}: "
                "0 to 1 is always"
            )

    def at(self, hidden: Bool[Tensor, "B N"], unknown: Bool[Tensor, "B N"]) -> Float[Tensor, " B"]:
        """The strength for each picture, by the share of its ``unknown`` cells that are not ``hidden`` any more."""
        count = unknown.sum(dim=1).clamp(min=1)
        settled = 1 - hidden.sum(dim=1) / count  # (B)
        strength = self.strength * (settled if self.ramp else torch.ones_like(settled))
        return strength.masked_fill((settled < self.start) | (settled > self.end), 0.0)


def mix(
    told: Float[Tensor, "B N D"], untold: Float[Tensor, "B N D"], strength: Float[Tensor, " B"]
) -> Float[Tensor, "B N D"]:
    """``told + strength * (told - untold)``, one strength per picture; logits, or states that a linear map follows."""
    return told + strength[:, None, None] * (told - untold)
