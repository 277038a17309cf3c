"""``xlxmert caption``, ``answer``, ``match``, ``demo``: files and folders in, tables out, bad pictures named."""

import json
import struct
import zlib
from pathlib import Path

import pytest


def _bomb(path: Path, side: int = 30_000) -> Path:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))
    return path


def _truncated(album: Path, path: Path) -> Path:
    content = (album / "0.png").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_a_folder_is_captioned_picture_by_picture(run, checkpoint: Path, album: Path) -> None:
    code, out, err = run("caption", album, "--json", "--checkpoint", checkpoint, "--count", 2, "--prefix", "a dog")
    found = json.loads(out)
    assert (code, err) == (0, "") and [Path(row["picture"]).name for row in found] == ["0.png", "1.png", "2.png"]
    assert all(len(row["captions"]) == 2 and row["captions"][0]["text"].startswith("a dog") for row in found)
    code, out, _ = run("caption", album / "0.png", "--order", "gibbs", "--checkpoint", checkpoint)
    assert code == 0 and "0.png" in out and "caption" in out


def test_a_bad_picture_is_named_and_the_others_go_on(run, checkpoint: Path, album: Path) -> None:
    _truncated(album, album / "1.png")
    _bomb(album / "bomb.png")
    (album / "notes.txt").write_text("no picture")
    code, out, err = run("caption", album, "--json", "--checkpoint", checkpoint)
    assert code == 1 and [Path(row["picture"]).name for row in json.loads(out)] == ["0.png", "2.png"]
    lines = err.splitlines()
    assert "1.png" in lines[0] and "bomb.png" in lines[1] and "megapixels" in lines[1]
    assert lines[2] == "error: 2 of 4 pictures could not be read" and all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize("kind", ["truncated", "bomb", "text", "missing"])
@pytest.mark.parametrize("verb", ["caption", "answer", "match"])
def test_a_single_bad_picture_is_one_line(
    run, checkpoint: Path, album: Path, tmp_path: Path, verb: str, kind: str
) -> None:
    bad = tmp_path / "bad.png"
    if kind == "truncated":
        _truncated(album, bad)
    elif kind == "bomb":
        _bomb(bad)
    elif kind == "text":
        bad.write_text("hello")
    more = {"caption": (), "answer": ("how many dogs are there ?",), "match": ("--text", "a dog")}[verb]
    code, out, err = run(verb, bad, *more, "--checkpoint", checkpoint)
    assert (code, out) == (1, "") and "bad.png" in err and err.count("\n") == 1


def test_a_folder_without_pictures_is_refused(run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear sir")
    code, _, err = run("caption", tmp_path / "letters", "--checkpoint", checkpoint)
    assert code == 1 and "letters" in err and err.count("\n") == 1


def test_every_question_is_answered_for_every_picture(run, checkpoint: Path, album: Path) -> None:
    questions = ("what color is the car ?", "how many dogs are there ?")
    code, out, _ = run("answer", album, *questions, "--top", 2, "--json", "--checkpoint", checkpoint)
    found = json.loads(out)
    assert code == 0 and [row["question"] for row in found] == [*questions] * 3
    assert all(len(row["answers"]) == 2 and 0 <= row["answers"][0]["confidence"] <= 1 for row in found)
    code, out, _ = run("answer", album / "0.png", questions[0], "--checkpoint", checkpoint)
    assert code == 0 and "%" in out
    assert run("answer", album / "0.png", "", "--checkpoint", checkpoint)[0] == 2


def test_a_match_is_a_matrix(run, checkpoint: Path, album: Path) -> None:
    code, out, _ = run("match", album, "--text", "a dog", "a red car", "--json", "--checkpoint", checkpoint)
    found = json.loads(out)
    assert code == 0 and found["texts"] == ["a dog", "a red car"] and len(found["pictures"]) == 3
    assert all(len(row) == 2 and all(0 <= value <= 1 for value in row) for row in found["match"])
    code, out, _ = run("match", album, "--text", "a dog", "--checkpoint", checkpoint)
    assert code == 0 and "a dog" in out


def test_evaluate_measures_the_bundled_checkpoint(run, tmp_path: Path) -> None:
    words = ("--pictures", 3, "--steps", 2, "--guidance", 0, "--out", tmp_path / "scores.json")
    code, out, _ = run("evaluate", "paint", "vqa", "match", *words, "--json")
    report = json.loads(out)
    assert code == 0 and report == json.loads((tmp_path / "scores.json").read_text())
    assert report["sampler"].startswith("MaskGIT(steps=2") and report["guidance"]["strength"] == 0
    assert {"paint/facts", "rebuild/facts", "vqa/overall", "match/accuracy"} <= report["scores"].keys()
    assert "caption/facts" not in report["scores"]
    assert report["scores"]["vqa/overall"] > 0.5 and report["scores"]["match/accuracy"] > 0.5


def test_evaluate_refuses_no_pictures(run) -> None:
    code, _, err = run("evaluate", "paint", "--pictures", 0)
    assert code == 2 and "expected at least one picture to score, found 0" in err


def test_the_demo_writes_a_gallery(run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xlxmert.cli import demo

    monkeypatch.setattr(demo, "PROMPTS", ("two red cars on the beach", "a dog in the snow"))
    monkeypatch.setattr(demo, "PICTURES", 2)
    questions = [("how many dogs are there ?", "2"), ("what color is the car ?", "red")]
    unseen = demo._unseen  # its own questions use words that the tiny tokenizer never saw
    monkeypatch.setattr(demo, "_unseen", lambda index, cut: (*unseen(index, cut)[:2], questions))
    code, out, _ = run("demo", "--out", tmp_path / "demo", "--checkpoint", checkpoint)
    assert code == 0 and "a dog in the snow" in out and "what color is the car ?" in out
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["gallery.png", "index.html"]
    assert (tmp_path / "demo" / "index.html").read_text().count("<figure>") == 4
    code, out, _ = run("demo", "--out", tmp_path / "demo", "--json", "--checkpoint", checkpoint)
    assert code == 0 and len(json.loads(out)["seen"]) == 2
