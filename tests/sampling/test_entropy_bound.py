"""The entropy bound: as many cells as it allows and no more, and a bounded time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork, canvas

from xlxmert.core.errors import UsageError
from xlxmert.sampling import EntropyBound, paint
from xlxmert.sampling.entropy_bound import entropy


def test_entropy_is_zero_for_one_code_and_largest_for_all_alike():
    found = entropy(torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]]]))
    assert found[0].tolist() == pytest.approx([0.0, 1.3863, 0.6931], abs=1e-4)


@given(gamma=st.floats(0, 12), seed=st.integers(0, 999), sharpness=st.floats(0.5, 12))
@settings(max_examples=20, deadline=None)
def test_each_step_settles_the_most_cells_whose_entropy_stays_within_gamma(gamma, seed, sharpness):
    codes, unknown = canvas(2, cells=16, share=0.8, seed=seed)
    network = ToyNetwork(16, sharpness=sharpness)
    steps = list(paint(network, codes, unknown, EntropyBound(gamma=gamma), [seed, seed + 1]))
    for (seen, hidden), step in zip(list(network.asked), steps, strict=True):
        entropies = entropy(network(seen, hidden).softmax(-1))
        for row in range(2):
            ordered = sorted(entropies[row][hidden[row]].tolist())
            settled = sorted(entropies[row][step.changed[row]].tolist())
            assert settled == ordered[: len(settled)]
            assert sum(settled[:-1]) <= gamma + 1e-4
            assert len(settled) == len(ordered) or sum(settled) > gamma - 1e-4


def test_a_bound_of_zero_is_one_cell_a_step_and_a_wide_one_is_one_step():
    codes, unknown = canvas(2)
    one_by_one = list(paint(ToyNetwork(), codes, unknown, EntropyBound(gamma=0.0), [1, 2]))
    assert [step.changed.sum(dim=1).tolist() for step in one_by_one] == [[1, 1]] * 64
    assert len(list(paint(ToyNetwork(), codes, unknown, EntropyBound(gamma=1e6), [1, 2]))) == 1


def test_a_surer_network_needs_fewer_steps():
    codes, unknown = canvas(1)
    soft, hard = (
        len(list(paint(ToyNetwork(sharpness=sharpness), codes, unknown, EntropyBound(), [1]))) for sharpness in (2, 20)
    )
    assert hard < soft


@pytest.mark.parametrize("most", [1, 3, 10])
def test_after_the_most_steps_whatever_is_left_is_settled(most):
    codes, unknown = canvas(2)
    steps = list(paint(ToyNetwork(), codes, unknown, EntropyBound(gamma=0.0, most_steps=most), [1, 2]))
    assert [step.total for step in steps] == [most] * most
    assert not steps[-1].hidden.any() and steps[-1].changed.sum().item() == 2 * (64 - most + 1)


def test_what_is_out_of_range_is_refused():
    for wrong in ({"gamma": -0.1}, {"gamma": float("nan")}, {"most_steps": 0}, {"top_p": 0.0}):
        with pytest.raises(UsageError, match="expected"):
            EntropyBound(**wrong)
