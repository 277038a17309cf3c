"""What models give: frozen bundles of tensors that losses, scores and samplers read."""

from dataclasses import dataclass

from xlxmert.core.axes import Float, Tensor


@dataclass(frozen=True)
class Encoded:
    """The three outputs of a transformer over words and a picture (LXMERT section 2.3)."""

    language: Float[Tensor, "B T D"]
    """One vector per word."""
    vision: Float[Tensor, "B N D"]
    """One vector per visual token."""
    pooled: Float[Tensor, "B D"]
    """One vector per pair of text and picture, in (-1, 1)."""
