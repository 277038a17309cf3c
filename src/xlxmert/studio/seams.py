"""From a canvas of codes to one picture: windows that overlap, and the given picture's own pixels where it stays."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from xlxmert.core.axes import Bool, Float, Int, Tensor, UInt8

Render = Callable[[Int[Tensor, "B N"]], list[UInt8[np.ndarray, "S S 3"]]]
"""The codes of whole grids to pictures."""
SEAM = 0.25
"""How far a known cell's true colours reach into painted ones, as a share of a cell's side."""


def draw_canvas(
    render: Render, codes: Int[Tensor, "rows columns"], windows: Iterable[tuple[int, int]], grid: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw every window, and blend where they overlap: each counts most in its middle.

    Args:
        render: draws a window of ``grid`` by ``grid`` cells.
        codes: the canvas.
        windows: row and column of each window's first cell; what they leave out is white.
        grid: cells per side of a window.
    """
    places = list(dict.fromkeys(windows))
    cut = torch.stack([codes[row : row + grid, column : column + grid].flatten() for row, column in places])
    drawn = render(cut)
    if codes.shape == (grid, grid):
        return drawn[0]
    side = len(drawn[0])
    cell = side // grid
    total = np.zeros((codes.shape[0] * cell, codes.shape[1] * cell, 3), np.float32)
    weight, tent = np.zeros((*total.shape[:2], 1), np.float32), _tent(side)
    for picture, (row, column) in zip(drawn, places, strict=True):
        there = slice(row * cell, row * cell + side), slice(column * cell, column * cell + side)
        total[there] += picture * tent
        weight[there] += tent
    blended = np.divide(total, weight, out=np.full_like(total, 255), where=weight > 0)
    return np.round(blended).astype(np.uint8)


def keep_original(
    original: UInt8[np.ndarray, "height width 3"],
    painted: UInt8[np.ndarray, "_ _ 3"],
    unknown: Bool[np.ndarray, "rows columns"],
    place: tuple[int, int],
    grid: int,
) -> UInt8[np.ndarray, "height2 width2 3"]:
    """The original at its own size, with the painted canvas, resized to it, where cells are unknown.

    Outside those cells every pixel is the original's. Inside them none is: a soft seam made of hidden pixels would show
    what was to go. Instead the colours are shifted by what the drawing has wrong just outside, less and less inwards.

    Args:
        original: the picture that was given.
        painted: the canvas as it was drawn.
        unknown: the cells of the canvas that were painted.
        place: row and column of the original's first cell on the canvas.
        grid: cells per side of the original.
    """
    rows, columns = (
        _cells(pixels, grid, first, cells)
        for pixels, first, cells in zip(original.shape[:2], place, unknown.shape, strict=True)
    )
    size = len(columns), len(rows)
    top, left = int((rows < place[0]).sum()), int((columns < place[1]).sum())
    under = Image.new("RGB", size)
    under.paste(Image.fromarray(original), (left, top))
    over = Image.fromarray(_matched(original, painted, unknown, place, grid))
    over = over if over.size == size else over.resize(size, Image.Resampling.LANCZOS)
    return np.array(Image.composite(over, under, Image.fromarray(unknown[rows][:, columns])))


def _matched(
    original: UInt8[np.ndarray, "height width 3"],
    painted: UInt8[np.ndarray, "h w 3"],
    unknown: Bool[np.ndarray, "rows columns"],
    place: tuple[int, int],
    grid: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """The painted canvas with its colours shifted near known cells.

    1. Take the difference of original and drawing at known pixels, and its mean within reach of every other pixel.
    2. Add it, at full strength beside a known pixel and fading to nothing at the end of the reach.
    """
    cell = painted.shape[0] // unknown.shape[0]
    reach, side = max(1, round(SEAM * cell)), grid * cell
    drawn = torch.from_numpy(painted).permute(2, 0, 1)[None].float()  # (1, 3, h, w)
    true = drawn.clone()
    small = np.array(Image.fromarray(original).resize((side, side), Image.Resampling.LANCZOS))
    top, left = place[0] * cell, place[1] * cell
    true[0, :, top : top + side, left : left + side] = torch.from_numpy(small).permute(2, 0, 1)
    known = torch.from_numpy(~unknown).float().repeat_interleave(cell, 0).repeat_interleave(cell, 1)[None, None]
    window = {"kernel_size": 2 * reach + 1, "stride": 1, "padding": reach}
    shift = F.avg_pool2d((true - drawn) * known, **window) / F.avg_pool2d(known, **window).clamp(min=1e-6)
    near = [F.max_pool2d(known, 2 * step + 1, 1, step) for step in range(1, reach + 1)]
    mixed = drawn + shift * torch.cat(near).mean(0)  # (1, 3, h, w)
    return mixed.clamp(0, 255).round().byte()[0].permute(1, 2, 0).numpy()


def _tent(side: int) -> Float[np.ndarray, "S S 1"]:
    """Weights of a window's pixels: highest in the middle, lowest at the edges, nowhere 0."""
    line = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5).astype(np.float32)
    return np.outer(line, line)[..., None]


def _cells(pixels: int, grid: int, first: int, cells: int) -> Int[np.ndarray, " side"]:
    """The row (or column) of cells under each pixel of the finished picture, in which the original keeps its size.

    Args:
        pixels: of the original.
        grid: cells of the original.
        first: cells before it.
        cells: of the whole canvas.
    """
    parts, start = [], 0
    for count in (first, grid, cells - first - grid):
        width = round(count * pixels / grid)
        parts.append(start + (np.arange(width) + 0.5) * count / max(width, 1))
        start += count
    return np.concatenate(parts).astype(np.int64)
