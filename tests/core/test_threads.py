"""Threads wait actively where training is near, and the environment has the last word."""

import os
import subprocess
import sys

import pytest

from xlxmert.core.threads import wait_actively


def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    wait_actively()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    wait_actively()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_recipes_and_training_verbs_ask_before_torch_is_there() -> None:
    for start in ("import xlxmert.recipes", "from xlxmert.cli.main import main; main(['pretrain', '--help'])"):
        watch = "\n".join(
            [
                "import os, sys",
                "os.environ.pop('OMP_WAIT_POLICY', None)",
                "class Watch:",
                "    def find_spec(self, name, path=None, target=None):",
                "        if name == 'torch':",
                "            assert os.environ.get('OMP_WAIT_POLICY') == 'active', 'torch came first'",
                "sys.meta_path.insert(0, Watch())",
                start,
                "assert os.environ['OMP_WAIT_POLICY'] == 'active'",
            ]
        )
        done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
