"""Stores of published codes and features: from small files in their formats to checkpoints, by the command line."""

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.cli.main import main
from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json
from xlxmert.core.images import save_png
from xlxmert.data.features import SeenPicture
from xlxmert.data.pretraining import ToldPicture, write_pretraining
from xlxmert.data.store import Store
from xlxmert.data.tsv_features import write_tsv_features
from xlxmert.models.families import PRESETS
from xlxmert.recipes import mixture
from xlxmert.recipes.evaluate_store import evaluate_store
from xlxmert.recipes.train_store import Prepared
from xlxmert.studio import Studio
from xlxmert.testing.tiny import tiny_pictures
from xlxmert.vision.codebook import Codebook

COUNT, WIDTH = 4, 6
NAMES = [f"COCO_train2014_{number:012d}" for number in range(COUNT)]
LOOP = ["--loop.steps", "2", "--loop.batch-size", "4", "--loop.quiet", "--loop.device", "cpu"]
LXMERT = [
    "--objectives.policy", "all", "--objectives.visual-input", "features", "--objectives.visual-mask", "bernoulli",
    "--objectives.rare-first", "0", "--objectives.optim.muon-lr", "0", "--objectives.targets", "features",
]  # fmt: skip


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Four pictures with a caption and a question each."""
    torch.set_num_threads(1)
    sentences = {"mscoco": ("a red car",), "vqa": ("is it red ?",)}
    pictures = [ToldPicture(name, sentences, {"vqa": ({"yes": 1.0, "no": 0.3},)}) for name in NAMES]
    write_pretraining(tmp_path / "train.json", pictures)
    return tmp_path / "train.json"


def mixed(told: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> Path:
    out = told.parent / "store"
    command = ["mixture", "--out", out, "--told", told, *words]
    monkeypatch.setattr("sys.argv", [str(word) for word in command])
    mixture.main()
    return out


def centroids_of(folder: Path, grid: int = 8) -> tuple[np.ndarray, list[object]]:
    """Centroids and codes as X-LXMERT publishes them."""
    centroids = np.random.default_rng(0).normal(size=(20, WIDTH)).astype(np.float32)
    np.save(folder / "c.npy", centroids)
    codes = {name: (np.arange(grid**2) + place) % 20 for place, name in enumerate(NAMES)}
    (folder / "codes.pkl").write_bytes(pickle.dumps(codes))
    return centroids, ["--clusters", folder / "codes.pkl", "--centroids", folder / "c.npy"]


def boxes_of(folder: Path, count: int = 3) -> list[object]:
    """LXMERT's features of some boxes."""
    rng = np.random.default_rng(0)
    sides = np.array([[0, 0, 0.5, 0.5], [0.1, 0.2, 0.9, 1], [0, 0, 1, 1]], np.float32)[:count]

    def seen(name: str) -> SeenPicture:
        features = rng.random((count, WIDTH), np.float32)
        return SeenPicture(name, features, sides, np.arange(count), None, np.arange(count))

    write_tsv_features(folder / "boxes.tsv", ((seen(name), 640, 480) for name in NAMES))
    return ["--tsv", folder / "boxes.tsv"]


