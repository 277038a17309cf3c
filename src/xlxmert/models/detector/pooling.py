"""Regions of feature maps as small squares of fixed size: RoIAlign and RoIPool in plain PyTorch.

Both read the maps as one table with a row per place: what a cell of a region is made of is a short list of rows.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.detector.boxes import areas

WHOLE_PICTURE = 224
"""A box of this side, in pixels, is pooled from the level of stride 16 (feature pyramid network, section 4.2)."""
SAMPLES = 2
"""Places along each side of a cell that RoIAlign averages."""


def levels_of(boxes: Float[Tensor, "R 4"], levels: int, edge: int) -> Int[Tensor, " R"]:
    """The level that each box is pooled from, 0 for stride 4 (feature pyramid network, equation 1).

    As published, the area includes the far edge and a millionth is added, so that cells of exactly 112 pixels are
    pooled from stride 8 and those of 100 from stride 4.
    """
    sides = areas(boxes.float(), edge).sqrt()
    level = torch.floor(4 + torch.log2(sides / WHOLE_PICTURE + 1e-6))
    return level.clamp(2, levels + 1).long() - 2


def roi_align(
    maps: Sequence[Tensor],
    boxes: Float[Tensor, "R 4"],
    owners: Int[Tensor, " R"],
    levels: Int[Tensor, " R"],
    strides: Sequence[int],
    size: int,
) -> Float[Tensor, "R C s s"]:
    """Each box in ``size x size`` cells, a cell the mean of four interpolated places (Mask R-CNN, arXiv:1703.06870, 3).

    As published before detectron2: places are not shifted by half a pixel, and a box is at least one place wide.

    Args:
        maps: ``(B, C, h, w)`` of several levels.
        boxes: x0 y0 x1 y1 in the network's pixels.
        owners: the picture of each box.
        levels: the map of each box.
        strides: of the maps, in pixels.
        size: cells per side.
    """
    shapes = torch.tensor([level.shape[-2:] for level in maps], device=boxes.device)  # (L, 2)
    table, starts = _table(maps)
    heights, widths = shapes[levels].unbind(1)  # (R)
    scale = 1 / torch.tensor(strides, device=boxes.device, dtype=torch.float32)[levels, None]  # (R, 1)
    near = boxes.float()[:, :2] * scale  # (R, 2): x, y
    far = boxes.float()[:, 2:] * scale
    sides = (far - near).clamp(min=1)
    rows, down = _places(near[:, 1], sides[:, 1], heights, size)  # (R, s, 4)
    columns, across = _places(near[:, 0], sides[:, 0], widths, size)  # (R, s, 4)
    first = starts[levels] + owners * heights * widths  # (R)
    index = first[:, None, None, None, None] + (rows * widths[:, None, None])[:, :, None, :, None]
    index = index + columns[:, None, :, None, :]  # (R, s, s, 4, 4)
    weights = down[:, :, None, :, None] * across[:, None, :, None, :]  # (R, s, s, 4, 4)
    lists = [values.reshape(len(boxes) * size**2, (2 * SAMPLES) ** 2) for values in (index, weights)]  # (R * s * s, 16)
    cells = F.embedding_bag(lists[0], table, mode="sum", per_sample_weights=lists[1])  # (R * s * s, C)
    return cells.reshape(len(boxes), size, size, table.shape[1]).permute(0, 3, 1, 2)  # (R, C, s, s)


def roi_pool(
    level: Float[Tensor, "B C h w"], boxes: Float[Tensor, "R 4"], owners: Int[Tensor, " R"], stride: int, size: int
) -> Float[Tensor, "R C s s"]:
    """Each box in ``size x size`` cells, a cell the maximum of its places, 0 where it has none (Fast R-CNN, 2.1).

    The maximum over any rectangle is that over four overlapping rectangles with sides of powers of two, whose maxima
    are tabulated once for the whole map.

    Args:
        level: the map of all pictures.
        boxes: x0 y0 x1 y1 in the network's pixels.
        owners: the picture of each box.
        stride: of the map, in pixels.
        size: cells per side.
    """
    batch, _, height, width = level.shape
    rounded = _round_half_up(boxes.float() / stride)  # (R, 4)
    top, bottom = _bins(rounded[:, 1], rounded[:, 3], height, size)  # (R, s)
    left, right = _bins(rounded[:, 0], rounded[:, 2], width, size)  # (R, s)
    high, wide = bottom - top, right - left
    doublings = [int(side.max().clamp(min=1)).bit_length() for side in (high, wide)]
    table = _maxima(level.float(), *doublings)  # (doublings * doublings * B * h * w, C)
    rise, run = (torch.log2(side.clamp(min=1) + 0.5).floor().long() for side in (high, wide))  # (R, s)
    square = (rise[:, :, None] * doublings[1] + run[:, None, :]) * batch + owners[:, None, None]  # (R, s, s)
    first = square * (height * width)
    pooled: Tensor | None = None
    for rows in (top, bottom - 2**rise):
        for columns in (left, right - 2**run):
            places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
            values = table[first + places]  # (R, s, s, C)
            pooled = values if pooled is None else torch.maximum(pooled, values)
    assert pooled is not None
    empty = (high <= 0)[:, :, None] | (wide <= 0)[:, None, :]
    return pooled.masked_fill(empty[..., None], 0).permute(0, 3, 1, 2)  # (R, C, s, s)


def _table(maps: Sequence[Tensor]) -> tuple[Float[Tensor, "P C"], Int[Tensor, " L"]]:
    """All maps as rows, level by level and picture by picture, and the row where each level begins."""
    rows = [level.float().flatten(2).transpose(1, 2).flatten(0, 1) for level in maps]
    counts = [0, *(len(some) for some in rows[:-1])]
    return torch.cat(rows), torch.tensor(counts, device=rows[0].device).cumsum(0)


def _places(
    start: Float[Tensor, " R"], side: Float[Tensor, " R"], limit: Int[Tensor, " R"], size: int
) -> tuple[Int[Tensor, "R s 4"], Float[Tensor, "R s 4"]]:
    """Along one axis: the rows of the map that each cell is made of, and their weights.

    A sample between two rows takes from both. One that lies more than a row outside the map counts as zero; one that
    lies just outside takes the map's edge.
    """
    cell = (side / size)[:, None, None]  # (R, 1, 1)
    cells = torch.arange(size, device=start.device)[:, None]
    samples = torch.arange(SAMPLES, device=start.device) + 0.5
    place = start[:, None, None] + cells * cell + samples * cell / SAMPLES  # (R, s, 2)
    last = limit[:, None, None] - 1
    inside = (place >= -1) & (place <= last + 1)
    place = torch.minimum(place.clamp(min=0), last.to(place))
    below = place.floor().long()
    share = place - below
    rows = torch.stack([below, torch.minimum(below + 1, last)], -1)  # (R, s, 2, 2)
    weights = torch.stack([1 - share, share], -1) * inside[..., None] / SAMPLES
    return rows.flatten(2), weights.flatten(2)


def _round_half_up(values: Tensor) -> Tensor:
    """Nearest whole numbers, halves away from zero, as C rounds."""
    return torch.sign(values) * torch.floor(values.abs() + 0.5)


def _bins(
    start: Float[Tensor, " R"], end: Float[Tensor, " R"], limit: int, size: int
) -> tuple[Int[Tensor, "R s"], Int[Tensor, "R s"]]:
    """Along one axis: the first row of each cell, and the one after its last; rounded as in single precision."""
    cell = ((end - start + 1).clamp(min=1) / size)[:, None]  # (R, 1)
    cells = torch.arange(size, device=start.device, dtype=torch.float32)
    first = torch.floor(cells * cell) + start[:, None]
    after = torch.ceil((cells + 1) * cell) + start[:, None]
    return first.clamp(0, limit).long(), after.clamp(0, limit).long()


def _maxima(level: Float[Tensor, "B C h w"], rows: int, columns: int) -> Float[Tensor, "P C"]:
    """Maxima over windows of 2^i rows and 2^j columns that begin at each place, i below ``rows``, j below ``columns``.

    Windows that leave the map are cut short. One row per window and place: i, j, picture, place.
    """
    tall = [level]
    for power in range(rows - 1):
        tall.append(torch.maximum(tall[-1], _shifted(tall[-1], 1 << power, 2)))
    windows = []
    for window in tall:
        for power in range(columns):
            windows.append(window)
            window = torch.maximum(window, _shifted(window, 1 << power, 3))
    return torch.cat([window.flatten(2).transpose(1, 2).flatten(0, 1) for window in windows])


def _shifted(values: Tensor, by: int, axis: int) -> Tensor:
    """The values that lie ``by`` places further on; the last ones repeat."""
    size = values.shape[axis]
    index = (torch.arange(size, device=values.device) + by).clamp(max=size - 1)
    return values.index_select(axis, index)
