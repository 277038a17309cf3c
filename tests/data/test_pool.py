"""Drawing without a list: the same places, at any size."""

import numpy as np
import pytest

from xlxmert.data.pool import BLOCK, Pool


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 40_000])
@pytest.mark.parametrize("wanted", [[0], [1, 2], [0, 1, 2, 3], []])
def test_the_places_are_those_of_the_wanted_kinds_in_order(count: int, wanted: list[int]) -> None:
    kinds = np.random.default_rng(count).integers(0, 4, count).astype(np.uint8)
    true = np.flatnonzero(np.isin(kinds, wanted))
    pool = Pool(kinds, wanted)
    assert len(pool) == len(true) and (pool[np.arange(len(true))] == true).all()


def test_rare_kinds_are_found_and_draws_are_those_of_a_list() -> None:
    kinds = np.zeros(30_000, np.uint8)
    kinds[[5, 20_000, 29_999]] = 1
    pool = Pool(kinds, [1])
    assert pool[np.array([2, 0, 1, 2])].tolist() == [29_999, 5, 20_000, 29_999]
    drawn = Pool(kinds, [0]).draw(np.random.default_rng(3), 50)
    assert (drawn == np.random.default_rng(3).choice(np.flatnonzero(kinds == 0), 50)).all()


def test_ranks_beyond_the_end_are_refused() -> None:
    for wrong in (3, -1):
        with pytest.raises(IndexError, match="expected ranks below 3"):
            Pool(np.zeros(3, np.uint8), [0])[np.array([0, wrong])]
