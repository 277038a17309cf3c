"""XGPT's road on the command line: two stages of pre-training, fine-tuning, CIDEr-D, captions; what does not fit."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlxmert.cli.main import main
from xlxmert.convert.captioner import Captioner
from xlxmert.core.files import read_json, read_tensors, write_json
from xlxmert.data.store import Store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.xgpt import TINY
from xlxmert.recipes.captioner import WEIGHTS, as_captioner, cider_on, fresh, of_stage
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.train_store import Prepared
from xlxmert.sampling import Greedy
from xlxmert.studio import Describer
from xlxmert.tasks.self_critical import References
from xlxmert.testing.tiny import tiny_captioner

LOOP = ("--loop.device", "cpu", "--loop.quiet", "--loop.decay", "constant", "--loop.batch-size", 8)


def loop(out: Path, steps: int = 2) -> tuple[object, ...]:
    return ("--loop.out", out, "--loop.steps", steps, *LOOP)


@pytest.fixture(scope="module")
def stores(road: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's captions with exact features: ``train``, and ``val`` of the same words and codebook."""
    folder = tmp_path_factory.mktemp("stores")
    recipe = PrepareRecipe(size=32, tokenizer=str(road / "checkpoint"), features=True)
    for split in ("train", "val"):
        captions = road / "world" / "annotations" / f"captions_{split}.json"
        sources = Sources(road / "world" / "images", captions=(captions,))
        prepare(folder / split, sources, road / "checkpoint" / "codebook.safetensors", recipe)
    return folder


