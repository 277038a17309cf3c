"""Captions, boxes and stores that cannot be used as they are: left out and counted, or one line and nothing written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.convert.folder import Bundle
from xlxmert.core.files import read_json, write_json
from xlxmert.data.store import Sentence, Store, write_store

HIDDEN = "\u200b\u200d"
"""Two signs that nobody sees and no tokenizer keeps."""


def changed(road: Path, path: Path, name: str, change: Any) -> Path:
    content = read_json(road / "world/annotations" / name)
    change(content["annotations"])
    write_json(path, content)
    return path


def prepare(run, road: Path, out: Path, *words: object) -> tuple[int, str, str]:
    common = ("--images", road / "world/images", "--out", out, "--checkpoint", road / "checkpoint", "--size", 32)
    found: tuple[int, str, str] = run("prepare", *common, *words, "--device", "cpu", "--json")
    return found


def score(run, road: Path, task: str, captions: Path, *more: object) -> tuple[int, str, str]:
    words = ("--images", road / "world/images", "--captions", captions, "--checkpoint", road / "checkpoint", "--json")
    found: tuple[int, str, str] = run("evaluate", task, *words, *more)
    return found


def empty_ones(annotations: list[dict[str, Any]]) -> None:
    for annotation, text in zip(annotations, ("", " \n", HIDDEN), strict=False):
        annotation["caption"] = text


def marks(annotations: list[dict[str, Any]]) -> None:
    annotations[0]["caption"] = " ."


def all_empty(annotations: list[dict[str, Any]]) -> None:
    for annotation in annotations:
        annotation["caption"] = " "


def test_empty_captions_are_left_out_and_counted(run, road: Path, tmp_path: Path) -> None:
    path = changed(road, tmp_path / "captions.json", "captions_val.json", empty_ones)
    code, out, err = prepare(run, road, tmp_path / "store", "--captions", path)
    assert (code, err) == (0, "") and (json.loads(out)["empty"], json.loads(out)["captions"]) == (3, 17)
    store = Store.open(tmp_path / "store")
    assert min(len(store.words(i)) for i in range(len(store))) > 2
    marked = changed(road, tmp_path / "marked.json", "captions_val.json", marks)
    for task, captions, empty, examples in (
        ("caption", path, 3, 4), ("retrieval", path, 3, 17), ("retrieval", marked, 1, 19)
    ):  # fmt: skip
        code, out, err = score(run, road, task, captions)
        assert (code, err) == (0, "") and (json.loads(out)["empty"], json.loads(out)["examples"]) == (empty, examples)
    words = ("--images", road / "world/images", "--captions", path, "--checkpoint", road / "checkpoint")
    code, out, _ = run("evaluate", "retrieval", *words)
    assert code == 0 and "17 examples of retrieval, 3 empty captions left out" in " ".join(out.split())


def test_only_empty_captions_are_an_error(run, road: Path, tmp_path: Path) -> None:
    path = changed(road, tmp_path / "captions.json", "captions_val.json", all_empty)
    code, out, err = prepare(run, road, tmp_path / "store", "--captions", path, "--tokenizer", "train")
    assert (code, out, err.count("\n")) == (1, "", 1) and "expected sentences in captions.json, found none" in err
    for task in ("caption", "retrieval"):
        code, out, err = score(run, road, task, path, "--out", tmp_path / "scores.json")
        assert (code, out, err.count("\n")) == (1, "", 1) and "expected captions in" in err
    assert [each.name for each in tmp_path.iterdir()] == ["captions.json"]


def lengthen(annotations: list[dict[str, Any]]) -> None:
    annotations[0]["caption"] = " ".join(["a"] * 60)
    annotations[1]["caption"] = " ".join(["a"] * 61)


def test_long_sentences_are_left_out_where_that_is_asked_for(run, road: Path, tmp_path: Path) -> None:
    path = changed(road, tmp_path / "captions.json", "captions_train.json", lengthen)
    for longest, left, kept, most in (((), 0, 30, 61), (("--longest", 60), 1, 29, 60), (("--longest", 59), 2, 28, 59)):
        code, out, err = prepare(run, road, tmp_path / "store", "--captions", path, *longest, "--overwrite")
        report = json.loads(out)
        assert (code, err) == (0, "") and (report["too_long"], report["captions"], report["empty"]) == (left, kept, 0)
        assert report["longest"] == most if most > 59 else report["longest"] < 59
    code, out, err = prepare(run, road, tmp_path / "none", "--captions", path, "--longest", 1)
    assert (code, out, err.count("\n")) == (
        1,
        "",
        1,
    ) and "of at most 1 tokens in captions.json, found none among" in err
    code, out, err = prepare(run, road, tmp_path / "none", "--captions", path, "--longest", 0)
    assert (code, out, err.count("\n")) == (2, "", 1) and "expected --longest of at least 1" in err
    assert not (tmp_path / "none").exists()


def test_pictures_of_which_all_is_too_long_are_not_encoded(run, road: Path, tmp_path: Path) -> None:
    def lengthen_first(annotations: list[dict[str, Any]]) -> None:
        for annotation in annotations[:5]:
            annotation["caption"] = " ".join(["a"] * 61)

    path = changed(road, tmp_path / "captions.json", "captions_train.json", lengthen_first)
    code, out, _ = prepare(run, road, tmp_path / "store", "--captions", path, "--longest", 60)
    report = json.loads(out)
    assert code == 0 and (report["pictures"], report["captions"], report["too_long"]) == (5, 25, 5)


def test_long_captions_lose_their_last_words_when_they_are_looked_for(run, road: Path, tmp_path: Path) -> None:
    path = changed(road, tmp_path / "captions.json", "captions_val.json", lengthen)
    code, out, err = score(run, road, "caption", path)
    assert (code, err) == (0, "") and json.loads(out)["shortened"] == 0  # references are only compared with
    content = read_json(path)
    content["annotations"][0]["caption"] = " ".join(["a"] * 99)
    write_json(path, content)
    code, out, err = score(run, road, "retrieval", path)
    assert (code, err) == (0, "") and json.loads(out)["shortened"] == 1 and json.loads(out)["examples"] == 20


def test_captions_of_unknown_pictures_are_refused(run, road: Path, tmp_path: Path) -> None:
    def stray(annotations: list[dict[str, Any]]) -> None:
        annotations[3]["image_id"] = 12345

    path = changed(road, tmp_path / "captions.json", "captions_val.json", stray)
    said = "expected the id of a known picture in annotations[3]"
    calls = [prepare(run, road, tmp_path / "store", "--captions", path)]
    calls += [score(run, road, task, path, "--out", tmp_path / "s.json") for task in ("caption", "retrieval", "paint")]
    for code, out, err in calls:
        assert (code, out, err.count("\n")) == (1, "", 1) and said in err and "found 12345" in err
    assert [each.name for each in tmp_path.iterdir()] == ["captions.json"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"bbox": [float("nan"), 0, 5, 5]}, 'expected a finite number as "bbox[0]" in annotations[0] of'),
        ({"bbox": [0, 0, float("inf"), 5]}, 'expected a finite number as "bbox[2]" in annotations[0] of'),
        ({"bbox": [250, 0, 20, 5]}, "expected a box (x, y, width, height) within the 256 x 256 of picture 0"),
        ({"bbox": [-9, 0, 20, 5]}, "expected a box (x, y, width, height) within the 256 x 256 of picture 0"),
        ({"bbox": [9, 9, -2, 5]}, "expected a box (x, y, width, height) within the 256 x 256 of picture 0"),
        ({"bbox": [9, 9, 2]}, 'expected a list of 4 numbers as "bbox" in annotations[0] of'),
        ({"image_id": 12345}, "expected the id of a known picture in annotations[0] of"),
        ({"category_id": 999}, 'expected the id of one of the "categories" as "category_id" in annotations[0]'),
    ],
)
def test_boxes_that_cannot_be_are_refused(
    run, road: Path, tmp_path: Path, members: dict[str, object], message: str
) -> None:
    path = changed(road, tmp_path / "instances.json", "instances_train.json", lambda every: every[0].update(members))
    captions = road / "world/annotations/captions_train.json"
    code, out, err = prepare(run, road, tmp_path / "store", "--captions", captions, "--instances", path)
    assert (code, out, err.count("\n")) == (1, "", 1) and message in err
    assert [each.name for each in tmp_path.iterdir()] == ["instances.json"]


def test_boxes_without_area_label_nothing_as_coco_has_two_of_them(run, road: Path, tmp_path: Path) -> None:
    """``instances_train2017.json`` has ``"bbox": [296.65, 388.33, 1.03, 0.0]``, so that these cannot be refused."""

    def flat(annotations: list[dict[str, Any]]) -> None:
        for number, (width, height) in enumerate(((200, 0), (0, 200), (0, 0))):
            box = {"bbox": [10, 30, width, height], "area": 0, "id": 10**9 + number}
            annotations.append(annotations[0] | box)

    captions = road / "world/annotations/captions_train.json"
    path = changed(road, tmp_path / "instances.json", "instances_train.json", flat)
    labels = []
    for name, instances in (("whole", road / "world/annotations/instances_train.json"), ("flat", path)):
        assert prepare(run, road, tmp_path / name, "--captions", captions, "--instances", instances)[0] == 0
        labels.append(Store.open(tmp_path / name).picture_array("labels"))
    assert np.array_equal(*labels)


@pytest.fixture(scope="module")
def wide(road: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The road's store with features of another width than the checkpoint's backbone has."""
    store = Store.open(road / "store")
    folder = tmp_path_factory.mktemp("wide") / "store"
    visual = {"codes": np.array(store.codes), "features": np.zeros((*store.codes.shape, 99), np.float16)}
    places = store.of_kind("caption")[:9]
    sentences = [Sentence("a dog", int(store.arrays["picture"][i])) for i in places]
    names, size = list(store.facts["pictures"]), int(store.facts["codes"])
    write_store(folder, visual, names, sentences, store.tokenizer, store.answers, store.fingerprint, size)
    return folder


def test_a_store_of_another_feature_width_is_refused_with_both_widths(
    run, road: Path, wide: Path, tmp_path: Path
) -> None:
    width = Bundle.from_pretrained(road / "checkpoint").model.config.feature_width
    loop = ("--loop.steps", 1, "--loop.batch-size", 2, "--loop.device", "cpu", "--loop.quiet", "--loop.out", tmp_path)
    words = ("--checkpoint", road / "checkpoint", "--store", wide, "--retrieval.visual-input", "features")
    code, out, err = run("finetune", "retrieval", *words, *loop)
    assert (code, out, err.count("\n")) == (1, "", 1) and str(wide) in err
    assert f"{width} features" in err and "99 features" in err
    words = ("--codebook", road / "checkpoint/codebook.safetensors", "--store", wide, "--preset", "tiny")
    code, out, err = run("pretrain", *words, "--objectives.visual-input", "features", *loop)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"'feature_width': {width}" in err and "'feature_width': 99" in err
    assert not list(tmp_path.iterdir())
