"""``xlxmert rate``: pages that hold all but the truth, and answers scored by their key."""

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.files import read_json, write_json, write_text
from xlxmert.core.images import save_png
from xlxmert.data.coco import write_captions
from xlxmert.data.records import CaptionRecord, PictureRecord
from xlxmert.recipes.paintings import Order, start_folder

CAPTIONS = ["A dog on a red bed", "Two men riding horses", "a green bus", "three sheep", "an empty street"]


def painted(folder: Path, shade: int, captions: list[str] = CAPTIONS) -> Path:
    orders = [Order(number, caption, number) for number, caption in enumerate(captions)]
    kept = start_folder(folder, orders, {"size": 16, "words": "coco"})
    for order in orders:
        save_png(kept.path(order), np.full((16, 16, 3), shade + order.seed, np.uint8))
    return folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return painted(tmp_path / "one", 10)


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), flags=re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def pixels(address: str) -> np.ndarray:
    head, _, data = address.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.array(image.convert("RGB"))


def test_a_page_asks_for_hidden_words_and_holds_no_truth(run, one: Path, tmp_path: Path) -> None:
    code, out, err = run("rate", "export", "hummus", "--pictures", one, "--out", tmp_path / "out", "--json")
    report = json.loads(out)
    key, data = read_json(tmp_path / "out/key.json"), page_data(tmp_path / "out/page.html")
    assert (code, err) == (0, "") and report["items"] == 7 == len(data["items"]) == len(key["items"])
    assert data["page"] == key["page"] and data["kind"] == key["kind"] == "hummus" and key["words"] == "coco"
    for item in data["items"]:
        true = key["items"][item["id"]]
        hidden = true["caption"].removeprefix(item["before"]).removesuffix(item["after"])
        assert hidden in true["forms"] and item["category"] == true["category"]
        assert set(item) == {"id", "before", "after", "category", "picture"}
        assert set(np.unique(pixels(item["picture"]))) == {10 + int(true["picture"])}
        assert pixels(item["picture"]).shape == (256, 256, 3)
    words = sorted(item["forms"][0] for item in key["items"].values())
    assert words == ["bus", "dog", "green", "horse", "red", "ride", "sheep"]
    code, out, err = run("rate", "export", "hummus", "--pictures", one, "--out", tmp_path / "out")
    assert (code, out) == (2, "") and "name another folder" in err
    again = ("rate", "export", "hummus", "--pictures", one, "--out", tmp_path / "again")
    assert (
        run(*again)[0] == 0 and (tmp_path / "again/page.html").read_bytes() == (tmp_path / "out/page.html").read_bytes()
    )


def test_answers_of_five_are_scored_by_majority(run, one: Path, tmp_path: Path) -> None:
    run("rate", "export", "hummus", "--pictures", one, "--out", tmp_path)
    key = read_json(tmp_path / "key.json")
    files = []
    for rater in range(5):
        answers = {
            name: f"The {item['forms'][-1]}!" if rater < (3 if item["category"] == "noun" else 2) else "house"
            for name, item in key["items"].items()
        }
        files.append(tmp_path / f"{rater}.{'csv' if rater % 2 else 'json'}")
        if rater % 2:
            with io.StringIO() as text:
                writer = csv.writer(text)
                writer.writerow(["page", "rater", "item", "answer"])
                writer.writerows([key["page"], f"r{rater}", name, answer] for name, answer in answers.items())
                write_text(files[-1], "\ufeff" + text.getvalue())
        else:
            write_json(files[-1], {"page": key["page"], "rater": f"r{rater}", "answers": answers})
    code, out, err = run("rate", "score", tmp_path / "key.json", *files, "--json", "--out", tmp_path / "scores.json")
    report = json.loads(out)
    assert (code, err) == (0, "") and report == read_json(tmp_path / "scores.json")
    assert report["scores"] == {"colour": 0, "noun": 1, "verb": 0, "mean": pytest.approx(1 / 3)}
    assert (report["raters"], report["answered"], report["answers"]) == (5, 7, 35)
    assert report["details"]["answers for each"] == [5, 5]
    code, out, _ = run("rate", "score", tmp_path / "key.json", *files)
    assert code == 0 and "hummus: 35 answers of 5 people to 7 of 7 questions" in out and "0.333" in out
    code, _, err = run("rate", "score", tmp_path / "key.json", *files, files[0])
    assert code == 2 and "found those of 'r0' twice" in err


@pytest.mark.parametrize("question", ["semantics", "fidelity"])
def test_sides_are_drawn_and_votes_go_to_their_system(run, one: Path, tmp_path: Path, question: str) -> None:
    other = painted(tmp_path / "other", 100)
    words = ("rate", "export", question, "--pictures", one, "--against", other, "--out", tmp_path / "out", "--seed", 3)
    assert run(*words)[0] == 0
    key, data = read_json(tmp_path / "out/key.json"), page_data(tmp_path / "out/page.html")
    assert key["systems"] == {"one": "one", "other": "other"} and len(data["items"]) == 5
    assert ("caption" in data["items"][0]) == (question == "semantics")
    sides = set()
    for item in data["items"]:
        true = key["items"][item["id"]]
        left, right = int(pixels(item["left"])[0, 0, 0]), int(pixels(item["right"])[0, 0, 0])
        assert abs(left - right) == 90 and (left < 100) == (true["left"] == "one")
        sides.add(true["left"])
    assert sides == {"one", "other"}
    for rater in range(2):  # one always prefers the other system, one cannot decide
        answers = {
            name: ("right", "left")[item["left"] == "other"] if rater else "tie" for name, item in key["items"].items()
        }
        write_json(tmp_path / f"{rater}.json", {"page": key["page"], "rater": str(rater), "answers": answers})
    code, out, _ = run("rate", "score", tmp_path / "out/key.json", tmp_path / "0.json", tmp_path / "1.json", "--json")
    report = json.loads(out)
    assert code == 0 and report["kind"] == question
    assert report["scores"] == {"one": 0, "other": 0.5, "tie": 0.5, "p": pytest.approx(2 / 32)}


