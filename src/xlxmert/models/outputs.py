"""What models give: frozen bundles of tensors that losses, scores and samplers read."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from xlxmert.core.axes import Float, Tensor


@runtime_checkable
class HasPooled(Protocol):
    """What every model gives of texts and pictures: enough for heads over answers, pairs and matching."""

    @property
    def pooled(self) -> Float[Tensor, "B D"]:
        """One vector per pair of text and picture."""


@dataclass(frozen=True)
class Encoded:
    """The three outputs of a transformer over words and a picture (LXMERT section 2.3)."""

    language: Float[Tensor, "B T D"]
    """One vector per word."""
    vision: Float[Tensor, "B N D"]
    """One vector per visual token."""
    pooled: Float[Tensor, "B D"]
    """One vector per pair of text and picture, in (-1, 1)."""


@dataclass(frozen=True)
class Pooled:
    """The outputs of a model that looks at a picture once: where it looked, and what came of it."""

    attention: Float[Tensor, "B N"]
    """The share of each region, in [0, 1]; the shares of a picture sum to 1, or are all 0 where it is hidden whole."""
    pooled: Float[Tensor, "B D"]
    """One vector per pair of text and picture."""
