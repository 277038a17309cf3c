"""The moment sampler: the same law as MaskGIT's where few of many cells are settled, made visible."""

import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import torch_generator
from xlxmert.sampling import MaskGIT, Moment, paint
from xlxmert.sampling.draws import choose


def first_step(sampler, logits, pictures=1500):
    """How often the first step settles each cell, and how often each code where it does."""
    cells, kinds = logits.shape
    codes = torch.zeros(pictures, cells, dtype=torch.long)
    everywhere = torch.ones_like(codes, dtype=torch.bool)
    steps = paint(lambda _, __: logits.expand(pictures, -1, -1), codes, everywhere, sampler, list(range(pictures)))
    step = next(iter(steps))
    assert (step.changed.sum(dim=1) == 1).all()
    return step.changed.float().mean(dim=0), torch.bincount(step.codes[step.changed], minlength=kinds) / pictures


@pytest.mark.parametrize("heat", [{}, {"token_temperature": 0.6}, {"top_k": 2}], ids=str)
def test_cells_and_codes_are_as_often_chosen_as_by_maskgit(heat):
    logits = 1.5 * torch.randn(24, 4, generator=torch_generator("moment"))
    setting = {"steps": 24, "schedule": "linear", "choice_temperature": 1.2, **heat}
    cells, codes = first_step(MaskGIT(**setting), logits)
    cells_of_moment, codes_of_moment = first_step(Moment(**setting), logits)
    assert cells_of_moment == pytest.approx(cells, abs=0.04)
    assert codes_of_moment == pytest.approx(codes, abs=0.04)


def test_choosing_sharpens_the_codes_to_the_temperature_that_is_said():
    log_p = torch.randn(1, 6, 9, generator=torch_generator("law")).log_softmax(-1)
    weights = Moment(10, choice_temperature=2.0, token_temperature=0.5)._weights(log_p, index=4)
    implicit = 1 / (1 / 0.5 + 1 / (2.0 * (1 - 5 / 10)))
    torch.testing.assert_close(weights.softmax(-1), (log_p / implicit).softmax(-1))


def test_in_the_last_step_codes_come_from_the_network_itself():
    log_p = torch.randn(1, 6, 9, generator=torch_generator("law")).log_softmax(-1)
    weights = Moment(10)._weights(log_p, index=9)
    torch.testing.assert_close(weights, log_p)


def test_a_temperature_of_zero_takes_the_most_probable():
    log_p = torch.randn(1, 64, 9, generator=torch_generator("law")).log_softmax(-1)
    weights = Moment(10, token_temperature=0.0)._weights(log_p, index=3)
    assert torch.equal(choose(weights, [1], 0), log_p.argmax(-1))


def test_without_any_noise_there_is_nothing_to_choose_by():
    with pytest.raises(UsageError, match="choice temperature above 0"):
        Moment(choice_temperature=0.0)
