"""Schedules: they fall, end empty, count from what was unknown, and settle something at every step while they can."""

import itertools
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlxmert.sampling.schedules import Schedule, hidden_counts, linear_decay, ramp, share_hidden

NAMES = typing.get_args(Schedule)


@pytest.mark.parametrize("name", NAMES)
def test_the_hidden_share_falls_from_all_to_none(name):
    shares = [share_hidden(name, done / 50) for done in range(51)]
    assert shares[0] == pytest.approx(1)
    assert shares[-1] == pytest.approx(0)
    assert all(before > after for before, after in itertools.pairwise(shares))


@given(name=st.sampled_from(NAMES), steps=st.integers(1, 80), unknown=st.integers(0, 256))
def test_counts_settle_something_at_each_step_while_they_can_and_end_empty(name, steps, unknown):
    counts = hidden_counts(name, steps, unknown)
    assert len(counts) == steps
    assert counts[-1] == 0
    settled = [before - after for before, after in zip([unknown, *counts], counts, strict=False)]
    assert sum(settled) == unknown
    assert all(amount >= 1 for amount in settled[:unknown])
    assert not any(settled[unknown:])


def test_a_region_is_filled_as_evenly_as_a_picture_of_its_size():
    settled = [
        a - b for a, b in zip([64, *hidden_counts("cosine", 16, 64)], hidden_counts("cosine", 16, 64), strict=False)
    ]
    assert settled == [1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6]


def test_mask_predict_decays_as_in_the_paper():
    assert [linear_decay(4, step, 4) for step in range(4)] == [4, 3, 2, 1]
    assert [linear_decay(4, step, 64) for step in range(5)] == [64, 48, 32, 16, 0]
    assert [linear_decay(10, step, 64) for step in range(10)] == [64, 57, 51, 44, 38, 32, 25, 19, 12, 6]


@given(start=st.floats(0, 5), end=st.floats(0, 5), steps=st.integers(1, 80))
def test_a_ramp_goes_from_start_to_end_in_even_strides_and_stays_between(start, end, steps):
    values = [ramp(start, end, index, steps) for index in range(steps)]
    assert values[0] == start
    assert steps == 1 or values[-1] == pytest.approx(end, abs=1e-15)
    strides = [after - before for before, after in itertools.pairwise(values)]
    assert strides == pytest.approx([(end - start) / max(steps - 1, 1)] * (steps - 1), abs=1e-12)
    assert all(min(start, end) - 1e-15 <= value <= max(start, end) + 1e-15 for value in values)
    assert [ramp(start, start, index, steps) for index in range(steps)] == [start] * steps
