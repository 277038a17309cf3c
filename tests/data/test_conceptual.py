"""Conceptual Captions: the published file and what downloads leave are read, and damage is one clear line."""

import gzip
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.conceptual import ConceptualRecord, read_conceptual

PUBLISHED = (
    "a very typical bus station\thttp://lh6.ggpht.com/-Iv/TWS5BI/AABu8/s9M/DSC_3.jpg?imgmax=400\n"
    "sierra looked stunning in this top and this skirt while performing with person\thttp://i.dailymail.co.uk/i/a.jpg\n"
    "young confused girl standing in front of a wardrobe\thttps://media.gettyimages.com/photos/-id129\n"
)
LOCAL = "a very typical bus station\ttraining/00001.jpg\nsierra looked stunning\ttraining/00002.jpg\n"
REPORT = (
    "a very typical bus station\thttp://a.b/1.jpg\ttraining\t200\ttraining/3219874326\n"
    '"""sierra"" looked stunning"\thttp://a.b/2.jpg\ttraining\t404.0\t\n'
    '"one "" mark"\thttp://a.b/3.jpg\ttraining\t200\ttraining/77\n'
)


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "captions.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_published_file_is_read_one_record_at_a_time(tmp_path: Path) -> None:
    for content in (PUBLISHED.encode(), gzip.compress(PUBLISHED.encode())):
        records = read_conceptual(put(tmp_path, content))
        address = "http://lh6.ggpht.com/-Iv/TWS5BI/AABu8/s9M/DSC_3.jpg?imgmax=400"
        assert next(records) == ConceptualRecord(1, "a very typical bus station", address, None)
        assert [each.number for each in records] == [2, 3]


def test_downloaded_pictures_are_named_by_their_files(tmp_path: Path) -> None:
    read = list(read_conceptual(put(tmp_path, LOCAL), {"training/00001.jpg", "training/00002.jpg"}))
    assert read[1] == ConceptualRecord(2, "sierra looked stunning", "", "training/00002.jpg")
    read = list(read_conceptual(put(tmp_path, REPORT), {"training/3219874326", "training/77"}))
    assert [each.file_name for each in read] == ["training/3219874326", None, "training/77"]
    assert [each.text for each in read[1:]] == ['"sierra" looked stunning', 'one " mark']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PUBLISHED + "no address\n", r"expected 2 columns as above in line 4 of .*found 1 columns"),
        (PUBLISHED + "a\tb\tc\n", "found 3 columns"),
        ("a\tb\tc\n", r"a caption and an address in line 1 of .*found 3 columns"),
        (PUBLISHED + " \thttp://a.b/1.jpg\n", r"line 4 of .*found ' ' and 'http://a.b/1.jpg'"),
        (PUBLISHED + "a dog\t\n", "found 'a dog' and ''"),
        (LOCAL + "a dog\ttraining/9.jpg\n", r"known picture in line 3 of .*found 'training/9.jpg'"),
        (REPORT + "a dog\tnowhere\ttraining\t200\ttraining/77\n", "an address, and a number as status in line 4"),
        (REPORT + "a dog\thttp://a.b/1\ttraining\tgood\ttraining/77\n", "found 'http://a.b/1' and 'good'"),
        ("", "captions and addresses in .*found none"),
        (gzip.compress(PUBLISHED.encode())[:-10], r"captions\.tsv, found a gzip file that ends early"),
        (b"\x1f\x8bnothing else", "damaged gzip|ends early"),
        (b"\x00\xff\xfe", "not UTF-8"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    known = {"training/00001.jpg", "training/00002.jpg", "training/3219874326", "training/77"}
    with pytest.raises(XlxmertError, match=message) as caught:
        list(read_conceptual(put(tmp_path, content), known))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))
