"""Folders that one process at a time may write to."""

import subprocess
import sys
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import locked, write_text

ENTER = """
import sys
from pathlib import Path
from xlxmert.core.files import locked, write_text
with locked(Path(sys.argv[1])):
    pass
"""


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENTER, str(tmp_path / "run")]
    with locked(tmp_path / "run"):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "found another process writing to it" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(XlxmertError, match=r"could not write to .*file"), locked(tmp_path / "file"):
        pass


def test_a_file_in_a_parents_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(XlxmertError, match=r"could not write .*what was there before is unharmed"):
        write_text(tmp_path / "file" / "inner.txt", "words")
    assert (tmp_path / "file").read_text() == "precious"
