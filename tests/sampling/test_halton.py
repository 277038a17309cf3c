"""Halton: an order that visits every cell once and spreads evenly, and what the sampler makes of it."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork, canvas

from xlxmert.sampling import Halton, paint
from xlxmert.sampling.halton import halton_order


@given(side=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_every_cell_of_a_square_grid_comes_once(side):
    assert sorted(halton_order(side * side)) == list(range(side * side))


@given(cells=st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_every_place_of_a_line_comes_once(cells):
    assert sorted(halton_order(cells)) == list(range(cells))


def test_the_order_begins_as_the_sequence_does():
    # (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), (1/8, 4/9), (5/8, 7/9), (3/8, 2/9) on 8 rows and 8 columns
    assert halton_order(64)[:6] == (4 * 8 + 2, 2 * 8 + 5, 6 * 8 + 0, 1 * 8 + 3, 5 * 8 + 6, 3 * 8 + 1)
    assert halton_order(8) == (4, 2, 6, 1, 5, 3, 7, 0)


@pytest.mark.parametrize("side", [8, 16])
def test_the_first_cells_spread_over_the_whole_grid(side):
    for first in (side, side * side // 4, side * side // 2):
        places = [(cell // side * 2 // side, cell % side * 2 // side) for cell in halton_order(side * side)[:first]]
        quarters = [places.count(quarter) for quarter in itertools.product((0, 1), repeat=2)]
        assert max(quarters) - min(quarters) <= max(2, first // 10)


def test_unknown_cells_are_settled_in_the_order_of_the_sequence():
    codes, unknown = canvas(1, share=0.5)
    steps = list(paint(ToyNetwork(), codes, unknown, Halton(steps=64, schedule="linear", rolled=False), [3]))
    settled = [step.changed[0].nonzero().item() for step in steps]
    assert settled == [cell for cell in halton_order(64) if unknown[0, cell]]


def test_each_seed_begins_the_sequence_elsewhere_unless_told_not_to():
    turns = Halton()._turns(list(range(50)), 64)
    starts = [order.argmin().item() for order in turns]
    assert len(set(starts)) > 25
    sequence = list(halton_order(64))
    for order, start in zip(turns, starts, strict=True):
        place = sequence.index(start)
        assert order.argsort().tolist() == sequence[place:] + sequence[:place]
    assert len(Halton(rolled=False)._turns(list(range(5)), 64).unique(dim=0)) == 1


def test_what_the_network_is_sure_of_changes_nothing_in_the_order():
    codes, unknown = canvas(2)
    soft, hard = (
        [step.changed for step in paint(ToyNetwork(sharpness=s), codes, unknown, Halton(), [1, 2])] for s in (1.0, 9.0)
    )
    assert all(map(torch.equal, soft, hard))
