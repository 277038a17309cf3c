"""How close painted pictures come to real ones as sets: Inception Score, FID and KID of whatever network's features.

All in numpy's float64 and without SciPy. A value means something only beside the network that made the features and the
number of pictures: whoever reports one reports all three.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xlxmert.core.axes import Float
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import numpy_generator

SPLITS = 10
"""Parts of an Inception Score, as published ones have."""
SUBSETS = 100
"""Draws of a KID, as torch-fidelity has."""
SUBSET_SIZE = 1000
"""Pictures of each side in a draw, where there are as many."""


@dataclass(frozen=True)
class Spread:
    """A mean and how far its parts lie from it."""

    mean: float
    std: float | None
    """Standard deviation of the parts, over their number; None where there is a single one."""

    @classmethod
    def of(cls, parts: Float[np.ndarray, " parts"]) -> "Spread":
        """The mean of some parts and their spread."""
        return cls(float(parts.mean()), float(parts.std()) if len(parts) > 1 else None)


@dataclass(frozen=True)
class KernelDistance(Spread):
    """A KID and how it was drawn."""

    subsets: int
    """Draws."""
    size: int
    """Pictures of each side in a draw."""


def inception_score(predictions: Float[np.ndarray, "B L"], splits: int = SPLITS, logits: bool = True) -> Spread:
    """Inception Score, ``exp(E KL(p(y|x) || p(y)))`` of each split (Salimans et al. 2016, Sec. 4); higher is better.

    The splits are contiguous parts of the given order, and p(y) is each one's own mean, as in the authors' code
    (``improved-gan/inception_score/model.py``).

    Args:
        predictions: scores of classes, one row per picture.
        splits: how many parts.
        logits: whether the rows are logits; else they are probabilities and sum to 1.

    Returns:
        the mean over the splits, from 1 to the number of classes, and their spread.

    Raises:
        UsageError: there are fewer pictures than splits.
        XlxmertError: a value is not finite, or a row of probabilities does not sum to 1.
    """
    rows = _checked(predictions, "predictions", splits)
    if logits:
        top = rows - rows.max(axis=1, keepdims=True)
        log_p = top - np.log(np.exp(top).sum(axis=1, keepdims=True))  # (B, L)
        p = np.exp(log_p)
    else:
        p = _probabilities(rows)
        log_p = np.log(p, where=p > 0, out=np.zeros_like(p))
    ends = [part * len(p) // splits for part in range(splits + 1)]
    parts = [slice(*pair) for pair in pairwise(ends)]
    return Spread.of(np.array([_split_score(p[part], log_p[part]) for part in parts]))


def frechet_distance(one: Float[np.ndarray, "B F"], other: Float[np.ndarray, "C E"]) -> float:
    """FID, ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))`` (Heusel et al. 2017, Eq. 6); 0 is best.

    The trace of the root is the sum of the square roots of the eigenvalues of S1 S2. They are taken as the singular
    values of R1 R2', where R1 and R2 come from QR factorisations of the centred features (Si = Ri' Ri): the same
    numbers without a square root of rounding errors, also where there are fewer pictures than features.

    Args:
        one: features, one row per picture; covariances are over B - 1, as ``np.cov`` has them.
        other: those of the other set.

    Raises:
        UsageError: the widths differ, or a set has fewer than two pictures.
        XlxmertError: a value is not finite.
    """
    one, other = _pair(one, other, 2)
    apart = one.mean(axis=0) - other.mean(axis=0)  # (F,)
    first, second = _root(one), _root(other)  # (at most F, F) each
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(apart @ apart + np.square(first).sum() + np.square(second).sum() - 2 * shared)


def polynomial_mmd(one: Float[np.ndarray, "B F"], other: Float[np.ndarray, "C E"]) -> float:
    """The unbiased squared maximum mean discrepancy under the kernel ``(x y / F + 1)^3`` (Bińkowski et al. 2018, 3).

    Raises:
        UsageError: the widths differ, or a set has fewer than two pictures.
        XlxmertError: a value is not finite.
    """
    one, other = _pair(one, other, 2)
    return _within(one) + _within(other) - 2 * float(_kernel(one, other).mean())


def kernel_distance(
    one: Float[np.ndarray, "B F"],
    other: Float[np.ndarray, "C E"],
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 0,
) -> KernelDistance:
    """KID: the mean of `polynomial_mmd` over random subsets; unbiased, so it may be a little below 0.

    Where a subset would be all that there is of both sides, it is computed once and has no spread.

    Args:
        one: features, one row per picture.
        other: those of the other set.
        subsets: how many draws.
        size: pictures of each side in a draw, without repeats; at most what the smaller side has.
        seed: each draw is a pure function of it and of the draw's number.

    Raises:
        UsageError: the widths differ, a set has fewer than two pictures, or there is no subset.
        XlxmertError: a value is not finite.
    """
    one, other = _pair(one, other, 2)
    size = min(size, len(one), len(other))
    if size < 2 or subsets < 1:
        raise UsageError(f"expected subsets of at least 2 pictures, found {subsets} of {size}: ask for more")
    if size == len(one) == len(other):
        subsets = 1
    found = np.empty(subsets)
    for number in range(subsets):
        rng = numpy_generator("kid", seed, number)
        rows = (rng.choice(len(side), size, replace=False) for side in (one, other))
        mine, theirs = (side[chosen] for side, chosen in zip((one, other), rows, strict=True))
        found[number] = polynomial_mmd(mine, theirs)
    spread = Spread.of(found)
    return KernelDistance(spread.mean, spread.std, subsets, size)


def _split_score(p: Float[np.ndarray, "B L"], log_p: Float[np.ndarray, "B L"]) -> float:
    mean = p.mean(axis=0)  # (L,)
    log_mean = np.log(mean, where=mean > 0, out=np.zeros_like(mean))
    return float(np.exp((p * (log_p - log_mean)).sum(axis=1).mean()))


def _root(features: Float[np.ndarray, "B F"]) -> Float[np.ndarray, "R F"]:
    """R with R' R the covariance."""
    centred = features - features.mean(axis=0)
    root: np.ndarray = np.linalg.qr(centred, mode="r") / np.sqrt(len(features) - 1)
    return root


