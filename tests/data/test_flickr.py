"""Flickr30k's token file: read as published, written again, and damage is one clear line."""

import gzip
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.flickr import read_flickr, write_flickr
from xlxmert.data.records import CaptionRecord

TOKENS = (
    "1000092795.jpg#0\tTwo young guys with shaggy hair look at their hands while hanging out in the yard .\n"
    "1000092795.jpg#1\tTwo friends enjoy time spent together .\n"
    "10002456.jpg#0\tSeveral men in hard hats are operating a giant pulley system .\n"
    "2258277193_586949ec62.jpg.1#3\tpeople waiting for the subway\n"
)


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "results_20130124.token"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_published_file_is_read_to_the_letter(tmp_path: Path) -> None:
    for content in (TOKENS.encode(), TOKENS.replace("\n", "\r\n").encode(), gzip.compress(TOKENS.encode())):
        captions = read_flickr(put(tmp_path, content))
        assert captions[1] == CaptionRecord(
            "1000092795.jpg", "1000092795.jpg#1", "Two friends enjoy time spent together ."
        )
        assert [each.picture_id for each in captions[2:]] == ["10002456.jpg", "2258277193_586949ec62.jpg.1"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    captions = [CaptionRecord(f"{n // 5}.jpg", f"{n // 5}.jpg#{n % 5}", f"“{n}” ü") for n in range(20)]
    write_flickr(tmp_path / "written.token", captions)
    assert read_flickr(tmp_path / "written.token") == captions
    for text in ("a\tdog", "a\ndog"):
        with pytest.raises(XlxmertError, match="on one line and without tabs"):
            write_flickr(tmp_path / "written.token", [CaptionRecord("a.jpg", 0, text)])
    assert read_flickr(tmp_path / "written.token") == captions


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TOKENS + "10002456.jpg#0\tonce more\n", r"new caption in line 5 of .*found '10002456.jpg#0' once more"),
        (TOKENS + "10002456.jpg\tno number\n", r"line 5 of .*found '10002456.jpg' and 1 columns after it"),
        (TOKENS + "10002456.jpg#x\tno number\n", "found '10002456.jpg#x'"),
        (TOKENS + "10002456.jpg#1 no tab\n", "and 0 columns after it"),
        (TOKENS + "10002456.jpg#1\ta\ttab\n", "and 2 columns after it"),
        (TOKENS + "#1\tno file\n", "found '#1'"),
        (TOKENS + "10002456.jp", r"line 5 of .*found '10002456.jp' and 0 columns"),
        (TOKENS + "7.jpg#0\tunknown\n", r"known picture in line 5 of .*found '7.jpg'"),
        ("", "captions of Flickr30k in .*found none"),
        (b"\xff\xd8\xff", "not UTF-8"),
        (gzip.compress(TOKENS.encode())[:-9], "ends early"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    known = {"1000092795.jpg", "10002456.jpg", "10002456.jp", "2258277193_586949ec62.jpg.1"}
    with pytest.raises(XlxmertError, match=message) as caught:
        read_flickr(put(tmp_path, content), known)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))