def test_real_pictures_are_found_by_their_captions_file(run, one: Path, tmp_path: Path) -> None:
    records = [PictureRecord(number, f"{number:012d}.png", 16, 16) for number in range(3)]
    for record in records:
        save_png(tmp_path / "real" / record.file_name, np.full((16, 16, 3), 200, np.uint8))
    told = [CaptionRecord(number // 2, number, f"a dog and {number} things") for number in range(6)]
    write_captions(tmp_path / "captions.json", records, told)
    words = ("--pictures", tmp_path / "real", "--captions", tmp_path / "captions.json")
    assert run("rate", "export", "hummus", *words, "--out", tmp_path / "a")[0] == 0
    key = read_json(tmp_path / "a/key.json")
    assert sorted(int(item["picture"]) for item in key["items"].values()) == [0, 1, 2]
    words = ("--pictures", painted(tmp_path / "few", 30, CAPTIONS[:3]), "--against", tmp_path / "real")
    code, _, err = run(
        "rate", "export", "fidelity", *words, "--out", tmp_path / "b", "--count", 2, "--names", "us", "real"
    )
    assert (code, err) == (0, "") and len(read_json(tmp_path / "b/key.json")["items"]) == 2
    code, _, err = run("rate", "export", "hummus", "--pictures", tmp_path / "real", "--out", tmp_path / "c")
    assert code == 2 and "expected --captions for" in err


def test_bad_requests_and_files_are_one_line(run, one: Path, tmp_path: Path) -> None:
    run("rate", "export", "hummus", "--pictures", one, "--out", tmp_path / "out")
    key, other = tmp_path / "out/key.json", painted(tmp_path / "other", 99, ["a cat"] * 5)
    page = read_json(key)["page"]
    for name, content in {
        "foreign": {"page": "0", "rater": "a", "answers": {}},
        "strange": {"page": page, "rater": "a", "answers": {"77777": "dog"}},
        "empty": {"page": page, "rater": "a", "answers": {}},
        "list": [1],
    }.items():
        write_json(tmp_path / f"{name}.json", content)
    write_text(tmp_path / "columns.csv", "a,b\n1,2\n")
    write_text(tmp_path / "cut.json", "{")
    write_text(tmp_path / "long.csv", "page,rater,item,answer\n0,1,2," + "x" * 200_000)
    write_json(tmp_path / "half_key.json", {"page": page, "kind": "hummus", "items": {"1": {"category": "noun"}}})
    write_json(tmp_path / "pair_key.json", {"page": page, "kind": "fidelity", "items": {"1": {"left": "one"}}})
    count = ("hummus", "--count", 0)
    export = ("rate", "export")
    wrong: list[tuple[tuple[object, ...], int, str]] = [
        (("rate", "score", key, tmp_path / "foreign.json"), 1, "pass the key that was written with that page"),
        (("rate", "score", key, tmp_path / "strange.json"), 1, "found one to '77777'"),
        (("rate", "score", key, tmp_path / "empty.json"), 2, "collect answers first"),
        (("rate", "score", key, tmp_path / "list.json"), 1, "download them again"),
        (("rate", "score", key, tmp_path / "columns.csv"), 1, "expected the columns page, rater"),
        (("rate", "score", key, tmp_path / "cut.json"), 1, "cut short"),
        (("rate", "score", key, tmp_path / "long.csv"), 1, "field larger than"),
        (("rate", "score", tmp_path / "half_key.json", tmp_path / "empty.json"), 1, "the key of a rating page"),
        (("rate", "score", tmp_path / "pair_key.json", tmp_path / "empty.json"), 1, "the key of a rating page"),
        ((*export, *count, "--pictures", one, "--out", tmp_path / "x"), 2, "expected at least one blank"),
        (("rate", "score", key, tmp_path / "none.csv"), 1, "could not read the answers"),
        (("rate", "score", tmp_path / "list.json", tmp_path / "empty.json"), 1, "the key of a rating page"),
        ((*export, "semantics", "--pictures", one, "--out", tmp_path / "x"), 2, "expected --against for semantics"),
        ((*export, "hummus", "--pictures", one, "--against", one, "--out", tmp_path / "x"), 2, "expected no --against"),
        ((*export, "fidelity", "--pictures", one, "--against", one, "--out", tmp_path / "x"), 2, "two different names"),
        ((*export, "fidelity", "--pictures", one, "--against", other, "--out", tmp_path / "x"), 2, "the same captions"),
        ((*export, "hummus", "--pictures", tmp_path, "--out", tmp_path / "x"), 2, "expected --captions for"),
        ((*export, "hummus", "--pictures", painted(tmp_path / "plain", 5, ["hello"]), "--out", tmp_path / "x"), 2,
         "pass --words"),
    ]  # fmt: skip
    for words, code, text in wrong:
        found, out, err = run(*words)
        assert (found, out) == (code, ""), (words, err)
        assert text in err and err.count("\n") == 1 and "unexpected" not in err
    assert not (tmp_path / "x").exists()
