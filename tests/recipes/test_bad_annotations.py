"""Every format that ``prepare`` reads, broken in every way: one line that names the file, and nothing left behind."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import save_png
from xlxmert.data.nlvr2 import write_nlvr2
from xlxmert.data.records import PairRecord, PictureRecord, QuestionRecord, RegionRecord
from xlxmert.data.visual_genome import write_image_data, write_question_answers, write_regions
from xlxmert.data.vqa import write_vqa
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.testing.tiny import tiny_pictures, tiny_tokenizer, tiny_vocabulary

SAID = "is this a red car ?"
PICTURE = "41234"
"""The stem of a picture's file, and a number wherever a format wants one; the other is one more."""
LEFT, RIGHT = "train-1-0-img0", "train-1-0-img1"


def put(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def captions(f: Path) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 32} for n in (41234, 41235)]
    told = [{"id": n, "image_id": 41234 + n, "caption": SAID} for n in range(2)]
    return {"captions": (put(f / "a.json", {"images": images, "annotations": told}),)}


def lines(f: Path) -> dict[str, Any]:
    return {"captions": (put(f / "a.jsonl", json.dumps({"image": f"{PICTURE}.png", "caption": SAID}) + "\n"),)}


def karpathy(f: Path) -> dict[str, Any]:
    images = [
        {"filename": f"{41234 + n}.png", "imgid": n, "split": "train", "sentids": [n],
         "sentences": [{"raw": SAID, "imgid": n, "sentid": n, "tokens": ["is"]}]} for n in range(2)
    ]  # fmt: skip
    return {"karpathy": (put(f / "a.json", {"dataset": "flickr8k", "images": images}),)}


def flickr(f: Path) -> dict[str, Any]:
    return {"flickr": (put(f / "a.token", "".join(f"41234.png#{n}\t{SAID}\n" for n in range(2))),)}


def conceptual(f: Path) -> dict[str, Any]:
    return {"conceptual": (put(f / "a.tsv", f"{SAID}\t{PICTURE}.png\n" * 2),)}


def vqa(f: Path) -> dict[str, Any]:
    asked = [QuestionRecord(41234 + n, n, SAID, {"yes": 1.0}, ("yes",) * 10) for n in range(2)]
    write_vqa(f / "a.json", f / "b.json", asked, "train2014")
    return {"vqa": ((f / "a.json", f / "b.json"),)}


def gqa(f: Path) -> dict[str, Any]:
    asked = {f"7{n}": {"imageId": PICTURE, "question": SAID, "answer": "yes", "isBalanced": True} for n in range(2)}
    return {"gqa": (put(f / "a.json", asked),)}


def easy_vqa(f: Path) -> dict[str, Any]:
    return {"easy_vqa": (put(f / "a.json", [[SAID, "yes", 41234 + n] for n in range(2)]),)}


def genome(f: Path) -> list[PictureRecord]:
    pictures = [PictureRecord(41234 + n, f"{41234 + n}.png", 32, 32) for n in range(2)]
    write_image_data(f / "images.json", pictures)
    return pictures


def regions(f: Path) -> dict[str, Any]:
    told = [RegionRecord(41234, 41234 + n, SAID, (0.0, 0.0, 1.0, 1.0)) for n in range(2)]
    write_regions(f / "a.json", genome(f), told)
    return {"regions": ((f / "images.json", f / "a.json"),)}


def genome_questions(f: Path) -> dict[str, Any]:
    pictures = genome(f)
    asked = [QuestionRecord(each.id, each.id, SAID, {"yes": 1.0}, ("yes",)) for each in pictures]
    write_question_answers(f / "a.json", [each.id for each in pictures], asked)
    return {"genome_questions": ((f / "images.json", f / "a.json"),)}


def nlvr2(f: Path) -> dict[str, Any]:
    write_nlvr2(f / "a.json", [PairRecord(LEFT, RIGHT, f"train-1-0-{n}", SAID, True) for n in range(2)])
    return {"nlvr2": (f / "a.json",)}


def lxmert(f: Path) -> dict[str, Any]:
    asked = [{"img_id": PICTURE, "question_id": n, "sent": SAID, "label": {"yes": 1.0}} for n in range(2)]
    return {"lxmert": (put(f / "a.json", asked),)}


def lxmert_pairs(f: Path) -> dict[str, Any]:
    pairs = [
        {"identifier": f"train-1-0-{n}", "img0": LEFT, "img1": RIGHT, "label": 1, "sent": SAID, "uid": f"u{n}"}
        for n in range(2)
    ]
    return {"lxmert": (put(f / "a.json", pairs),)}


