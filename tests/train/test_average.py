"""Averages of checkpoints: the best ones, in single precision, whatever the module holds."""

import itertools
from pathlib import Path

import pytest
import torch
from tiny_task import TinyTask, settings
from torch import nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.train import checkpoint, train
from xlxmert.train.average import average_best, mean_weights


class Counting(nn.Module):
    """A weight, a count and a weight of 16 bits; its dropout tells the mode it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("short", torch.zeros(1, dtype=torch.float16))


def written(run: Path, *values: float, name: str = "model") -> Path:
    """A run whose checkpoints 1, 2, … hold these values, and 100, 200, … as their counts."""
    for step, value in enumerate(values, start=1):
        module = Counting()
        with torch.no_grad():
            module.weight.fill_(value)
        module.seen.fill_(100 * step)
        module.short.fill_(value)
        checkpoint.write(run / "checkpoints", step, {name: module.state_dict()}, {}, keep=99)
    return run


def by(scores: dict[float, float]):
    """Scores by the weight's value; sees that the model is in evaluation mode."""

    def score(model: Counting) -> float:
        assert not model.training
        return scores[model.weight[0].item()]

    return score


def test_the_mean_of_the_best_is_taken(tmp_path: Path) -> None:
    run = written(tmp_path, 1.0, 2.0, 4.0, 8.0, 16.0)
    scores = {1.0: 0.5, 2.0: -1.0, 4.0: 0.9, 8.0: 0.1, 16.0: 0.7}
    for count, mean in ((1, 4.0), (2, 10.0), (3, 7.0), (4, 7.25), (5, 6.2)):
        model = Counting()
        assert average_best(run, model, by(scores), count) is model
        assert model.weight.tolist() == pytest.approx([mean, mean])
    assert model.weight.requires_grad and model.short.dtype == torch.float16


def test_four_are_averaged_unless_another_number_is_given(tmp_path: Path) -> None:
    run = written(tmp_path, 1.0, 2.0, 3.0, 4.0, 100.0)
    model = average_best(run, Counting(), lambda model: -model.weight[0].item())
    assert model.weight.tolist() == [2.5, 2.5]


def test_fewer_checkpoints_than_asked_are_averaged_all(tmp_path: Path) -> None:
    run = written(tmp_path, 1.0, 2.0)
    assert average_best(run, Counting(), lambda model: 0.0, 9).weight.tolist() == [1.5, 1.5]


@pytest.mark.parametrize("order", list(itertools.permutations((1.0, 2.0, 4.0))))
def test_of_equal_scores_the_earlier_checkpoints_are_taken(tmp_path: Path, order: tuple[float, ...]) -> None:
    run = written(tmp_path, *order)
    model = average_best(run, Counting(), lambda model: 3.0, 2)
    assert model.weight[0] == (order[0] + order[1]) / 2 and model.seen == 100


def test_whole_numbers_are_those_of_the_best(tmp_path: Path) -> None:
    run = written(tmp_path, 1.0, 2.0, 4.0)
    assert average_best(run, Counting(), by({1.0: 0.0, 2.0: 2.0, 4.0: 1.0}), 3).seen == 200


def test_sums_lose_nothing_and_means_are_of_single_precision(tmp_path: Path) -> None:
    run = written(tmp_path, 1.0, 2.0**-24, 2.0**-24, 2.0**-24)  # in single precision the small ones would vanish
    files = [folder / "model.safetensors" for folder in checkpoint.checkpoints(run / "checkpoints")]
    means = mean_weights(files)
    assert {name: mean.dtype for name, mean in means.items()} == {
        "weight": torch.float32, "short": torch.float32, "seen": torch.int64
    }  # fmt: skip
    assert means["weight"][0].item() == torch.tensor((1 + 3 * 2.0**-24) / 4, dtype=torch.float64).float().item() > 0.25
    assert torch.equal(mean_weights(files[:1])["weight"], read_tensors(files[0])[0]["weight"])


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    def tied(value: float) -> nn.ModuleDict:
        words, head = nn.Embedding(5, 2), nn.Linear(2, 5, bias=False)
        nn.init.constant_(words.weight, value)
        head.weight = words.weight
        return nn.ModuleDict({"words": words, "head": head})

    for step in (1, 2):
        checkpoint.write(tmp_path / "checkpoints", step, {"model": tied(step).state_dict()}, {}, keep=9)
    model = average_best(tmp_path, tied(0.0), lambda model: 0.0)
    assert model["words"].weight[0, 0] == 1.5 and model["head"].weight is model["words"].weight


def test_a_run_without_checkpoints_or_with_others_is_refused(tmp_path: Path) -> None:
    for run in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(XlxmertError, match=r"expected checkpoints to average in .*found none: train first"):
            average_best(run, Counting(), lambda model: 0.0)
    run = written(tmp_path / "run", 1.0)
    with pytest.raises(XlxmertError, match=r"missing 0\.weight; .*unexpected weight"):
        average_best(run, nn.Sequential(nn.Linear(2, 2)), lambda model: 0.0)
    with pytest.raises(XlxmertError, match=r"expected weights at .*other\.safetensors"):
        average_best(run, Counting(), lambda model: 0.0, name="other")
    assert average_best(written(tmp_path / "named", 3.0, name="other"), Counting(), lambda _: 0.0, name="other").seen


def test_the_checkpoints_of_a_real_run_are_averaged(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path, steps=6, save_every=2, keep=3))
    task, asked = TinyTask(), []
    average_best(tmp_path, task.regression, lambda model: asked.append(1) or len(asked), 2)
    files = [tmp_path / "checkpoints" / f"step-00000{step}" / "model.safetensors" for step in (4, 6)]
    first, second = (read_tensors(file)[0] for file in files)
    for name, weight in task.regression.state_dict().items():
        torch.testing.assert_close(weight, (first[name] + second[name]) / 2)
    assert len(asked) == 3
