"""R-precision: ties, folds and refusals."""

import numpy as np
import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.metrics.r_precision import own_first, r_precision


def test_the_own_caption_must_beat_all_others() -> None:
    scores = np.array([[3, 1, 2], [1, 3, 2], [2, 2, 1], [2, 2, 2], [-np.inf, 0, 1], [np.inf, np.inf, 0]])
    assert own_first(scores).tolist() == pytest.approx([1, 0, 1 / 2, 1 / 3, 0, 1 / 2])


def test_a_scorer_that_tells_nothing_apart_gets_what_lots_get() -> None:
    assert r_precision(own_first(np.zeros((50, 100)))).mean == pytest.approx(0.01)


def test_without_ties_it_is_how_often_the_first_is_the_largest() -> None:
    scores = np.random.RandomState(0).standard_normal((500, 10))
    scores[:, 0] += 1
    assert own_first(scores).mean() == pytest.approx((scores.argmax(1) == 0).mean())


def test_folds_are_contiguous_and_leave_nobody_out() -> None:
    chances = np.array([1.0] * 6 + [0.0] * 5)
    whole, folded = r_precision(chances), r_precision(chances, folds=2)
    assert (whole.mean, whole.std) == (pytest.approx(6 / 11), None)
    assert (folded.mean, folded.std) == (pytest.approx(6 / 11), pytest.approx(0.5))  # 6 of 6 and 0 of 5


def test_refusals() -> None:
    with pytest.raises(UsageError, match="at least 2 captions"):
        own_first(np.zeros((3, 1)))
    with pytest.raises(XlxmertError, match="NaN for 1 of 4"):
        own_first(np.array([[1, np.nan], [0, 1]]))
    with pytest.raises(UsageError, match="1 to 3 folds"):
        r_precision(np.ones(3), folds=4)
