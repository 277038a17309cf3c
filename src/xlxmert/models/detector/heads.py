"""What is told of each region: its feature, its classes, its refined boxes, its attributes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.detector.config import DetectorConfig
from xlxmert.models.detector.pooling import levels_of, roi_align, roi_pool
from xlxmert.models.detector.resnet import build_stage

TOGETHER = 64
"""Regions that go through a stage at once: bounds the memory."""


@dataclass(frozen=True)
class Reading:
    """What the network says of the regions of one picture, in single precision."""

    features: Float[Tensor, "R F"]
    """The visual features that the transformers read."""
    scores: Float[Tensor, "R C"]
    """Logits of the classes, background among them."""
    deltas: Float[Tensor, "R K4"]
    """How the box is to be refined for each class."""
    attributes: Float[Tensor, "R A"] | None
    """Logits of the attributes for the likeliest class, the last for none; None where attributes are not told."""


class FullHead(nn.Module):
    """RoIAlign from a pyramid, then two linear layers; the first one's output is the feature."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.config = config
        self.fc6 = nn.Linear(config.pyramid * config.pooled**2, config.mlp)
        self.fc7 = nn.Linear(config.mlp, config.mlp)

    def forward(
        self, maps: Sequence[Tensor], boxes: Float[Tensor, "R 4"], owners: Int[Tensor, " R"]
    ) -> tuple[Float[Tensor, "R F"], Float[Tensor, "R F"]]:
        """The features, and what is judged."""
        strides = self.config.strides[-len(maps) : -1]  # the coarsest level only makes proposals
        levels = levels_of(boxes, 4, self.config.edge) - (4 - len(strides))
        squares = roi_align(maps[:-1], boxes, owners, levels, strides, self.config.pooled)  # (R, P, s, s)
        features = F.relu(self.fc6(squares.flatten(1)))  # (R, F)
        return features, F.relu(self.fc7(features))


class StageHead(nn.Module):
    """RoIPool from one map, then the last stage of the ResNet, dilated instead of strided; its mean is the feature."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.config = config
        self.stage = build_stage(config, 3, stride=1, dilation=2)

    def forward(
        self, maps: Sequence[Tensor], boxes: Float[Tensor, "R 4"], owners: Int[Tensor, " R"]
    ) -> tuple[Float[Tensor, "R F"], Float[Tensor, "R F"]]:
        """The features twice: they are what is judged."""
        squares = roi_pool(maps[0], boxes, owners, self.config.strides[0], self.config.pooled)  # (R, C, s, s)
        features = torch.cat([self.stage(some).mean((2, 3)) for some in torch.split(squares, TOGETHER)])  # (R, F)
        return features, features


class AttributeHead(nn.Module):
    """Attributes of a region from its feature and its likeliest class (bottom-up attention, section 3.1)."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        width = config.feature_width
        self.label = nn.Embedding(config.labels + 1, width // 8)
        self.hidden = nn.Linear(width + width // 8, width // 4)
        self.attributes = nn.Linear(width // 4, config.attributes + 1)

    def forward(self, judged: Float[Tensor, "R F"], scores: Float[Tensor, "R C"]) -> Float[Tensor, "R A"]:
        """The logits; the last stands for none."""
        both = torch.cat([judged, self.label(scores.argmax(1)).to(judged)], 1)  # (R, F + F / 8)
        logits: Tensor = self.attributes(F.relu(self.hidden(both)))
        return logits


class RegionHead(nn.Module):
    """Everything that is told of regions."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.pool = FullHead(config) if config.layout == "fpn" else StageHead(config)
        self.scores = nn.Linear(config.feature_width, config.labels + 1)
        self.deltas = nn.Linear(config.feature_width, 4 * config.regressed)
        self.attributes = AttributeHead(config) if config.attributes else None

    def forward(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Reading]:
        """The regions of all pictures at once, told apart again.

        Args:
            maps: those that regions are pooled from.
            boxes: per picture ``(R, 4)``, x0 y0 x1 y1 in the network's pixels.
        """
        counts = [len(some) for some in boxes]
        owners = torch.arange(len(boxes), device=boxes[0].device)
        owners = owners.repeat_interleave(torch.tensor(counts, device=owners.device))  # (R)
        features, judged = self.pool(maps, torch.cat(list(boxes)), owners)
        scores = self.scores(judged)  # (R, C)
        told = [part.float().split(counts) for part in (features, scores, self.deltas(judged))]
        attributes = [None] * len(boxes) if self.attributes is None else self._attributes(judged, scores, counts)
        return [Reading(*parts) for parts in zip(told[0], told[1], told[2], attributes, strict=True)]

    def _attributes(self, judged: Tensor, scores: Tensor, counts: list[int]) -> list[Tensor | None]:
        assert self.attributes is not None
        return list(self.attributes(judged, scores).float().split(counts))
