"""Which of a picture's proposals become its regions: the two published rules."""

from dataclasses import dataclass

import numpy as np
import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.detector.boxes import clip, overlaps, refine, suppress
from xlxmert.models.detector.config import DetectorConfig
from xlxmert.models.detector.heads import Reading

SAME_CLASS = 0.5
"""X-LXMERT: boxes of one class that overlap more do not stay together."""
THRESHOLDS = tuple(0.3 + step / 10 for step in range(7))
"""LXMERT: overlaps that are allowed, one after the other until enough boxes remain."""
REGION_WEIGHTS = (10.0, 5.0)
"""What the refinement of regions is divided by: dx dy, and dw dh (Fast R-CNN's standard deviations)."""
PAIRS = 8192
"""Pairs of box and class that are tried before all are sorted."""


@dataclass(frozen=True)
class Chosen:
    """The regions of a picture, best first."""

    index: Int[Tensor, " N"]
    """Which proposals they were."""
    boxes: Float[Tensor, "N 4"]
    """x0 y0 x1 y1 in the picture's pixels."""
    labels: Int[Tensor, " N"]
    """The likeliest thing, counted without background."""
    scores: Float[Tensor, " N"]
    """Its probability."""


def choose(
    proposals: Float[Tensor, "R 4"],
    reading: Reading,
    size: tuple[int, int],
    scale: tuple[float, float],
    count: int,
    config: DetectorConfig,
) -> Chosen:
    """The ``count`` best regions as the layout's users chose them; fewer only where there are fewer proposals.

    Args:
        proposals: in the network's pixels.
        reading: what the network says of them.
        size: height and width of the picture inside the network's input.
        scale: what the network's pixels are divided by, down and across, to make the picture's.
        count: how many.
        config: of the detector.
    """
    probabilities = reading.scores.softmax(1)
    keep = [number for number in range(probabilities.shape[1]) if number != config.background]
    things = probabilities[:, keep]  # (R, labels)
    divisor = proposals.new_tensor([scale[1], scale[0], scale[1], scale[0]])
    if config.layout == "fpn":
        boxes = proposals / divisor
        index = best_of_classes(boxes, things, count, config.edge)
        scores, labels = things[index].max(1)
        return Chosen(index, boxes[index], labels, scores)
    scores, labels = things.max(1)  # (R)
    refined = refine(proposals, reading.deltas, config.edge, REGION_WEIGHTS)  # (R, labels, 4)
    boxes = clip(refined[torch.arange(len(refined)), labels], *size, config.edge)  # (R, 4)
    index = best_apart(boxes, scores, count, config.edge)
    return Chosen(index, boxes[index] / divisor, labels[index], scores[index])


def best_of_classes(
    boxes: Float[Tensor, "R 4"], probabilities: Float[Tensor, "R C"], count: int, edge: int
) -> Int[Tensor, " N"]:
    """X-LXMERT's rule: overlaps are suppressed in each class by itself; a box counts as its best class that is left.

    Computed without going through all classes: pairs of box and class come in the order of their probability, so that
    a pair's rivals have all been decided before it, and a box is chosen with its first pair that is left. Boxes that
    are suppressed in every class follow at the end.

    Source: ``_process_feature_extraction`` of X-LXMERT's ``feature_extraction/coco_extract_bbox_feature.py``.
    """
    rows, classes = probabilities.shape
    close = (overlaps(boxes, boxes, edge) > SAME_CLASS).cpu().numpy()  # (R, R)
    flat = probabilities.flatten()
    first = flat.topk(min(PAIRS, len(flat))).indices
    for pairs in (first, flat.argsort(descending=True)) if len(first) < len(flat) else (first,):
        chosen = _first_left(pairs.cpu().numpy(), classes, close, count)
        if len(chosen) == min(count, rows):
            break
    rest = [row for row in range(rows) if row not in set(chosen)]
    return torch.tensor([*chosen, *rest][:count], dtype=torch.long, device=boxes.device)


def best_apart(boxes: Float[Tensor, "R 4"], scores: Float[Tensor, " R"], count: int, edge: int) -> Int[Tensor, " N"]:
    """LXMERT's rule: one box per proposal, and overlaps are suppressed less and less until enough boxes remain.

    Source: ``demo/detectron2_mscoco_proposal_maxnms.py`` of py-bottom-up-attention.
    """
    kept = suppress(boxes, scores, THRESHOLDS[0], edge, count)
    for threshold in THRESHOLDS[1:]:
        if len(kept) >= count:
            break
        kept = suppress(boxes, scores, threshold, edge, count)
    return kept


def _first_left(pairs: np.ndarray, classes: int, close: np.ndarray, count: int) -> list[int]:
    """The first ``count`` different boxes among the pairs that no better pair of their class suppresses."""
    chosen: dict[int, None] = {}
    left: dict[int, list[int]] = {}
    for pair in pairs.tolist():
        row, label = divmod(pair, classes)
        rivals = left.setdefault(label, [])
        if close[row, rivals].any():
            continue
        rivals.append(row)
        chosen[row] = None
        if len(chosen) == count:
            break
    return list(chosen)
