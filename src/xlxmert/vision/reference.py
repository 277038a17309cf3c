"""What a visual vocabulary remembers of its features, so that those somebody holds can be told from those it expects.

Features that do not match fail nowhere and cost accuracy everywhere: a swapped colour, a missing mean, a transposed
grid. A reference keeps the features of a few known pictures and how the training's features were spread; also how their
mean would have moved under the usual mistakes (`MISTAKES`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from xlxmert.core.axes import Float, Tensor

REFERENCE = "reference."
"""What its tensors are called in a file."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Means and deviations that are subtracted and divided by most often, of red, green and blue in [0, 1]."""


def _normalised(pixels: Tensor) -> Tensor:
    mean, deviation = (pixels.new_tensor(values)[:, None, None] for values in IMAGENET)
    return (pixels / 2 + 0.5 - mean) / deviation


MISTAKES: dict[str, Callable[[Tensor], Tensor]] = {
    "red and blue were swapped": lambda pixels: pixels.flip(1),
    "pixels ran from 0 to 1 where 0 to 255 was meant": lambda pixels: (pixels + 1) / 255 - 1,
    "pixels ran from 0 to 255 where 0 to 1 was meant": lambda pixels: (pixels + 1) * 255 - 1,
    "pixels ran from 0 to 1 where -1 to 1 was meant": lambda pixels: (pixels + 1) / 2,
    "ImageNet's means were subtracted beforehand": _normalised,
}
"""What may have happened to pixels in [-1, 1] before the backbone saw them."""


@dataclass(frozen=True)
class Reference:
    """How features should look."""

    golden: Float[Tensor, "G N F"]
    """Of the known pictures; G is 0 where only statistics are known."""
    mean: Float[Tensor, "N F"]
    """Mean feature of each cell over pictures of the training."""
    deviation: Float[Tensor, " F"]
    """Standard deviation of each channel over all cells."""
    length: float
    """Mean Euclidean length of a cell's feature."""
    mistaken: Float[Tensor, "M F"]
    """Mean feature of the same pictures after each of `MISTAKES`; M is 0 where these are not known."""
    size: int = 0
    """Side to which pictures were brought; 0: not known."""
    crop: bool = False
    """Whether their centre was kept; otherwise they were squashed."""
    pictures: int = 0
    """How many pictures the statistics are of."""
    placed: bool = True
    """Whether ``mean`` tells places apart."""

    @classmethod
    def of(cls, features: Float[Tensor, "P N F"], **more: Any) -> "Reference":
        """The statistics of features, with other fields as they are given."""
        rows = features.float()
        known: dict[str, Any] = {
            "golden": rows[:0],
            "mean": rows.mean(0),
            "deviation": rows.flatten(0, 1).std(0),
            "length": float(rows.norm(dim=-1).mean()),
            "mistaken": rows[:0, 0],
            "pictures": len(rows),
        }
        return cls(**known | more)

    def tensors(self) -> dict[str, Tensor]:
        """What a file keeps as tensors."""
        names = ("golden", "mean", "deviation", "mistaken")
        return {f"{REFERENCE}{name}": getattr(self, name).cpu() for name in names}

    def told(self) -> str:
        """What a file keeps beside them, as JSON."""
        names = ("length", "size", "crop", "pictures")
        return json.dumps({name: getattr(self, name) for name in names})

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> "Reference | None":
        """From a file's content; None where there is none, as in files of earlier versions."""
        if "reference" not in metadata:
            return None
        own = {name.removeprefix(REFERENCE): value for name, value in tensors.items() if name.startswith(REFERENCE)}
        facts: dict[str, Any] = {**own, **json.loads(metadata["reference"])}
        return cls(**facts)


def measure(
    look: Callable[[Float[Tensor, "B 3 S S"]], Float[Tensor, "B N F"]],
    golden: Float[Tensor, "G 3 S S"],
    sample: Float[Tensor, "P 3 S S"],
    size: int,
    crop: bool,
) -> Reference:
    """The reference of a way to look at pixels in [-1, 1].

    Args:
        look: gives cells' features.
        golden: the known pictures.
        sample: pictures of the training.
        size: side of both.
        crop: how they were brought to it.
    """
    mistaken = torch.stack([look(mistake(sample)).flatten(0, 1).mean(0) for mistake in MISTAKES.values()])
    return Reference.of(look(sample), golden=look(golden), mistaken=mistaken, size=size, crop=crop)
