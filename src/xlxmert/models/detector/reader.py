"""From pictures to visual tokens: the features of grid cells, or of the boxes in which things were found."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.models.detector.config import DetectorConfig
from xlxmert.models.detector.heads import Reading
from xlxmert.models.detector.model import Detector
from xlxmert.models.detector.pictures import Prepared, box_input, cell_boxes, grid_input
from xlxmert.models.detector.selection import choose

Picture = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Regions:
    """The things that were found in a picture, best first; everything on the CPU."""

    features: Float[Tensor, "N F"]
    """The visual features."""
    boxes: Float[Tensor, "N 4"]
    """x0 y0 x1 y1 as shares of the picture's width and height; a far edge may lie a little outside [0, 1]."""
    labels: Int[Tensor, " N"]
    """The likeliest thing, from 0; background is not counted."""
    scores: Float[Tensor, " N"]
    """Its probability."""
    attributes: Int[Tensor, " N"] | None
    """The likeliest attribute, from 0; None where the detector tells none."""
    attribute_scores: Float[Tensor, " N"] | None
    """Its probability among all attributes."""
    size: tuple[int, int]
    """Height and width of the picture, in pixels."""

    @property
    def pixel_boxes(self) -> Float[Tensor, "N 4"]:
        """The boxes in the picture's pixels, as published feature files hold them."""
        height, width = self.size
        return self.boxes * self.boxes.new_tensor([width, height, width, height])


class RegionReader:
    """Reads pictures of any size with a detector, on the device where the detector is.

    Pictures that have one size in the network go through it together; each gives what it gives alone, up to rounding.

    Args:
        detector: with its weights.
        batch: at most so many pictures at once.
        half: compute in bfloat16 (autocast); boxes and overlaps stay in single precision.
        told: is told after each batch how many pictures were in it.

    Raises:
        UsageError: ``batch`` is below 1.
    """

    def __init__(
        self, detector: Detector, batch: int = 1, half: bool = False, told: Callable[[int], None] = lambda _: None
    ) -> None:
        """Take the parts; see the class."""
        if batch < 1:
            raise UsageError(f"expected a batch of at least 1 picture, found {batch}")
        self.detector, self.batch, self.half, self.told = detector, batch, half, told

    @torch.inference_mode()
    def grid(self, pictures: Sequence[Picture], cells: int = 8) -> Float[Tensor, "B N F"]:
        """The features of ``cells x cells`` equal cells of each picture, row-major, on the CPU (X-LXMERT, 4.1).

        Raises:
            UsageError: there are no pictures, or ``cells`` is below 1.
        """
        if cells < 1 or not pictures:
            raise UsageError(f"expected pictures and at least 1 cell per side, found {len(pictures)} and {cells}")
        prepared = [grid_input(picture, self.detector.config) for picture in pictures]
        found: dict[int, Tensor] = {}
        for group, pixels in self._groups(prepared):
            boxes = cell_boxes(pixels.shape[-2], pixels.shape[-1], cells).to(pixels.device)
            with self._precision():
                readings = self.detector(pixels, [boxes] * len(group))
            found |= {number: reading.features.cpu() for number, reading in zip(group, readings, strict=True)}
        return torch.stack([found[number] for number in range(len(pictures))])

    @torch.inference_mode()
    def boxes(self, pictures: Sequence[Picture], count: int = 36) -> list[Regions]:
        """The ``count`` best regions of each picture; fewer only where a tiny picture has fewer proposals.

        Raises:
            UsageError: ``count`` is below 1.
        """
        if count < 1:
            raise UsageError(f"expected at least 1 box per picture, found {count}")
        prepared = [box_input(picture, self.detector.config) for picture in pictures]
        found: dict[int, Regions] = {}
        for group, pixels in self._groups(prepared):
            with self._precision():
                maps = self.detector.maps(pixels)
                proposals = self.detector.propose(maps, [prepared[number].size for number in group])
                readings = self.detector.read(maps, proposals)
            for number, boxes, reading in zip(group, proposals, readings, strict=True):
                height, width = pictures[number].shape[:2]
                one = (boxes, reading, prepared[number], (height, width))
                found[number] = _regions(*one, count, self.detector.config)
        return [found[number] for number in range(len(pictures))]

    def _groups(self, prepared: Sequence[Prepared]) -> Iterator[tuple[list[int], Float[Tensor, "B 3 H W"]]]:
        """Pictures of one size in the network, at most a batch together: their numbers and pixels."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(prepared):
            by_shape.setdefault(tuple(one.pixels.shape), []).append(number)
        for numbers in by_shape.values():
            for start in range(0, len(numbers), self.batch):
                group = numbers[start : start + self.batch]
                yield group, torch.stack([prepared[number].pixels for number in group]).to(self.detector.device)
                self.told(len(group))

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        kind = self.detector.device.type
        return torch.autocast(kind, torch.bfloat16) if self.half else contextlib.nullcontext()


def _regions(
    proposals: Float[Tensor, "R 4"],
    reading: Reading,
    prepared: Prepared,
    size: tuple[int, int],
    count: int,
    config: DetectorConfig,
) -> Regions:
    """The best proposals of one picture with all that is told of them."""
    chosen = choose(proposals, reading, prepared.size, prepared.scale, count, config)
    height, width = size
    share = chosen.boxes.new_tensor([width, height, width, height])
    scores = attributes = None
    if reading.attributes is not None:
        scores, attributes = reading.attributes[chosen.index, :-1].softmax(1).cpu().max(1)  # the last is no attribute
    features, boxes = reading.features[chosen.index].cpu(), (chosen.boxes / share).cpu()
    return Regions(features, boxes, chosen.labels.cpu(), chosen.scores.cpu(), attributes, scores, size)
