"""Tables of answers: each published form is read, and whatever is none is one clear line."""

import json
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.answers import AnswerTable


def put(folder: Path, content: object) -> Path:
    path = folder / "all_ans.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        ["yes", "no", "2"],
        [{"ans": "yes", "dsets": ["vqa", "gqa"]}, {"ans": "no", "dsets": ["vqa"]}, {"ans": "2", "dsets": []}],
        {"no": 1, "2": 2, "yes": 0},
    ],
)
def test_every_published_form_is_read(tmp_path: Path, content: object) -> None:
    assert AnswerTable.load(put(tmp_path, content)) == ("yes", "no", "2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"yes": 0, "no": 2}, "list of answers in .*found a dict"),
        ({"yes": "a"}, "found a dict"),
        ("5", "found a int"),
        (["yes", 5], r"answer at \[1\] of .*found 5"),
        ([{"dsets": ["vqa"]}], r"answer at \[0\] of .*found an object with 1 members"),
        ([{"ans": None}], r"answer at \[0\]"),
        (["yes", "no", "yes"], r"every answer once, found these again: yes \(in .*all_ans\.json"),
        ('["yes", "n', "cut short"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        AnswerTable.load(put(tmp_path, content))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_table_that_is_saved_is_read_again(tmp_path: Path) -> None:
    AnswerTable(["“ü”", "no"]).save(tmp_path / "answers.json")
    assert AnswerTable.load(tmp_path / "answers.json") == ("“ü”", "no")
