"""A run that was stopped, killed or ran out of disk goes on as though nothing had happened."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask, at_step, interrupt, settings
from torch import Tensor

from xlxmert.core import files
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.train import Stopped, checkpoint, train

SCRIPT = Path(__file__).with_name("tiny_task.py")


def content(run: Path) -> dict[str, Tensor]:
    """Every tensor of the latest checkpoint."""
    folder = checkpoint.latest(run / "checkpoints")
    assert folder is not None
    return {
        f"{file.stem}:{name}": tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in files.read_tensors(file)[0].items()
    }


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, averages, optimisers, state and curve are equal, bit for bit."""
    first, second = content(one), content(other)
    assert first.keys() == second.keys() and len(first) > 20
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    folders = [checkpoint.latest(run / "checkpoints") for run in (one, other)]
    assert checkpoint.load_state(folders[0]) == checkpoint.load_state(folders[1])  # type: ignore[arg-type]
    assert (one / "curve.jsonl").read_bytes() == (other / "curve.jsonl").read_bytes()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ten_steps_and_ten_resumed_equal_twenty_bit_for_bit(tmp_path: Path, precision: str, accumulate: int) -> None:
    fields: dict[str, Any] = dict(precision=precision, accumulate=accumulate, warmup=0.2, decay="cosine")
    train(TinyTask(), settings(tmp_path / "whole", **fields))
    with pytest.raises(Stopped, match="after step 10 of 20"):
        train(at_step(TinyTask(), 9 * accumulate + 1, interrupt), settings(tmp_path / "halves", **fields))
    assert checkpoint.step_of(checkpoint.latest(tmp_path / "halves" / "checkpoints")) == 10  # type: ignore[arg-type]
    torch.manual_seed(99)  # what the process drew before must not matter
    report = train(TinyTask(), settings(tmp_path / "halves", **fields))
    assert report.finished and report.step == 20
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_a_resumed_task_ends_with_the_weights_of_the_checkpoint(tmp_path: Path) -> None:
    task, again = TinyTask(), TinyTask()
    report = train(task, settings(tmp_path))
    resumed = train(again, settings(tmp_path))
    assert resumed.step == 20 and resumed.means == report.means and again.asked == []
    for one, other in zip(task.regression.parameters(), again.regression.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(report.averages["model"].parameters(), resumed.averages["model"].parameters(), strict=True):
        assert torch.equal(one, other)


def test_lines_after_the_checkpoint_are_cut_from_the_curve(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path / "whole", log_every=1))
    run = tmp_path / "cut"
    with pytest.raises(RuntimeError, match="power cut"):
        train(at_step(TinyTask(), 15, fail), settings(run, log_every=1, save_every=6))
    with (run / "curve.jsonl").open("a") as stream:
        stream.write('{"step": 15, "model/lo')  # a line that was being written
    assert len((run / "curve.jsonl").read_text().splitlines()) == 15
    train(TinyTask(), settings(run, log_every=1))
    assert_same_run(tmp_path / "whole", run)


def fail() -> None:
    raise RuntimeError("power cut")


def test_a_second_interrupt_stops_at_once_and_harms_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def twice() -> None:
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        train(at_step(TinyTask(), 10, twice), settings(tmp_path, save_every=4))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [checkpoint.step_of(folder) for folder in checkpoint.checkpoints(tmp_path / "checkpoints")] == [4, 8]
    assert train(TinyTask(), settings(tmp_path)).finished


def test_other_settings_refuse_to_resume_and_are_named(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path, steps=4), {"masking": "uniform"})
    message = r"batch_size=8 \(now: 16\), model.lr=0.01 \(now: 0.1\), critic.lr"
    with pytest.raises(XlxmertError, match=message) as caught:
        train(TinyTask(lr=0.1), settings(tmp_path, steps=4, batch_size=16), {"masking": "uniform"})
    assert "--out" in str(caught.value)
    with pytest.raises(XlxmertError, match=r"masking=uniform \(now: bernoulli\)"):
        train(TinyTask(), settings(tmp_path, steps=4), {"masking": "bernoulli"})


def test_steps_and_logging_may_change_on_resume(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path, steps=4))
    report = train(TinyTask(), settings(tmp_path, steps=9, log_every=1, keep=1, save_every=2), {})
    assert report.finished and report.step == 9


def test_resume_never_refuses_a_folder_that_holds_a_run(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path, steps=2, resume="never"))
    with pytest.raises(UsageError, match=r"step-000002.*--resume auto"):
        train(TinyTask(), settings(tmp_path, steps=2, resume="never"))


def test_a_checkpoint_that_was_cut_short_says_how_to_go_on(tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path, steps=6, save_every=3))
    newest = tmp_path / "checkpoints" / "step-000006"
    (newest / "model.safetensors").write_bytes(b"short")
    with pytest.raises(XlxmertError, match=r"delete .*step-000006 to go on"):
        train(TinyTask(), settings(tmp_path, steps=6))
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    assert train(TinyTask(), settings(tmp_path, steps=6)).finished


@pytest.mark.slow
def test_interrupt_from_outside_saves_and_exits_with_one_line(tmp_path: Path) -> None:
    for number, word in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        process = launch(tmp_path / word, steps=2000, save_every=1000, pause=0.005)
        wait_for_curve(tmp_path / word, lines=4)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        last = errors.decode().strip().splitlines()[-1]
        assert (
            process.returncode == 1 and f"stopped by {word}" in last and last.endswith("run the same command to go on")
        )
        assert "Traceback" not in errors.decode()
        folder = checkpoint.latest(tmp_path / word / "checkpoints")
        assert folder is not None and str(folder) in last


@pytest.mark.slow
def test_ten_kills_at_random_moments_leave_the_same_run(tmp_path: Path) -> None:
    steps, dice = 800, random.Random(7)
    assert launch(tmp_path / "whole", steps, save_every=3, pause=0).wait(timeout=120) == 0
    kills = 0
    for _ in range(10):
        process = launch(tmp_path / "killed", steps, save_every=3, pause=0.004)
        wait_for_curve(tmp_path / "killed", lines=1)
        time.sleep(dice.uniform(0.0, 0.3))
        kills += process.poll() is None
        process.kill()
        process.wait()
        for folder in checkpoint.checkpoints(tmp_path / "killed" / "checkpoints"):
            for file in folder.glob("*.safetensors"):
                files.read_tensors(file)
    assert kills == 10
    assert launch(tmp_path / "killed", steps, save_every=3, pause=0).wait(timeout=120) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").rglob(".*.part"))


def launch(out: Path, steps: int, save_every: int, pause: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(SCRIPT), str(out), str(steps), str(save_every), str(pause)]
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})


def wait_for_curve(out: Path, lines: int) -> None:
    """Wait until the run under ``out`` has written some lines more than it had."""
    start, known = time.monotonic(), (out / "curve.jsonl").read_bytes() if (out / "curve.jsonl").exists() else b""
    for _ in itertools.count():
        now = (out / "curve.jsonl").read_bytes() if (out / "curve.jsonl").exists() else b""
        if now != known and now.count(b"\n") >= lines:
            return
        assert time.monotonic() - start < 60, "the run never began"
        time.sleep(0.005)