JSON = (captions, lines, karpathy, vqa, gqa, easy_vqa, regions, genome_questions, nlvr2, lxmert, lxmert_pairs)
PACKED = (flickr, conceptual, lxmert)
Format = Callable[[Path], dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of all these names, a visual vocabulary and a tokenizer."""
    for name, picture in zip((PICTURE, "41235", LEFT, RIGHT), tiny_pictures(4), strict=True):
        save_png(tmp_path / "images" / f"{name}.png", picture)
    tiny_vocabulary().save(tmp_path / "v.safetensors")
    tiny_tokenizer().save(tmp_path / "tokenizer.json")
    return tmp_path


def run(folder: Path, given: dict[str, Any]) -> Any:
    recipe = PrepareRecipe(size=32, tokenizer=str(folder / "tokenizer.json"))
    return prepare(folder / "store", Sources(folder / "images", **given), folder / "v.safetensors", recipe)


def refused(folder: Path, given: dict[str, Any], *said: str) -> None:
    """One line that says what is wrong, and where; no store, nor anything that was to become one."""
    with pytest.raises(XlxmertError) as caught:
        run(folder, given)
    message = str(caught.value)
    assert "\n" not in message and all(each in message for each in said), message
    assert not [each for each in folder.iterdir() if each.name.startswith(".") or each.name == "store"]


@pytest.mark.parametrize("made", (*JSON, flickr, conceptual))
def test_as_they_are_they_are_read(made: Format, folder: Path) -> None:
    assert len(run(folder, made(folder)).store) == (1 if made is lines else 2)


@pytest.mark.parametrize("made", JSON)
def test_cut_json(made: Format, folder: Path) -> None:
    given = made(folder)
    path = next(folder.glob("a.json*"))
    path.write_text(path.read_text()[:-12])
    refused(folder, given, path.name, "expected")


@pytest.mark.parametrize("made", PACKED)
def test_gzip_that_ends_early(made: Format, folder: Path) -> None:
    given = made(folder)
    path = next(folder.glob("a.*"))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert len(run(folder, given).store) == 2
    path.write_bytes(packed[:-9])
    (folder / "store").rename(folder / "whole")
    refused(folder, given, path.name, "a gzip file that ends early")


@pytest.mark.parametrize("made", JSON[:-2])
def test_packed_files_of_formats_that_are_read_as_a_whole(made: Format, folder: Path) -> None:
    given = made(folder)
    path = next(folder.glob("a.json*"))
    path.write_bytes(gzip.compress(path.read_bytes()))
    refused(folder, given, path.name, "found a gzip file: unpack it first")
    path.write_bytes(b"\xff\xfe[")
    refused(folder, given, path.name, "found other bytes (invalid start byte at 0)")


@pytest.mark.parametrize("made", JSON)
def test_a_number_for_a_sentence(made: Format, folder: Path) -> None:
    given = made(folder)
    path = next(folder.glob("a.json*"))
    path.write_text(path.read_text().replace(json.dumps(SAID), "17"))
    refused(folder, given, path.name, "found 17")


@pytest.mark.parametrize("made", (*JSON, flickr, conceptual))
def test_pictures_that_nobody_has(made: Format, folder: Path) -> None:
    given = made(folder)
    for picture in (PICTURE, LEFT):
        (folder / f"images/{picture}.png").unlink()
    name = LEFT if made in (nlvr2, lxmert_pairs) else PICTURE
    refused(folder, given, f"{name}", "images", "(asked for by ", "pass the folder that belongs to the annotations")


@pytest.mark.parametrize(
    ("made", "old", "new"),
    [
        (captions, '"id": 1,', '"id": 0,'), (karpathy, '"imgid": 1', '"imgid": 0'), (flickr, "#1", "#0"),
        (vqa, '"question_id": 1', '"question_id": 0'), (gqa, '"71"', '"70"'),
        (regions, '"region_id": 41235', '"region_id": 41234'), (genome_questions, '"qa_id": 41235', '"qa_id": 41234'),
        (nlvr2, "train-1-0-1", "train-1-0-0"), (lxmert, '"question_id": 1', '"question_id": 0'),
        (lxmert_pairs, '"u1"', '"u0"'),
    ],
)  # fmt: skip
def test_ids_that_repeat(made: Format, old: str, new: str, folder: Path) -> None:
    given = made(folder)
    path = next(folder.glob("a.*"))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    refused(folder, given, path.name, "expected")
