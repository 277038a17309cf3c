"""Karpathy's splits on the command line: ``prepare --karpathy`` and ``evaluate caption|retrieval --karpathy``."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.core.files import read_json, write_json
from xlxmert.data.store import Store
from xlxmert.data.submission import read_caption_submission


def dataset(road: Path) -> Path:
    return road / "world/annotations/dataset_world.json"


def parts(road: Path) -> tuple[object, ...]:
    """Codes and words of the road's checkpoint."""
    return "--checkpoint", road / "checkpoint", "--size", 32, "--device", "cpu"


def changed(road: Path, path: Path, change: Any) -> Path:
    content = read_json(dataset(road))
    change(content["images"])
    write_json(path, content)
    return path


@pytest.mark.parametrize("inner", ["", "val"])
def test_a_split_is_prepared_as_cocos_file_of_it(run, road: Path, tmp_path: Path, inner: str) -> None:
    images, coco = road / "world/images" / inner, road / "world/annotations/captions_val.json"
    code, out, err = run(
        "prepare", "--images", images, "--karpathy", dataset(road), "--split", "val",
        "--out", tmp_path / "a", *parts(road), "--json",
    )  # fmt: skip
    report = json.loads(out)
    assert (code, err) == (0, "") and (report["pictures"], report["captions"], report["too_long"]) == (4, 20, 0)
    assert run("prepare", "--images", images, "--captions", coco, "--out", tmp_path / "b", *parts(road))[0] == 0
    ours, theirs = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    assert ours.facts["pictures"] == theirs.facts["pictures"] and np.array_equal(ours.codes, theirs.codes)
    assert all(np.array_equal(ours.arrays[name], theirs.arrays[name]) for name in ours.arrays)
    assert ours.facts["sources"] == ["dataset_world.json (val)"]


def test_train_is_the_default_and_takes_restval_along(run, road: Path, tmp_path: Path) -> None:
    def rest(images: list[dict[str, Any]]) -> None:
        images[1]["split"] = "restval"

    path = changed(road, tmp_path / "rest.json", rest)
    vqa = [road / f"world/vqa/{name}" for name in ("v2_OpenEnded_mscoco_train_questions.json",
                                                    "v2_mscoco_train_annotations.json")]  # fmt: skip
    for split, pictures in ((["--split", "restval"], 1), ([], 6), (["--vqa", *vqa], 6)):
        words = ("--images", road / "world/images", "--karpathy", path, *split, "--out", tmp_path / "store")
        code, out, err = run("prepare", *words, *parts(road), "--overwrite", "--json")
        assert (code, err) == (0, "") and json.loads(out)["pictures"] == pictures
    assert json.loads(out)["questions"] == 48


def test_captions_of_a_split_are_scored_as_those_of_cocos_file(run, road: Path, tmp_path: Path) -> None:
    images = ("--images", road / "world/images")
    common = ("--checkpoint", road / "checkpoint", "--json", "--submission", tmp_path / "r.json")
    code, out, err = run("evaluate", "caption", *images, "--karpathy", dataset(road), "--split", "val", *common)
    ours = json.loads(out)
    assert (code, err) == (0, "") and (ours["split"], ours["examples"], ours["empty"]) == ("val", 4, 0)
    assert {"caption/BLEU-4", "caption/ROUGE-L", "caption/CIDEr-D"} <= ours["scores"].keys()
    written = read_caption_submission(tmp_path / "r.json")
    assert list(written) == [1_000_000_000 + index for index in range(4)]
    coco = road / "world/annotations/captions_val.json"
    code, out, _ = run("evaluate", "caption", *images, "--karpathy", dataset(road), "--split", "val", *common[:2])
    assert code == 0 and "4 examples of caption, split val" in " ".join(out.split()) and "left out" not in out
    code, out, _ = run("evaluate", "caption", *images, "--captions", coco, *common)
    theirs = json.loads(out)
    assert code == 0 and theirs["scores"] == ours["scores"] and "split" not in theirs