def _kernel(one: Float[np.ndarray, "B F"], other: Float[np.ndarray, "C F"]) -> Float[np.ndarray, "B C"]:
    kernel: np.ndarray = (one @ other.T / one.shape[1] + 1) ** 3
    return kernel


def _within(side: Float[np.ndarray, "B F"]) -> float:
    """The mean kernel of different pictures of one side."""
    kernel = _kernel(side, side)
    return float((kernel.sum() - np.trace(kernel)) / (len(side) * (len(side) - 1)))


def _pair(
    one: Float[np.ndarray, "B F"], other: Float[np.ndarray, "C E"], least: int
) -> tuple[Float[np.ndarray, "B F"], Float[np.ndarray, "C F"]]:
    one, other = _checked(one, "features", least), _checked(other, "features", least)
    if one.shape[1] != other.shape[1]:
        raise UsageError(
            f"expected features of one width, found {one.shape[1]} and {other.shape[1]}: take both from one network"
        )
    return one, other


def _checked(rows: Float[np.ndarray, "B F"], what: str, least: int) -> Float[np.ndarray, "B F"]:
    """The rows in float64, enough of them and finite."""
    if rows.ndim != 2 or len(rows) < least or not rows.shape[1]:
        raise UsageError(
            f"expected {what} of at least {least} pictures, one row each, found {rows.shape}: add pictures"
        )
    if not np.isfinite(rows).all():
        broken = int((~np.isfinite(rows)).any(axis=1).sum())
        raise XlxmertError(
            f"expected finite {what}, found others for {broken} of {len(rows)} pictures: "
            "half precision may have overflowed; try float32"
        )
    return rows.astype(np.float64)


def _probabilities(rows: Float[np.ndarray, "B L"]) -> Float[np.ndarray, "B L"]:
    sums = rows.sum(axis=1)
    if rows.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        worst = float(sums[np.abs(sums - 1).argmax()])
        raise XlxmertError(
            f"expected probabilities that sum to 1, found a row from {rows.min():g} that sums to {worst:g}: "
            "pass logits=True for logits"
        )
    normal: np.ndarray = rows / sums[:, None]
    return normal
