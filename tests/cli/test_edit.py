"""``xlxmert edit``: regions, extensions, variations and blanks as files; bad requests as one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.images import save_png
from xlxmert.testing.tiny import tiny_pictures

QUICK = ("--steps", 3)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cars.png"
    save_png(path, tiny_pictures(1, seed=5)[0])
    return path


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_region_is_painted_and_the_rest_is_the_old_picture(run, checkpoint: Path, picture: Path) -> None:
    out = picture.parent / "out"
    words = ("edit", picture, "two red cars", "--region", "0,0.5,1,1", "--checkpoint", checkpoint, *QUICK)
    code, told, err = run(*words, "--out", out, "--count", 2, "--sheet")
    assert (code, err) == (0, "")
    names = ["cars-region-two-red-cars-0.png", "cars-region-two-red-cars-1.png", "sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == names and names[1] in told
    old, zero, one = _pixels(picture), _pixels(out / names[0]), _pixels(out / names[1])
    assert np.array_equal(zero[:16], old[:16]) and not np.array_equal(zero[16:], old[16:])
    assert not np.array_equal(zero, one)
    with Image.open(out / names[1]) as image:
        assert (image.info["Description"], image.info["Seed"]) == ("two red cars", "1")
    assert run(*words, "--out", out / "alone.png", "--seed", 1) == (0, f"{out / 'alone.png'}\n", "")
    assert np.abs(_pixels(out / "alone.png").astype(int) - one).max() <= 1


def test_an_extension_grows_and_json_tells_of_it(run, checkpoint: Path, picture: Path) -> None:
    words = ("--extend", "left", "--by", 2, "--times", 2, "--json", "--steps-gif", *QUICK)
    code, told, err = run("edit", picture, "dogg", *words, "--out", picture.parent, "--checkpoint", checkpoint)
    assert code == 2 and "at least one word that the model knows" in err
    code, told, err = run("edit", picture, "a red dogg", *words, "--out", picture.parent, "--checkpoint", checkpoint)
    (row,) = json.loads(told)["edits"]
    assert code == 0 and err == f"note: {row['notes'][0]}\n" and "'dogg'" in err
    assert (row["prompt"], row["seed"], row["cells"]) == ("a red dogg", 0, 32)
    assert Path(row["file"]).name == "cars-extended-left-a-red-dogg-0.png"
    grown = _pixels(Path(row["file"]))
    assert grown.shape == (32, 48, 3) and np.array_equal(grown[:, 16:], _pixels(picture))
    with Image.open(row["gif"]) as gif:
        assert gif.n_frames == 6 and gif.size == (48, 32)


def test_variations_without_a_sentence_say_what_they_take_the_picture_for(run, checkpoint: Path, picture: Path) -> None:
    words = ("edit", picture, "--vary", 0.5, "--count", 2, "--checkpoint", checkpoint, *QUICK)
    code, told, err = run(*words, "--out", picture.parent, "--show")
    assert code == 0 and err.startswith("note: no sentence was given; the picture is taken for '")
    assert err.count("\n") == 1 and told.count("▀") == 2 * 48 * 24
    both = [_pixels(picture.parent / f"cars-varied-{seed}.png") for seed in (0, 1)]
    assert not np.array_equal(*both)


def test_blanks_are_filled_beside_a_picture_and_with_a_region_of_it(run, checkpoint: Path, picture: Path) -> None:
    words = ("--checkpoint", checkpoint, "--out", picture.parent / "new", *QUICK)
    code, told, err = run("edit", picture, "two ___ cars on the ___", *words)
    assert (code, err) == (0, "") and told.count("\n") == 1
    assert told.split()[0] == "two" and told.split()[2:5] == ["cars", "on", "the"] and "_" not in told
    assert not (picture.parent / "new").exists()  # the picture is as it was
    code, told, _ = run("edit", picture, "two ___ cars", "--region", "0.5 0 1 1", *words)
    sentence, file = told.splitlines()
    assert code == 0 and sentence.split()[::2] == ["two", "cars"]
    assert np.array_equal(_pixels(Path(file))[:, :16], _pixels(picture)[:, :16])
    with Image.open(file) as image:
        assert image.info["Description"] == sentence
    code, told, _ = run("edit", picture, "a ___", "--json", "--count", 3, *words)
    assert code == 0 and [row["seed"] for row in json.loads(told)["edits"]] == [0, 1, 2]


def test_repainting_gives_the_studio_s_size_and_keeping_the_picture_s_own(run, checkpoint: Path, tmp_path) -> None:
    save_png(tmp_path / "wide.png", np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8))
    words = ("edit", tmp_path / "wide.png", "a dog", "--region", "0,0,0.5,0.5", "--checkpoint", checkpoint, *QUICK)
    assert run(*words, "--out", tmp_path / "kept.png")[0] == 0
    assert run(*words, "--out", tmp_path / "repainted.png", "--repaint")[0] == 0
    assert _pixels(tmp_path / "kept.png").shape == (40, 70, 3)
    assert _pixels(tmp_path / "repainted.png").shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("a dog",), 2, "or a sentence with a blank ___, found none"),
        (("a dog", "--region", "0,0,1,1", "--vary", 0.5), 2, "found --region and --vary: choose one"),
        (("a dog", "--region", "0,0,200,100"), 2, "divide pixels by the picture's size"),
        (("a dog", "--region", "0.5,0.5,0.5,1"), 2, "it would be empty"),
        (("a dog", "--region", "0,0,1"), 2, "x0,y0,x1,y1, found 3"),
        (("a dog", "--region", "left half"), 2, "found 'left half': write them as in 0,0.5,1,1"),
        (("a dog", "--extend", "north"), 2, "left, right, up, down, found 'north'"),
        (("a dog", "--extend", "up", "--by", 8), 2, "by 1 to 7 cells"),
        (("a dog", "--extend", "up", "--times", 0), 2, "1 to 64 times, found 0"),
        (("a ___ dog", "--extend", "up"), 2, "fill them in yourself"),
        (("a dog", "--vary", 0), 2, "above 0 and at most 1, found 0"),
        (("a dog", "--vary", 1.5), 2, "found 1.5"),
        (("a dog", "--vary", 0.5, "--by", 2), 2, "expected --extend beside --by"),
        (("a dog", "--vary", 0.5, "--count", 0), 2, "a --count of at least 1"),
        (("a dog", "--vary", 0.5, "--seed", -1), 2, "a seed from 0"),
        (("zorp", "--vary", 0.5), 2, "at least one word that the model knows"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(
    run, checkpoint: Path, picture: Path, words: tuple[object, ...], code: int, said: str
) -> None:
    found, told, err = run("edit", picture, *words, "--out", picture.parent / "new", "--checkpoint", checkpoint)
    assert (found, told) == (code, "") and said in err and err.count("\n") == 1
    assert not (picture.parent / "new").exists()


def test_bad_pictures_and_strangers_files_are_one_line(run, checkpoint: Path, picture: Path) -> None:
    words = ("a dog", "--region", "0,0,1,0.5", "--checkpoint", checkpoint, *QUICK)
    (picture.parent / "torn.png").write_bytes(picture.read_bytes()[:60])
    for name, said in (("nowhere.png", "found nothing"), ("torn.png", "cut short"), (".", "found a folder")):
        code, _, err = run("edit", picture.parent / name, *words, "--out", picture.parent / "new")
        assert code == 1 and said in err and err.count("\n") == 1
    assert not (picture.parent / "new").exists()
    code, _, err = run("edit", picture, *words, "--out", picture)
    assert code == 2 and str(picture) in err and "found another" in err
    before = _pixels(picture)
    assert run("edit", picture, *words, "--out", picture, "--overwrite")[0] == 0
    assert np.array_equal(_pixels(picture)[16:], before[16:])
    assert run("edit", picture, *words, "--out", picture)[0] == 0  # our own by now
