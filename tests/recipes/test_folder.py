"""`xlxmert train`: from a folder of pictures to a checkpoint that paints, captions and matches."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from xlxmert.cli.main import main
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_picture, save_png
from xlxmert.models.generator.presets import TINY as TINY_GENERATOR
from xlxmert.models.lxmert import TINY
from xlxmert.recipes.folder import FolderRecipe, train_folder
from xlxmert.recipes.plan import Pace, Plan, Rehearsal, plan_of, rehearse
from xlxmert.recipes.train_store import WARM_START
from xlxmert.studio import Studio
from xlxmert.testing.tiny import SENTENCES, tiny_pictures, tiny_tokenizer

PLAN = Plan(codes=64, pretrain_steps=3, render_steps=2, held_out=2)
GENERATOR = dataclasses.replace(TINY_GENERATOR, widths=(8, 8, 8, 8))
LOSSES = dataclasses.replace(WARM_START, perceptual=0.0)
RECIPE = FolderRecipe(plan=PLAN, model=TINY, generator=GENERATOR, losses=LOSSES, quiet=True, log=lambda text: None)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for number, picture in enumerate(tiny_pictures(12)):
        save_png(folder / f"{number}.png", picture)
        lines.append(json.dumps({"image": f"{number}.png", "caption": SENTENCES[number % 4]}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def test_the_whole_road_and_going_on(images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_bytes(b"no picture")
    (images / "captions2.jsonl").write_text('{"image": "broken.png", "caption": "a dog"}')
    out, told = tmp_path / "run", list[str]()
    recipe = dataclasses.replace(RECIPE, log=told.append)
    bundle = train_folder(images, out, recipe)
    assert bundle.facts["pictures"] == 10 and bundle.facts["plan"] == dataclasses.asdict(PLAN)
    assert any("passed over" in line and "broken.png" in line for line in told)
    held = [json.loads(line)["image"] for line in (out / "held.jsonl").read_text().splitlines()]
    trained = [json.loads(line)["image"] for line in (out / "train.jsonl").read_text().splitlines()]
    assert len(held) == 2 and not set(held) & set(trained)
    assert {"caption/CIDEr-D", "retrieval/text_to_image/R@1"} <= bundle.facts["scores"]["held out"].keys()
    assert "On 2 pictures that were kept out" in bundle.card
    assert load_picture(out / "sheet.png", 64).std() > 0

    studio = Studio.from_pretrained(out / "checkpoint")
    assert studio.paint("two red cars")[0].picture.shape == (128, 128, 3)
    assert studio.caption(images / "0.png")[0][0].text
    assert studio.match(images / "0.png", ["two red cars"]).shape == (1, 1)

    before = (out / "checkpoint/model.safetensors").read_bytes()
    train_folder(images, out, recipe)
    assert (out / "checkpoint/model.safetensors").read_bytes() == before
    with pytest.raises(XlxmertError, match=r"plan.json the seed of this call"):
        train_folder(images, out, dataclasses.replace(recipe, seed=1))
    (images / "captions2.jsonl").write_text('{"image": "broken.png", "caption": "a cat"}')
    with pytest.raises(XlxmertError, match="pictures and captions of this call"):
        train_folder(images, out, recipe)


def test_too_few_pictures(images: Path, tmp_path: Path) -> None:
    (images / "captions.jsonl").write_text('{"image": "0.png", "caption": "a dog"}')
    with pytest.raises(XlxmertError, match=r"at least 8 pictures with captions.*found 1"):
        train_folder(images, tmp_path / "run", RECIPE)


def test_what_was_there_is_not_lost(images: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("dear")
    with pytest.raises(XlxmertError, match="expected a new or an empty folder"):
        train_folder(images, tmp_path / "run", RECIPE)
    assert (tmp_path / "run/thesis.tex").read_text() == "dear"


def test_lengths_grow_with_the_folder_and_end_near_the_bundled_ones() -> None:
    few, some, many = (plan_of(count, 64) for count in (10, 800, 20_000))
    assert (few.codes, few.held_out) == (64, 0)
    assert (some.codes, some.pretrain_steps, some.render_steps, some.held_out) == (4096, 2500, 900, 40)
    assert many.codes == 8192 and 15_000 < many.pretrain_steps < 20_000 and 3000 < many.render_steps < 3500


def test_minutes_are_kept() -> None:
    pace, plan = Pace(0.01, 0.2, 0.8), plan_of(800, 64)
    shorter = pace.fitted(plan, 800, 10.0)
    assert sum(pace.seconds(shorter, 800).values()) == pytest.approx(600, abs=1)
    assert shorter.pretrain_steps / shorter.render_steps == pytest.approx(2500 / 900, rel=0.01)
    with pytest.raises(UsageError, match=r"--minutes 0\.5"):
        pace.fitted(plan, 800, 0.5)


def test_the_rehearsal_measures_every_stage() -> None:
    pictures = tiny_pictures(8).repeat(8, 1).repeat(8, 2)
    codebook = RECIPE.codebook(64)
    pace = rehearse(
        list(pictures),
        SENTENCES,
        tiny_tokenizer(),
        Rehearsal(codebook, TINY, RECIPE.objectives(8), GENERATOR, LOSSES),
    )
    assert min(dataclasses.astuple(pace)) > 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 1, "expected a folder"),
        (["pictures", "--minutes", "-1"], 2, "minutes"),
        (["pictures", "--names", "files", "--captions", "pictures/captions.jsonl"], 2, "found both"),
        ([], 2, "required"),
    ],
)
def test_bad_input(
    words: list[str],
    code: int,
    said: str,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(images.parent)
    assert main(["train", *words]) == code
    captured = capsys.readouterr()
    assert said in " ".join((captured.err + captured.out).split()) and "Traceback" not in captured.err
    assert np.array_equal(load_picture(images / "0.png", 32), tiny_pictures(1)[0])
