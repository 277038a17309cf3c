"""What every backbone is: a frozen picture network that gives feature maps by their stride."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from xlxmert.core.axes import Float, Tensor


class PictureNetwork(nn.Module, ABC):
    """Pixels to feature maps; nothing in it is trained here."""

    name: str
    """What a visual vocabulary remembers it by; `open_backbone` finds it again under this name."""
    strides: list[int]
    """Of its maps, in pixels, ascending: each a power of two."""

    @property
    @abstractmethod
    def channels(self) -> dict[int, int]:
        """The width of the feature map at each stride."""

    @abstractmethod
    def forward(self, pictures: Float[Tensor, "B 3 H W"], deepest: int | None = None) -> list[Tensor]:
        """Feature maps by depth, each ``(B, C, H / stride, W / stride)``; see `strides`.

        Args:
            pictures: pixels in [-1, 1].
            deepest: stop after this stride (0 gives no maps); default all there are.
        """

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Weights and what else is needed to build it again; None where its name is enough."""
        return None
