"""Many processes: the curve of one with the same batch, resumption with another number, shards, and sudden ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_task import TinyTask, settings

from xlxmert.core.errors import UsageError
from xlxmert.core.files import read_tensors
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, write_store
from xlxmert.testing.tiny import ANSWERS, SENTENCES, tiny_tokenizer, tiny_vocabulary
from xlxmert.train import checkpoint, train

SCRIPT = Path(__file__).with_name("tiny_task.py")
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of twelve pictures and its visual vocabulary."""
    folder = tmp_path_factory.mktemp("data")
    vocabulary, tokenizer = tiny_vocabulary(), tiny_tokenizer()
    vocabulary.save(folder / "vocabulary.safetensors")
    codes = np.random.default_rng(0).integers(0, len(vocabulary.codebook), (12, 64)).astype(np.uint16)
    sentences = [Sentence(SENTENCES[picture % 4], picture) for picture in range(12)]
    sentences += [Sentence(SENTENCES[4], picture, "question", {"red": 1.0}) for picture in range(12)]
    write_store(
        folder / "store", codes, [f"{i}.png" for i in range(12)], sentences, tokenizer, AnswerTable(ANSWERS),
        vocabulary.codebook.fingerprint, len(vocabulary.codebook),
    )  # fmt: skip
    return folder


def launcher(processes: int, accelerate: bool = False) -> list[str]:
    if processes == 1:
        return [sys.executable]
    if accelerate:
        module = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision=no"]
        return [*module, "--num_machines=1", "--dynamo_backend=no", f"--num_processes={processes}"]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]


def pretrain(
    data: Path, out: Path, processes: int, steps: int = 20, *more: str, accelerate: bool = False
) -> "subprocess.CompletedProcess[str]":
    """The real command, with AdamW: Muon's products in bfloat16 carry rounding further than 1e-5."""
    command = [*launcher(processes, accelerate), "-m", "xlxmert", "pretrain", f"--store={data / 'store'}"]
    command += [f"--codebook={data / 'vocabulary.safetensors'}", "--preset=tiny", f"--loop.out={out}"]
    command += [
        f"--loop.steps={steps}",
        "--loop.decay=constant",
        "--loop.warmup=0",
        "--loop.batch-size=10",
        "--loop.precision=fp32",
    ]
    command += ["--loop.device=cpu", "--loop.no-tensorboard", "--loop.log-every=1", "--objectives.optim.muon-lr=0"]
    return subprocess.run([*command, *more], env=ENVIRONMENT, capture_output=True, text=True, timeout=600)


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "curve.jsonl").open()]


def assert_same_curve(one: Path, other: Path, steps: int = 20) -> None:
    first, second = curve(one), curve(other)
    assert [line["step"] for line in first] == [line["step"] for line in second] == list(range(1, steps + 1))
    for mine, yours in zip(first, second, strict=True):
        assert mine.keys() == yours.keys()
        for name, value in mine.items():
            assert yours[name] == pytest.approx(value, abs=1e-5), (name, mine["step"])


def complaints(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_two_processes_have_the_curve_of_one_and_more_may_go_on(data: Path, tmp_path: Path) -> None:
    """Dropout is on: what a process draws depends on its part of the batch, so two parts of one process draw it too."""
    assert pretrain(data, tmp_path / "one", 1, 20, "--loop.accumulate=2").returncode == 0
    both = pretrain(data, tmp_path / "two", 2, 12)
    assert both.returncode == 0 and both.stdout.count("steps ") == 1, both.stderr
    assert pretrain(data, tmp_path / "two", 1, 20, "--loop.accumulate=2").returncode == 0
    assert_same_curve(tmp_path / "one", tmp_path / "two")
    assert not list((tmp_path / "two").rglob(".*.part"))


@pytest.mark.slow
def test_four_processes_and_shards_have_the_same_curve_and_the_same_files(data: Path, tmp_path: Path) -> None:
    assert pretrain(data, tmp_path / "one", 1, 20, "--loop.accumulate=4").returncode == 0
    assert pretrain(data, tmp_path / "four", 4, 8).returncode == 0
    two = pretrain(data, tmp_path / "four", 2, 14, "--loop.sharding=full", "--loop.accumulate=2")
    assert two.returncode == 0, two.stderr
    assert pretrain(data, tmp_path / "four", 1, 20, "--loop.accumulate=4", "--loop.checkpointing").returncode == 0
    assert_same_curve(tmp_path / "one", tmp_path / "four")
    folders = [checkpoint.latest(tmp_path / name / "checkpoints") for name in ("one", "four")]
    for file in ("model", "model.ema", "model.moments"):
        mine, yours = (read_tensors(folder / f"{file}.safetensors")[0] for folder in folders if folder)
        assert mine.keys() == yours.keys()
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, yours[name], atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_accelerate_launches_the_same(data: Path, tmp_path: Path) -> None:
    assert pretrain(data, tmp_path / "one", 1, 8, "--loop.accumulate=2").returncode == 0
    both = pretrain(data, tmp_path / "two", 2, 8, accelerate=True)
    assert both.returncode == 0, both.stderr
    assert_same_curve(tmp_path / "one", tmp_path / "two", 8)


@pytest.mark.slow
def test_what_is_wrong_is_said_once_by_one_process(data: Path, tmp_path: Path) -> None:
    for more, text in (
        (["--loop.batch-size=1"], "a batch of at least 2 examples for 2 processes"),
        (["--loop.sharding=full", "--objectives.optim.muon-lr=0.1"], "set muon_lr to 0"),
        ([f"--codebook={tmp_path / 'none'}"], "found nothing"),
    ):
        done = pretrain(data, tmp_path / "run", 2, 4, *more)
        assert done.returncode != 0 and len(complaints(done)) == 1 and text in complaints(done)[0], done.stderr
    command = [*launcher(2), "-m", "xlxmert", "paint", "a dog"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert len(complaints(done)) == 1 and "expected one process for xlxmert paint, found 2" in complaints(done)[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_one_process_ends_the_run_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    whole = [*launcher(2), str(SCRIPT), str(tmp_path / "whole"), "60", "3", "0"]
    assert subprocess.run(whole, env=ENVIRONMENT, capture_output=True, timeout=600).returncode == 0
    command = [*launcher(2), str(SCRIPT), str(tmp_path / "cut"), "60", "3", "0.05"]
    run = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    start = time.monotonic()
    while len(checkpoint.checkpoints(tmp_path / "cut" / "checkpoints")) < 2:
        assert time.monotonic() - start < 300 and run.poll() is None
        time.sleep(0.02)
    os.kill(next(children(run.pid)), number)
    _, errors = run.communicate(timeout=300)
    assert run.returncode != 0
    for folder in checkpoint.checkpoints(tmp_path / "cut" / "checkpoints"):
        for file in folder.glob("*.safetensors"):
            read_tensors(file)
    if number == signal.SIGTERM:
        assert errors.count("stopped by SIGTERM after step") >= 1
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=600).returncode == 0
    assert (tmp_path / "whole" / "curve.jsonl").read_bytes() == (tmp_path / "cut" / "curve.jsonl").read_bytes()


def children(parent: int) -> Iterator[int]:
    """The processes that a process started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        if int(fields[1]) == parent:
            yield int(stat.parent.name)


def test_shards_are_refused_where_they_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one network to train, found 2 \(model, critic\)"):
        train(TinyTask(), settings(tmp_path, sharding="full"))
