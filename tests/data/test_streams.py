"""Files that outgrow memory: any cut of the reading gives the same entries, and damage is one clear line."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import XlxmertError
from xlxmert.data import streams
from xlxmert.data.streams import stream_list, text_lines

ENTRIES = [{"a": 1, "b": ["é", -2.5e3, None, True, {"c": 'x\\"]},['}]}, {}, {"long": "y" * 50}, {"n": [1, 23, False]}]


def put(folder: Path, content: str | bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_entries_are_the_same_however_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None, packed: bool
) -> None:
    monkeypatch.setattr(streams, "CHUNK", chunk)
    text = f" {json.dumps(ENTRIES, indent=indent, ensure_ascii=False)}\n\n".encode()
    read = list(stream_list(put(tmp_path, gzip.compress(text) if packed else text)))
    assert [each.content for each in read] == ENTRIES
    assert [each.place for each in read] == ["[0]", "[1]", "[2]", "[3]"]
    assert list(stream_list(put(tmp_path, " [ ] "))) == []


@settings(max_examples=30)
@given(st.data())
def test_any_cut_of_a_list_is_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = json.dumps(ENTRIES)
    path = put(tmp_path_factory.mktemp("cut"), whole[: data.draw(st.integers(1, len(whole) - 1))])
    with pytest.raises(XlxmertError, match=r"JSON at \[\d\] of .*the end of the file.*cut short"):
        list(stream_list(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a list at the top of .*found nothing"),
        ('{"a": 1}', r"a list at the top of .*found '\{' at its beginning"),
        ("[1]", r"an object at \[0\] of .*found 1"),
        ('[{"a": 1} {"b": 2}]', r"JSON at \[1\] of .*found '\{' where a comma should be"),
        ('[{"a": 1}, {"b" 2, "and so on": "and on"}]', r"JSON at \[1\] of .*Expecting ':' delimiter"),
        ('[{"a": 1},]', r"JSON at \[1\]"),
        ('[{"a": 1}] x', "found 'x' after its end"),
        ("[" * 200_000, "JSON at .0. of"),
        ('[{"a": ' + "1" * 5000 + "}]", r"JSON at \[0\]"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
    ],
)
def test_damaged_lists_are_one_clear_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        list(stream_list(put(tmp_path, content)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_mistake_is_found_where_it_is_and_not_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHUNK", 100)
    path = put(tmp_path, '[{"a" 1}, ' + '{"b": 2}, ' * 10_000)
    with pytest.raises(XlxmertError, match=r"\[0\] of .*Expecting ':'"):
        next(stream_list(path))


def test_lines_are_counted_and_empty_ones_passed_over(tmp_path: Path) -> None:
    content = "\ufeffone\r\n\ntwo\u2028words\t \n \nthree"
    for packed in (content.encode(), gzip.compress(content.encode())):
        assert list(text_lines(put(tmp_path, packed), "lines")) == [(1, "one"), (3, "two\u2028words\t "), (5, "three")]


def test_gzip_that_ends_early_or_is_damaged_is_one_clear_line(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"{n * 7919 % 1013}\n" for n in range(20_000)).encode())
    for cut in (20, len(whole) // 2, len(whole) - 4):
        with pytest.raises(XlxmertError, match=r"expected lines in .*file, found a gzip file that ends early: .*again"):
            list(text_lines(put(tmp_path, whole[:cut]), "lines"))
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    with pytest.raises(XlxmertError, match="a damaged gzip file"):
        list(text_lines(put(tmp_path, bytes(broken)), "lines"))


def test_other_files_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(XlxmertError, match=r"expected lines at .*none, found nothing: check the path"):
        list(text_lines(tmp_path / "none", "lines"))
    with pytest.raises(XlxmertError, match="could not read"):
        list(text_lines(tmp_path, "lines"))
    with pytest.raises(XlxmertError, match="not UTF-8"):
        list(text_lines(put(tmp_path, b"\x89PNG\xff\xfe"), "lines"))
    monkeypatch.setattr(streams, "MOST", 100)
    with pytest.raises(XlxmertError, match="found line 2 with 100 characters or more"):
        list(text_lines(put(tmp_path, "a\n" + "b" * 200), "lines"))
