"""One tiny checkpoint for all tests of this folder, and a way to run the command line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from xlxmert.cli.main import main
from xlxmert.core.images import save_png
from xlxmert.testing.tiny import tiny_bundle, tiny_pictures

torch.set_num_threads(1)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tiny_bundle().save_pretrained(folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command line in this process: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    yield call


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / "album"
    for index, picture in enumerate(tiny_pictures(3)):
        save_png(folder / f"{index}.png", picture)
    return folder
