"""Mistakes that public samplers are known to make, one property each: here they do not happen."""

import dataclasses
import itertools

import pytest
import torch
from all_samplers import SAMPLERS
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyNetwork

from xlxmert.core.seeds import torch_generator
from xlxmert.sampling import Halton, MaskGIT, MaskPredict, Moment, ReMDM, Revised, last, paint
from xlxmert.sampling import scheduled as scheduled_module
from xlxmert.sampling.draws import choose, gumbel
from xlxmert.sampling.schedules import hidden_counts, share_hidden
from xlxmert.sampling.steps import look

CELLS, CODES, MISSING = 12, 20, 19
KINDS = [MaskGIT, Moment, Halton, ReMDM]


def marks(counts, seed, cells=CELLS):
    """Marks of so many random cells in each sample, and random codes below MISSING everywhere."""
    order = torch.rand(len(counts), cells, generator=torch_generator("marks", seed)).argsort(dim=1)
    unknown = order.argsort(dim=1) < torch.tensor(counts)[:, None]
    return torch.randint(0, MISSING, unknown.shape, generator=torch_generator("codes", seed)), unknown


class Without:
    """A toy network that never gives the code MISSING any chance, nor sees what lies under hidden cells."""

    def __init__(self):
        self.inner = ToyNetwork(CELLS, CODES)

    def __call__(self, codes, hidden):
        logits = self.inner(codes, hidden)
        logits[..., MISSING] = float("-inf")
        return logits


@pytest.mark.parametrize("kind", [MaskGIT, Halton, ReMDM])
@given(steps=st.integers(2, CELLS), start=st.floats(0, 3), end=st.floats(0, 3))
@settings(max_examples=5, deadline=None)
def test_token_temperature_is_counted_from_the_step_and_never_compounds(kind, steps, start, end):
    used = []

    def recording(logits, seeds, step, temperature=1.0, top_k=0, top_p=1.0):
        used.append(temperature)
        return choose(logits, seeds, step, temperature, top_k, top_p)

    sampler = kind(steps=steps, token_temperature=start, end_temperature=end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduled_module, "choose", recording)
        last(paint(ToyNetwork(CELLS), *marks([CELLS], 1), sampler, [1]))
    assert used == pytest.approx(torch.linspace(start, end, steps, dtype=torch.float64).tolist(), abs=1e-9)
    assert (used[0], used[-1]) == (start, pytest.approx(end, abs=1e-15))


