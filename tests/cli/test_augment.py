"""``xlxmert augment``: a file with more captions, counts of what became of the draws, and files that are left alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.convert.captioner import Captioner
from xlxmert.data.coco import read_captions
from xlxmert.testing.tiny import tiny_captioner

DRAWS = ("--num", 2, "--draws", 3, "--least-match", 0)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner") / "tiny"
    tiny_captioner().save_pretrained(folder)
    return folder


@pytest.fixture
def more(run, album: Path, checkpoint: Path, captioner: Path, tmp_path: Path):
    """Run the verb on the album and its captions, into ``more.json`` unless told otherwise."""
    images = [{"id": number, "file_name": f"{number}.png", "width": 32, "height": 32} for number in range(3)]
    annotations = [{"id": 5, "image_id": 0, "caption": "A dog."}, {"id": 9, "image_id": 2, "caption": "a cat"}]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))

    def call(*words: object, out: str = "more.json") -> tuple[int, str, str]:
        where = ("--images", album, "--captions", tmp_path / "captions.json", "--out", tmp_path / out)
        who = ("--checkpoint", checkpoint, "--model", captioner)
        found: tuple[int, str, str] = run("augment", *where, *who, *DRAWS, *words)
        return found

    return call


def test_the_new_file_has_the_earlier_captions_and_the_new_ones(more: Any, tmp_path: Path) -> None:
    code, out, err = more("--json")
    report = json.loads(out)
    assert (code, err) == (0, "") and report.pop("captions") == str(tmp_path / "more.json")
    assert report["drawn"] == report["known"] + report["unfit"] + report["spare"] + report["kept"] == 9
    assert (report["pictures"], report["kept"], report["unfit"], report["unreadable"]) == (3, 6, 0, 0)
    _, records = read_captions(tmp_path / "more.json")
    assert [each.caption_id for each in records] == [5, 9, 10, 11, 12, 13, 14, 15]
    assert [each.picture_id for each in records] == [0, 2, 0, 0, 1, 1, 2, 2]
    assert [each.text for each in records[:2]] == ["A dog.", "a cat"]


def test_only_the_new_ones_are_written_where_that_is_asked_for(more: Any, tmp_path: Path) -> None:
    code, out, err = more("--only-new")
    assert (code, err) == (0, "") and "kept" in out and str(tmp_path / "more.json") in out
    _, records = read_captions(tmp_path / "more.json")
    assert [each.caption_id for each in records] == [10, 11, 12, 13, 14, 15]


def test_files_that_are_there_are_left_alone(more: Any, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text("years of work")
    code, out, err = more()
    assert (code, out, err.count("\n")) == (2, "", 1) and "pass --overwrite" in err
    assert (tmp_path / "more.json").read_text() == "years of work"
    captions = (tmp_path / "captions.json").read_bytes()
    for words in ((), ("--overwrite",)):
        code, out, err = more(*words, out="captions.json")
        assert (code, out, err.count("\n")) == (2, "", 1) and "captions.json" in err
    assert "which is read: choose another --out" in err
    assert (tmp_path / "captions.json").read_bytes() == captions
    code, _, err = more("--overwrite")
    assert (code, err) == (0, "") and len(read_captions(tmp_path / "more.json")[1]) == 8


def test_pictures_that_cannot_be_read_are_counted_and_named(more: Any, album: Path, tmp_path: Path) -> None:
    (album / "1.png").write_text("no picture")
    code, out, err = more("--json")
    report = json.loads(out)
    assert code == 1 and (report["pictures"], report["unreadable"], report["kept"]) == (2, 1, 4)
    assert err.count("\n") == 1 and err.startswith("passed over: ") and "1.png" in err
    assert {each.picture_id for each in read_captions(tmp_path / "more.json")[1]} == {0, 2}
    for name in ("0.png", "2.png"):
        (album / name).write_text("no picture")
    (tmp_path / "more.json").unlink()
    code, out, err = more()
    assert (code, out, err.count("\n")) == (1, "", 1) and "found none among 3" in err
    assert not (tmp_path / "more.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--num", 4), 2, "found 4 of 3"),
        (("--least-match", 2), 2, "expected --least-match in [0, 1], found 2.0"),
        (("--model", "./nowhere"), 2, "expected a checkpoint's folder at ./nowhere"),
        (("--images", "./nowhere"), 1, "expected a folder at nowhere, found nothing"),
        (("--captions", "nowhere.json"), 1, "expected a JSON file at nowhere.json, found nothing"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    more: Any, tmp_path: Path, words: tuple[object, ...], code: int, said: str
) -> None:
    found, out, err = more(*words)
    assert (found, out) == (code, "") and said in " ".join(err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["album", "captions.json"]


def test_a_captioner_that_cannot_look_says_so(more: Any, captioner: Path, tmp_path: Path) -> None:
    whole = Captioner.from_pretrained(captioner)
    Captioner(whole.model, whole.tokenizer).save_pretrained(tmp_path / "blind")
    code, out, err = more("--model", tmp_path / "blind")
    assert (code, out, err.count("\n")) == (1, "", 1) and "a captioner with a visual vocabulary" in err
    assert not (tmp_path / "more.json").exists()
