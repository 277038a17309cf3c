"""Where there may be something: anchors scored and refined at every place, thinned out to a picture's proposals."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.models.detector.anchors import all_cell_anchors, tile
from xlxmert.models.detector.boxes import clip, refine, suppress
from xlxmert.models.detector.config import DetectorConfig

TOGETHER = 0.7
"""Proposals of one map that overlap more do not stay together."""


class Proposer(nn.Module):
    """A region proposal network (Faster R-CNN, arXiv:1506.01497, section 3.1), one for all maps.

    The anchors are a buffer: a published file brings its own, and those are used.
    """

    anchors: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.config = config
        width = config.pyramid if config.layout == "fpn" else config.outputs(2)
        self.conv = nn.Conv2d(width, config.hidden, 3, padding=1)
        self.objectness = nn.Conv2d(config.hidden, config.anchors, 1)
        self.deltas = nn.Conv2d(config.hidden, 4 * config.anchors, 1)
        self.register_buffer("anchors", all_cell_anchors(config))

    def forward(self, maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """For each picture its proposals ``(R, 4)``, x0 y0 x1 y1 in the network's pixels, best first.

        1. Take the ``considered`` best anchors of each map.
        2. Refine them, clip them to the picture, drop what is left of no size.
        3. Suppress overlaps on each map by itself, keeping at most ``proposed``.
        4. Of all maps together keep the ``proposed`` best.

        Args:
            maps: one per stride, for all pictures.
            sizes: height and width of each picture inside its padding.
        """
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in sizes]
        cells = self.anchors.float().reshape(len(self.config.strides), self.config.anchors, 4)
        for level, stride, anchors in zip(maps, self.config.strides, cells, strict=True):
            hidden = F.relu(self.conv(level))  # (B, hidden, h, w)
            scores = self.objectness(hidden).float().permute(0, 2, 3, 1).flatten(1)  # (B, h * w * A)
            deltas = self.deltas(hidden).float().permute(0, 2, 3, 1).reshape(len(sizes), -1, 4)  # (B, h * w * A, 4)
            tiled = tile(anchors, level.shape[-2], level.shape[-1], stride)  # (h * w * A, 4)
            for number, size in enumerate(sizes):
                found[number].append(self._thin(tiled, scores[number], deltas[number], size))
        return [self._best(levels) for levels in found]

    def _thin(
        self,
        anchors: Float[Tensor, "M 4"],
        scores: Float[Tensor, " M"],
        deltas: Float[Tensor, "M 4"],
        size: tuple[int, int],
    ) -> tuple[Float[Tensor, "R 4"], Float[Tensor, " R"]]:
        """The proposals of one map and their scores, best first."""
        edge = self.config.edge
        scores, best = scores.topk(min(self.config.considered, len(scores)))
        boxes = clip(refine(anchors[best], deltas[best], edge)[:, 0], *size, edge)
        whole = (boxes[:, 2:] - boxes[:, :2] + edge > 0).all(1)
        boxes, scores = boxes[whole], scores[whole]
        kept = suppress(boxes, scores, TOGETHER, edge, self.config.proposed)
        return boxes[kept], scores[kept]

    def _best(self, levels: Sequence[tuple[Tensor, Tensor]]) -> Float[Tensor, "R 4"]:
        """The best proposals of all maps."""
        boxes, scores = (torch.cat(parts) for parts in zip(*levels, strict=True))
        return boxes[scores.topk(min(self.config.proposed, len(scores))).indices]
