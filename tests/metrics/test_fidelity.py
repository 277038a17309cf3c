"""FID, KID and Inception Score: closed forms, properties, and every refusal; others' numbers are in tests/golden."""

import numpy as np
import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.metrics.fidelity import frechet_distance, inception_score, kernel_distance, polynomial_mmd


def normal(seed: int, pictures: int, width: int) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal((pictures, width))


def with_moments(features: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The features, moved so that their sample mean and covariance are exactly these."""
    centred = features - features.mean(axis=0)
    own = np.linalg.cholesky(np.cov(centred, rowvar=False))
    return centred @ np.linalg.inv(own).T @ root.T + mean


def test_fid_of_known_gaussians_is_the_closed_form() -> None:
    one = with_moments(normal(0, 60, 3), np.array([1.0, 2, 3]), np.diag([1.0, 2, 3]))
    other = with_moments(normal(1, 40, 3), np.array([1.0, 0, 3]), np.diag([2.0, 2, 5]))
    # diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2
    assert frechet_distance(one, other) == pytest.approx(4 + 1 + 0 + 4, rel=1e-12)


@pytest.mark.parametrize(("pictures", "width"), [(50, 8), (8, 50)])
def test_fid_is_a_distance_that_rotation_and_shift_do_not_change(pictures: int, width: int) -> None:
    one, other = normal(2, pictures, width), 1.5 * normal(3, pictures + 5, width) + 0.3
    turn = np.linalg.qr(normal(4, width, width))[0]
    distance = frechet_distance(one, other)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9) and distance > 1
    assert frechet_distance(other, one) == pytest.approx(distance, rel=1e-12)
    assert frechet_distance(one @ turn + 7, other @ turn + 7) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(one[::-1], other) == pytest.approx(distance, rel=1e-12)


def test_fid_is_the_sum_of_roots_of_eigenvalues() -> None:
    one, other = normal(5, 90, 6) @ normal(6, 6, 6), normal(7, 70, 6) @ normal(8, 6, 6)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    apart = one.mean(0) - other.mean(0)
    expected = apart @ apart + np.trace(first) + np.trace(second) - 2 * roots
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-10)


def test_single_precision_features_are_computed_in_double() -> None:
    one, other = (normal(seed, 40, 5).astype(np.float32) + 1000 for seed in (1, 2))
    exact = frechet_distance(one.astype(np.float64), other.astype(np.float64))
    assert frechet_distance(one, other) == exact
    assert kernel_distance(one, other).mean == kernel_distance(one.astype(np.float64), other.astype(np.float64)).mean


def test_mmd_is_the_mean_over_pairs_of_different_pictures() -> None:
    one, other = normal(0, 7, 4), normal(1, 5, 4) + 0.5
    kernel = lambda a, b: (a @ b / 4 + 1) ** 3  # noqa: E731
    within = [
        np.mean([kernel(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j])
        for side in (one, other)
    ]
    across = np.mean([kernel(a, b) for a in one for b in other])
    assert polynomial_mmd(one, other) == pytest.approx(sum(within) - 2 * across, rel=1e-12)


def test_mmd_is_unbiased() -> None:
    """Of two halves of one population it is as often below 0 as above, where a biased one never is."""
    found = [polynomial_mmd(normal(2 * i, 20, 3), normal(2 * i + 1, 20, 3)) for i in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert 0.3 < np.mean(np.array(found) < 0) < 0.8


def test_kid_is_the_mean_over_draws_that_the_seed_names() -> None:
    one, other = normal(0, 60, 4), normal(1, 50, 4) + 0.2
    found = kernel_distance(one, other, subsets=20, size=15, seed=3)
    assert found == kernel_distance(one, other, subsets=20, size=15, seed=3)
    assert found.mean != kernel_distance(one, other, subsets=20, size=15, seed=4).mean
    assert (found.subsets, found.size) == (20, 15) and found.std is not None and found.std > 0
    assert found.mean == pytest.approx(polynomial_mmd(one, other), abs=4 * found.std / np.sqrt(20))
    few = kernel_distance(one, other, subsets=5, size=15, seed=3)
    assert few.mean != found.mean and few.std is not None


def test_kid_of_all_pictures_is_one_number_without_a_spread() -> None:
    one, other = normal(0, 30, 4), normal(1, 30, 4)
    found = kernel_distance(one, other)
    assert found.mean == pytest.approx(polynomial_mmd(one, other))
    assert (found.std, found.subsets, found.size) == (None, 1, 30)
    assert kernel_distance(one, other[:20], subsets=4).subsets == 4  # the larger side is still drawn from


def test_inception_score_of_the_extremes() -> None:
    sure = np.eye(5)[np.arange(100) % 5]
    assert inception_score(sure, logits=False).mean == pytest.approx(5)  # sure of each, all equally often
    assert inception_score(1000 * sure).mean == pytest.approx(5)
    assert inception_score(np.ones((30, 7))).mean == pytest.approx(1)  # never sure
    assert inception_score(np.eye(7)[np.zeros(30, int)], logits=False).mean == pytest.approx(1)  # always the same
    assert inception_score(np.ones((30, 7)), splits=1).std is None


def test_inception_score_takes_logits_and_probabilities_alike() -> None:
    logits = 2 * normal(0, 57, 9)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mine, theirs = inception_score(logits), inception_score(p, logits=False)
    assert (mine.mean, mine.std) == (pytest.approx(theirs.mean), pytest.approx(theirs.std))
    assert inception_score(logits + 50).mean == pytest.approx(mine.mean)


def test_inception_score_cuts_contiguous_parts_and_spreads_over_them() -> None:
    logits = np.concatenate([np.zeros((10, 4)), 1000 * np.eye(4)[np.arange(10) % 4]])
    score = inception_score(logits, splits=2)
    second = np.exp(-sum(c * np.log(c) for c in (0.3, 0.3, 0.2, 0.2)))
    assert (score.mean, score.std) == (pytest.approx((1 + second) / 2), pytest.approx((second - 1) / 2))


def test_what_cannot_be_scored_is_refused() -> None:
    good = normal(0, 20, 4)
    with pytest.raises(UsageError, match="one width, found 4 and 3"):
        frechet_distance(good, good[:, :3])
    with pytest.raises(UsageError, match="at least 2 pictures"):
        kernel_distance(good[:1], good)
    with pytest.raises(UsageError, match="found 0 of 20"):
        kernel_distance(good, good, subsets=0)
    with pytest.raises(UsageError, match="at least 10 pictures"):
        inception_score(good[:9])
    broken = good.copy()
    broken[3, 1] = np.nan
    with pytest.raises(XlxmertError, match="found others for 1 of 20 pictures"):
        frechet_distance(broken, good)
    with pytest.raises(XlxmertError, match="sums to"):
        inception_score(good, logits=False)
