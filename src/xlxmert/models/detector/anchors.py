"""Anchors: the boxes from which proposals grow, a few shapes at every place of a map."""

from collections.abc import Sequence

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor
from xlxmert.models.detector.config import DetectorConfig


def cell_anchors(stride: int, sizes: Sequence[int], ratios: Sequence[float]) -> Float[np.ndarray, "A 4"]:
    """The anchors of a map's first place, x0 y0 x1 y1 in pixels, far edge included: sizes vary faster than ratios.

    Every anchor is the stride's square with its sides rounded to the ratio, then multiplied; so it is wider and higher
    by whole strides than its size says (Ren et al. 2015, as py-faster-rcnn's ``generate_anchors.py`` computes it).
    """
    widths = np.round(np.sqrt(stride * stride / np.asarray(ratios, dtype=float)))
    heights = np.round(widths * np.asarray(ratios, dtype=float))
    scales = np.asarray(sizes, dtype=float) / stride
    sides = np.stack([np.outer(widths, scales), np.outer(heights, scales)], -1).reshape(-1, 2)  # (A, 2)
    centre = 0.5 * (stride - 1)
    return np.concatenate([centre - 0.5 * (sides - 1), centre + 0.5 * (sides - 1)], 1)


def all_cell_anchors(config: DetectorConfig) -> Float[Tensor, "LA 4"]:
    """`cell_anchors` of all maps of a detector, one map after the other."""
    sizes = [(size,) for size in config.anchor_sizes] if config.layout == "fpn" else [config.anchor_sizes]
    cells = [
        cell_anchors(stride, some, config.anchor_ratios) for stride, some in zip(config.strides, sizes, strict=True)
    ]
    return torch.tensor(np.concatenate(cells), dtype=torch.float32)


def tile(cells: Float[Tensor, "A 4"], height: int, width: int, stride: int) -> Float[Tensor, "M 4"]:
    """The anchors of every place of a map of this size: row-major, a place's anchors side by side."""
    y = torch.arange(height, device=cells.device, dtype=cells.dtype) * stride
    x = torch.arange(width, device=cells.device, dtype=cells.dtype) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")  # (h, w)
    shifts = torch.stack([columns, rows, columns, rows], -1)  # (h, w, 4)
    return (shifts[:, :, None] + cells).reshape(-1, 4)  # (h * w * A, 4)
