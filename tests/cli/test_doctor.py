"""``xlxmert doctor``: the installation, a checkpoint's features, and mistakes as one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xlxmert.convert.folder import Bundle
from xlxmert.core.images import square
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import write_h5_features
from xlxmert.data.store import Store
from xlxmert.data.world.golden import golden_pictures
from xlxmert.recipes import health
from xlxmert.recipes.codebook import remembered
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.testing.tiny import tiny_bundle, tiny_pictures, tiny_vocabulary

pytest.importorskip("h5py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A vocabulary and a checkpoint with a reference, and right features of the known pictures."""
    vocabulary = remembered(tiny_vocabulary(), list(tiny_pictures(4)), 32)
    vocabulary.save(tmp_path / "vocabulary.safetensors")
    bundle = tiny_bundle()
    parts = bundle.model, bundle.tokenizer, vocabulary, bundle.generator, bundle.answers
    Bundle(*parts).save_pretrained(tmp_path / "checkpoint")
    stack = np.stack([square(Image.fromarray(picture), 32) for picture in golden_pictures().values()])
    written(tmp_path / "right.h5", vocabulary.features(torch.from_numpy(stack)))
    written(tmp_path / "wrong.h5", vocabulary.features(torch.from_numpy(stack[..., ::-1].copy())))
    return tmp_path


def written(path: Path, features: torch.Tensor) -> None:
    pictures = [SeenPicture(name, row.numpy()) for name, row in zip(golden_pictures(), features, strict=True)]
    write_h5_features(path, ((picture, 384, 256) for picture in pictures))


@pytest.mark.parametrize("against", ["checkpoint", "codebook"])
def test_features_are_held_against_what_travels_with_a_checkpoint(run, folder: Path, against: str) -> None:
    where = folder / ("checkpoint" if against == "checkpoint" else "vocabulary.safetensors")
    code, out, _ = run("doctor", f"--{against}", where, "--features", folder / "right.h5", "--json")
    report = json.loads(out)
    assert code == 0 and report["verdict"] == "ok"
    assert {"backbone", "file", "width and cells", "numbers", "features"} <= {one["what"] for one in report["checks"]}
    code, out, _ = run("doctor", f"--{against}", where, "--features", folder / "wrong.h5")
    assert code == 1 and "features: red and blue were swapped: extract the features again" in out


def test_the_installation_is_looked_at(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("doctor", "--checkpoint", folder / "checkpoint", "--json")
    checks = {one["what"]: one for one in json.loads(out)["checks"]}
    assert {"versions", "device", "extras", "disk", "bundled checkpoint", "backbone"} == set(checks)
    assert "xlxmert" in checks["versions"]["found"] and code == 0
    assert checks["bundled checkpoint"]["found"].endswith("known codes")
    fingerprint, codes = next(iter(health.KNOWN.items()))
    monkeypatch.setattr(health, "KNOWN", {fingerprint: tuple(code + 1 for code in codes)})
    monkeypatch.setattr(health, "SPACE", 2**80)
    code, out, _ = run("doctor", "--checkpoint", folder / "checkpoint")
    assert code == 1 and "free some space" in out and "this machine or its libraries compute otherwise" in out


def test_known_pictures_are_written(run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--pictures-to", tmp_path / "known")
    assert code == 0 and [Path(line).name for line in out.split()] == [f"{name}.png" for name in golden_pictures()]
    for name, picture in golden_pictures().items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "known" / f"{name}.png")), picture)


def test_a_store_can_be_held_and_held_against(run, album: Path, tmp_path: Path) -> None:
    tiny_vocabulary().save(tmp_path / "v.safetensors")
    (album / "captions.txt").write_text("".join(f"{number}.png\ta red car\n" for number in range(3)))
    sources = Sources(album, captions=(album / "captions.txt",))
    store = prepare(
        tmp_path / "store", sources, tmp_path / "v.safetensors", PrepareRecipe(size=32, features=True)
    ).store
    assert isinstance(store, Store)
    code, out, err = run("doctor", "--store", tmp_path / "store", "--features", tmp_path / "store", "--json")
    assert code == 0, err
    checks = {one["what"]: one for one in json.loads(out)["checks"]}
    assert code == 0 and checks["statistics"]["verdict"] == "note" and "half precision" in checks["numbers"]["found"]
    code, out, _ = run("doctor", "--codebook", tmp_path / "v.safetensors", "--features", tmp_path / "store",
                       "--images", album, "--size", 32, "--json")  # fmt: skip
    checks = {one["what"]: one for one in json.loads(out)["checks"]}
    assert code == 0 and checks["features"]["verdict"] == "ok" and "earlier version" in checks["reference"]["found"]


def test_a_checkpoint_of_bare_centroids_compares_their_spread(run, folder: Path) -> None:
    bundle = Bundle.from_pretrained(folder / "checkpoint")
    centroids = bundle.model.centroids
    assert centroids is not None
    bare = Bundle(bundle.model, bundle.tokenizer, None, bundle.generator, bundle.answers)
    bare.save_pretrained(folder / "bare", half=False)
    assert Bundle.from_pretrained(folder / "bare").vocabulary is None
    features = centroids[torch.randint(len(centroids), (4, 64))]
    for path, scale, verdict in (("a.h5", 1.0, 0), ("b.h5", 1 / 255, 1)):
        written(folder / path, features * scale)
        code, out, _ = run("doctor", "--checkpoint", folder / "bare", "--features", folder / path)
        assert code == verdict and "centroids and no backbone" in out
    assert "all numbers were multiplied by 0.00" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--checkpoint", "a", "--store", "b"), 2, "expected one of --checkpoint, --codebook and --store"),
        (("--images", "a"), 2, "expected --features beside --images"),
        (("--codebook", "nowhere", "--features", "a.h5"), 1, "expected weights at nowhere"),
        (("--store", "nowhere", "--features", "a.h5"), 1, "expected a JSON file at nowhere"),
        (("--features", "nowhere.npz"), 2, "expected --features as a store, or a file of .h5"),
    ],
)
def test_mistakes_are_one_line(run, words: tuple[str, ...], code: int, message: str) -> None:
    found, _, err = run("doctor", *words)
    assert found == code and message in err
