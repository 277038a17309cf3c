"""Draws: the right distribution, nothing ruled out is drawn, the same alone and in any batch."""

import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import check_draws, choose, gumbel, narrow, uniform


def test_codes_are_drawn_as_often_as_they_are_probable():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    logits = probabilities.log().expand(4, 5000, 5)
    drawn = choose(logits, [1, 2, 3, 4], step=0)
    assert torch.bincount(drawn.flatten(), minlength=5) / 20000 == pytest.approx(probabilities, abs=0.012)
    assert not (drawn == 4).any()


def test_temperature_zero_is_the_most_probable_and_heat_flattens():
    logits = torch.tensor([2.0, 1.0, 0.0]).expand(1, 4000, 3)
    assert (choose(logits, [1], 0, temperature=0.0) == 0).all()
    assert (choose(logits, [1], 0, temperature=1e-6) == 0).all()
    hot = torch.bincount(choose(logits, [1], 0, temperature=100.0).flatten(), minlength=3) / 4000
    assert hot == pytest.approx(torch.full((3,), 1 / 3), abs=0.03)


def test_top_k_and_top_p_keep_the_best_and_nothing_else():
    logits = torch.tensor([[[0.4, 0.1, 0.3, 0.2]]]).log()
    assert narrow(logits, 2, 1.0).isfinite().tolist() == [[[True, False, True, False]]]
    assert narrow(logits, 0, 0.65).isfinite().tolist() == [[[True, False, True, False]]]
    assert narrow(logits, 0, 1e-9).isfinite().tolist() == [[[True, False, False, False]]]
    assert torch.equal(narrow(logits, 0, 1.0), logits)


def test_a_sample_draws_the_same_alone_and_in_any_batch():
    for draw in (uniform, gumbel):
        batch = draw([5, 6, 7], 2, 64)
        assert torch.equal(draw([6], 2, 64)[0], batch[1])
        assert not torch.equal(draw([6], 3, 64)[0], batch[1])
        assert not torch.equal(batch[0], batch[1])


def test_gumbel_noise_has_its_mean_and_keeps_its_tail_in_single_precision():
    noise = gumbel(list(range(40)), 0, 25000)
    assert noise.dtype == torch.float32
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.005)
    assert noise.var().item() == pytest.approx(1.6449, abs=0.02)
    # 1 - u below 2^-24 is lost by -log(-log u); a million draws reach 13.8 on average
    assert 11 < noise.max().item() < 25


def test_settings_out_of_range_are_refused():
    for wrong in ({"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}):
        with pytest.raises(UsageError, match="expected"):
            check_draws(**{"temperature": 1.0, "top_k": 0, "top_p": 1.0} | wrong)
