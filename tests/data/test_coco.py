"""COCO's captions and instances: what is written is read again, and the published format is understood."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import XlxmertError
from xlxmert.data.coco import read_captions, read_instances, read_pictures, write_captions, write_instances
from xlxmert.data.records import CaptionRecord, InstanceRecord, PictureRecord

CAPTIONS = """{"info": {"description": "COCO 2014 Dataset",
"url": "http://cocodataset.org","version": "1.0","year": 2014,
"contributor": "COCO Consortium","date_created": "2017/09/01"},"images": [{"license": 3,
"file_name": "COCO_val2014_000000391895.jpg",
"coco_url": "http://images.cocodataset.org/val2014/COCO_val2014_000000391895.jpg",
"height": 360,"width": 640,"date_captured": "2013-11-14 11:18:45",
"flickr_url": "http://farm9.staticflickr.com/1/1_z.jpg","id": 391895}],
"licenses": [{"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/","id": 1,"name": "Attribution-NonCommercial"}],
"annotations": [{"image_id": 391895,"id": 771687,"caption": "A red moped beside a wall.\\n"}]}"""

INSTANCES = """{"images": [{"license": 3,
"file_name": "COCO_val2014_000000391895.jpg","height": 360,"width": 640,"id": 391895}],
"annotations": [{"segmentation": [[376.97,176.91,398.81,176.91,396.38,147.78]],"area": 12190.44565,"iscrowd": 0,
"image_id": 391895,"bbox": [320,36,160,216.5],"category_id": 4,"id": 151091},
{"segmentation": {"counts": [20736,2,453],"size": [360,640]},"area": 5,"iscrowd": 1,"image_id": 391895,
"bbox": [0,0,640.01,360],"category_id": 1,"id": 900100391895}],
"categories": [{"supercategory": "person","id": 1,"name": "person"},
{"supercategory": "vehicle","id": 4,"name": "motorcycle"}]}"""

PICTURES = [PictureRecord(1, "a/1.png", 256, 256), PictureRecord(2, "é.png", 100, 50)]
WHOLE = (0.0, 0.0, 1.0, 1.0)
CATEGORIES = {"dog": "animal", "cat": "animal", "car": "vehicle"}


def put(folder: Path, content: object) -> Path:
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_captions_are_read_to_the_letter(tmp_path: Path) -> None:
    path = put(tmp_path, CAPTIONS)
    pictures, captions = read_captions(path)
    assert pictures == read_pictures(path) == [PictureRecord(391895, "COCO_val2014_000000391895.jpg", 640, 360)]
    assert captions == [CaptionRecord(391895, 771687, "A red moped beside a wall.\n")]


def test_the_published_instances_become_normalised_boxes_with_category_names(tmp_path: Path) -> None:
    _, instances = read_instances(put(tmp_path, INSTANCES))
    assert instances[0] == InstanceRecord(391895, 151091, "motorcycle", (0.5, 0.1, 0.75, 252.5 / 360))
    assert instances[1] == InstanceRecord(391895, 900100391895, "person", (0.0, 0.0, 1.0, 1.0), crowd=True)


def test_written_captions_are_read_again_and_carry_the_published_members(tmp_path: Path) -> None:
    captions = [CaptionRecord(2, number, f"“{number}” ü\n") for number in range(3000)]
    write_captions(tmp_path / "captions.json", PICTURES, iter(captions))
    assert read_captions(tmp_path / "captions.json") == (PICTURES, captions)
    real, ours = json.loads(CAPTIONS), json.loads((tmp_path / "captions.json").read_text())
    assert ours.keys() == real.keys() and ours["info"].keys() == real["info"].keys()
    for member in ("images", "licenses", "annotations"):
        assert ours[member][0].keys() == real[member][0].keys()


def test_written_instances_are_read_again_and_carry_the_published_members(tmp_path: Path) -> None:
    instances = [
        InstanceRecord(1, 7, "cat", (17 / 256, 3 / 256, 101 / 256, 1.0), ("red", "small")),
        InstanceRecord(2, 8, "car", (0.07, 0.0, 0.81, 0.5), crowd=True),
    ]
    path = tmp_path / "instances.json"
    write_instances(path, PICTURES, instances, CATEGORIES)
    assert read_instances(path) == (PICTURES, instances)
    written, real = json.loads(path.read_text()), json.loads(INSTANCES)
    assert written["annotations"][1].keys() == real["annotations"][0].keys()
    assert written["annotations"][0]["bbox"] == [17, 3, 84, 253]
    assert written["annotations"][0]["area"] == 84 * 253
    assert written["annotations"][0]["segmentation"] == [[17, 3, 101, 3, 101, 256, 17, 256]]
    assert written["categories"][2] == {"supercategory": "vehicle", "id": 3, "name": "car"}


unit = st.floats(0, 1)


@settings(deadline=None, max_examples=50)
@given(unit, unit, unit, unit, st.integers(1, 5000), st.integers(1, 5000))
def test_any_box_survives_to_a_hundredth_of_a_pixel(
    tmp_path_factory: pytest.TempPathFactory, x0: float, y0: float, x1: float, y1: float, width: int, height: int
) -> None:
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    path = tmp_path_factory.mktemp("box") / "instances.json"
    write_instances(path, [PictureRecord(1, "1", width, height)], [InstanceRecord(1, 1, "dog", box)], CATEGORIES)
    read = read_instances(path)[1][0].box
    for got, true, side in zip(read, box, (width, height) * 2, strict=True):
        assert abs(got - true) * side < 0.0101


def changed(text: str, *path: str | int, **members: object) -> dict[str, object]:
    content: dict[str, object] = json.loads(text)
    entry: Any = content
    for step in path:
        entry = entry[step]
    for name, value in members.items():
        if value is None:
            del entry[name]
        else:
            entry[name] = value
    return content


ANNOTATION = ("annotations", 0)
DAMAGED = [
    (changed(CAPTIONS, *ANNOTATION, caption=None), r'"caption" in annotations\[0\] of .*found only "image_id", "id"'),
    (changed(CAPTIONS, *ANNOTATION, caption=5), r'string as "caption" in annotations\[0\].*found 5'),
    (changed(CAPTIONS, *ANNOTATION, caption="\ud800"), "half of a character pair"),
    (changed(CAPTIONS, *ANNOTATION, image_id=5), r"known picture in annotations\[0\].*found 5"),
    (changed(CAPTIONS, *ANNOTATION, image_id=True), 'whole number or a string as "image_id"'),
    (changed(CAPTIONS, images=[json.loads(CAPTIONS)["images"][0]] * 2), r"new picture id in images\[1\]"),
    (changed(CAPTIONS, annotations=json.loads(CAPTIONS)["annotations"] * 2), r"new caption id in annotations\[1\]"),
    (changed(CAPTIONS, annotations={}), 'list as "annotations"'),
    (changed(CAPTIONS, annotations=[3]), r"object at annotations\[0\] of .*found 3"),
    (changed(CAPTIONS, images=None), 'expected "images"'),
    (changed(CAPTIONS, "images", 0, width=0), 'at least 1 as "width"'),
    ([1], "expected an object at the top of .*found a list of 1"),
    (CAPTIONS[:-40], "cut short"),
    ("[" * 100_000, "cannot be read"),
    ("", "cut short"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED)
def test_damaged_captions_are_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_captions(put(tmp_path, content))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"bbox": [float("nan"), 0, 5, 5]}, r'finite number as "bbox\[0\]"'),
        ({"bbox": [0, float("inf"), 5, 5]}, r'finite number as "bbox\[1\]"'),
        ({"image_id": 10**400}, 'whole number or a string as "image_id"'),
        ({"bbox": [10**400, 0, 5, 5]}, r'finite number as "bbox\[0\]"'),
        ({"bbox": [0, 0, "5", 5]}, r"found '5'"),
        ({"bbox": [0, 0, 5]}, "list of 4 numbers"),
        ({"bbox": [600, 0, 100, 5]}, r"within the 640 x 360 of picture 391895 .*found \(600, 0, 100, 5\)"),
        ({"bbox": [-3, 0, 100, 5]}, "within the 640 x 360"),
        ({"bbox": [50, 50, -10, 5]}, "within the 640 x 360"),
        ({"category_id": 9}, 'one of the "categories" as "category_id"'),
        ({"iscrowd": "no"}, 'true or false as "iscrowd"'),
        ({"attributes": [1]}, 'list of strings as "attributes"'),
    ],
)
def test_damaged_instances_are_one_clear_line(tmp_path: Path, members: dict[str, object], message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_instances(put(tmp_path, changed(INSTANCES, *ANNOTATION, **members)))
    assert "annotations[0]" in str(caught.value)


def test_a_missing_file_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected a JSON file at .*none\.json, found nothing"):
        read_captions(tmp_path / "none.json")
    with pytest.raises(XlxmertError, match="could not read"):
        read_captions(tmp_path)


def test_records_refuse_boxes_that_no_file_could_hold() -> None:
    for box in [(0.5, 0.0, 0.4, 1.0), (0.0, 0.0, float("nan"), 1.0), (0.0, -0.1, 1.0, 1.0), (0.0, 0.0, 1.0, 1.1)]:
        with pytest.raises(XlxmertError, match="instance 4 of picture 3"):
            InstanceRecord(3, 4, "dog", box)
    with pytest.raises(XlxmertError, match="0 x 5 for picture 'a'"):
        PictureRecord("a", "a.png", 0, 5)


def test_a_writer_that_fails_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = put(tmp_path, CAPTIONS)
    for stray in (InstanceRecord(9, 1, "dog", WHOLE), InstanceRecord(1, 1, "unicorn", WHOLE)):
        with pytest.raises(XlxmertError, match=r"in instance 1, found (picture 9|category 'unicorn')"):
            write_instances(path, PICTURES, [InstanceRecord(1, 0, "dog", WHOLE), stray], CATEGORIES)
    assert path.read_text() == CAPTIONS
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_captions(tmp_path / name, PICTURES, [CaptionRecord(1, 1, "a dog")])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
