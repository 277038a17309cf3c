"""Pictures as the detectors read them: scaled, blue before red, means subtracted; exactly as published.

Wrong colours or means do not fail, they silently cost accuracy; so pixels come in as uint8 RGB, as everywhere at this
project's doors, and everything else happens here.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.models.detector.config import DetectorConfig

MEANS = (102.9801, 115.9465, 122.7717)
"""Of blue, green and red; nothing is divided."""


@dataclass(frozen=True)
class Prepared:
    """One picture for the network."""

    pixels: Float[Tensor, "3 H W"]
    """Blue, green, red; zeros at the right and below where it is padded."""
    size: tuple[int, int]
    """Height and width without padding."""
    scale: tuple[float, float]
    """How much larger it is than the picture, down and across."""


def grid_input(picture: UInt8[np.ndarray, "height width 3"], config: DetectorConfig) -> Prepared:
    """A picture whose grid cells are to be read: each side is cut to a multiple of 32, which squeezes it a little.

    Source: ``image_transform`` of X-LXMERT's ``feature_extraction/coco_extract_grid_feature.py``.
    """
    height, width = picture.shape[:2]
    scale = _scale(height, width, config)
    rows, columns = (max(int(scale * side) // 32, 1) * 32 for side in (height, width))
    pixels = interpolate(_centred(picture), rows, columns, height / rows, width / columns)
    return Prepared(pixels, (rows, columns), (rows / height, columns / width))


def box_input(picture: UInt8[np.ndarray, "height width 3"], config: DetectorConfig) -> Prepared:
    """A picture in which things are to be found: scaled alike down and across, then padded.

    Sources: ``image_transform`` of X-LXMERT's ``feature_extraction/coco_extract_bbox_feature.py``; for ``c4``
    detectron2's ``ResizeShortestEdge``, which rounds the pixels to whole numbers and averages where it shrinks.
    """
    height, width = picture.shape[:2]
    if config.layout == "c4":
        return _smooth_input(picture, config)
    scale = _scale(height, width, config)
    rows, columns = round(height * scale), round(width * scale)
    pixels = interpolate(_centred(picture), rows, columns, 1 / scale, 1 / scale)
    down, across = (-side % config.multiple for side in (rows, columns))
    return Prepared(F.pad(pixels, (0, across, 0, down)), (rows, columns), (scale, scale))


def cell_boxes(height: int, width: int, grid: int) -> Float[Tensor, "N 4"]:
    """The cells of a grid over the network's input, x0 y0 x1 y1 in whole pixels, row-major; a rest is left out."""
    row, column = (index.flatten() for index in torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij"))
    down, across = height // grid, width // grid
    return torch.stack([column * across, row * down, (column + 1) * across, (row + 1) * down], -1).float()


def interpolate(
    image: Float[Tensor, "height width C"], rows: int, columns: int, down: float, across: float
) -> Float[Tensor, "C rows columns"]:
    """Bilinear scaling without smoothing, as OpenCV's ``INTER_LINEAR`` does it: two weights per axis and pixel.

    OpenCV's packages do this in Intel's library, which places pixels in double precision, as here; its own code, which
    they fall back on, places them in single precision, up to 0.01 of 255 steps away where pictures are large.

    Args:
        image: the picture.
        rows: height of the result.
        columns: its width.
        down: pixels of the picture per row of the result.
        across: per column.
    """
    above, below, share = _neighbours(image.shape[0], rows, down)
    left, right, part = _neighbours(image.shape[1], columns, across)
    wide = image[:, left] * (1 - part[:, None]) + image[:, right] * part[:, None]  # (height, columns, C)
    scaled = wide[above] * (1 - share[:, None, None]) + wide[below] * share[:, None, None]  # (rows, columns, C)
    return scaled.permute(2, 0, 1).contiguous()


def _neighbours(size: int, count: int, step: float) -> tuple[Tensor, Tensor, Float[Tensor, " count"]]:
    """For each of ``count`` places the two pixels that it lies between, and the second one's weight."""
    place = ((torch.arange(count, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, size - 1)
    first = place.floor().long()
    return first, (first + 1).clamp(max=size - 1), (place - first).float()


def _smooth_input(picture: UInt8[np.ndarray, "height width 3"], config: DetectorConfig) -> Prepared:
    height, width = picture.shape[:2]
    scale = config.shortest / min(height, width)
    sides = [scale * height, scale * width]
    if max(sides) > config.longest:
        sides = [side * (config.longest / max(sides)) for side in sides]
    rows, columns = (int(side + 0.5) for side in sides)
    scaled = Image.fromarray(np.ascontiguousarray(picture)).resize((columns, rows), Image.Resampling.BILINEAR)
    pixels = _centred(np.asarray(scaled)).permute(2, 0, 1).contiguous()
    return Prepared(pixels, (rows, columns), (rows / height, columns / width))


def _scale(height: int, width: int, config: DetectorConfig) -> float:
    """How much a picture is scaled: its shorter side to ``shortest``, unless its longer one exceeds ``longest``."""
    scale = config.shortest / min(height, width)
    return config.longest / max(height, width) if round(scale * max(height, width)) > config.longest else scale


def _centred(picture: UInt8[np.ndarray, "height width 3"]) -> Float[Tensor, "height width 3"]:
    """Blue, green, red around zero."""
    return torch.from_numpy((picture[:, :, ::-1].astype(np.float32) - np.array(MEANS)).astype(np.float32))
