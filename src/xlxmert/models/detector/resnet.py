"""The convolutional body: residual stages with frozen norms (ResNet, arXiv:1512.03385; ResNeXt, arXiv:1611.05431)."""

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.models.detector.config import DetectorConfig


class NormedConv2d(nn.Conv2d):
    """A convolution and the frozen batch norm behind it.

    Buffers ``gain``, ``shift``, ``mean`` and ``variance`` are the norm's: ``gain * (y - mean) / sqrt(variance) +
    shift``.
    """

    gain: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        epsilon: float = 0.0,
    ) -> None:
        """Random weights, and a norm that changes nothing; ``epsilon`` is added to the variance."""
        padding = kernel // 2 * dilation
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        self.epsilon = epsilon
        for name, value in (("gain", 1.0), ("shift", 0.0), ("mean", 0.0), ("variance", 1.0)):
            self.register_buffer(name, torch.full((outputs,), value))

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E i j"]:
        """Convolve, then multiply and add: merged into one product, they would round otherwise than published."""
        scale = self.gain * (self.variance + self.epsilon).rsqrt()  # (E)
        offset = self.shift - self.mean * scale  # (E)
        y: Tensor = super().forward(x)  # (B, E, i, j)
        return y.mul_(scale[:, None, None]).add_(offset[:, None, None])


class Bottleneck(nn.Module):
    """Narrow, look around in groups, widen, and add to the input (ResNeXt, figure 3c)."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, config: DetectorConfig, stride: int, dilation: int
    ) -> None:
        """Build; the stride sits where the layout has it."""
        super().__init__()
        first, second = (1, stride) if config.layout == "fpn" else (stride, 1)
        epsilon = config.epsilon
        self.conv1 = NormedConv2d(inputs, inner, 1, first, epsilon=epsilon)
        self.conv2 = NormedConv2d(inner, inner, 3, second, config.groups, dilation, epsilon)
        self.conv3 = NormedConv2d(inner, outputs, 1, epsilon=epsilon)
        self.shortcut = NormedConv2d(inputs, outputs, 1, stride, epsilon=epsilon) if inputs != outputs else None

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E i j"]:
        """One block."""
        y = F.relu(self.conv1(x), inplace=True)
        y = F.relu(self.conv2(y), inplace=True)  # (B, inner, i, j)
        y = self.conv3(y)  # (B, E, i, j)
        return F.relu(y.add_(x if self.shortcut is None else self.shortcut(x)), inplace=True)  # (B, E, i, j)


def build_stage(config: DetectorConfig, stage: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """The blocks of a stage, counted from 0; the first has the stride, all have the dilation."""
    inputs, inner, outputs = config.inputs(stage), config.inner(stage), config.outputs(stage)
    first = Bottleneck(inputs, inner, outputs, config, stride, dilation)
    rest = (Bottleneck(outputs, inner, outputs, config, 1, dilation) for _ in range(config.blocks[stage] - 1))
    return nn.Sequential(first, *rest)


class Body(nn.Module):
    """Stem and stages: all four for a pyramid, three where the last belongs to the regions."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.ceil = config.layout == "c4"
        self.stem = NormedConv2d(3, config.stem, 7, 2, epsilon=config.epsilon)
        count = 4 if config.layout == "fpn" else 3
        self.stages = nn.ModuleList(build_stage(config, stage, 2 if stage else 1) for stage in range(count))

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The maps after each stage, of strides 4, 8, 16 (and 32), each ``(B, C, H / stride, W / stride)``."""
        x = F.relu(self.stem(pictures), inplace=True)  # (B, stem, H / 2, W / 2)
        # Caffe pads only at the right and below, where a window begins inside the map
        x = F.max_pool2d(x, 3, 2, padding=0 if self.ceil else 1, ceil_mode=self.ceil)  # (B, stem, H / 4, W / 4)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Pyramid(nn.Module):
    """Coarse maps handed down to finer ones, all of one width (feature pyramids, arXiv:1612.03144, section 3)."""

    def __init__(self, config: DetectorConfig) -> None:
        """Random weights."""
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(config.outputs(stage), config.pyramid, 1) for stage in range(4))
        self.smooth = nn.ModuleList(nn.Conv2d(config.pyramid, config.pyramid, 3, padding=1) for _ in range(4))

    def forward(self, maps: list[Tensor], finest: int = 0) -> list[Tensor]:
        """Five levels of strides 4 to 64; the last is every second place of the one before.

        Args:
            maps: those of the four stages, each exactly twice as large as the next.
            finest: the first level that is made; finer ones are left out, others do not depend on them.
        """
        handed = self.lateral[-1](maps[-1])  # (B, P, H / 32, W / 32)
        levels = [self.smooth[-1](handed)]
        for stage in range(2, finest - 1, -1):
            handed = self.lateral[stage](maps[stage]) + F.interpolate(handed, scale_factor=2, mode="nearest")
            levels.insert(0, self.smooth[stage](handed))
        return [*levels, levels[-1][:, :, ::2, ::2]]
