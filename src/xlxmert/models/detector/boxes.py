"""Arithmetic of boxes in pixels: areas, overlaps, refinement, clipping and the suppression of overlaps.

Every function takes ``edge``: 1 where the pixel at x1, y1 belongs to the box, so that its width is x1 - x0 + 1 (the
convention of Caffe, Detectron and maskrcnn-benchmark), 0 where the box ends there (detectron2's).
"""

import math

import numpy as np
import torch

from xlxmert.core.axes import Float, Int, Tensor

LARGEST_GROWTH = math.log(1000 / 16)
"""Refinement makes no side longer than this, as a logarithm: what turns a box of 16 pixels into one of 1000."""
ROWS = 512
"""Boxes that are compared with all others at once when overlaps are suppressed: bounds the memory."""


def areas(boxes: Float[Tensor, "*any 4"], edge: int) -> Float[Tensor, "*any"]:
    """Width times height, in square pixels."""
    return (boxes[..., 2] - boxes[..., 0] + edge) * (boxes[..., 3] - boxes[..., 1] + edge)


def overlaps(some: Float[Tensor, "R 4"], others: Float[Tensor, "Q 4"], edge: int) -> Float[Tensor, "R Q"]:
    """Intersection over union of every pair, in [0, 1]."""
    near = torch.maximum(some[:, None, :2], others[None, :, :2])  # (R, Q, 2)
    far = torch.minimum(some[:, None, 2:], others[None, :, 2:])  # (R, Q, 2)
    shared = (far - near + edge).clamp(min=0).prod(-1)  # (R, Q)
    return shared / (areas(some, edge)[:, None] + areas(others, edge) - shared)


def refine(
    boxes: Float[Tensor, "R 4"], deltas: Float[Tensor, "R K4"], edge: int, weights: tuple[float, float] = (1.0, 1.0)
) -> Float[Tensor, "R K 4"]:
    """Boxes moved and scaled as a network asks (Girshick et al. 2014, arXiv:1311.2524, appendix C, equations 1 to 4).

    Args:
        boxes: x0 y0 x1 y1 in pixels.
        deltas: for each of K classes dx dy dw dh: the centre moves by dx widths and dy heights, the sides grow by exp.
        edge: see the module.
        weights: what dx dy and dw dh are divided by.
    """
    sides = boxes[:, None, 2:] - boxes[:, None, :2] + edge  # (R, 1, 2)
    centres = boxes[:, None, :2] + 0.5 * sides  # (R, 1, 2)
    asked = deltas.reshape(len(boxes), deltas.shape[1] // 4, 4)  # (R, K, 4)
    move, grow = asked[..., :2] / weights[0], asked[..., 2:] / weights[1]
    centres = move * sides + centres  # (R, K, 2)
    sides = grow.clamp(max=LARGEST_GROWTH).exp() * sides  # (R, K, 2)
    return torch.cat([centres - 0.5 * sides, centres + 0.5 * sides - edge], -1)  # (R, K, 4)


def clip(boxes: Float[Tensor, "*any 4"], height: int, width: int, edge: int) -> Float[Tensor, "*any 4"]:
    """The part of each box that lies in a picture of this size."""
    limits = boxes.new_tensor([width, height, width, height]) - edge
    return torch.minimum(boxes.clamp(min=0), limits)


def suppress(
    boxes: Float[Tensor, "R 4"], scores: Float[Tensor, " R"], threshold: float, edge: int, most: int | None = None
) -> Int[Tensor, " Q"]:
    """Which boxes remain when each gives way to any better one that it overlaps, best first (non-maximum suppression).

    Args:
        boxes: x0 y0 x1 y1 in pixels.
        scores: the higher, the better; equal ones keep their order.
        threshold: pairs whose intersection over union is greater do not stay together.
        edge: see the module.
        most: stop when so many are found.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]
    alive = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    for start in range(0, len(boxes), ROWS):
        close = (overlaps(ranked[start : start + ROWS], ranked, edge) > threshold).cpu().numpy()  # (<= ROWS, R)
        for row, rank in enumerate(range(start, start + len(close))):
            if alive[rank]:
                kept.append(rank)
                if len(kept) == most:
                    return order[torch.tensor(kept, device=order.device)]
                alive &= ~close[row]
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]
