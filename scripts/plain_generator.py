"""X-LXMERT's image generator as Fig. 8 of its paper draws it: what the benchmark measures against.

Every SPADE layer upsamples the condition for itself and has two convolutions, for scale and for shift; spectral norms
are divided out at each pass; the skip is upsampled before its convolution; each block's picture goes to full size.
The weights are those of an `xlxmert.models.generator.Generator`, in PyTorch's usual memory layout.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlxmert.models.generator import Generator

SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""


class PlainSpade(nn.Module):
    """Instance norm, then scale and shift from two convolutions over a hidden layer of the upsampled condition."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        shared, both = part.get_submodule("shared"), part.get_submodule("modulation")
        assert isinstance(shared, nn.Conv2d) and isinstance(both, nn.Conv2d) and both.bias is not None
        self.shared = plain(shared.weight, shared.bias)
        weights, biases = both.weight.chunk(2), both.bias.chunk(2)
        self.gamma, self.beta = plain(weights[0], biases[0]), plain(weights[1], biases[1])

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        condition = F.interpolate(condition, size=x.shape[2:], mode="bilinear", align_corners=False)
        hidden = F.relu(self.shared(condition))
        return F.instance_norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


class PlainBlock(nn.Module):
    """A residual block of Fig. 8: SPADE, noise, leaky ReLU, upsampling, convolution; again without upsampling."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.spade1 = PlainSpade(block.get_submodule("norm1"))
        self.spade2 = PlainSpade(block.get_submodule("norm2"))
        self.conv1, self.conv2, self.skip = (spectral(block.get_submodule(n)) for n in ("conv1", "conv2", "skip"))
        self.noise1, self.noise2 = block.get_parameter("noise1"), block.get_parameter("noise2")

    def forward(self, x: Tensor, condition: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
        h = F.leaky_relu(self.spade1(x, condition) + self.noise1 * noise(x), SLOPE)
        h = self.conv1(double(h))
        h = F.leaky_relu(self.spade2(h, condition) + self.noise2 * noise(h), SLOPE)
        result: Tensor = self.conv2(h) + self.skip(double(x))
        return result


class PlainGenerator(nn.Module):
    """The whole of Fig. 8; built from one of our generators of the paper's kind, it gives the same pictures."""

    def __init__(self, ours: Generator) -> None:
        super().__init__()
        assert ours.bottleneck is not None and ours.style is not None
        self.bottleneck = plain(ours.bottleneck.weight, ours.bottleneck.bias)
        self.stem, self.style = spectral(ours.stem), spectral(ours.style)
        self.blocks = nn.ModuleList(PlainBlock(block) for block in ours.blocks)
        self.heads = nn.ModuleList(plain(*head.parameters()) for head in ours.heads)
        self.eval()

    def forward(self, features: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
        shared = torch.tanh(self.bottleneck(features))
        h, condition = self.stem(shared), self.style(shared)
        pictures = []
        for block, head in zip(self.blocks, self.heads, strict=True):
            h = block(h, condition, noise)
            pictures.append(head(h))
        side = h.shape[-1]
        whole = [F.interpolate(p, size=(side, side), mode="bilinear", align_corners=False) for p in pictures[:-1]]
        return torch.tanh(sum(whole, start=pictures[-1]))


def plain(weight: Tensor, bias: Tensor | None, groups: int = 1) -> nn.Conv2d:
    """A convolution with these weights in the usual layout."""
    outputs, inputs, kernel, _ = weight.shape
    conv = nn.Conv2d(inputs * groups, outputs, kernel, padding=kernel // 2, groups=groups)
    with torch.no_grad():
        conv.weight.copy_(weight)
        assert bias is not None and conv.bias is not None
        conv.bias.copy_(bias)
    return conv


def spectral(part: nn.Module) -> nn.Conv2d:
    """The same convolution with PyTorch's own spectral norm, its singular vectors taken over."""
    assert isinstance(part, nn.Conv2d)
    conv: nn.Conv2d = nn.utils.spectral_norm(plain(part.weight, part.bias, part.groups))
    with torch.no_grad():
        conv.get_buffer("weight_u").copy_(part.get_buffer("u"))
        conv.get_buffer("weight_v").copy_(part.get_buffer("v"))
    return conv


def double(x: Tensor) -> Tensor:
    """Twice the side, interpolated."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
