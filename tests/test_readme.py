"""The README's examples: its Python runs, and its commands are ones that the command line understands."""

import contextlib
import importlib
import io
import os
import re
import shlex
from importlib import resources
from pathlib import Path

import pytest
import tyro

from xlxmert.cli.main import VERBS, verbs

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
HAS_CHECKPOINT = resources.files("xlxmert").joinpath("weights", "world", "config.json").is_file()


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands() -> list[str]:
    """Every ``xlxmert …`` line of the pages; a backslash continues a line, ``#`` begins a remark."""
    shell = "\n".join(block for page in PAGES for block in blocks(page, "sh")).replace("\\\n", " ")
    return sorted({line.strip() for line in shell.splitlines() if line.strip().startswith("xlxmert ")})


PYTHON = [block for page in PAGES for block in blocks(page, "python")]


def test_there_are_examples() -> None:
    assert blocks(ROOT / "README.md", "python")
    assert len(commands()) >= 5


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_examples_are_python(code: str) -> None:
    compile(code, "README.md", "exec")


@pytest.mark.skipif(not HAS_CHECKPOINT, reason="there is no bundled checkpoint in this tree")
@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_examples_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    verb, *words = shlex.split(command, comments=True)[1:]
    assert verb in VERBS
    if verb in verbs():
        tyro.cli(importlib.import_module(f"xlxmert.cli.{verb}").Options, args=words)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert os.path.exists(page.parent / target), f"{page.name} links to {target}"
