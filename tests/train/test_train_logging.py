"""Curves, TensorBoard, and what standard error shows."""

import json
from pathlib import Path

import pytest
from tiny_task import TinyTask, settings

from xlxmert.train import train
from xlxmert.train.logging import Curve, Progress, Window


def test_a_window_resumed_from_its_state_gives_the_same_means() -> None:
    whole, first = Window({}), Window({})
    values = [{"a": 0.1}, {"a": 0.2, "b": 1 / 3}, {"a": 0.7}]
    for value in values:
        whole.add(value)
    for value in values[:2]:
        first.add(value)
    second = Window(json.loads(json.dumps(first.state())))
    second.add(values[2])
    assert second.means() == whole.means() == {"a": pytest.approx(1 / 3), "b": 1 / 3}
    whole.clear()
    assert whole.means() == {}


def test_reopening_a_curve_cuts_what_came_after(tmp_path: Path) -> None:
    first = Curve(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        first.write(step, {"loss": step / 10}, {"seconds": float(step)})
    first.close()
    second = Curve(tmp_path, 2, tensorboard=False)
    second.write(3, {"loss": 0.5}, {"seconds": 9.0})
    second.close()
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").open()]
    assert lines == [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.2}, {"step": 3, "loss": 0.5}]
    assert len((tmp_path / "timing.jsonl").read_text().splitlines()) == 3


def test_tensorboard_holds_the_curve(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    report = train(TinyTask(), settings(tmp_path, tensorboard=True))
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("model/loss")
    assert [event.step for event in scalars] == [3, 6, 9, 12, 15, 18, 20]
    assert scalars[-1].value == pytest.approx(report.means["model/loss"])


def test_outside_a_terminal_plain_lines_tell_losses_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("tiny", 0, 4, quiet=False, line_every=0.0) as progress:
        progress.losses({"model/loss": 0.25, "model/lr": 1.0})
        for step in (1, 4):
            progress.advance(step)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("tiny: step 1/4  model/loss 0.25  ") and "s left" in first and "lr" not in first
    assert last.startswith("tiny: step 4/4")


def test_plain_lines_come_rarely_but_the_last_step_always_shows(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("tiny", 0, 100, quiet=False, line_every=1000.0)
    for step in range(1, 101):
        progress.advance(step)
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ["1/100", "100/100"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with Progress("tiny", 0, 4, quiet=False) as progress:
        progress.losses({"model/loss": 0.25})
        progress.advance(4)
    shown = capsys.readouterr().err
    assert "4/4" in shown and "model/loss 0.25" in shown and "left" in shown


def test_quiet_shows_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(TinyTask(), settings(tmp_path))
    assert capfd.readouterr().err == ""
