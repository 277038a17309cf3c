"""``xlxmert attend``: one drawing per kind, strangers' files left alone, bad requests in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SENTENCE = "two red cars on the beach"
NAME = "0-two-red-cars-on-the-beach"
KINDS = ("word-region", "region-word", "word-word", "region-region")


def test_every_kind_is_drawn_and_listed(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    code, out, err = run("attend", album / "0.png", SENTENCE, "--out", tmp_path / "maps", "--checkpoint", checkpoint)
    assert (code, err) == (0, "") and all(kind in out for kind in KINDS)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == sorted(f"{NAME}-{kind}.png" for kind in KINDS)
    with Image.open(tmp_path / "maps" / f"{NAME}-word-region.png") as image:
        assert image.info["Description"] == f"attention word to region: {SENTENCE}"
        assert image.width > 8 * 176 and len(np.unique(np.asarray(image))) > 50


def test_json_tells_the_maps_and_their_strongest_pair(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    words = ("--kind", "word-word", "--json", "--out", tmp_path, "--checkpoint", checkpoint)
    code, out, _ = run("attend", album / "0.png", SENTENCE, *words)
    told = json.loads(out)
    assert code == 0 and told["tokens"] == ["[CLS]", *SENTENCE.split(), "[SEP]"] and told["grid"] == 8
    (drawing,) = told["drawings"]
    assert drawing["file"] == str(tmp_path / f"{NAME}-word-word.png") and Path(drawing["file"]).is_file()
    assert drawing["maps"] == ["word to word, language 1, mean of 2 heads", "word to word, cross 1, mean of 2 heads"]
    strongest = drawing["strongest"]
    assert strongest["map"] in drawing["maps"] and {strongest["looks"], strongest["at"]} <= set(told["tokens"])
    assert 1 / 8 < strongest["weight"] <= 1


def test_a_layer_a_head_or_all_heads_have_files_of_their_own(
    run, checkpoint: Path, album: Path, tmp_path: Path
) -> None:
    choices = {
        "-layer-2": ("--layer", 2),
        "-head-2": ("--head", 2),
        "-layer-1-head-1": ("--layer", 1, "--head", 1),
        "-layer-2-heads": ("--layer", 2, "--heads"),
    }
    maps = {}
    for ending, words in choices.items():
        more = ("--kind", "region-region", "--json", "--out", tmp_path / "maps", "--checkpoint", checkpoint)
        code, out, _ = run("attend", album / "0.png", SENTENCE, *words, *more)
        (drawing,) = json.loads(out)["drawings"]
        assert code == 0 and Path(drawing["file"]).name == f"{NAME}-region-region{ending}.png"
        maps[ending] = [title.removeprefix("region to region, ") for title in drawing["maps"]]
    assert maps == {
        "-layer-2": ["cross 1, mean of 2 heads"],
        "-head-2": ["relation 1, head 2", "cross 1, head 2"],
        "-layer-1-head-1": ["relation 1, head 1"],
        "-layer-2-heads": ["cross 1, head 1", "cross 1, head 2"],
    }


def test_own_files_are_replaced_and_strangers_files_are_not(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    words = ("attend", album / "0.png", SENTENCE, "--out", out, "--checkpoint", checkpoint)
    assert run(*words)[0] == run(*words)[0] == 0
    stranger = out / f"{NAME}-word-word.png"
    stranger.write_bytes(b"mine")
    for path in out.glob("*region*"):
        path.unlink()
    code, _, err = run(*words)
    assert code == 2 and str(stranger) in err and err.count("\n") == 1
    assert stranger.read_bytes() == b"mine" and list(out.iterdir()) == [stranger]  # nothing was drawn
    assert run(*words, "--overwrite")[0] == 0 and stranger.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("", "--layer", "1"), "expected a sentence, found an empty one"),
        ((SENTENCE, "--layer", "2", "--kind", "word-region"), "a layer from 1 to 1 for word-region, found 2"),
        ((SENTENCE, "--layer", "0"), "found 0"),
        ((SENTENCE, "--head", "3"), "a head from 1 to 2"),
        ((SENTENCE, "--heads"), "found no layer"),
        ((SENTENCE, "--kind", "word-cell"), "found 'word-cell'"),
        ((SENTENCE, "--kind"), "found none"),
    ],
)
def test_a_request_that_cannot_be_served_is_one_line(
    run, checkpoint: Path, album: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, out, err = run("attend", album / "0.png", *words, "--out", tmp_path / "maps", "--checkpoint", checkpoint)
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1
    assert not (tmp_path / "maps").exists()


def test_a_missing_picture_and_a_file_in_the_folder_s_place_are_named(
    run, checkpoint: Path, album: Path, tmp_path: Path
) -> None:
    code, out, err = run("attend", tmp_path / "no.png", SENTENCE, "--out", tmp_path, "--checkpoint", checkpoint)
    assert (code, out) == (1, "") and "no.png" in err and err.count("\n") == 1
    (tmp_path / "file").write_text("")
    code, _, err = run("attend", album / "0.png", SENTENCE, "--out", tmp_path / "file", "--checkpoint", checkpoint)
    assert code == 2 and "a file" in err and err.count("\n") == 1


def test_a_strange_word_is_noted_once(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    words = ("--kind", "word-word", "--out", tmp_path / "maps", "--checkpoint", checkpoint)
    code, _, err = run("attend", album / "0.png", "a zeppelin in the snow", *words)
    assert code == 0 and err.startswith("note: ") and "zeppelin" in err and err.count("\n") == 1
