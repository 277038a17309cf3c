"""ReMDM: how often settled cells are hidden again, which of them, and that all are settled in the end."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork, canvas

from xlxmert.core.errors import UsageError
from xlxmert.sampling import ReMDM, paint


def hidden_again(steps):
    """The cells that each step but the first hides again."""
    return [after.hidden & ~before.hidden for before, after in itertools.pairwise(steps)]


def test_without_a_chance_no_cell_is_hidden_again():
    for sampler in (ReMDM(16, rescale=0.0), ReMDM(16, cap=0.0)):
        steps = list(paint(ToyNetwork(), *canvas(4), sampler, [1, 2, 3, 4]))
        assert not any(cells.any() for cells in hidden_again(steps))


@given(seed=st.integers(0, 999), rescale=st.floats(0, 1), cap=st.floats(0, 1), steps=st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_every_cell_is_settled_in_the_end_whatever_the_chance(seed, rescale, cap, steps):
    codes, unknown = canvas(2, cells=16, share=0.7, seed=seed)
    found = list(paint(ToyNetwork(16), codes, unknown, ReMDM(steps, rescale=rescale, cap=cap), [seed, seed + 1]))
    assert not found[-1].hidden.any()
    assert torch.equal(torch.stack([step.changed for step in found]).any(dim=0), unknown)
    assert all((step.changed.any(dim=1) | ~step.hidden.any(dim=1)).all() for step in found)


def test_a_cell_hidden_again_keeps_its_code_until_it_is_decided_anew():
    steps = list(paint(ToyNetwork(), *canvas(8), ReMDM(32, rescale=1.0, cap=1.0), list(range(8))))
    again = hidden_again(steps)
    assert sum(int(cells.sum()) for cells in again) > 100
    for cells, before, after in zip(again, steps, steps[1:], strict=False):
        assert torch.equal(before.codes[cells], after.codes[cells])
        assert not (after.changed & cells).any()


@pytest.mark.parametrize(("rescale", "cap"), [(0.3, 1.0), (1.0, 0.1)])
def test_the_chance_is_sigma_on_average(rescale, cap):
    confidence = torch.rand(400, 64, generator=torch.Generator().manual_seed(1))
    settled = torch.arange(64).expand(400, 64) < 40
    sampler = ReMDM(64, rescale=rescale, cap=cap)
    found = sampler._again(confidence, settled, list(range(400)), 3, [20] * 400)
    wanted = 40 * min(cap, rescale * 20 / 40)
    assert found.sum(dim=1).float().mean().item() == pytest.approx(wanted, abs=0.4)
    assert not (found & ~settled).any()


def test_unlikely_cells_are_hidden_again_more_often():
    confidence = (torch.arange(64) % 2).float().expand(400, 64)
    everywhere = torch.ones(400, 64, dtype=torch.bool)
    found = ReMDM(64, cap=0.2)._again(confidence, everywhere, list(range(400)), 0, [64] * 400).sum(dim=0)
    assert found[::2].sum() / found[1::2].sum() == pytest.approx(2.718, abs=0.3)  # softmax(-p)


def test_what_is_out_of_range_is_refused():
    for wrong in ({"rescale": 1.1}, {"rescale": -0.1}, {"cap": 2.0}, {"steps": 0}):
        with pytest.raises(UsageError, match="expected"):
            ReMDM(**wrong)
