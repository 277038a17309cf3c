"""``xlxmert paint``: files, seeds, samplers and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.files import read_tensors, write_tensors
from xlxmert.testing.tiny import tiny_vocabulary


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_count_numbers_the_seeds_and_prompts_do_not_disturb_each_other(run, checkpoint: Path, tmp_path: Path) -> None:
    words = ("--checkpoint", checkpoint, "--seed", 5, "--steps", 4)
    code, _, err = run("paint", "a dog", "two red cars on the beach", "--count", 2, "--out", tmp_path / "a", *words)
    assert (code, err) == (0, "")
    names = ["a-dog-5.png", "a-dog-6.png", "two-red-cars-on-the-beach-5.png", "two-red-cars-on-the-beach-6.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert run("paint", "a dog", "--out", tmp_path / "alone.png", *words) == (0, f"{tmp_path / 'alone.png'}\n", "")
    assert np.abs(_pixels(tmp_path / "alone.png").astype(int) - _pixels(tmp_path / "a" / names[0])).max() <= 1
    assert not np.array_equal(_pixels(tmp_path / "a" / names[0]), _pixels(tmp_path / "a" / names[1]))


def test_json_tells_prompts_seeds_files_and_notes(run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a dog\n\n  a red carr \n")
    extras = ("--json", "--sheet", "--steps-gif", "--steps", 4, "--out", tmp_path, "--checkpoint", checkpoint)
    code, out, err = run("paint", "--prompts", tmp_path / "prompts.txt", *extras)
    found = json.loads(out)
    assert code == 0 and [row["prompt"] for row in found["paintings"]] == ["a dog", "a red carr"]
    assert all(Path(row["file"]).is_file() and Path(row["gif"]).is_file() for row in found["paintings"])
    assert Path(found["sheet"]).is_file() and "'carr'" in found["paintings"][1]["notes"][0]
    assert err.startswith("note: the model has never seen the word 'carr'")
    with Image.open(found["paintings"][0]["gif"]) as gif:
        gif.seek(gif.n_frames - 1)
        difference = np.asarray(gif.convert("RGB")).astype(int) - _pixels(Path(found["paintings"][0]["file"]))
    assert np.abs(difference).mean() < 12  # a GIF has 256 colours


def test_show_draws_the_picture_in_the_terminal(run, checkpoint: Path, tmp_path: Path) -> None:
    code, out, _ = run("paint", "a dog", "--show", "--out", tmp_path, "--checkpoint", checkpoint)
    assert code == 0 and out.count("▀") == 48 * 24


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "found an empty one"),
        ("dog " * 10_000, "at most 30 tokens, found 10000"),
        ("🚗🏖", "at least one word that the model knows"),
        ("红色汽车", "at least one word that the model knows"),
    ],
)
def test_bad_prompts_exit_with_2_and_one_line(run, checkpoint: Path, tmp_path: Path, prompt: str, said: str) -> None:
    code, out, err = run("paint", prompt, "--out", tmp_path, "--checkpoint", checkpoint)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_requests_that_make_no_sense_exit_with_2(run, checkpoint: Path, tmp_path: Path) -> None:
    words = ("--checkpoint", checkpoint, "--out", tmp_path)
    assert run("paint", *words)[0] == 2
    assert run("paint", "a dog", "--count", 0, *words)[0] == 2
    assert run("paint", "a dog", "--seed", -1, *words)[0] == 2
    assert run("paint", "a dog", "--sampler", "raster", "--steps", 3, *words)[0] == 2
    assert run("paint", "a dog", "--steps", 0, *words)[0] == 2
    code, _, err = run("paint", "a dog", "a cat", "--checkpoint", checkpoint, "--out", tmp_path / "one.png")
    assert code == 2 and "expected a folder for 2 pictures" in err
    assert run("paint", "a dog", "--checkpoint", tmp_path / "nowhere")[0] == 2
    assert run("paint", "--prompts", tmp_path / "nowhere.txt", *words)[0] == 1


def test_a_stranger_s_file_is_kept_unless_told_otherwise(run, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "a-dog-0.png"
    Image.new("RGB", (4, 4)).save(target)
    words = ("paint", "a dog", "--out", tmp_path, "--checkpoint", checkpoint)
    code, _, err = run(*words)
    assert code == 2 and str(target) in err and _pixels(target).shape == (4, 4, 3)
    assert run(*words, "--overwrite")[0] == 0 and _pixels(target).shape == (32, 32, 3)
    assert run(*words)[0] == 0  # our own picture is replaced


def test_a_damaged_checkpoint_is_one_line_that_names_the_weight(run, checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    tensors, _ = read_tensors(broken / "model.safetensors")
    bias = tensors.pop("word_head.bias")
    write_tensors(broken / "model.safetensors", tensors)
    code, _, err = run("paint", "a dog", "--out", tmp_path, "--checkpoint", broken)
    assert code == 1 and "missing: word_head.bias" in err and err.count("\n") == 1
    write_tensors(broken / "model.safetensors", {**tensors, "word_head.bias": bias[:-1]})
    code, _, err = run("paint", "a dog", "--out", tmp_path, "--checkpoint", broken)
    assert code == 1 and "misshapen: word_head.bias" in err
    shutil.rmtree(broken)
    shutil.copytree(checkpoint, broken)
    tiny_vocabulary(seed=1).save(broken / "codebook.safetensors")
    code, _, err = run("paint", "a dog", "--out", tmp_path, "--checkpoint", broken)
    assert code == 1 and "codebook" in err and err.count("\n") == 1
