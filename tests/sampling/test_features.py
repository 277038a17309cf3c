"""Gibbs sampling of features: every unknown cell is filled, known ones stay, fewer cells at each step."""

import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.sampling.features import FeatureGibbs


def run(steps: int, unknown: torch.Tensor, seeds: list[int]) -> tuple[list[torch.Tensor], list[int]]:
    """What every step gives, and how many cells each hid; the network answers with the number of its call."""
    counts: list[int] = []

    def network(features: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        counts.append(int(hidden.sum()))
        return torch.full_like(features, float(len(counts)))

    start = torch.zeros(*unknown.shape, 3)
    return list(FeatureGibbs(steps).run(network, start, unknown, seeds)), counts


def test_all_cells_first_then_ever_fewer() -> None:
    frames, counts = run(4, torch.ones(1, 64, dtype=torch.bool), [7])
    assert counts == [64, 48, 32, 16]
    assert [int((frame[0, :, 0] == step + 1).sum()) for step, frame in enumerate(frames)] == counts
    assert bool((frames[-1] > 0).all())


def test_known_cells_stay_as_they_are() -> None:
    unknown = torch.zeros(2, 64, dtype=torch.bool)
    unknown[:, :20] = True
    frames, counts = run(4, unknown, [1, 2])
    assert counts == [40, 30, 20, 10]
    assert not bool(frames[-1][:, 20:].any()) and bool((frames[-1][:, :20] > 0).all())


def test_a_picture_s_draws_are_the_same_alone_and_in_a_batch() -> None:
    everywhere = torch.ones(3, 64, dtype=torch.bool)
    whole, _ = run(5, everywhere, [3, 4, 5])
    alone, _ = run(5, everywhere[:1], [4])
    assert torch.equal(whole[-1][1], alone[-1][0])
    assert not torch.equal(whole[-1][0], whole[-1][1])


def test_no_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 step"):
        FeatureGibbs(0)
