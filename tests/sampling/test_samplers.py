"""What all samplers keep: they fill just what was unknown, end empty, look at nothing hidden, and own their seeds."""

import itertools

import pytest
import torch
from all_samplers import ADAPTIVE, SAMPLERS, SCHEDULED
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork, canvas

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
    last,
    paint,
)
from xlxmert.sampling.one_by_one import random_places
from xlxmert.sampling.schedules import hidden_counts, linear_decay

ONE_BY_ONE = [Raster(), RandomOrder(), EasyFirst(), EasyFirst(temperature=1.0)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_exactly_the_unknown_cells_are_filled(sampler, share):
    codes, unknown = canvas(3, share=share)
    steps = list(paint(ToyNetwork(), codes, unknown, sampler, [1, 2, 3]))
    touched = torch.zeros_like(unknown)
    for index, step in enumerate(steps):
        assert step.index == index
        assert torch.equal(step.codes[~unknown], codes[~unknown])
        assert not (step.hidden & ~unknown).any()
        assert ((step.confidence >= 0) & (step.confidence <= 1 + 1e-5)).all()
        touched |= step.changed
    assert torch.equal(touched, unknown)
    assert not steps[-1].hidden.any()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_the_number_of_steps_is_known_or_bounded_and_the_last_says_that_it_is_the_last(sampler):
    steps = list(paint(ToyNetwork(), *canvas(3, share=0.6), sampler, [1, 2, 3]))
    totals = [step.total for step in steps]
    assert all(before >= after for before, after in itertools.pairwise(totals))
    assert [step.index + 1 == step.total for step in steps] == [False] * (len(steps) - 1) + [True]
    if sampler not in ADAPTIVE and not isinstance(getattr(sampler, "first", None), EntropyBound):
        assert set(totals) == {len(steps)}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_each_forward_pass_hides_what_the_last_step_left_hidden(sampler):
    codes, unknown = canvas(2, share=0.7)
    network = ToyNetwork()
    steps = list(paint(network, codes, unknown, sampler, [1, 2]))
    assert len(network.asked) == len(steps)
    for (seen, hidden), before in zip(network.asked[1:], steps, strict=False):
        assert torch.equal(seen[~hidden], before.codes[~hidden])
        assert not (before.hidden & ~hidden).any()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_what_lies_under_hidden_cells_changes_nothing(sampler):
    codes, unknown = canvas(2, share=0.5)
    other = torch.where(unknown, (codes + 7) % 20, codes)
    one = last(paint(ToyNetwork(), codes, unknown, sampler, [1, 2]))
    two = last(paint(ToyNetwork(), other, unknown, sampler, [1, 2]))
    assert torch.equal(one.codes, two.codes)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_picture_is_the_same_alone_and_in_any_batch(sampler):
    codes, unknown = canvas(4, share=0.6)
    seeds = [11, 12, 13, 14]
    batch = last(paint(ToyNetwork(), codes, unknown, sampler, seeds))
    for place in range(4):
        row = slice(place, place + 1)
        alone = last(paint(ToyNetwork(), codes[row], unknown[row], sampler, seeds[row]))
        assert torch.equal(alone.codes[0], batch.codes[place])


@pytest.mark.parametrize(
    "sampler",
    [
        MaskGIT(),
        Moment(),
        Halton(token_temperature=0.0),
        EntropyBound(),
        ReMDM(),
        Revised(MaskPredict()),
        RandomOrder(),
        Raster(temperature=1.0),
    ],
    ids=str,
)
def test_another_seed_gives_another_picture(sampler):
    codes, unknown = canvas(1)
    one, again, two = (last(paint(ToyNetwork(), codes, unknown, sampler, [seed])).codes for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("sampler", ONE_BY_ONE, ids=str)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_one_at_a_time_orders_fill_each_cell_exactly_once(sampler, share, seed):
    codes, unknown = canvas(2, cells=16, share=share, seed=seed)
    visits = torch.zeros_like(codes)
    for step in paint(ToyNetwork(16), codes, unknown, sampler, [seed, seed + 1]):
        assert (step.changed.sum(dim=1) <= 1).all()
        visits += step.changed
    assert torch.equal(visits, unknown.long())


def test_on_a_whole_grid_one_at_a_time_takes_64_steps():
    for sampler in ONE_BY_ONE:
        steps = list(paint(ToyNetwork(), *canvas(2), sampler, [1, 2]))
        assert len(steps) == 64
        assert all((step.changed.sum(dim=1) == 1).all() for step in steps)
        assert [int(step.hidden.sum()) for step in steps] == [2 * left for left in range(63, -1, -1)]


def test_raster_goes_in_reading_order():
    steps = list(paint(ToyNetwork(16), *canvas(1, cells=16), Raster(), [0]))
    assert [step.changed[0].nonzero().item() for step in steps] == list(range(16))


def test_easy_first_settles_the_surest_cell_first():
    network = ToyNetwork(16)
    codes, unknown = canvas(1, cells=16)
    first = next(iter(paint(network, codes, unknown, EasyFirst(), [0])))
    surest = network(codes, unknown).softmax(-1).amax(-1)
    assert first.changed[0].nonzero().item() == surest[0].argmax().item()


@pytest.mark.parametrize(("places", "steps"), [(64, 64), (64, 140), (64, 200), (5, 12)])
def test_random_places_sweep_once_and_then_revisit_evenly(places, steps):
    order = random_places(places, steps, seed=7)
    assert len(order) == steps
    assert sorted(order[:places]) == list(range(places))
    counts = [order.count(place) for place in range(places)]
    assert max(counts) - min(counts) <= 1
    assert random_places(places, steps, seed=8) != order


def test_random_order_counts_steps_as_the_paper_does():
    for wanted in (64, 140, 200):
        steps = list(paint(ToyNetwork(), *canvas(1), RandomOrder.of_steps(wanted), [7]))
        assert len(steps) == wanted
    region = torch.zeros(1, 64, dtype=torch.bool)
    region[0, :10] = True
    assert len(list(paint(ToyNetwork(), canvas(1)[0], region, RandomOrder.of_steps(200), [7]))) == round(10 * 200 / 64)


def test_a_revisited_cell_is_hidden_when_it_is_predicted_again():
    network = ToyNetwork(16)
    steps = list(paint(network, *canvas(1, cells=16), RandomOrder(sweeps=2.0), [3]))
    for (_, hidden), step in zip(network.asked[16:], steps[16:], strict=True):
        assert torch.equal(hidden, step.changed)


@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_mask_predict_hides_the_least_certain_by_the_linear_decay(steps):
    codes, unknown = canvas(2, share=0.6)
    counts = unknown.sum(dim=1).tolist()
    for index, step in enumerate(paint(ToyNetwork(), codes, unknown, MaskPredict(steps), [1, 2])):
        wanted = [linear_decay(steps, index + 1, count) for count in counts]
        assert step.hidden.sum(dim=1).tolist() == wanted
        for row in range(2):
            hidden, settled = step.hidden[row], unknown[row] & ~step.hidden[row]
            if hidden.any() and settled.any():
                assert step.confidence[row][hidden].max() <= step.confidence[row][settled].min()


def test_mask_predict_with_one_step_is_the_networks_first_guess():
    codes, unknown = canvas(2)
    network = ToyNetwork()
    only = last(paint(network, codes, unknown, MaskPredict(1), [1, 2]))
    assert torch.equal(only.codes, network(codes, unknown).argmax(-1))


@pytest.mark.parametrize("sampler", SCHEDULED, ids=str)
def test_the_hidden_set_follows_the_schedule(sampler):
    codes, unknown = canvas(3, share=0.5)
    plans = [hidden_counts(sampler.schedule, sampler.steps, count) for count in unknown.sum(dim=1).tolist()]
    for index, step in enumerate(paint(ToyNetwork(), codes, unknown, sampler, [1, 2, 3])):
        assert step.hidden.sum(dim=1).tolist() == [plan[index] for plan in plans]


@pytest.mark.parametrize("sampler", [*(one for one in SCHEDULED if not isinstance(one, ReMDM)), *ADAPTIVE], ids=str)
def test_what_is_settled_stays_settled(sampler):
    steps = list(paint(ToyNetwork(), *canvas(3, share=0.5), sampler, [1, 2, 3]))
    for before, after in itertools.pairwise(steps):
        assert not (after.hidden & ~before.hidden).any()
        assert torch.equal(before.codes[~before.hidden], after.codes[~before.hidden])


def test_maskgit_takes_no_more_steps_than_there_are_cells():
    codes, unknown = canvas(2, cells=16, share=0.2)
    steps = list(paint(ToyNetwork(16), codes, unknown, MaskGIT(), [1, 2]))
    assert len(steps) == unknown.sum(dim=1).max()
    assert all(step.changed.any() for step in steps)


def test_maskgits_noise_fades_linearly_without_compounding():
    sampler, like = MaskGIT(steps=10, choice_temperature=3.0), torch.zeros(200, 64)
    spread = [sampler._noise(like, list(range(200)), index).std().item() / 1.2825 for index in range(10)]
    assert spread == pytest.approx([3 * (1 - (index + 1) / 10) for index in range(10)], abs=0.06)


def test_without_noise_maskgit_settles_the_surest():
    network = ToyNetwork()
    codes, unknown = canvas(1)
    first = next(iter(paint(network, codes, unknown, MaskGIT(token_temperature=0.0, choice_temperature=0.0), [1])))
    assert first.confidence[first.changed].min() >= first.confidence[first.hidden].max()


def test_gradients_are_never_recorded():
    network = ToyNetwork()
    network.head.requires_grad_()
    for step in paint(network, *canvas(1), MaskGIT(steps=3), [1]):
        assert not step.confidence.requires_grad
        assert torch.is_grad_enabled()


def test_what_cannot_be_painted_is_refused():
    codes, unknown = canvas(2)
    with pytest.raises(UsageError, match="found none"):
        paint(ToyNetwork(), codes, torch.zeros_like(unknown), MaskPredict(), [1, 2])
    with pytest.raises(XlxmertError, match="expected 2 seeds"):
        paint(ToyNetwork(), codes, unknown, MaskPredict(), [1])
    with pytest.raises(XlxmertError, match="found NaN"):
        last(paint(lambda codes, hidden: torch.full((2, 64, 5), torch.nan), codes, unknown, MaskPredict(), [1, 2]))
    with pytest.raises(XlxmertError, match="answer for every cell"):
        last(paint(lambda codes, hidden: torch.zeros(2, 63, 5), codes, unknown, Raster(), [1, 2]))
    for wrong in (
        lambda: MaskPredict(0),
        lambda: MaskGIT(steps=0),
        lambda: RandomOrder(sweeps=0.5),
        lambda: Raster(-1.0),
    ):
        with pytest.raises(UsageError, match="expected"):
            wrong()
