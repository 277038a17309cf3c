"""Pictures to a detector's features: files that our readers take, and the same after any interruption."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.detector_layout import to_reference
from xlxmert.convert.files import write_weights
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_whole, save_png
from xlxmert.data.h5_features import read_h5_features
from xlxmert.data.tsv_features import read_tsv_features
from xlxmert.models.detector import TINY, TINY_C4, Detector, DetectorConfig, RegionReader
from xlxmert.recipes import features
from xlxmert.recipes.features import FeaturesRecipe, extract
from xlxmert.recipes.parts import parts_folder

h5py = pytest.importorskip("h5py")
SIZES = [(60, 80), (80, 60), (60, 80), (48, 48), (60, 80)]


def detector(config: DetectorConfig) -> Detector:
    """A detector whose proposals and scores differ enough that rounding does not swap them."""
    torch.manual_seed(3)
    model = Detector(config)
    with torch.no_grad():
        model.proposer.objectness.weight.mul_(20)
        model.head.scores.weight.mul_(20)
        model.proposer.deltas.weight.mul_(3)
        model.body.stem.weight.mul_(0.1)
    return model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures, one that is none, and both tiny detectors as they are published; parts have two pictures."""
    monkeypatch.setattr(features, "PART", 2)
    small = {"shortest": 64, "longest": 96}
    monkeypatch.setattr("xlxmert.convert.detector_layout.X152", _resized(TINY, small))
    monkeypatch.setattr("xlxmert.convert.detector_layout.R101", _resized(TINY_C4, small))
    generator = np.random.default_rng(5)
    for number, size in enumerate(SIZES):
        save_png(tmp_path / "images" / f"{number}.png", generator.integers(0, 256, (*size, 3), dtype=np.uint8))
    (tmp_path / "images" / "bad.png").write_bytes(b"\x89PNG, but not for long")
    for config, name in ((TINY, "detectron_model.pth"), (TINY_C4, "attr.pth")):
        write_weights(tmp_path / name, to_reference(detector(config).state_dict(), config))
    return tmp_path


def _resized(config: DetectorConfig, sizes: dict[str, int]) -> DetectorConfig:
    return DetectorConfig.from_dict(config.to_dict() | sizes)


def test_a_grid_file_holds_what_the_detector_says(folder: Path) -> None:
    found = extract(folder / "images", folder / "detectron_model.pth", folder / "grid.h5")
    assert (found.pictures, found.width) == (5, TINY.mlp) and [path.name for path in found.unreadable] == ["bad.png"]
    seen = {each.picture_id: each for each in read_h5_features(folder / "grid.h5")}
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    reader = RegionReader(_read(folder / "detectron_model.pth"))
    for name, one in seen.items():
        (expected,) = reader.grid([load_whole(folder / "images" / f"{name}.png")])
        assert one.boxes is None and one.features.shape == (64, TINY.mlp)
        np.testing.assert_allclose(one.features, expected.numpy(), atol=1e-5, rtol=1e-4)
    with h5py.File(folder / "grid.h5") as file:
        assert file["0"]["features"].shape == (8, 8, TINY.mlp) and file["0"]["features"].dtype == np.float32
        assert json.loads(file.attrs["made"])["layout"] == "fpn"
    assert not parts_folder(folder / "grid.h5").exists()


def test_boxes_go_through_both_formats(folder: Path) -> None:
    recipe = FeaturesRecipe(regions="boxes", count=4)
    for out in ("boxes.h5", "boxes.tsv"):
        assert extract(folder / "images", folder / "attr.pth", folder / out, recipe).pictures == 5
    tsv = {each.picture_id: each for each in read_tsv_features(folder / "boxes.tsv", flat=True)}
    reader = RegionReader(_read(folder / "attr.pth"))
    for one in read_h5_features(folder / "boxes.h5", flat=True):
        (regions,) = reader.boxes([load_whole(folder / "images" / f"{one.picture_id}.png")], 4)
        for other in (one, tsv[one.picture_id]):
            assert other.labels is not None and other.boxes is not None
            np.testing.assert_allclose(other.features, regions.features.numpy(), atol=1e-5, rtol=1e-4)
            np.testing.assert_allclose(other.boxes, regions.boxes.numpy().clip(0, 1), atol=1e-4)
            assert other.labels.tolist() == regions.labels.tolist()
        full = tsv[one.picture_id]
        assert regions.attributes is not None and full.attributes is not None and full.label_scores is not None
        assert full.attributes.tolist() == regions.attributes.tolist()
        np.testing.assert_allclose(full.label_scores, regions.scores.numpy(), atol=1e-5)


