"""Why features differ: mistakes are made on purpose until one of them gives what is held."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import square, to_floats
from xlxmert.vision.reference import MISTAKES, Reference
from xlxmert.vision.vocabulary import FeatureExtractor

TOLERANCE = 0.1
"""Features are the same if they differ by less than this share of their spread: bfloat16 and a JPEG decoder of its own
stay below."""
OTHER_SIZES = (128, 192, 224, 256, 320, 384, 448, 512)
"""Sides in pixels that pictures may have been brought to instead."""
NEAR = 0.3
"""Means that lie nearer than this, in deviations, may be of other pictures; no mistake is named for them alone."""
BETTER = 0.4
"""A mistake is named where it leaves less than this share of the difference."""

Turn = Callable[[Tensor], Tensor]


def _grid(turn: Callable[[Tensor], Tensor]) -> Turn:
    """A change of a grid's places, for features (..., N, F)."""

    def turned(features: Tensor) -> Tensor:
        side = round(features.shape[-2] ** 0.5)
        if side * side != features.shape[-2]:
            return features
        return turn(features.reshape(*features.shape[:-2], side, side, -1)).flatten(-3, -2)

    return turned


PLACES: dict[str, Turn] = {
    "": lambda features: features,
    "rows and columns of the grid were swapped": _grid(lambda grid: grid.transpose(-3, -2)),
    "the grid was mirrored, left for right": _grid(lambda grid: grid.flip(-2)),
    "the grid was upside down": _grid(lambda grid: grid.flip(-3)),
}
"""Orders that cells may have; each undoes itself."""


@dataclass(frozen=True)
class Explained:
    """What was found out."""

    error: float
    """Difference that is left, as a share of the spread."""
    causes: tuple[str, ...] = ()
    """Mistakes that explain the features; none where they are as they should be, or where nothing explains them."""
    before: float = 0.0
    """Difference without any mistake."""

    @property
    def solved(self) -> bool:
        """Whether the causes, if any, leave nothing to explain."""
        return self.error < TOLERANCE


@dataclass
class Views:
    """The ways in which pictures may have been looked at, each computed when it is first asked for."""

    extractor: FeatureExtractor
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    size: int
    crop: bool
    _known: dict[str, Tensor | None] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The right way first."""
        fit = "squashed" if self.crop else "cropped to their centre"
        return ["", *MISTAKES, f"pictures were {fit}", *(f"pictures were brought to {s} pixels" for s in self._sizes())]

    def seen(self, name: str) -> Float[Tensor, "P N F"] | None:
        """The features of all pictures in such a view; None where the backbone cannot look so."""
        if name not in self._known:
            try:
                self._known[name] = self._seen(name)
            except XlxmertError:  # another size may not be divisible
                self._known[name] = None
        return self._known[name]

    def _sizes(self) -> list[int]:
        return [size for size in OTHER_SIZES if size != self.size]

    def _seen(self, name: str) -> Tensor:
        size = next((s for s in self._sizes() if name == f"pictures were brought to {s} pixels"), self.size)
        crop = self.crop ^ (name.startswith("pictures were") and size == self.size)
        change: Turn = MISTAKES.get(name, PLACES[""])
        features = []
        for picture in self.pictures:
            stack = torch.from_numpy(square(Image.fromarray(np.ascontiguousarray(picture)), size, crop))[None]
            features.append(self.extractor.look(change(to_floats(stack)).contiguous()))
        return torch.cat(features).float().cpu()


def explain(held: Float[Tensor, "P N F"], views: Views) -> Explained:
    """Which mistakes turn what should have been seen into what is held: none, or else the fewest.

    Args:
        held: features of the views' pictures, in their order.
        views: of the same pictures.
    """
    right = views.seen("")
    assert right is not None
    before = _difference(held, right)
    best = Explained(before, (), before)
    for causes, expected in _tries(held, views):
        error = _difference(held, expected)
        if error < TOLERANCE:
            return Explained(error, causes, before)
        best = min(best, Explained(error, causes, before), key=lambda one: one.error)
    return Explained(before, (), before) if best.error > before * BETTER else best


def explain_statistics(held: Float[Tensor, "P N F"], reference: Reference) -> Explained:
    """The same from means alone, for pictures of one's own; only what explains much more than no mistake is named."""
    spread = reference.deviation.clamp(min=1e-6)
    mean, centre = held.float().flatten(0, 1).mean(0), reference.mean.mean(0)

    def far(found: Tensor, wanted: Tensor) -> float:
        return float(((found - wanted) / spread).square().mean().sqrt())

    before = far(mean, centre)
    scale = float(held.float().norm(dim=-1).mean()) / max(reference.length, 1e-12)
    tries = {_scaled(scale): far(mean / max(scale, 1e-12), centre)} if not 0.5 < scale < 2 else {}
    tries |= {name: far(mean, one) for name, one in zip(MISTAKES, reference.mistaken, strict=False)}
    if float(mean.abs().mean()) < 0.05 * float(centre.abs().mean()):
        tries["the mean was subtracted"] = 0.0
    cause = min(tries, key=lambda name: tries[name], default="")
    if before > NEAR and cause and tries[cause] < BETTER * before:
        return Explained(before, (cause,), before)
    return Explained(before, (_scaled(scale),), before) if not 0.5 < scale < 2 else _places(held, reference, before)


