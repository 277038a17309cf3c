"""What an image generator and its discriminator look like: frozen settings that check themselves."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from xlxmert.core.errors import XlxmertError

C = TypeVar("C")


def _whole(value: Any, where: str, least: int) -> None:
    """Complain unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise XlxmertError(f"{where} must be a whole number of at least {least} (found {value!r}): change the preset")


def _widths(widths: tuple[int, ...], where: str) -> None:
    """Complain unless there is at least one width and all are positive."""
    if not widths:
        raise XlxmertError(f"{where} must name at least one block (found none): give one width per block")
    for width in widths:
        _whole(width, f"every entry of {where}", 1)


def _build(kind: type[C], names: Iterable[str], fields: Mapping[str, Any]) -> C:
    """A config from plain values, with lists for tuples; complains about unknown fields."""
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise XlxmertError(
            f"expected the fields of a {kind.__name__}, found {', '.join(unknown)}: written by another version"
        )
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


@dataclass(frozen=True)
class GeneratorConfig:
    """A SPADE generator from a grid of features to a picture; the defaults are the paper's (X-LXMERT, appendix D.1).

    Raises:
        XlxmertError: a width is not positive, widths and groups do not divide, or the tuples disagree in length.
    """

    feature_width: int = 2048
    """Width F of the visual features."""
    grid: int = 8
    """Cells on one side of the feature grid."""
    bottleneck: int = 256
    """Width after the first 1x1 convolution and tanh; 0: the features are used as they are."""
    groups: int = 4
    """Groups of the two stem convolutions."""
    stem: int = 32
    """Channels of the map that enters the first block."""
    condition: int = 32
    """Channels of the map that SPADE reads."""
    trunk: int = 0
    """Residual blocks at the size of the grid, before the first upsampling."""
    widths: tuple[int, ...] = (32, 32, 32, 32, 32)
    """Output channels of every block; each block doubles the size."""
    modulated: int = -1
    """How many of the first blocks have SPADE; the others follow `rest`; -1: all."""
    rest: Literal["instance", "none"] = "none"
    """Normalisation in blocks without SPADE."""
    spade_hidden: int | tuple[int, ...] = 128
    """Hidden channels of SPADE: one number, or one per block."""
    modulation_size: int = 0
    """Largest side at which SPADE's scale and shift are computed; larger maps get them upsampled; 0: no limit."""
    skip: Literal["bilinear", "subpixel"] = "bilinear"
    """How a block's skip grows: interpolated, or each cell's own 2x2 pixels from a convolution (Shi et al. 2016)."""
    upsample_late: bool = False
    """In blocks without SPADE, convolve once before the upsampling: a quarter of the work at the largest sizes."""
    head: Literal["straight", "running"] = "straight"
    """Every block's picture is upsampled straight to full size, or their running sum is doubled at each block."""
    head_kernel: Literal[1, 3] = 3
    """Kernel of the convolutions to red, green and blue."""
    codes: int = 0
    """Rows K of a table of looks, one for each code, learned, which join the codes' features; 0: features alone. A
    centroid tells where a code's cells lie in feature space, a look what they show."""
    look: int = 96
    """Width L of a look."""
    patches: bool = False
    """Add to the picture each cell's own patch, a linear map of its feature, so that the blocks learn only what
    neighbours and fine detail change."""
    spectral: bool = True
    """Spectral norm on the convolutions of stem and blocks."""
    noise: bool = True
    """Add one channel of Gaussian noise after every norm, with a learned strength."""

    def __post_init__(self) -> None:
        """Check every field."""
        _widths(self.widths, "widths")
        _widths(self.spade_hidden if isinstance(self.spade_hidden, tuple) else (self.spade_hidden,), "spade_hidden")
        for name in ("feature_width", "grid", "groups", "stem", "condition", "look"):
            _whole(getattr(self, name), name, 1)
        for name in ("bottleneck", "trunk", "modulation_size", "codes"):
            _whole(getattr(self, name), name, 0)
        _whole(self.modulated, "modulated", -1)
        self._check_agreement()

    def _check_agreement(self) -> None:
        """Check that the fields fit each other."""
        if isinstance(self.spade_hidden, tuple) and len(self.spade_hidden) != len(self.widths):
            raise XlxmertError(
                f"spade_hidden must be one number or one per block (found {len(self.spade_hidden)} numbers): "
                f"give {len(self.widths)} of them"
            )
        if self.modulated > len(self.widths):
            raise XlxmertError(
                f"modulated must not exceed {len(self.widths)} blocks (found {self.modulated}): -1 is all"
            )
        for name, width in (("bottleneck", self.stem_input), ("stem", self.stem), ("condition", self.condition)):
            if width % self.groups:
                raise XlxmertError(f"{name} must be a multiple of groups={self.groups} (found {width}): change either")
        choices = {
            "head": ("straight", "running"),
            "rest": ("instance", "none"),
            "skip": ("bilinear", "subpixel"),
            "head_kernel": (1, 3),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise XlxmertError(
                    f"{name} must be one of {allowed} (found {getattr(self, name)!r}): change the preset"
                )

    @property
    def width(self) -> int:
        """Width of what a cell brings: its feature and, with a table, its look."""
        return self.feature_width + (self.look if self.codes else 0)

    @property
    def patch(self) -> int:
        """Side of a cell in the picture, in pixels."""
        return self.size // self.grid

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "GeneratorConfig":
        """Build from ``to_dict``'s fields; those left out keep their defaults.

        Raises:
            XlxmertError: a field is unknown or out of range.
        """
        return _build(cls, (field.name for field in dataclasses.fields(cls)), fields)

    @property
    def stem_input(self) -> int:
        """Channels that the stem convolutions read."""
        return self.bottleneck or self.width

    @property
    def size(self) -> int:
        """Side of the pictures, in pixels."""
        return self.grid << len(self.widths)

    @property
    def spade_blocks(self) -> int:
        """How many of the first blocks have SPADE."""
        return len(self.widths) if self.modulated < 0 else self.modulated

    def hidden_of(self, block: int) -> int:
        """Hidden channels of SPADE in this block."""
        return self.spade_hidden if isinstance(self.spade_hidden, int) else self.spade_hidden[block]

    def late(self, block: int) -> bool:
        """Whether this block convolves once before it upsamples."""
        return self.upsample_late and block >= self.spade_blocks

    def modulation_of(self, size: int) -> int:
        """Side at which the scale and shift of a map of side ``size`` are computed."""
        return min(size, self.modulation_size) if self.modulation_size else size


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A residual discriminator with an adversarial and a code head; the defaults are the paper's (appendix D.2).

    Raises:
        XlxmertError: a width or a count is not positive.
    """

    feature_width: int = 2048
    """Width F of the codebook's centroids."""
    codes: int = 10000
    """Number K of visual codes."""
    widths: tuple[int, ...] = (64, 64, 64, 64, 64, 64)
    """Output channels of every block; all but the last halve the size."""
    normalised_from: int = 0
    """First block with instance norm; at full size a norm costs more than the convolutions."""
    spectral: bool = True
    """Spectral norm on all convolutions but the projection to features."""

    def __post_init__(self) -> None:
        """Check every field."""
        _widths(self.widths, "widths")
        for name in ("feature_width", "codes"):
            _whole(getattr(self, name), name, 1)
        _whole(self.normalised_from, "normalised_from", 0)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "DiscriminatorConfig":
        """Build from ``to_dict``'s fields; those left out keep their defaults.

        Raises:
            XlxmertError: a field is unknown or out of range.
        """
        return _build(cls, (field.name for field in dataclasses.fields(cls)), fields)
