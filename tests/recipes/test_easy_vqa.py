"""The easy-VQA recipe from files to scores, on a small set of the same form; the real package where it is installed."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.data.records import QuestionRecord
from xlxmert.models.lxmert import TINY
from xlxmert.recipes import easy_vqa
from xlxmert.recipes.easy_vqa import EasyVqa, confusion, find_data, run
from xlxmert.studio import Studio

MINI = EasyVqa(codes=8, steps=3, batch=4, shape=dataclasses.replace(TINY, dropout=0.0))
COLORS = ("red", "blue")
SHAPES = ("circle", "rectangle")


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures for training and four for testing, with four questions each."""
    folder: Path = tmp_path_factory.mktemp("easy") / "data"
    for split, count in (("train", 8), ("test", 4)):
        (folder / split / "images").mkdir(parents=True)
        rows: list[list[object]] = []
        for number in range(count):
            color, shape = COLORS[number % 2], SHAPES[number // 2 % 2]
            picture = Image.new("RGB", (64, 64), (240, 230, 235))
            draw = ImageDraw.Draw(picture)
            (draw.ellipse if shape == "circle" else draw.rectangle)((8 + number, 12, 40 + number, 44), fill=color)
            picture.save(folder / split / "images" / f"{number}.png")
            rows += [
                ["what color is the shape?", color, number],
                [f"what is the {color} shape?", shape, number],
                [f"is there a {COLORS[0]} shape in the image?", "yes" if color == COLORS[0] else "no", number],
                [f"is no {SHAPES[0]} present?", "no" if shape == SHAPES[0] else "yes", number],
            ]
        (folder / split / "questions.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "answers.txt").write_text("\n".join((*COLORS, *SHAPES, "yes", "no")) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def walked(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe leaves."""
    out: Path = tmp_path_factory.mktemp("walked")
    run(out, data, MINI, quiet)
    return out


def test_the_test_split_is_scored_by_kind_of_question(walked: Path) -> None:
    """Scores, wrong answers and the answers themselves agree."""
    report = read_json(walked / "scores.json")
    assert report["questions"] == 16 == len(read_json(walked / "answers.json"))
    assert report["scores"].keys() == {
        f"vqa/{name}" for name in ("overall", "other", "yes/no", "color", "shape", "has color", "lacks shape")
    }
    assert report["wrong"] == sum(row["times"] for row in report["wrong_answers"])
    assert report["scores"]["vqa/overall"] == pytest.approx(1 - report["wrong"] / 16)
    assert Image.open(walked / "sheet.png").width > 6 * 128


def test_the_checkpoint_looks_at_pictures_as_in_training(walked: Path, data: Path) -> None:
    """Its pictures are 64 pixels wide, it reads exact features, and it answers as it did."""
    studio = Studio.from_pretrained(walked / "checkpoint", "cpu")
    assert studio.size == 64 and studio.bundle.facts["visual_input"] == "features"
    assert studio.bundle.facts["scores"]["test"] == read_json(walked / "scores.json")["scores"]
    found = studio.answer(data / "test/images/0.png", "what color is the shape?", top=6)[0][0]
    assert {answer.text for answer in found} == {*COLORS, *SHAPES, "yes", "no"}


def test_a_second_call_finds_everything_there(walked: Path, data: Path) -> None:
    """Nothing is trained again; other settings need another folder."""
    before = read_json(walked / "scores.json")
    stamp = (walked / "store/store.json").stat().st_mtime_ns
    assert run(walked, data, MINI, quiet) == before
    assert (walked / "store/store.json").stat().st_mtime_ns == stamp
    with pytest.raises(XlxmertError, match="choose another --out"):
        run(walked, data, dataclasses.replace(MINI, steps=4), quiet)


def test_settings_are_chosen_on_training_pictures(data: Path, tmp_path: Path) -> None:
    """Held-out pictures are neither learned from nor mixed with the test split."""
    report = run(tmp_path, data, dataclasses.replace(MINI, held=2), quiet)
    assert report["questions"] == 8
    held, learned = (read_json(tmp_path / name / "questions.json") for name in ("held", "learned"))
    assert {row[2] for row in held} == {6, 7} and {row[2] for row in learned} == set(range(6))
    assert read_json(tmp_path / "store/store.json")["pictures"] == [f"{number}.png" for number in range(6)]
    with pytest.raises(UsageError, match="expected to keep 1 to 7 pictures out, found 8"):
        run(tmp_path / "all", data, dataclasses.replace(MINI, held=8), quiet)


def test_wrong_answers_are_counted() -> None:
    """The most frequent first."""
    records = [QuestionRecord(0, n, "?", {"red": 1.0}, ("red",), "color") for n in range(4)]
    found = confusion(records, ["red", "blue", "teal", "teal"])
    assert found == [
        {"question": "color", "right": "red", "given": "teal", "times": 2},
        {"question": "color", "right": "red", "given": "blue", "times": 1},
    ]


def test_missing_data_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package, and a folder of something else."""
    monkeypatch.setattr(easy_vqa, "PACKAGE", "no_such_package_of_questions")
    with pytest.raises(UsageError, match="pip install easy-vqa"):
        find_data()
    with pytest.raises(XlxmertError, match=r"expected train/questions\.json in"):
        find_data(tmp_path)
    monkeypatch.setattr(sys, "argv", ["easy_vqa", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"^error: expected train/questions\.json in"):
        easy_vqa.main()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("easy_vqa") is None, reason="needs the package easy-vqa")
def test_the_real_files_are_learned(tmp_path: Path) -> None:
    """Half of the run passes the floor of 95 % on training pictures that were kept out."""
    report = run(tmp_path, recipe=EasyVqa(steps=750, held=400), log=quiet)
    assert report["scores"]["vqa/overall"] > 0.95