@given(steps=st.integers(2, 60), height=st.floats(0.1, 9))
@settings(max_examples=8, deadline=None)
def test_choice_noise_is_counted_from_the_step_and_never_compounds(steps, height):
    sampler, like = MaskGIT(steps=steps, choice_temperature=height), torch.zeros(1, CELLS)
    for index in range(steps):
        noise = gumbel([7], index, CELLS) * height * (steps - index - 1) / steps
        torch.testing.assert_close(sampler._noise(like, [7], index), noise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(unknown=st.integers(1, 64), steps=st.integers(1, 20), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_a_region_s_schedule_counts_its_own_cells_and_not_the_whole_grid(kind, unknown, steps, seed):
    codes, region = marks([unknown], seed, cells=256)
    network, sampler = ToyNetwork(256), kind(steps=steps)
    left = [int(step.hidden.sum()) for step in paint(network, codes, region, sampler, [seed])]
    assert left == hidden_counts(sampler.schedule, steps, unknown)[: len(left)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_quarter_of_the_grid_is_not_settled_in_a_rush_at_the_end(kind):
    codes, region = marks([64], 1, cells=256)
    steps = list(paint(ToyNetwork(256), codes, region, kind(steps=16, schedule="cosine"), [1]))
    left = [64, *(int(step.hidden.sum()) for step in steps)]
    assert [a - b for a, b in itertools.pairwise(left)] == [1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_the_schedule_that_is_asked_for_is_the_one_that_is_used(kind, data):
    name = data.draw(st.sampled_from(["cosine", "linear", "arccos", "square", "cubic", "root"]))
    codes, everywhere = marks([64], 1, cells=64)
    steps = list(paint(ToyNetwork(64), codes, everywhere, kind(steps=8, schedule=name), [1]))
    for step in steps[:-1]:
        assert int(step.hidden.sum()) == pytest.approx(64 * share_hidden(name, (step.index + 1) / 8), abs=1)


@given(temperature=st.floats(0.2, 5), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_temperature_divides_the_logits_and_does_not_multiply_them(temperature, seed):
    logits = torch.randn(5, generator=torch_generator("logits", seed))
    drawn = choose(logits.expand(4, 4000, 5), [seed, seed + 1, seed + 2, seed + 3], 0, temperature)
    shares = torch.bincount(drawn.flatten(), minlength=5) / 16000
    assert shares == pytest.approx((logits / temperature).softmax(-1), abs=0.02)


@pytest.mark.parametrize(
    "sampler",
    [sampler for sampler in SAMPLERS if not isinstance(sampler, MaskPredict | Revised)],
    ids=str,
)
def test_the_confidence_of_a_kept_cell_is_the_probability_of_its_own_code(sampler):
    codes, unknown = marks([CELLS, 7], 3)
    network, expected = ToyNetwork(CELLS), torch.ones(codes.shape)
    steps = list(paint(network, codes, unknown, sampler, [1, 2]))
    for (seen, hidden), step in zip(list(network.asked), steps, strict=True):
        chance = look(network, seen, hidden).softmax(-1).gather(-1, step.codes[..., None]).squeeze(-1)
        expected = torch.where(step.changed, chance, expected)
        settled = ~step.hidden | ~unknown
        torch.testing.assert_close(step.confidence[settled], expected[settled])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@given(counts=st.lists(st.integers(0, CELLS), min_size=1, max_size=3).filter(any), seed=st.integers(0, 99))
@settings(max_examples=4, deadline=None)
def test_known_codes_are_never_overwritten_and_unknown_ones_always_are(sampler, counts, seed):
    codes, unknown = marks(counts, seed)
    codes = codes.masked_fill(unknown, MISSING)
    for step in paint(Without(), codes, unknown, sampler, list(range(len(counts)))):
        assert torch.equal(step.codes[~unknown], codes[~unknown])
    assert not (step.codes == MISSING).any()


@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_gumbel_noise_is_finite_in_single_and_in_half_precision(seed, step):
    noise = gumbel([seed], step, 4096)
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        assert noise.to(kind).isfinite().all()


def test_the_smallest_draw_that_there_is_still_gives_finite_noise(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda row, generator: row.zero_())
    assert gumbel([1], 0, 8).isfinite().all()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_a_network_in_half_precision_is_sampled_in_single_precision(sampler, kind):
    codes, unknown = marks([CELLS, 5], 4)
    network = ToyNetwork(CELLS)
    final = last(paint(lambda codes, hidden: network(codes, hidden).to(kind), codes, unknown, sampler, [1, 2]))
    assert final.confidence.dtype == torch.float32
    assert final.confidence.isfinite().all() and not final.hidden.any()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@given(counts=st.lists(st.integers(0, CELLS), min_size=2, max_size=4).filter(any), seed=st.integers(0, 99))
@settings(max_examples=4, deadline=None)
def test_pictures_with_different_numbers_of_unknown_cells_share_a_batch(sampler, counts, seed):
    codes, unknown = marks(counts, seed)
    seeds = [seed + place for place in range(len(counts))]
    batch = last(paint(ToyNetwork(CELLS), codes, unknown, sampler, seeds))
    for place, count in enumerate(counts):
        row = slice(place, place + 1)
        if count:
            alone = last(paint(ToyNetwork(CELLS), codes[row], unknown[row], sampler, seeds[row]))
            assert torch.equal(batch.codes[place], alone.codes[0])
        else:
            assert torch.equal(batch.codes[place], codes[place])


@pytest.mark.parametrize("kind", KINDS)
def test_no_setting_is_ignored(kind):
    codes, unknown = marks([CELLS] * 4, 5)

    def painted(sampler):
        return [step.codes for step in paint(ToyNetwork(CELLS, sharpness=1.0), codes, unknown, sampler, [1, 2, 3, 4])]

    base = kind(steps=6, schedule="linear", token_temperature=2.0)
    others = {
        "steps": 5,
        "schedule": "root",
        "token_temperature": 0.9,
        "top_k": 2,
        "top_p": 0.3,
        "end_temperature": 0.1,
    }
    for name, value in others.items():
        assert not all(map(torch.equal, painted(base), painted(dataclasses.replace(base, **{name: value})))), name
