"""How batches are corrupted."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from xlxmert.core.seeds import torch_generator
from xlxmert.data.masking import bernoulli_mask, block_mask, mask_words, rare_mask, thinned, uniform_mask

SPECIALS = (0, 1, 2, 3, 4)


def test_uniform_masking_hides_every_number_of_cells_equally_often() -> None:
    counts = uniform_mask(20_000, 8, torch_generator("uniform")).sum(1)
    shares = torch.bincount(counts, minlength=9)[1:] / 20_000
    assert counts.min() == 1 and counts.max() == 8
    assert torch.allclose(shares, torch.full((8,), 1 / 8), atol=0.012)


def test_uniform_masking_prefers_no_cell() -> None:
    assert torch.allclose(
        uniform_mask(20_000, 8, torch_generator("cells")).float().mean(0), torch.tensor(4.5 / 8), atol=0.015
    )


def test_block_masking_often_hides_a_thing_as_a_whole() -> None:
    masks = block_mask(20_000, 8, torch_generator("blocks")).view(-1, 8, 8)
    assert torch.allclose(masks.float().mean((0, 1, 2)), torch.tensor((65 / 128 + 17 / 32 + 5 / 8) / 3), atol=0.01)
    whole = masks[:, 2:4, 4:6].flatten(1).all(1).float().mean()
    assert torch.allclose(whole, torch.tensor((0.2 + 17 / 32 + 5 / 8) / 3), atol=0.015)
    assert bool(masks.flatten(1).any(1).all())


def test_block_masking_takes_the_blocks_that_fit_the_grid() -> None:
    masks = block_mask(500, 6, torch_generator("six"))
    assert masks.shape == (500, 36) and bool(masks.any(1).all())


def test_rare_masking_hides_rare_codes_first() -> None:
    counts = torch.tensor([5000.0, 20.0])
    codes = torch.zeros(20_000, 16, dtype=torch.long)
    codes[:, [3, 7]] = 1
    masks = rare_mask(codes, counts.log(), torch_generator("rare"))
    few = masks.sum(1) == 2
    assert float(masks[few][:, [3, 7]].all(1).float().mean()) > 0.8
    shares = torch.bincount(masks.sum(1), minlength=17)[1:] / 20_000
    assert torch.allclose(shares, torch.full((16,), 1 / 16), atol=0.01)


def test_bernoulli_masking_hides_its_rate() -> None:
    assert abs(float(bernoulli_mask(2000, 64, 0.15, torch_generator("bernoulli")).float().mean()) - 0.15) < 0.005


@given(st.integers(0, 10_000))
def test_padding_and_special_tokens_are_never_masked(seed: int) -> None:
    words = torch.tensor([[2, 7, 8, 9, 3, 0, 0], [2, 10, 3, 0, 0, 0, 0]])
    corrupted, labels = mask_words(words, SPECIALS, 4, 20, 0.5, torch_generator(seed))
    special = torch.isin(words, torch.tensor(SPECIALS))
    assert bool((corrupted[special] == words[special]).all()) and bool((labels[special] == -1).all())
    chosen = labels >= 0
    assert bool(chosen.any(1).all())
    assert bool((labels[chosen] == words[chosen]).all()) and bool((corrupted[~chosen] == words[~chosen]).all())


def test_of_the_chosen_words_four_fifths_become_masks_and_a_tenth_noise() -> None:
    words = torch.full((4000, 20), 9)
    corrupted, labels = mask_words(words, SPECIALS, 4, 1000, 0.15, torch_generator("words"))
    chosen = labels >= 0
    assert abs(float(chosen.float().mean()) - 0.15) < 0.01
    assert abs(float((corrupted[chosen] == 4).float().mean()) - 0.8) < 0.02
    assert abs(float((corrupted[chosen] == 9).float().mean()) - 0.1) < 0.02


def test_thinned_weights_stand_for_all_of_them() -> None:
    weights = torch.tensor([0.0] * 50 + [0.1] * 300 + [1.0] * 60 + [40.0] * 3)
    draws = torch.stack([thinned(weights, 50, torch_generator("thin", seed)) for seed in range(2000)])
    assert torch.allclose(draws.mean(0), weights, atol=0.12)
    assert abs(float((draws > 0).sum(1).float().mean()) - 50) < 1
    assert bool((draws[:, -3:] == 40).all()) and not bool(draws[:, :50].any())


def test_few_weights_are_left_as_they_are() -> None:
    weights = torch.tensor([[0.0, 0.5], [2.0, 0.0]])
    assert torch.equal(thinned(weights, 2, torch_generator("thin")), weights)
    assert not bool(thinned(torch.zeros(2, 3), 2, torch_generator("thin")).any())