class Stopped(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("at", [0, 1, 3, 5])
def test_a_run_that_was_stopped_goes_on_where_it_was(folder: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = (folder / "images", folder / "detectron_model.pth")

    def progress(done: int, total: int) -> None:
        if done >= at:
            raise Stopped

    with pytest.raises(Stopped):
        extract(*run, folder / "grid.h5", progress=progress)
    assert not (folder / "grid.h5").exists()
    there = sorted(path.name for path in parts_folder(folder / "grid.h5").glob("*.safetensors"))
    told: list[int] = []
    extract(*run, folder / "grid.h5", progress=lambda done, total: told.append(done))
    assert told[0] == 2 * len(there)  # whole parts are not made again
    extract(*run, folder / "once.h5")
    for one, other in zip(read_h5_features(folder / "grid.h5"), read_h5_features(folder / "once.h5"), strict=True):
        assert one.picture_id == other.picture_id and np.array_equal(one.features, other.features)


def test_half_precision_comes_near_and_is_no_other_run(folder: Path) -> None:
    run = (folder / "images", folder / "detectron_model.pth")
    extract(*run, folder / "whole.h5")
    extract(*run, folder / "half.h5", FeaturesRecipe(precision="bf16"))
    for one, other in zip(read_h5_features(folder / "whole.h5"), read_h5_features(folder / "half.h5"), strict=True):
        error = np.linalg.norm(one.features - other.features) / np.linalg.norm(one.features)
        assert 0 < error < 0.03


def test_a_picture_with_too_few_boxes_is_named(folder: Path) -> None:
    recipe = FeaturesRecipe(regions="boxes", count=41)  # the tiny detector proposes 40
    with pytest.raises(XlxmertError, match=r"none among 6; the first: expected 41 boxes in .*0\.png, found 40"):
        extract(folder / "images", folder / "attr.pth", folder / "b.h5", recipe)


def _twice(folder: Path) -> None:
    save_png(folder / "images" / "within" / "0.jpg", np.zeros((8, 8, 3), np.uint8))


def _none(folder: Path) -> None:
    for path in (folder / "images").glob("[0-9].png"):
        path.write_bytes(b"no picture")


def _cut(folder: Path) -> None:
    path = folder / "detectron_model.pth"
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("change", "out", "recipe", "message"),
    [
        (_twice, "a.h5", {}, r"different names, found .*0\.png and .*0\.jpg"),
        (_none, "a.h5", {}, "found none among 6; the first: could not read"),
        (_cut, "a.h5", {}, "cut short or something else; download it again"),
        (None, "a.tsv", {}, r"expected an \.h5 file for grids"),
        (None, "a.tsv", {"regions": "boxes"}, "a detector that tells attributes"),
        (None, "a.npz", {}, r"ends in \.h5, \.hdf5, \.tsv"),
    ],
)
def test_what_cannot_be_is_told(
    folder: Path, change: Callable[[Path], None] | None, out: str, recipe: dict[str, str], message: str
) -> None:
    if change:
        change(folder)
    with pytest.raises(XlxmertError, match=message):
        extract(folder / "images", folder / "detectron_model.pth", folder / out, FeaturesRecipe(**recipe))  # type: ignore[arg-type]
    assert not (folder / out).exists() and not parts_folder(folder / out).exists()


def test_wrong_options_are_told() -> None:
    with pytest.raises(UsageError, match="--cells and --batch of at least 1"):
        FeaturesRecipe(cells=0, batch=0)


def _read(path: Path) -> Detector:
    from xlxmert.convert.detector_layout import read_detector

    return read_detector(path)[0]
