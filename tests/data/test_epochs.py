"""Epochs: every example once in each, in orders of their own, whatever step is asked for first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlxmert.core.errors import XlxmertError
from xlxmert.data.epochs import Shuffled


@given(count=st.integers(1, 40), size=st.integers(1, 50), epochs=st.integers(1, 4))
def test_every_epoch_shows_everything_once(count: int, size: int, epochs: int) -> None:
    order = Shuffled(count, 7, "test")
    steps = -(-count * epochs // size)
    row = np.concatenate([order.take(step, size) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(row[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    forward = [Shuffled(10, 1).take(step, 4).tolist() for step in range(9)]
    order = Shuffled(10, 1)
    backward = [order.take(step, 4).tolist() for step in reversed(range(9))]
    assert forward == backward[::-1]
    assert forward != [Shuffled(10, 2).take(step, 4).tolist() for step in range(9)]


def test_epochs_differ_and_nothing_cannot_be_shuffled() -> None:
    order = Shuffled(30, 0)
    assert order.take(0, 30).tolist() != order.take(1, 30).tolist()
    with pytest.raises(XlxmertError, match="at least one example"):
        Shuffled(0)
