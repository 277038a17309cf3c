"""``xlxmert features`` on tiny detectors: report, refusals, and files that the road's other end reads."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.detector_layout import to_reference
from xlxmert.convert.files import write_weights
from xlxmert.core.images import save_png
from xlxmert.data.h5_features import read_h5_features
from xlxmert.models.detector import TINY, Detector, DetectorConfig

pytest.importorskip("h5py")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures, one broken file, and a tiny detector as it is published."""
    small = DetectorConfig.from_dict(TINY.to_dict() | {"shortest": 64, "longest": 96})
    monkeypatch.setattr("xlxmert.convert.detector_layout.X152", small)
    generator = np.random.default_rng(5)
    for number in range(2):
        save_png(tmp_path / "images" / f"{number}.png", generator.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    (tmp_path / "images" / "bad.png").write_bytes(b"\x89PNG, but not for long")
    torch.manual_seed(3)
    write_weights(tmp_path / "detectron_model.pth", to_reference(Detector(TINY).state_dict(), TINY))
    return tmp_path


def words(folder: Path, out: str, *more: object) -> tuple[object, ...]:
    given = ("--images", folder / "images", "--detector", folder / "detectron_model.pth", "--out", folder / out)
    return ("features", *given, "--device", "cpu", *more)


def test_features_are_written_and_reported(run, folder: Path) -> None:
    code, out, err = run(*words(folder, "grid.h5", "--cells", 2, "--json"))
    report = json.loads(out)
    assert code == 0 and "passed over" in err and "bad.png" in err
    assert (report["pictures"], report["regions"], report["width"]) == (2, 4, TINY.mlp)
    assert [Path(path).name for path in report["unreadable_files"]] == ["bad.png"]
    assert [each.features.shape for each in read_h5_features(folder / "grid.h5")] == [(4, TINY.mlp)] * 2
    code, out, err = run(*words(folder, "grid.h5"))
    assert code == 1 and "pass --overwrite to replace it" in err
    code, out, _ = run(
        *words(folder, "grid.h5", "--overwrite", "--precision", "bf16", "--regions", "boxes", "--count", 3)
    )
    assert code == 0 and "precision   bf16" in out
    assert [each.features.shape for each in read_h5_features(folder / "grid.h5", flat=True)] == [(3, TINY.mlp)] * 2


@pytest.mark.parametrize(
    ("out", "more", "code", "message"),
    [
        ("a.tsv", (), 2, "expected an .h5 file for grids"),
        ("a.h5", ("--detector", "nothing.pth"), 1, "at nothing.pth, found nothing: check the path"),
        ("a.h5", ("--cells", 0), 2, "expected --cells of at least 1"),
        ("a.h5", ("--regions", "rows"), 2, "rows"),
        ("images", (), 1, "found a folder: name a file in it"),
        ("a.h5", ("--images", "nowhere"), 1, "expected a folder at nowhere"),
    ],
)
def test_mistakes_are_one_line(run, folder: Path, out: str, more: tuple[object, ...], code: int, message: str) -> None:
    found, _, err = run(*words(folder, out, *more))
    assert found == code and message in " ".join(err.split())
