"""A frozen picture network, EfficientNet-Lite0: from pixels to feature maps, the first step towards visual tokens.

The same maps serve twice: pooled into grid cells they become visual tokens, and their differences are the generator's
perceptual loss. The trained weights are package data (see ``weights/NOTICE``); ``scripts/build_backbone.py`` rebuilds
and checks them.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.vision.network import PictureNetwork

SHIPPED = {"efficientnet-lite0": "efficientnet-lite0.safetensors"}
"""Backbones whose weights come with the package, and their files in ``vision/weights``."""


@dataclass(frozen=True)
class Stage:
    """A row of the architecture table: blocks of one width (EfficientNet, arXiv:1905.11946, table 1)."""

    blocks: int
    kernel: int
    stride: int
    """Of the first block; the others keep the size."""
    expand: int
    """The blocks' inner width, as a multiple of their input width."""
    channels: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""The Lite0 trunk: no squeeze-and-excitation, ReLU6, and stem and head of fixed width, so that it quantises well."""


class SameConv2d(nn.Conv2d):
    """A convolution with an output ``ceil(size / stride)`` wide; an odd pixel of padding goes right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        """Random weights; see the class."""
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E i j"]:
        """Pad as the trained network was padded, then convolve."""
        if self.stride[0] > 1:
            height, width = (self._padding(size) for size in x.shape[-2:])
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class InvertedResidual(nn.Module):
    """Widen, filter each channel alone, narrow, add the input where shapes allow (MobileNetV2, arXiv:1801.04381, 3)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        """Random weights; see the class."""
        super().__init__()
        inner = inputs * expand
        self.expand = SameConv2d(inputs, inner, 1) if expand > 1 else None
        self.filter = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv2d(inner, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E i j"]:
        """One block; the last convolution is linear."""
        inner = x if self.expand is None else F.relu6(self.expand(x), inplace=True)  # (B, C * expand, h, w)
        inner = F.relu6(self.filter(inner), inplace=True)  # (B, C * expand, i, j)
        out: Tensor = self.project(inner)  # (B, E, i, j)
        return x + out if self.residual else out  # (B, E, i, j)


class Backbone(PictureNetwork):
    """The EfficientNet-Lite0 trunk, frozen, with batch norms folded into the convolutions.

    Args:
        deepest: the largest stride that is built: 2, 4, 8, 16 or 32.
    """

    name = "efficientnet-lite0"

    def __init__(self, deepest: int = 16) -> None:
        """Random weights; `load_backbone` gives the trained ones."""
        super().__init__()
        if deepest not in (2, 4, 8, 16, 32):
            raise UsageError(f"a backbone's stride must be 2, 4, 8, 16 or 32 (found {deepest})")
        self.stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        self.strides: list[int] = []
        width, stride = STEM_CHANNELS, 2
        for stage in STAGES:
            if stride * stage.stride > deepest:
                break
            stride *= stage.stride
            self.stages.append(_stage(width, stage))
            self.strides.append(stride)
            width = stage.channels
        self.requires_grad_(False).eval()

    @property
    def channels(self) -> dict[int, int]:
        """The width of the feature map at each stride."""
        return {stride: stage.channels for stride, stage in zip(self.strides, STAGES, strict=False)}

    def forward(self, pictures: Float[Tensor, "B 3 H W"], deepest: int | None = None) -> list[Tensor]:
        """Feature maps by depth: strides 2, 4, 8, 16 (and 32, where built), each ``(B, C, H / stride, W / stride)``.

        Differentiable with respect to the pictures; works under autocast.

        Args:
            pictures: pixels in [-1, 1].
            deepest: stop after this stride (0 gives no maps); default all that is built.
        """
        if deepest is not None and deepest > self.strides[-1]:
            raise UsageError(
                f"expected a stride of at most {self.strides[-1]}, where the backbone ends, found {deepest}"
            )
        limit = self.strides[-1] if deepest is None else deepest
        if limit == 0:
            return []
        # trained on (pixel - 127) / 128 with pixels in [0, 255]
        x = F.relu6(self.stem(pictures * (127.5 / 128) + 0.5 / 128), inplace=True)  # (B, 32, H / 2, W / 2)
        maps: dict[int, Tensor] = {}
        for stride, stage in zip(self.strides, self.stages, strict=True):
            if stride > limit:
                break
            x = stage(x)  # (B, C, H / stride, W / stride)
            maps[stride] = x
        return list(maps.values())


def load_backbone(name: str = Backbone.name, deepest: int = 16) -> Backbone:
    """A shipped backbone by name, or one from a safetensors file by path; deeper weights than asked for are left out.

    Raises:
        UsageError: no backbone of that name is shipped and no such file exists.
        XlxmertError: the file's tensors are not those of the network; the message lists them.
    """
    tensors, _ = read_tensors(_weights(name))
    backbone = Backbone(deepest)
    expected = backbone.state_dict()
    found = {key: value for key, value in tensors.items() if _depth(key) < len(backbone.stages)}
    wrong = sorted(key for key in expected.keys() & found.keys() if expected[key].shape != found[key].shape)
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or unexpected or wrong:
        raise XlxmertError(
            f"expected the weights of {Backbone.name} down to stride {deepest} in {_weights(name)}; "
            f"missing: {missing or 'none'}; unexpected: {unexpected or 'none'}; misshapen: {wrong or 'none'}: "
            "ask for a smaller stride or rebuild the file with scripts/build_backbone.py"
        )
    backbone.load_state_dict({key: value.float() for key, value in found.items()})
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return backbone


def _weights(name: str) -> Path:
    if name in SHIPPED:
        return Path(str(resources.files("xlxmert.vision") / "weights" / SHIPPED[name]))
    if Path(name).is_file():
        return Path(name)
    raise UsageError(f"expected a backbone's name ({', '.join(SHIPPED)}) or a safetensors file, found {name!r}")


def _depth(key: str) -> int:
    """The stage that a tensor's name belongs to; the stem counts as the first."""
    parts = key.split(".")
    return int(parts[1]) if parts[0] == "stages" and parts[1].isdigit() else 0


def _stage(inputs: int, stage: Stage) -> nn.Sequential:
    width, kernel, expand = stage.channels, stage.kernel, stage.expand
    rest = (InvertedResidual(width, width, kernel, 1, expand) for _ in range(stage.blocks - 1))
    return nn.Sequential(InvertedResidual(inputs, width, kernel, stage.stride, expand), *rest)
