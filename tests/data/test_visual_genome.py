"""Visual Genome: what is written is read again, and the published files are understood, faults included."""

import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.records import PictureRecord, QuestionRecord, RegionRecord
from xlxmert.data.visual_genome import (
    BASE_URL,
    read_image_data,
    read_question_answers,
    read_regions,
    write_image_data,
    write_question_answers,
    write_regions,
)

IMAGE_DATA = """[{"width": 800, "url": "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg", "height": 600,
"image_id": 1, "coco_id": null, "flickr_id": null}, {"width": 500, "url": "https://cs.stanford.edu/people/rak248/VG_100K/2370463.jpg",
"height": 281, "image_id": 2412112, "coco_id": 547168, "flickr_id": 8505158818}]"""
REGIONS = """[{"regions": [{"region_id": 1382, "width": 82, "height": 139, "image_id": 1,
"phrase": "the clock has two hands", "y": 57, "x": 421}, {"region_id": 1383, "width": 182, "height": 109, "image_id": 1,
"phrase": "a long shadow ", "y": 372, "x": 194}], "id": 1},
{"regions": [{"region_id": 5851305, "width": 55, "height": 25, "image_id": 2412112, "phrase": "A far bird.",
"y": -904, "x": 179}, {"region_id": 5503839, "width": 10, "height": 35, "image_id": 2412112, "phrase": "a lamp",
"y": -2, "x": 480}], "id": 2412112}]"""
QUESTIONS = """[{"id": 1, "qas": [{"a_objects": [], "question": "What colour is the lamp?", "image_id": 1, 
"qa_id": 986768, "answer": "Green.", "q_objects": []}]}, {"id": 2412112, "qas": []}]"""

PICTURES = [
    PictureRecord(1, "VG_100K_2/1.jpg", 800, 600),
    PictureRecord(2412112, "VG_100K/2370463.jpg", 500, 281, 547168),
]


def put(folder: Path, content: object) -> Path:
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_pictures_are_read_with_their_folders_and_coco_ids(tmp_path: Path) -> None:
    assert read_image_data(put(tmp_path, IMAGE_DATA)) == PICTURES


def test_written_pictures_are_read_again_with_and_without_an_address(tmp_path: Path) -> None:
    for base_url in ("", BASE_URL):
        write_image_data(tmp_path / "image_data.json", iter(PICTURES), base_url)
        assert read_image_data(tmp_path / "image_data.json") == PICTURES
    ours, real = json.loads((tmp_path / "image_data.json").read_text()), json.loads(IMAGE_DATA)
    assert ours[0] == real[0]


def test_the_published_regions_are_read_and_drawn_into_the_picture(tmp_path: Path) -> None:
    clock, shade, cloud, window = read_regions(put(tmp_path, REGIONS), PICTURES)
    assert clock == RegionRecord(1, 1382, "the clock has two hands", (421 / 800, 57 / 600, 503 / 800, 196 / 600))
    assert shade.phrase == "a long shadow "
    assert cloud.box == (179 / 500, 0.0, 234 / 500, 0.0)
    assert window.box == (480 / 500, 0.0, 490 / 500, 33 / 281)


def test_regions_outside_the_picture_are_errors_where_asked(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"within the 500 x 281 of picture 2412112 in \[1\].regions\[0\].*-904"):
        read_regions(put(tmp_path, REGIONS), PICTURES, slack=2.0)


def test_written_regions_are_read_again_and_carry_the_published_members(tmp_path: Path) -> None:
    regions = [
        RegionRecord(picture.id, number, f"phrase {number}", (number / picture.width, 0.0, 1.0, 9 / picture.height))
        for picture in PICTURES
        for number in range(20)
    ]
    path = tmp_path / "region_descriptions.json"
    write_regions(path, iter(PICTURES), reversed(regions))
    assert sorted(read_regions(path, PICTURES), key=regions.index) == regions
    ours, real = json.loads(path.read_text()), json.loads(REGIONS)
    assert ours[0].keys() == real[0].keys() and ours[0]["regions"][0].keys() == real[0]["regions"][0].keys()


def test_the_published_questions_are_read(tmp_path: Path) -> None:
    assert read_question_answers(put(tmp_path, QUESTIONS), {1}) == [
        QuestionRecord(1, 986768, "What colour is the lamp?", {"green": 1.0}, ("Green.",))
    ]


def test_files_that_name_the_picture_outside_only_are_read_too(tmp_path: Path) -> None:
    content = [{"image_id": 2317993, "qas": [{"qa_id": 912402, "question": "Where is the moon?", "answer": "sky"}]}]
    (record,) = read_question_answers(put(tmp_path, content))
    assert record.picture_id == 2317993


def test_the_published_questions_are_written_again_member_for_member(tmp_path: Path) -> None:
    records = read_question_answers(put(tmp_path, QUESTIONS))
    write_question_answers(tmp_path / "again.json", [1, 2412112], iter(records))
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(QUESTIONS)
    assert read_question_answers(tmp_path / "again.json") == records


def region(**members: object) -> list[object]:
    content: list[Any] = json.loads(REGIONS)
    content[0]["regions"][1] |= members
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (region(image_id=3), r"known picture in \[0\].regions\[1\].*found 3"),
        (region(region_id=1382), "new region id of this picture"),
        (region(x=float("nan")), 'finite number as "x"'),
        (region(x="7"), 'finite number as "x"'),
        (region(width=-4), "within the 800 x 600 of picture 1"),
        (region(phrase=None), 'string as "phrase" .*found null'),
        ([{"id": 1}], r'"regions" in \[0\]'),
        ([4], r"object at \[0\]"),
        ({}, "expected a list at the top"),
        (REGIONS[:-9], "cut short"),
    ],
)
def test_damaged_regions_are_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_regions(put(tmp_path, content), PICTURES)
    assert "\n" not in str(caught.value)


def test_damaged_pictures_and_questions_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"new picture id in \[2\]"):
        read_image_data(put(tmp_path, json.loads(IMAGE_DATA) + json.loads(IMAGE_DATA)))
    with pytest.raises(XlxmertError, match="known picture"):
        read_question_answers(put(tmp_path, QUESTIONS), {2})
    with pytest.raises(XlxmertError, match=r'"id" in \[0\]'):
        read_question_answers(put(tmp_path, [{"qas": [{"question": "a", "answer": "b", "qa_id": 1}]}]))
    with pytest.raises(XlxmertError, match="found nothing"):
        read_image_data(tmp_path / "none.json")


def test_writers_refuse_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"picture of region 8 .*found 9"):
        write_regions(tmp_path / "r.json", PICTURES, [RegionRecord(9, 8, "a", (0.0, 0.0, 1.0, 1.0))])
    with pytest.raises(XlxmertError, match="raw answer to question 8"):
        write_question_answers(tmp_path / "q.json", [1], [QuestionRecord(1, 8, "Why?")])
    assert not list(tmp_path.iterdir())