def test_retrieval_in_folds_is_the_mean_over_the_folds(run, road: Path, tmp_path: Path) -> None:
    common = ("--images", road / "world/images", "--checkpoint", road / "checkpoint", "--json", "--split", "val")

    def scores(path: Path, *more: object) -> dict[str, float]:
        code, out, err = run("evaluate", "retrieval", "--karpathy", path, *common, *more)
        report = json.loads(out)
        assert (code, err) == (0, "") and report["folds"] == (more[1] if more else 1)
        return dict(report["scores"])

    halves = [
        scores(changed(road, tmp_path / f"{half}.json", lambda images, half=half: keep(images, half)))
        for half in (0, 1)
    ]
    folded, whole = scores(dataset(road), "--folds", 2), scores(dataset(road))
    for name, value in folded.items():
        assert math.isclose(value, (halves[0][name] + halves[1][name]) / 2, abs_tol=1e-6), name
    assert folded["retrieval/text_to_image/R@1"] >= whole["retrieval/text_to_image/R@1"]
    assert folded["retrieval/text_to_image/R@5"] == 1.0  # there are two pictures in each


def keep(images: list[dict[str, Any]], half: int) -> None:
    """Leave two of the four pictures of val."""
    images[:] = [each for each in images if each["split"] == "val"][2 * half : 2 * half + 2]


def test_what_does_not_fit_is_one_line_and_nothing_is_written(run, road: Path, tmp_path: Path) -> None:
    images, path, out = ("--images", road / "world/images"), dataset(road), tmp_path / "out"
    (tmp_path / "cut.json").write_text(path.read_text()[:3000])

    def stray(images: list[dict[str, Any]]) -> None:
        images[0]["sentences"][0]["imgid"] = 99

    def elsewhere(images: list[dict[str, Any]]) -> None:
        images[2] |= {"filename": "none.png", "cocoid": 77}

    wrong, absent = (changed(road, tmp_path / f"{make.__name__}.json", make) for make in (stray, elsewhere))
    coco = road / "world/annotations/captions_val.json"
    shared: list[tuple[tuple[object, ...], int, str]] = [
        ((*images, "--karpathy", path, "--split", "test"), 1, "expected pictures of the split 'test'"),
        ((*images, "--karpathy", tmp_path / "cut.json", "--split", "train"), 1, "may have been cut short"),
        ((*images, "--karpathy", tmp_path / "none.json", "--split", "train"), 1, "found nothing"),
        ((*images, "--karpathy", coco, "--split", "train"), 1, 'expected "imgid" in images[0]'),
        ((*images, "--karpathy", wrong, "--split", "train"), 1, '0, its picture\'s, as "imgid"'),
        ((*images, "--karpathy", absent, "--split", "train"), 1, "expected picture 77 (train/none.png) in"),
        (("--images", road / "world/images/val", "--karpathy", path, "--split", "train"), 1, "asked for by"),
        ((*images, "--captions", coco, "--split", "val"), 2, "expected --karpathy beside --split val"),
    ]
    mine: dict[tuple[str, ...], list[tuple[tuple[object, ...], int, str]]] = {
        ("prepare",): [],
        ("evaluate", "caption"): [
            ((*images, "--karpathy", path, "--split", "heldout"), 2, "one of the splits train, restval, val, test"),
            ((*images, "--karpathy", path, "--captions", coco), 2, "--captions or --karpathy for caption, found both"),
            (images, 2, "expected --captions or --karpathy for caption on files, found none"),
            ((*images, "--karpathy", path, "--folds", 5), 2, "expected --folds for retrieval on files only, found 5"),
            (("--split", "train"), 2, "expected a split of the built-in world (test, val, heldout), found train"),
        ],
        ("evaluate", "retrieval"): [
            (("--karpathy", path), 2, "expected --images for retrieval"),
            ((*images, "--karpathy", path, "--split", "val", "--folds", 5), 1, "in each of 5 folds of"),
            ((*images, "--karpathy", path, "--split", "val", "--folds", 0), 2, "expected --folds of at least 1"),
        ],
        ("evaluate", "vqa"): [((*images, "--karpathy", path), 2, "expected --questions or --easy-vqa for vqa")],
        ("evaluate", "paint"): [((*images, "--karpathy", path), 2, "expected --images and --captions")],
    }
    for verb, cases in mine.items():
        both = shared if verb[-1] in ("prepare", "caption", "retrieval") else []
        more = ("--out", out, *(parts(road) if verb == ("prepare",) else ("--checkpoint", road / "checkpoint")))
        for words, code, said in [*both, *cases]:
            found, printed, err = run(*verb, *words, *more)
            assert (found, printed) == (code, "") and said in err and err.count("\n") == 1, (verb, words, err)
            assert "unexpected" not in err and not out.exists()
