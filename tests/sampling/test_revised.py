"""Revised: the first picture as it was, every unknown cell judged once, the least likely painted again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork, canvas

from xlxmert.core.errors import UsageError
from xlxmert.sampling import EasyFirst, MaskGIT, MaskPredict, Revised, last, paint
from xlxmert.sampling.steps import look


def stages(sampler, codes, unknown, seeds, network=None):
    """The steps of the first sampler, of the looks of the only round and of its painting."""
    assert sampler.rounds == 1
    steps = list(paint(network or ToyNetwork(), codes, unknown, sampler, seeds))
    first = len(list(paint(ToyNetwork(), codes, unknown, sampler.first, seeds)))
    judged = first + sampler.looks
    return steps[:first], steps[first:judged], steps[judged:]


@pytest.mark.parametrize("first", [MaskGIT(6), MaskPredict(4), EasyFirst()], ids=str)
def test_the_first_picture_is_the_sampler_s_own(first):
    codes, unknown = canvas(2, share=0.7)
    alone = list(paint(ToyNetwork(), codes, unknown, first, [5, 6]))
    within, looks, _ = stages(Revised(first, rounds=1), codes, unknown, [5, 6])
    assert [step.codes.tolist() for step in within] == [step.codes.tolist() for step in alone]
    assert all(torch.equal(step.codes, alone[-1].codes) and not step.changed.any() for step in looks)


@given(share=st.floats(0.05, 1), looks=st.integers(2, 6), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_the_looks_of_a_round_hide_every_unknown_cell_exactly_once(share, looks, seed):
    codes, unknown = canvas(2, share=share, seed=seed)
    network, sampler = ToyNetwork(), Revised(MaskGIT(3), rounds=1, looks=looks)
    list(paint(network, codes, unknown, sampler, [seed, seed + 1]))
    first = len(list(paint(ToyNetwork(), codes, unknown, sampler.first, [seed, seed + 1])))
    taken = min(looks, int(unknown.sum(dim=1).max()))
    masks = torch.stack([hidden for _, hidden in network.asked[first : first + taken]])
    assert torch.equal(masks.sum(dim=0), unknown.long())
    sizes = masks.sum(dim=-1)
    assert ((sizes.amax(dim=0) - sizes.amin(dim=0)) <= 1).all()


def test_a_cell_is_judged_by_its_code_s_probability_without_itself():
    codes, unknown = canvas(2, share=0.8)
    network, sampler = ToyNetwork(), Revised(MaskGIT(4), rounds=1)
    _, looks, _ = stages(sampler, codes, unknown, [1, 2], network)
    expected = torch.ones(codes.shape)
    for seen, hidden in network.asked[4:8]:
        chance = look(network, seen, hidden).softmax(-1).gather(-1, seen[..., None]).squeeze(-1)
        expected = torch.where(hidden, chance, expected)
    torch.testing.assert_close(looks[-1].confidence, expected)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.6, 1.0])
def test_the_least_likely_share_is_painted_again_and_nothing_else(share):
    codes, unknown = canvas(3, share=0.7)
    before, looks, again = stages(Revised(MaskGIT(4), rounds=1, share=share), codes, unknown, [1, 2, 3])
    judged, counts = looks[-1], unknown.sum(dim=1)
    assert judged.hidden.sum(dim=1).tolist() == [max(1, round(share * count)) for count in counts.tolist()]
    for row in range(3):
        hidden, kept = judged.hidden[row], unknown[row] & ~judged.hidden[row]
        assert not kept.any() or judged.confidence[row][hidden].max() <= judged.confidence[row][kept].min()
    assert torch.equal(torch.stack([step.changed for step in again]).any(dim=0), judged.hidden)
    assert torch.equal(again[-1].codes[~judged.hidden], before[-1].codes[~judged.hidden])


def test_each_round_draws_anew_and_rounds_do_not_depend_on_how_many_follow():
    codes, unknown = canvas(1)
    network = ToyNetwork(sharpness=0.1)
    again = MaskGIT(1, choice_temperature=0.0)
    three = list(paint(network, codes, unknown, Revised(MaskGIT(1), rounds=3, share=1.0, again=again), [9]))
    one = list(paint(network, codes, unknown, Revised(MaskGIT(1), rounds=1, share=1.0, again=again), [9]))
    drawn = [three[index].codes for index in (0, 5, 10, 15)]
    assert torch.equal(drawn[1], one[-1].codes)
    for place, codes in enumerate(drawn):
        for other in drawn[place + 1 :]:
            assert (codes == other).float().mean() < 0.3  # 20 codes almost alike: 1 in 20 by chance


def test_cells_that_do_not_fit_are_found_and_mended():
    """A network that wants one code everywhere, and a first sampler that paints some cells wrong."""

    class Spoilt:
        def run(self, network, codes, unknown, seeds):
            step = last(MaskPredict(1).run(network, codes, unknown, seeds))
            step.codes[:, ::9] = 0
            yield step

    def network(codes, hidden):
        logits = torch.zeros(*codes.shape, 20)
        logits[..., 7] = 9.0
        return logits

    final = last(paint(network, *canvas(2), Revised(Spoilt(), rounds=1), [1, 2]))
    assert (final.codes == 7).all()
    assert final.confidence.min() > 0.9


def test_what_is_out_of_range_is_refused():
    for wrong in ({"rounds": 0}, {"share": 0.0}, {"share": 1.1}, {"looks": 1}):
        with pytest.raises(UsageError, match="expected"):
            Revised(**wrong)