def small(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A preset of the paper's choices with the sizes of a test."""
    sizes = {"width": 32, "heads": 2, "feed_forward": 64, "language_layers": 1, "relation_layers": 1, "cross_layers": 1}
    monkeypatch.setitem(PRESETS, name, dataclasses.replace(PRESETS[name], **sizes, max_text=32))


def trained(store: Path, *words: object) -> Path:
    run = store.parent / "run"
    command = ["pretrain", "--store", store, "--loop.out", run, *LOOP, *words]
    assert main([str(word) for word in command]) == 0
    return run / "checkpoint"


def looks_nowhere(checkpoint: Path, picture: Path, capsys: pytest.CaptureFixture[str], *reads: str) -> None:
    """Every way to a picture ends in one line that says what the checkpoint reads instead."""
    capsys.readouterr()
    for verb in (["caption", picture], ["answer", picture, "is it red ?"], ["match", picture, "--text", "a red car"]):
        assert main([str(word) for word in [*verb, "--checkpoint", checkpoint]]) == 1
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0 and said.startswith("error: looking at pictures needs a checkpoint"), said
        assert all(each in said for each in (*reads, "xlxmert finetune", "--checkpoint")), said


def test_codes_and_centroids_train_an_x_lxmert_that_says_what_it_reads(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.parent
    centroids, words = centroids_of(folder)
    store = mixed(told, monkeypatch, *words)
    small(monkeypatch, "x-lxmert")
    checkpoint = trained(store, "--preset", "x-lxmert")
    bundle = Bundle.from_pretrained(checkpoint)
    assert bundle.vocabulary is None and bundle.model.config.codes == 20 and bundle.model.config.grid == 8
    assert bundle.model.centroids is not None and np.array_equal(bundle.model.centroids.numpy(), centroids)
    assert bundle.facts["looks"] == {
        "tokens": 64, "boxes": False, "feature_width": 0, "codes": 20, "files": ["c.npy", "codes.pkl"],
        "codebook": Codebook(torch.from_numpy(centroids)).fingerprint,
    }  # fmt: skip
    assert "no pictures" in bundle.card and "codes.pkl" in bundle.card
    save_png(folder / "a.png", tiny_pictures(1)[0])
    looks_nowhere(checkpoint, folder / "a.png", capsys, "codes of the 20 centroids", "64 cells", "codes.pkl")
    with pytest.raises(XlxmertError, match="codes of the 20 centroids"):
        Studio(bundle, "cpu").answer(folder / "a.png", "is it red ?")
    # questions of the same store, and the image generator
    tuned = ["finetune", "vqa", "--store", store, "--checkpoint", checkpoint, "--loop.out", folder / "vqa", *LOOP]
    assert main([str(word) for word in tuned]) == 0
    assert Bundle.from_pretrained(folder / "vqa/checkpoint").facts["looks"]["codes"] == 20
    for name, picture in zip(NAMES, tiny_pictures(COUNT), strict=True):
        save_png(folder / "pictures" / f"{name}.png", picture)
    render = ["render", "--store", store, "--images", folder / "pictures", "--preset", "tiny", *LOOP]
    render += ["--loop.out", folder / "render", "--checkpoint", checkpoint, "--losses.perceptual", "0"]
    assert main([str(word) for word in render]) == 0
    assert Studio(Bundle.from_pretrained(checkpoint), "cpu").paint("a red car")[0].picture.ndim == 3


def test_boxes_with_labels_train_an_lxmert_that_is_tuned_on_questions(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.parent
    store = mixed(told, monkeypatch, *boxes_of(folder))
    small(monkeypatch, "lxmert")
    checkpoint = trained(store, "--preset", "lxmert", *LXMERT, "labels", "attributes")
    bundle = Bundle.from_pretrained(checkpoint)
    config = bundle.model.config
    assert (config.codes, config.labels, config.attributes, config.feature_width) == (0, 1600, 400, WIDTH)
    assert bundle.facts["looks"]["boxes"] and bundle.facts["looks"]["files"] == ["boxes.tsv"]
    save_png(folder / "a.png", tiny_pictures(1)[0])
    looks_nowhere(checkpoint, folder / "a.png", capsys, "features of width 6", "3 boxes a picture", "boxes.tsv")
    tuned = ["finetune", "vqa", "--store", store, "--checkpoint", checkpoint, "--loop.out", folder / "vqa", *LOOP]
    assert main([str(word) for word in tuned]) == 1
    assert "--answering.visual-input features" in capsys.readouterr().err
    assert main([str(word) for word in [*tuned, "--answering.visual-input", "features"]]) == 0
    again = Bundle.from_pretrained(folder / "vqa/checkpoint")
    captioner = ["pretrain", "--store", store, "--preset", "xgpt-tiny", "--loop.out", folder / "xgpt", *LOOP]
    assert main([str(word) for word in captioner]) == 0
    told_by = Captioner.from_pretrained(folder / "xgpt/checkpoint")
    assert told_by.vocabulary is None and told_by.facts["looks"] == bundle.facts["looks"]
    capsys.readouterr()
    assert main([str(word) for word in ["caption", folder / "a.png", "--model", folder / "xgpt/checkpoint"]]) == 1
    assert "needs a captioner with a visual vocabulary (found none in it; it reads features" in capsys.readouterr().err
    assert again.answers == bundle.answers and again.facts["looks"] == bundle.facts["looks"]


def tuning_files(folder: Path) -> list[Path]:
    """LXMERT's own: a question on each picture, and two statements about pairs of them."""
    asked = [
        {"img_id": name, "question_id": place, "sent": "is it red ?", "label": {"yes": 1.0}, "answer_type": "yes/no"}
        for place, name in enumerate(NAMES)
    ]
    pairs = [
        {
            "identifier": f"train-{n}-0-0",
            "img0": NAMES[n],
            "img1": NAMES[n + 1],
            "label": n,
            "sent": "a car",
            "uid": str(n),
        }
        for n in range(2)
    ]
    for name, content in (("vqa.json", asked), ("nlvr2.json", pairs)):
        (folder / name).write_text(json.dumps(content))
    return [folder / "vqa.json", folder / "nlvr2.json"]


def test_lxmerts_own_files_on_its_own_features_tune_a_checkpoint(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.parent
    words = boxes_of(folder)
    small(monkeypatch, "lxmert")
    checkpoint = trained(mixed(told, monkeypatch, *words), "--preset", "lxmert", *LXMERT, "labels")
    prepare = ["prepare", "--lxmert", *tuning_files(folder), *words, "--out", folder / "tuning"]
    prepare += ["--checkpoint", checkpoint]
    assert main([str(word) for word in prepare]) == 0
    store = Store.open(folder / "tuning")
    assert store.tokens == 3 and store.count("labels") == 1600 and store.facts["looked"] == ["boxes.tsv"]
    assert len(store.of_kind("question")) == 4 and len(store.of_kind("statement")) == 2
    assert store.arrays["truth"][store.of_kind("statement")].tolist() == [0, 1]
    for task, option in (("vqa", "answering"), ("nlvr2", "nlvr2")):
        tune = ["finetune", task, "--store", folder / "tuning", "--checkpoint", checkpoint, *LOOP]
        tune += ["--loop.out", folder / task, f"--{option}.visual-input", "features"]
        assert main([str(word) for word in tune]) == 0
        score = ["evaluate", task, "--store", folder / "tuning", "--checkpoint", folder / task / "checkpoint"]
        assert main([str(word) for word in [*score, "--out", folder / f"{task}-scores.json"]]) == 0
        found = read_json(folder / f"{task}-scores.json")
        assert found["examples"] == len(store.of_kind({"vqa": "question", "nlvr2": "statement"}[task]))
        assert 0 <= found["scores"][f"{task}/accuracy"] <= 1
    assert main([str(word) for word in ["evaluate", "nlvr2", *score[2:-1], checkpoint]]) == 1
    assert main([str(word) for word in ["evaluate", "caption", *score[2:]]]) == 2
    # pictures that the features lack, and pictures that the checkpoint cannot look at
    capsys.readouterr()
    blind = ["prepare", "--images", folder, "--lxmert", folder / "vqa.json", "--checkpoint", checkpoint]
    assert main([str(word) for word in [*blind, "--out", folder / "blind"]]) == 2
    assert "expected a checkpoint that looks at pictures" in capsys.readouterr().err
    (folder / "more.json").write_text(json.dumps([{"img_id": "99", "question_id": 1, "sent": "why ?", "label": {}}]))
    capsys.readouterr()
    again = ["prepare", "--lxmert", folder / "vqa.json", folder / "more.json", *words, "--out", folder / "again"]
    assert main([str(word) for word in again]) == 1
    assert "expected picture '99' in boxes.tsv, found it and 0 more of 5 missing" in capsys.readouterr().err
    assert main([str(word) for word in [*again, "--missing"]]) == 0
    assert len(Store.open(folder / "again")) == 4
    assert main([str(word) for word in [*again, "--images", folder]]) == 2
    assert main([str(word) for word in [*again, "--codebook", folder / "v"]]) == 2
    assert main([str(word) for word in ["prepare", "--lxmert", folder / "vqa.json", "--out", folder / "b"]]) == 2


def test_a_grid_of_features_trains_without_labels(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(told.parent / "grid.h5", "w") as file:
        for place, name in enumerate(NAMES):
            file.create_group(name)["features"] = np.full((2, 2, WIDTH), place, np.float32)
    store = mixed(told, monkeypatch, "--h5", told.parent / "grid.h5")
    small(monkeypatch, "lxmert-grid")
    model = Bundle.from_pretrained(trained(store, "--preset", "lxmert-grid", *LXMERT)).model
    assert (model.config.grid, model.config.labels, model.config.feature_width) == (2, 0, WIDTH)


def test_what_does_not_belong_together_is_one_line(
    told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.parent
    store = mixed(told, monkeypatch, *centroids_of(folder)[1])
    fingerprint = Store.open(store).fingerprint
    assert Prepared.open(store, folder / "c.npy").store.fingerprint == fingerprint
    np.save(folder / "other.npy", np.ones((20, WIDTH), np.float32))
    uncoded = mixed_boxes(folder, told, monkeypatch)
    (folder / "odd").mkdir()
    cases: list[tuple[list[object], int, str]] = [
        (["--store", store, "--codebook", folder / "other.npy"], 1, f"found {fingerprint}"),
        (["--store", store, "--codebook", folder / "none.npy"], 1, "expected centroids at"),
        (["--store", uncoded, "--codebook", folder / "c.npy"], 1, "found features without codes: leave --codebook out"),
        (["--store", uncoded], 2, "expected codes in"),
    ]
    capsys.readouterr()
    for words, code, message in cases:
        assert main([str(word) for word in ["pretrain", "--loop.out", folder / "run", *words]]) == code
        said = capsys.readouterr().err.strip()
        assert message in said and said.count("\n") == 0, said
    (store / "centroids.safetensors").unlink()
    assert main(["pretrain", "--store", str(store), "--loop.out", str(folder / "run")]) == 2
    assert f"expected --codebook with the visual vocabulary of {store}" in capsys.readouterr().err
    assert read_json(store / "store.json")["looked"] == ["c.npy", "codes.pkl"]


def mixed_boxes(folder: Path, told: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = mixed(told, monkeypatch, *boxes_of(folder), "--out", folder / "boxes")
    assert store != folder / "boxes"
    return folder / "boxes"


def test_scores_on_a_store_are_those_of_the_answers(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that always says one answer scores what the questions give for it."""
    store = Store.open(mixed(told, monkeypatch, *boxes_of(told.parent)))
    small(monkeypatch, "lxmert")
    prepared = Prepared(store)
    for answer, right in (("yes", 1.0), ("no", 0.3)):
        bundle = prepared.bundle(prepared.model(PRESETS["lxmert"], 0).eval(), None, {})
        assert bundle.model.answer_head is not None
        bundle.model.answer_head.linear.weight.data.zero_()
        bundle.model.answer_head.linear.bias.data = torch.tensor([10.0 * (each == answer) for each in store.answers])
        examples, scores = evaluate_store(bundle, store, "vqa")
        assert examples == COUNT and scores == {"vqa/accuracy": pytest.approx(right)}
    with pytest.raises(XlxmertError, match=r"expected statements in .*found none|a head for nlvr2"):
        evaluate_store(bundle, store, "nlvr2")
