"""R-precision: how often a picture's own caption scores higher than captions that are not its own.

Source: Xu et al. 2018 (AttnGAN), Sec. 4; with captions of other pictures, or the own one with a word swapped, in
X-LXMERT, Sec. 6.1 and App. E.1.
"""

import numpy as np

from xlxmert.core.axes import Float
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.metrics.fidelity import Spread


def own_first(scores: Float[np.ndarray, "B C"]) -> Float[np.ndarray, " B"]:
    """For each picture the chance, in [0, 1], that its own caption (the first) is ranked above all others.

    Where ``k`` captions share the highest score and the own one is among them, every order counts as equally likely:
    1 / k. A scorer that tells nothing apart gets what drawing lots gets.

    Args:
        scores: how well each caption fits, higher is better; infinite ones are allowed.

    Raises:
        UsageError: there is no picture, or nothing to choose from.
        XlxmertError: a score is NaN.
    """
    if scores.ndim != 2 or not len(scores) or scores.shape[1] < 2:
        raise UsageError(f"expected scores of pictures x at least 2 captions, found {scores.shape}: add captions")
    if np.isnan(scores).any():
        raise XlxmertError(
            f"expected scores that are numbers, found NaN for {int(np.isnan(scores).sum())} of {scores.size} pairs: "
            "the weights may be damaged or half precision overflowed; try float32"
        )
    level = scores == scores.max(axis=1, keepdims=True)  # (B, C)
    chances: np.ndarray = level[:, 0] / level.sum(axis=1)
    return chances


def r_precision(chances: Float[np.ndarray, " B"], folds: int = 1) -> Spread:
    """The mean of `own_first`'s chances, and its spread over contiguous folds (ten in the literature).

    Nothing is left out where folds do not come out even, so a fold may hold one picture more than another.

    Args:
        chances: one per picture, in [0, 1].
        folds: parts that the pictures are cut into; one gives no spread.

    Raises:
        UsageError: there are fewer pictures than folds.
    """
    if not 1 <= folds <= len(chances):
        raise UsageError(f"expected 1 to {len(chances)} folds, as many as pictures, found {folds}: change it")
    parts = np.array([part.mean() for part in np.array_split(chances, folds)])
    return Spread(float(chances.mean()), Spread.of(parts).std)
