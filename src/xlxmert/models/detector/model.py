"""The detector: from a picture's pixels to the features of its cells or of the things in it."""

from collections.abc import Sequence

import torch
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.detector.config import DetectorConfig
from xlxmert.models.detector.heads import Reading, RegionHead
from xlxmert.models.detector.pooling import levels_of
from xlxmert.models.detector.proposals import Proposer
from xlxmert.models.detector.resnet import Body, Pyramid


class Detector(nn.Module):
    """Faster R-CNN (arXiv:1506.01497) with frozen norms, for reading only: nothing in it is trained here.

    All pictures of a batch have one size in the network; what is found in one does not depend on the others.
    """

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.config = config
        self.body = Body(config)
        self.pyramid = Pyramid(config) if config.layout == "fpn" else None
        self.proposer = Proposer(config)
        self.head = RegionHead(config)
        self.frozen()

    def frozen(self) -> "Detector":
        """Itself, ready to read: nothing is trained, and channels lie side by side, which convolutions prefer."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.proposer.anchors.device

    def maps(self, pictures: Float[Tensor, "B 3 H W"], finest: int = 0) -> list[Tensor]:
        """The maps that proposals and regions are read from: five levels of a pyramid, or one.

        Args:
            pictures: blue, green, red, means subtracted (`pictures.py`); H and W multiples of ``config.multiple``.
            finest: the first level that is made, for boxes that need no finer one; at most 3. Proposals need all.

        Raises:
            XlxmertError: the sides are no such multiples.
        """
        height, width = pictures.shape[-2:]
        if height % self.config.multiple or width % self.config.multiple:
            raise XlxmertError(
                f"expected pictures with sides in multiples of {self.config.multiple}, found {height}x{width}: "
                "prepare them with grid_input or box_input"
            )
        maps: list[Tensor] = self.body(pictures.contiguous(memory_format=torch.channels_last))
        return maps[-1:] if self.pyramid is None else self.pyramid(maps, finest)

    def propose(self, maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Each picture's proposals ``(R, 4)``, x0 y0 x1 y1 in the network's pixels, best first.

        Args:
            maps: what `maps` gave.
            sizes: height and width of each picture inside its padding.
        """
        proposals: list[Tensor] = self.proposer(maps, sizes)
        return proposals

    def read(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Reading]:
        """What the network says of each picture's boxes ``(R, 4)``, x0 y0 x1 y1 in the network's pixels."""
        readings: list[Reading] = self.head(maps, boxes)
        return readings

    def forward(self, pictures: Float[Tensor, "B 3 H W"], boxes: Sequence[Tensor]) -> list[Reading]:
        """`maps`, as far as the boxes ask for them, then `read`."""
        return self.read(self.maps(pictures, self.finest(boxes)), boxes)

    def finest(self, boxes: Sequence[Tensor]) -> int:
        """The finest level that some box is pooled from: a fifth of the work for a grid lies in the one before."""
        return 0 if self.pyramid is None else int(levels_of(torch.cat(list(boxes)), 4, self.config.edge).min())