@pytest.fixture(scope="module")
def base(road: Path, stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a captioner after a short first stage."""
    out = tmp_path_factory.mktemp("base") / "run"
    assert main([str(word) for word in (*stage(road, stores, "out-of-domain"), *loop(out))]) == 0
    return out / "checkpoint"


@pytest.fixture(scope="module")
def small(road: Path, stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a captioner of the same words and codebook, which takes a tenth of the time."""
    prepared = Prepared.open(stores / "train", road / "checkpoint" / "codebook.safetensors")
    longest = int(np.diff(prepared.store.arrays["offsets"]).max())
    model = fresh(prepared, dataclasses.replace(TINY, max_text=longest, norm="before"), seed=0)
    folder = tmp_path_factory.mktemp("small") / "captioner"
    as_captioner(model, prepared, of_stage("captioning"), {}).save_pretrained(folder)
    return folder


def stage(road: Path, stores: Path, name: str, store: str = "train") -> tuple[object, ...]:
    codebook = road / "checkpoint" / "codebook.safetensors"
    return ("pretrain", "--preset", "xgpt-world", "--stage", name, "--store", stores / store, "--codebook", codebook)


def tune(stores: Path, model: Path, *more: object) -> tuple[object, ...]:
    return ("finetune", "caption", "--model", model, "--store", stores / "train", *more)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return Captioner.from_pretrained(folder).model.state_dict()


def differ(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    return any(not torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_road_from_two_stages_to_captions(run, road: Path, stores: Path, base: Path, tmp_path: Path) -> None:
    first = Captioner.from_pretrained(base)
    facts = first.facts
    assert (facts["stage"], facts["steps"], facts["batch"], facts["visual_input"]) == (
        "out-of-domain",
        2,
        8,
        "features",
    )
    assert first.vocabulary is not None and first.model.config.feature_width == first.vocabulary.width == 12
    assert first.model.config.vocabulary == first.tokenizer.size and first.most_words < first.model.config.max_text

    second = tmp_path / "second"
    start = ("--start", base, "--validation", stores / "val", "--loop.save-every", 1, "--loop.keep", 4)
    code, out, err = run(*stage(road, stores, "in-domain"), *start, *loop(second))
    assert (code, err) == (0, "") and re.search(rf"checkpoint +{second / 'checkpoint'}", out)
    assert Captioner.from_pretrained(second / "checkpoint").facts["stage"] == "in-domain"
    kept = [read_tensors(second / "checkpoints" / f"step-00000{n}" / "model.safetensors")[0] for n in (1, 2)]
    for name, weight in weights(second / "checkpoint").items():
        mean = (kept[0][name] + kept[1][name]) / 2  # there are no four
        torch.testing.assert_close(weight, mean, rtol=1e-3, atol=1e-6)

    third, fourth = tmp_path / "third", tmp_path / "fourth"
    code, out, err = run(*tune(stores, second / "checkpoint", "--epochs", 0.5), *loop(third))
    assert (code, err) == (0, "") and "examples    30" in out and str(third / "checkpoint") in out
    tuned = Captioner.from_pretrained(third / "checkpoint")
    assert tuned.facts["finetuned"] == [{"by": "cross-entropy", "captions": 30, "steps": 2, "batch": 8}]
    assert "30 captions by cross-entropy: 2 steps of 8" in tuned.card and differ(
        second / "checkpoint", third / "checkpoint"
    )

    critical = ("--self-critical", "--critical.draws", 2, "--critical.baseline", "others", "--epochs", 0.5)
    code, _, err = run(*tune(stores, third / "checkpoint", *critical), *loop(fourth), "--loop.batch-size", 3)
    assert (code, err) == (0, "") and differ(third / "checkpoint", fourth / "checkpoint")
    told = Captioner.from_pretrained(fourth / "checkpoint").facts["finetuned"]
    assert [(each["by"], each["steps"]) for each in told] == [("cross-entropy", 2), ("CIDEr-D", 1)]  # 3 of 6 pictures

    pictures = road / "world" / "images" / "val"
    code, out, err = run("caption", pictures, "--model", fourth / "checkpoint", "--num", 2, "--json")
    assert (code, err) == (0, "") and [len(row["captions"]) for row in json.loads(out)] == [2] * 4


def test_a_stage_starts_where_the_one_before_ended(run, road: Path, stores: Path, small: Path, tmp_path: Path) -> None:
    """With a rate of next to nothing, the weights stay those of the start."""
    still = ("--generative.optim.lr", 1e-12, "--generative.optim.muon-lr", 0, "--generative.optim.weight-decay", 0)
    code, _, err = run(*stage(road, stores, "captioning"), "--start", small, *still, *loop(tmp_path / "run", 1))
    assert (code, err) == (0, "")
    before = weights(small)
    for name, weight in weights(tmp_path / "run" / "checkpoint").items():
        torch.testing.assert_close(weight, before[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_stage_learns_its_own_objectives(run, road: Path, stores: Path, tmp_path: Path, name: str) -> None:
    small = ("--generative.combine", "sum", "--loop.batch-size", 2, "--loop.log-every", 1)
    code, _, err = run(*stage(road, stores, name), *loop(tmp_path, 1), *small)
    assert (code, err) == (0, "")
    line = json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[-1])
    wanted = {objective: weight for objective, weight in WEIGHTS[name].items() if weight}  # type: ignore[index]
    losses = {objective: line[f"model/{objective}"] for objective in WEIGHTS["text"] if f"model/{objective}" in line}
    assert losses.keys() == wanted.keys()
    total = sum(weight * losses[objective] for objective, weight in wanted.items())
    assert line["model/loss"] == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("verb", ["pretrain", "cross-entropy", "self-critical"])
def test_a_run_goes_on_where_it_was(run, road: Path, stores: Path, small: Path, tmp_path: Path, verb: str) -> None:
    more = ("--self-critical", "--loop.batch-size", 3) if verb == "self-critical" else ()
    words = (*stage(road, stores, "in-domain"), "--start", small) if verb == "pretrain" else tune(stores, small)
    for name, steps in (("parts", 1), ("parts", 2), ("whole", 2), ("whole", 2)):
        code, _, err = run(*words, *loop(tmp_path / name, steps), *more)
        assert (code, err) == (0, "")
    one, two = ((tmp_path / name / "checkpoint" / "model.safetensors").read_bytes() for name in ("parts", "whole"))
    assert one == two
    changed = Captioner.from_pretrained(small)
    with torch.no_grad():
        changed.model.word_bias.add_(1)
    changed.save_pretrained(tmp_path / "other")
    which = ("--start" if verb == "pretrain" else "--model", tmp_path / "other")
    code, out, err = run(*words, *loop(tmp_path / "whole", 3), *more, *which)
    assert (code, out, err.count("\n")) == (1, "", 1) and "was made with start=" in err


def test_codes_may_be_read_instead_of_features(run, road: Path, stores: Path, tmp_path: Path) -> None:
    words = ("--generative.visual-input", "codes", *loop(tmp_path, 1))
    code, _, err = run(*stage(road, stores, "captioning"), *words)
    assert (code, err) == (0, "")
    read = Captioner.from_pretrained(tmp_path / "checkpoint")
    assert read.visual_input == "codes" and read.model.centroids is not None
    assert read.vocabulary is not None and torch.equal(read.model.centroids, read.vocabulary.codebook.centroids)


def test_checkpoints_are_marked_by_cider_of_greedy_captions(stores: Path, small: Path) -> None:
    store, captioner = Store.open(stores / "val"), Captioner.from_pretrained(small)
    rows = Describer(captioner, "cpu").write(store.rows("features", range(4)), decoding=Greedy())
    mark = 100 * float(References(store).rewards(range(4), [row[0].text for row in rows]).mean())
    assert cider_on(store, "features")(captioner.model) == pytest.approx(mark) and 0 <= mark <= 1000


@pytest.fixture(scope="module")
def odd(road: Path, stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores that do not fit: without features, of other words, of another codebook."""
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(road / "store", folder / "bare")
    for name in ("words", "codebook"):
        shutil.copytree(stores / "train", folder / name)
    Tokenizer.train(["a dog", "a cat"], 50, least=1).save(folder / "words" / "tokenizer.json")
    facts = read_json(folder / "codebook" / "store.json")
    write_json(folder / "codebook" / "store.json", facts | {"codebook": "0123456789abcdef"})
    return folder


@pytest.mark.parametrize(
    ("store", "fresh", "told"),
    [
        ("bare", "expected the pictures' features in", "expected the pictures' features in"),
        ("words", None, r"expected a store with the captioner's \d+ word pieces, found \d+ others in .*--tokenizer"),
        ("codebook", "found 0123456789abcdef", r"found codebook 0123456789abcdef in .*--codebook"),
        ("nowhere", "expected a JSON file at", "expected a JSON file at"),
    ],
)
def test_stores_that_do_not_fit_are_one_line(
    run, road: Path, odd: Path, small: Path, tmp_path: Path, store: str, fresh: str | None, told: str
) -> None:
    calls: list[tuple[str, tuple[object, ...]]] = []
    for more in ((), ("--self-critical",)):
        calls.append((told, ("finetune", "caption", "--model", small, "--store", odd / store, *more)))
    started = told if fresh is None else fresh
    calls.append((started, (*stage(road, odd, "in-domain", store), "--start", small)))
    if fresh is not None:
        calls.append((fresh, stage(road, odd, "in-domain", store)))
    for said, words in calls:
        code, out, err = run(*words, *loop(tmp_path / "run"))
        assert (code, out, err.count("\n")) == (1, "", 1) and re.search(said, err), err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("bare", "expected the pictures' features in"),
        ("codebook", "found 0123456789abcdef"),
        ("words", "expected a store with the captioner's"),
    ],
)
def test_a_validation_store_that_does_not_fit_is_refused_before_the_training(
    run, road: Path, stores: Path, odd: Path, tmp_path: Path, store: str, said: str
) -> None:
    words = (*stage(road, stores, "in-domain"), "--validation", odd / store, *loop(tmp_path / "run"))
    code, out, err = run(*words, "--loop.keep", 4)
    assert (code, out, err.count("\n")) == (1, "", 1) and said in err
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1) and "expected --loop.keep of at least 4" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("caption", "--checkpoint", "somewhere"), 2, "pass its folder as --model"),
        (("vqa", "--model", "somewhere"), 2, "expected the task caption for --model and --self-critical, found vqa"),
        (("retrieval", "--self-critical"), 2, "found retrieval"),
        (("caption", "--model", "./nowhere"), 2, "expected a checkpoint's folder at ./nowhere"),
        (("caption", "--model", "LXMERT"), 1, "found format 1 and family lxmert"),
        (("caption", "--model", "SMALL", "--epochs", 0), 2, "expected --epochs above 0"),
        (("caption", "--model", "SMALL", "--critical.draws", 0), 1, "draws must be at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    run, road: Path, stores: Path, small: Path, tmp_path: Path, words: tuple[Any, ...], code: int, said: str
) -> None:
    folders = {"LXMERT": road / "checkpoint", "SMALL": small}
    given = [folders.get(word, word) if isinstance(word, str) else word for word in words]
    found, out, err = run("finetune", *given, "--store", stores / "train", *loop(tmp_path / "run"))
    assert (found, out, err.count("\n")) == (code, "", 1) and said in err
    assert not (tmp_path / "run").exists()


def test_a_captioner_of_other_words_is_no_start(run, road: Path, stores: Path, tmp_path: Path) -> None:
    tiny_captioner().save_pretrained(tmp_path / "tiny")
    for words in ((*stage(road, stores, "in-domain"), "--start", tmp_path / "tiny"), tune(stores, tmp_path / "tiny")):
        code, out, err = run(*words, *loop(tmp_path / "run"))
        assert (code, out, err.count("\n")) == (1, "", 1) and "expected a store with the captioner's 116 word" in err


def test_help_names_the_parts_of_a_captioner(run) -> None:
    for verb, options in (
        ("pretrain", ("xgpt-world", "--stage", "--start", "--validation", "--generative.imlm")),
        ("finetune", ("caption", "--model", "--self-critical", "--critical.draws", "--captioning.together")),
    ):
        code, out, _ = run(verb, "--help")
        assert code == 0
        for option in options:
            assert option in out, option
