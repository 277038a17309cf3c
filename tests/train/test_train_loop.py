"""What a training step does: accumulation, players that leave each other alone, averages, previews, refusals."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask, at_step, settings
from torch import nn

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.task import Part, Player
from xlxmert.train import checkpoint, train
from xlxmert.train.ema import Average, warmed_decay
from xlxmert.train.feed import Feed, place
from xlxmert.train.machine import parts_of


def test_accumulation_equals_a_big_batch(tmp_path: Path) -> None:
    small, big = TinyTask(drop=0.0), TinyTask(drop=0.0)
    train(small, settings(tmp_path / "small", batch_size=15, accumulate=4, precision="fp32"))  # 3, 4, 4 and 4 rows
    train(big, settings(tmp_path / "big", batch_size=15, precision="fp32"))
    for one, other in zip(small.critic.parameters(), big.critic.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    lines = [[json.loads(line) for line in (tmp_path / name / "curve.jsonl").open()] for name in ("small", "big")]
    for name in ("model/loss", "model/absolute", "critic/loss"):
        assert [line[name] for line in lines[0]] == pytest.approx([line[name] for line in lines[1]], abs=1e-5)


def test_a_player_trains_only_its_own_part_and_flags_come_back(tmp_path: Path) -> None:
    task = TinyTask()
    task.players = lambda: [TinyTask.players(task)[1]]  # type: ignore[method-assign]  # the critic alone
    frozen = task.critic.own.bias.requires_grad_(False).clone()
    before = [weight.clone() for weight in task.regression.parameters()]
    start = task.critic.own.weight.clone()
    train(task, settings(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(before, task.regression.parameters(), strict=True))
    assert torch.equal(frozen, task.critic.own.bias) and not torch.equal(start, task.critic.own.weight)
    assert all(weight.requires_grad and weight.grad is None for weight in task.regression.parameters())


def test_the_loss_falls_and_batches_are_asked_for_once_in_order(tmp_path: Path) -> None:
    task = TinyTask(drop=0.0)
    train(task, settings(tmp_path, steps=120, batch_size=16, accumulate=2, log_every=20))
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").open()]
    assert [line["step"] for line in curve] == [20, 40, 60, 80, 100, 120]
    assert curve[-1]["model/loss"] < 0.2 * curve[0]["model/loss"]
    assert task.asked == [(step, Part(half, 2)) for step in range(120) for half in (0, 1)]
    assert set(curve[0]) == {
        "step", "model/loss", "model/absolute", "model/norm", "model/lr", "critic/loss", "critic/norm", "critic/lr"
    }  # fmt: skip
    timing = [json.loads(line) for line in (tmp_path / "timing.jsonl").open()]
    assert [line["step"] for line in timing] == [20, 40, 60, 80, 100, 120] and timing[0]["steps_per_second"] > 0


def test_the_average_follows_its_formula_and_copies_buffers() -> None:
    linear, norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
    average = Average(nn.Sequential(linear, norm))
    expected = linear.weight.detach().clone()
    for step in (1, 2, 3):
        with torch.no_grad():
            linear.weight.add_(1.0)
            norm.state_dict()["running_mean"].add_(1.0)
        decay = warmed_decay(0.25, step)
        expected = expected * decay + linear.weight.detach() * (1 - decay)
        average.update(decay)
    kept = average.module.state_dict()
    torch.testing.assert_close(kept["0.weight"], expected)
    assert kept["1.running_mean"].tolist() == [3.0, 3.0]
    assert not average.module.training and linear.training
    assert [warmed_decay(0.999, step) for step in (1, 8)] == [2 / 11, 0.5] and warmed_decay(0.9, 10**6) == 0.9


def test_no_average_is_kept_when_the_decay_is_zero(tmp_path: Path) -> None:
    assert train(TinyTask(), settings(tmp_path / "off", steps=2, ema=0.0)).averages == {}
    assert list(train(TinyTask(), settings(tmp_path / "on", steps=2)).averages) == ["model"]


def test_previews_come_on_time_and_leave_the_modes_alone(tmp_path: Path) -> None:
    task = TinyTask()
    train(task, settings(tmp_path / "seen", preview_every=8))
    assert task.previews == [(8, ["model"]), (16, ["model"]), (20, ["model"])] and task.regression.training
    train(TinyTask(), settings(tmp_path / "unseen"))
    assert (tmp_path / "seen" / "curve.jsonl").read_bytes() == (tmp_path / "unseen" / "curve.jsonl").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_and_player(tmp_path: Path, value: float) -> None:
    task = TinyTask()

    def spoil() -> None:
        with torch.no_grad():
            task.regression.net[4].bias.fill_(value)  # type: ignore[operator]

    message = r"loss of (nan|inf) for player model at step 7 of tiny.*step-000006 is unharmed"
    with pytest.raises(XlxmertError, match=message):
        train(at_step(task, 7, spoil), settings(tmp_path, save_every=1))
    folder = checkpoint.latest(tmp_path / "checkpoints")
    assert folder is not None and checkpoint.step_of(folder) == 6
    fresh = TinyTask()
    checkpoint.load_module(folder / "model.safetensors", fresh.regression)
    assert all(weight.isfinite().all() for weight in fresh.regression.parameters())


def test_time_up_saves_and_returns_unfinished(tmp_path: Path) -> None:
    report = train(TinyTask(), settings(tmp_path, steps=10**6, stop_after_seconds=0.05))
    assert not report.finished and 0 < report.step < 10**6 and report.checkpoint.name == f"step-{report.step:06d}"
    assert checkpoint.latest(tmp_path / "checkpoints") == report.checkpoint


def test_weights_that_no_checkpoint_would_hold_are_refused(tmp_path: Path) -> None:
    task = TinyTask()
    task.modules = lambda: {"model": task.regression}  # type: ignore[method-assign]
    with pytest.raises(XlxmertError, match="critic of tiny trains weights that no checkpoint would hold"):
        train(task, settings(tmp_path))


def test_a_player_without_a_loss_or_without_weights_is_refused(tmp_path: Path) -> None:
    task = TinyTask()
    task.players = lambda: [Player("mute", Mute(), task.optim, task.regression)]  # type: ignore[method-assign]
    with pytest.raises(XlxmertError, match=r"expected player mute to give a loss, found only \['score'\]"):
        train(task, settings(tmp_path))
    task.regression.requires_grad_(False)
    with pytest.raises(XlxmertError, match="player mute has nothing to train"):
        train(task, settings(tmp_path))


class Mute(nn.Module):
    """Gives no loss."""

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        return {"score": batch["x"].mean()}


def test_missing_accelerate_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "accelerate":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(XlxmertError, match=r'pip install "xlxmert\[train\]"'):
        train(TinyTask(), settings(tmp_path))


def test_precision_or_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a CUDA device for precision fp16"):
        train(TinyTask(), settings(tmp_path, precision="fp16", device="cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="expected a CUDA device"):
            train(TinyTask(), settings(tmp_path, device="cuda"))


def test_a_batch_that_cannot_be_made_stops_the_run_with_its_own_error(tmp_path: Path) -> None:
    task = TinyTask()

    def broken(step: int, size: int, part: Part) -> Any:
        raise XlxmertError(f"record {step} is missing")

    task.batch = broken  # type: ignore[method-assign]
    with pytest.raises(XlxmertError, match="record 0 is missing"):
        train(task, settings(tmp_path))


def test_each_process_gets_its_own_parts(tmp_path: Path) -> None:
    seen = []
    for process in (0, 1):
        task, parts = TinyTask(), parts_of(settings(tmp_path, accumulate=2), process, 2)
        feed = Feed(task, 8, 2, parts)
        rows = [feed.take(step, torch.device("cpu")) for step in (0, 1)]
        feed.close()
        assert [step for step, _ in task.asked] == [0, 0, 1, 1]
        seen.append(torch.cat([batch["x"] for batch in rows[1]]))
    assert torch.equal(torch.cat(seen), TinyTask().batch(1, 8)["x"])
    with pytest.raises(
        UsageError, match=r"at least 10 examples for 5 processes with 2 forward passes each, found .* 8"
    ):
        parts_of(settings(tmp_path, accumulate=2), 0, 5)


def test_parts_fill_a_batch_whatever_its_size() -> None:
    for size, count in ((8, 3), (7, 7), (920, 16)):
        rows = [row for index in range(count) for row in range(size)[Part(index, count).rows(size)]]
        assert rows == list(range(size))
        assert sum(Part(index, count).share(size) for index in range(count)) == pytest.approx(1)
    with pytest.raises(XlxmertError, match="expected a part below 2, found 2"):
        Part(2, 2)


def test_placing_reaches_every_tensor_and_keeps_the_kinds() -> None:
    task = TinyTask()
    batch = {"a": [torch.zeros(2), 3], "b": (torch.ones(1), "x"), "c": task.optim}
    placed = place(batch, torch.device("meta"))
    assert placed["a"][0].is_meta and placed["a"][1] == 3 and placed["b"][0].is_meta and placed["b"][1] == "x"
    assert placed["c"] == task.optim
