"""What a region detector looks like: sizes that weights tell, and the conventions that each published layout brings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from xlxmert.core.errors import XlxmertError

LayoutKind = Literal["fpn", "c4"]


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """A two-stage detector whose inner features are a picture's visual tokens; the defaults are X-LXMERT's detector.

    ``layout`` brings all that its authors' programs fixed and that no weight tells:

    - ``fpn``: maskrcnn-benchmark's conventions (its fork for visual questions): strides sit in the 3x3 convolutions,
      norms have no epsilon, boxes include the pixel at their far edge, regions are pooled by RoIAlign from one of four
      levels, the features are those after fc6, background is the first class.
    - ``c4``: detectron2's with the weights of bottom-up attention's Caffe model: strides sit in the first 1x1
      convolutions, the stem's pooling rounds up, boxes end at their far edge, regions are pooled by RoIPool from one
      map and pass the last stage, dilated, whose mean is the feature; background is the last class.

    Raises:
        XlxmertError: a field is out of range, or fields do not fit each other.
    """

    layout: LayoutKind = "fpn"
    """Whose conventions hold."""
    stem: int = 64
    """Channels of the first convolution."""
    width: int = 256
    """Channels that the first stage gives; each further stage doubles them."""
    groups: int = 32
    """Groups of the 3x3 convolutions."""
    group_width: int = 8
    """Channels of a group in the first stage; each further stage doubles them."""
    blocks: tuple[int, ...] = (3, 8, 36, 3)
    """Blocks of the four stages; in ``c4`` the last stage belongs to the regions."""
    pyramid: int = 512
    """``fpn``: channels of the levels."""
    hidden: int = 512
    """Channels between a map and its proposals."""
    mlp: int = 2048
    """``fpn``: width of fc6 and fc7."""
    labels: int = 1600
    """Classes of things, background apart."""
    attributes: int = 0
    """Classes of attributes, none apart; 0: attributes are not told."""
    pooled: int = 7
    """A region is pooled to pooled x pooled."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Sides of the square anchors in pixels: one per level in ``fpn``, all on the one map in ``c4``."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Heights of the anchors over their widths."""
    considered: int = 1000
    """Proposals of a level that go on to the suppression of overlaps, best first."""
    proposed: int = 1000
    """Proposals that a picture keeps."""
    shortest: int = 800
    """Pictures are scaled to this shorter side, in pixels, ..."""
    longest: int = 1333
    """... unless the longer side would then exceed this."""

    def __post_init__(self) -> None:
        """Check every field."""
        if self.layout not in get_args(LayoutKind):
            raise XlxmertError(f"layout must be one of {', '.join(get_args(LayoutKind))} (found {self.layout!r})")
        for name in ("blocks", "anchor_sizes"):
            for value in getattr(self, name):
                _whole(value, f"every entry of {name}", 1)
        least = {"attributes": 0}
        for field in dataclasses.fields(self):
            if field.type is int:
                _whole(getattr(self, field.name), field.name, least.get(field.name, 1))
        self._check_agreement()

    def _check_agreement(self) -> None:
        """Check that the fields fit each other."""
        if len(self.blocks) != 4:
            raise XlxmertError(
                f"blocks must name four stages (found {self.blocks}): give their blocks, as (3, 4, 6, 3)"
            )
        if self.layout == "fpn" and len(self.anchor_sizes) != len(self.strides):
            raise XlxmertError(
                f"anchor_sizes must have one entry per level (found {self.anchor_sizes} for strides {self.strides}): "
                "give five"
            )
        if not self.anchor_ratios or not self.anchor_sizes or min(self.anchor_ratios) <= 0:
            raise XlxmertError(
                f"expected anchors of positive ratios, found sizes {self.anchor_sizes} and ratios {self.anchor_ratios}"
            )
        if self.longest < self.shortest:
            raise XlxmertError(f"longest must be at least shortest={self.shortest} (found {self.longest})")

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between neighbours on each map that makes proposals."""
        return (4, 8, 16, 32, 64) if self.layout == "fpn" else (16,)

    @property
    def multiple(self) -> int:
        """Both sides of the network's input are multiples of this: the levels of a pyramid double exactly."""
        return 32 if self.layout == "fpn" else 1

    @property
    def edge(self) -> int:
        """What is added to x1 - x0 to make a box's width: 1 where the pixel at the far edge belongs to the box."""
        return 1 if self.layout == "fpn" else 0

    @property
    def epsilon(self) -> float:
        """What is added to a norm's variance."""
        return 0.0 if self.layout == "fpn" else 1e-5

    @property
    def background(self) -> int:
        """The number of the class that stands for nothing at all."""
        return 0 if self.layout == "fpn" else self.labels

    @property
    def anchors(self) -> int:
        """Anchors at each place of a map."""
        return len(self.anchor_ratios) * (1 if self.layout == "fpn" else len(self.anchor_sizes))

    @property
    def regressed(self) -> int:
        """Classes for which the regions' boxes are refined: with ``fpn`` background too."""
        return self.labels + 1 if self.layout == "fpn" else self.labels

    @property
    def feature_width(self) -> int:
        """F, width of a region's feature."""
        return self.mlp if self.layout == "fpn" else self.outputs(3)

    def inner(self, stage: int) -> int:
        """Channels inside the blocks of a stage, counted from 0."""
        return self.groups * self.group_width << stage

    def outputs(self, stage: int) -> int:
        """Channels that a stage gives, counted from 0."""
        return self.width << stage

    def inputs(self, stage: int) -> int:
        """Channels that a stage gets, counted from 0."""
        return self.outputs(stage - 1) if stage else self.stem

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "DetectorConfig":
        """Build from ``to_dict``'s fields; those left out keep their defaults.

        Raises:
            XlxmertError: a field is unknown or out of range.
        """
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise XlxmertError(f"expected a detector's fields, found {', '.join(unknown)}: written by another version")
        whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**whole)


def _whole(value: Any, where: str, least: int) -> None:
    """Complain unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise XlxmertError(f"{where} must be a whole number of at least {least} (found {value!r}): change the preset")