def _places(held: Tensor, reference: Reference, before: float) -> Explained:
    """Whether the cells' means lie in another order than those of the training."""
    if not reference.placed or reference.mean.shape[0] != held.shape[1]:
        return Explained(before, (), before)
    wanted, found = (mean - mean.mean(0) for mean in (reference.mean, held.float().mean(0)))
    errors = {name: float((turn(found) - wanted).square().sum()) for name, turn in PLACES.items()}
    best = min(errors, key=lambda name: errors[name])
    named = best and errors[best] < BETTER * errors[""]
    return Explained(before, (best,) if named else (), before)


def _tries(held: Tensor, views: Views) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """All combinations of one mistake of each kind, those of fewer mistakes first."""
    combined = list(itertools.product(views.names(), PLACES, ("", "values")))
    for view, place, values in sorted(combined, key=lambda names: sum(bool(name) for name in names)):
        seen = views.seen(view)
        if seen is None or seen.shape != held.shape:
            continue
        expected = PLACES[place](seen)
        changes = _values(held, expected) if values else {"": expected}
        for value, changed in changes.items():
            yield tuple(name for name in (view, place, value) if name), changed


def _values(held: Tensor, expected: Tensor) -> Mapping[str, Tensor]:
    """What numbers may have gone through, made of the expected ones, as near to the held ones as it goes."""
    scale = float((held * expected).sum() / expected.square().sum().clamp(min=1e-12))
    rows, wanted = held.flatten(0, 1), expected.flatten(0, 1)
    moved = wanted - wanted.mean(0) + rows.mean(0)
    slope = rows.std(0) / wanted.std(0).clamp(min=1e-12)
    own = (wanted - wanted.mean(0)) * slope + rows.mean(0)
    return {
        _scaled(scale): expected * scale,
        "each feature was brought to length 1": expected / expected.norm(dim=-1, keepdim=True).clamp(min=1e-12),
        "a constant was added to or subtracted from each channel, such as a mean": moved.view_as(expected),
        "each channel was scaled and shifted by itself, such as to mean 0 and deviation 1": own.view_as(expected),
    }


def _scaled(scale: float) -> str:
    return f"all numbers were multiplied by {scale:.3g}"


def _difference(held: Tensor, expected: Tensor) -> float:
    """Root mean square difference as a share of the expected features' spread."""
    spread = (held - held.flatten(0, 1).mean(0)).square().mean().sqrt()
    return float((held - expected).square().mean().sqrt() / spread.clamp(min=1e-12))
