"""The generator's opponent: is this picture real, and which code made each of its cells? Used in training only."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.models.generator.config import DiscriminatorConfig
from xlxmert.models.generator.layers import channels_last, convolution, start
from xlxmert.models.generator.model import SLOPE


@dataclass(frozen=True)
class Judgement:
    """What the discriminator thinks of a batch of pictures."""

    real: Float[Tensor, " B"]
    """Adversarial score, the mean over the last map; larger means more real."""
    codes: Float[Tensor, "B N K"]
    """Logits of every cell's code."""
    maps: tuple[Tensor, ...]
    """The output (B, C, h, w) of every block, for feature matching."""


class DownBlock(nn.Module):
    """A residual block that halves its map, or keeps its size (X-LXMERT, fig. 9)."""

    def __init__(self, inputs: int, outputs: int, first: bool, halve: bool, normalise: bool, spectral: bool) -> None:
        """Build three convolutions; the first block does not start with a leaky ReLU, since it reads pixels."""
        super().__init__()
        self.first, self.halve, self.normalise = first, halve, normalise
        self.conv1 = convolution(inputs, outputs, 3, spectral)
        self.conv2 = convolution(outputs, outputs, 3, spectral)
        self.skip = convolution(inputs, outputs, 1, spectral)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O p q"]:
        """Map (B, I, h, w) to (B, O, h/2, w/2), or to the same size; the skip, too, starts from the activated input."""
        x = x if self.first else F.leaky_relu(x, SLOPE)
        h = self.conv1(x)  # (B, O, h, w)
        h = F.instance_norm(h) if self.normalise else h
        h = self.conv2(F.leaky_relu(h, SLOPE))  # (B, O, h, w)
        if self.halve:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        skip: Tensor = self.skip(x)
        return skip.add(h)


class Discriminator(nn.Module):
    """A picture's realness and its cells' codes (X-LXMERT, appendix D.2).

    The classifier's weight is the codebook itself: frozen centroids, of which only the bias is learned.
    """

    centroids: Tensor

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Build the network with a classifier of zeros; hand the centroids to `set_centroids` before training."""
        super().__init__()
        self.config = config
        last = len(config.widths) - 1
        pairs = zip((3, *config.widths), config.widths, strict=False)
        self.blocks = nn.ModuleList(
            DownBlock(*pair, i == 0, i < last, i >= config.normalised_from, config.spectral)
            for i, pair in enumerate(pairs)
        )
        self.real = convolution(config.widths[-1], 1, 3, config.spectral)
        self.project = nn.Conv2d(config.widths[-1], config.feature_width, 1)
        self.register_buffer("centroids", torch.zeros(config.codes, config.feature_width))
        self.code_bias = nn.Parameter(torch.zeros(config.codes))
        start(self)
        channels_last(self)

    def set_centroids(self, centroids: Float[Tensor, "K F"]) -> None:
        """Freeze the codebook into the classifier."""
        self.centroids.copy_(centroids)

    def maps(self, pictures: Float[Tensor, "B 3 S S"]) -> tuple[Tensor, ...]:
        """The output of every block for pictures in [-1, 1]."""
        maps: list[Tensor] = []
        x = pictures
        for block in self.blocks:
            x = block(x)  # (B, C, h, h)
            maps.append(x)
        return tuple(maps)

    def forward(self, pictures: Float[Tensor, "B 3 S S"]) -> Judgement:
        """Judge pictures in [-1, 1]."""
        maps = self.maps(pictures)
        last = F.relu(maps[-1])  # (B, C, n, n)
        real = self.real(last).float().mean(dim=(1, 2, 3))  # (B,)
        features = self.project(last).flatten(2).transpose(1, 2)  # (B, N, F)
        codes = F.linear(features, self.centroids, self.code_bias).float()  # (B, N, K)
        return Judgement(real, codes, maps)
