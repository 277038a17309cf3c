"""The image generator: a grid of visual features becomes a picture, the last stretch from words to pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.generator.config import GeneratorConfig
from xlxmert.models.generator.layers import (
    Noise,
    channels_last,
    convolution,
    enlarge,
    folded_state,
    seeded_noise,
    start,
)

SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""


def grid_map(features: Float[Tensor, "B N F"]) -> Float[Tensor, "B F n n"]:
    """Row-major grid features as a map; N must be a square number."""
    batch, cells, width = features.shape
    side = round(cells**0.5)
    if side * side != cells:
        raise XlxmertError(f"expected the cells of a square grid, found {cells} features: give all cells, row by row")
    return features.transpose(1, 2).reshape(batch, width, side, side)


class Spade(nn.Module):
    """Instance norm whose scale and shift are convolved from a condition map (Park et al. 2019, eq. 1).

    The convolutions for scale and shift are one, twice as wide: equal numbers for less memory traffic.
    """

    def __init__(self, width: int, condition: int, hidden: int) -> None:
        """Build the two convolutions."""
        super().__init__()
        self.shared = nn.Conv2d(condition, hidden, 3, padding=1)
        self.modulation = nn.Conv2d(hidden, 2 * width, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C h h"], condition: Float[Tensor, "B Y s s"]) -> Float[Tensor, "B C h h"]:
        """Normalise ``x``, then scale and shift it; from a smaller condition, scale and shift are upsampled."""
        hidden = F.relu(self.shared(condition))
        gamma, beta = enlarge(self.modulation(hidden), x.shape[-1]).chunk(2, dim=1)  # (B, C, h, h) each
        normal = F.instance_norm(x)
        return torch.addcmul(normal + beta, normal, gamma)


class Plain(nn.Module):
    """What stands in SPADE's place in a block without it: instance norm alone, or nothing."""

    def __init__(self, normalise: bool) -> None:
        """Say whether to normalise."""
        super().__init__()
        self.normalise = normalise

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """``x``, normalised if so asked; the condition is not read."""
        return F.instance_norm(x) if self.normalise else x


class UpBlock(nn.Module):
    """A residual block that doubles the side of its map (X-LXMERT, fig. 8)."""

    def __init__(
        self, norms: tuple[nn.Module, nn.Module], inputs: int, outputs: int, late: bool, config: GeneratorConfig
    ) -> None:
        """Take the two norms ready made; build three convolutions and two strengths of noise.

        ``late`` upsamples after the first convolution instead of before it.
        """
        super().__init__()
        spectral, noise = config.spectral, config.noise
        self.norm1, self.norm2 = norms
        self.late, self.subpixel = late, config.skip == "subpixel"
        self.conv1 = convolution(inputs, outputs, 3, spectral)
        self.conv2 = convolution(outputs, outputs, 3, spectral)
        self.skip = convolution(inputs, 4 * outputs if self.subpixel else outputs, 1, spectral)
        self.noise1 = nn.Parameter(torch.zeros(1)) if noise else None
        self.noise2 = nn.Parameter(torch.zeros(1)) if noise else None

    def forward(
        self,
        x: Float[Tensor, "B I h h"],
        small: Float[Tensor, "B Y s s"] | None,
        large: Float[Tensor, "B Y t t"] | None,
        noise: Noise | None,
    ) -> Float[Tensor, "B O g g"]:
        """Map (B, I, h, h) to (B, O, 2h, 2h); ``small`` and ``large`` are the condition at the two sizes.

        The skip convolution runs before the interpolation: being 1x1, it commutes with it.
        """
        side = 2 * x.shape[-1]
        h = F.leaky_relu(_noisy(self.norm1(x, small), self.noise1, noise), SLOPE)  # (B, I, h, h)
        h = enlarge(self.conv1(h), side) if self.late else self.conv1(enlarge(h, side))  # (B, O, 2h, 2h)
        h = F.leaky_relu(_noisy(self.norm2(h, large), self.noise2, noise), SLOPE)  # (B, O, 2h, 2h)
        skip = self.skip(x)  # (B, O, h, h) or (B, 4O, h, h)
        skip = F.pixel_shuffle(skip, 2) if self.subpixel else enlarge(skip, side)  # (B, O, 2h, 2h)
        return skip.add(self.conv2(h))  # (B, O, 2h, 2h)


def _noisy(x: Tensor, strength: Tensor | None, noise: Noise | None) -> Tensor:
    """``x`` plus one channel of noise; the paper writes "multiply", its code and StyleGAN add."""
    if strength is None or noise is None:
        return x
    return x + strength * noise(x.shape[0], x.shape[-1]).to(x)


class TrunkBlock(nn.Module):
    """A residual block without norm at the size of the grid: cells talk to their neighbours before they grow."""

    def __init__(self, width: int, spectral: bool) -> None:
        """Build two convolutions."""
        super().__init__()
        self.conv1 = convolution(width, width, 3, spectral)
        self.conv2 = convolution(width, width, 3, spectral)

    def forward(self, x: Float[Tensor, "B C n n"]) -> Float[Tensor, "B C n n"]:
        """``x`` and what two convolutions add to it."""
        h = F.leaky_relu(self.conv1(F.leaky_relu(x, SLOPE)), SLOPE)  # (B, C, n, n)
        return x.add(self.conv2(h))  # (B, C, n, n)


class Generator(nn.Module):
    """Grid features to a picture in [-1, 1] (X-LXMERT, section 3.3 and appendix D.1).

    Colours of flat areas survive the instance norms by three ways around them: the residual skips, SPADE's shift, and a
    picture head at every block.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        """Build the network; orthogonal weights, zero biases, silent noise."""
        super().__init__()
        self.config = config
        inputs, spectral = config.stem_input, config.spectral
        self.looks = nn.Embedding(config.codes, config.look) if config.codes else None
        self.bottleneck = nn.Conv2d(config.width, config.bottleneck, 1) if config.bottleneck else None
        self.stem = convolution(inputs, config.stem, 3, spectral, config.groups)
        self.style = convolution(inputs, config.condition, 3, spectral, config.groups) if config.spade_blocks else None
        self.trunk = nn.ModuleList(TrunkBlock(config.stem, spectral) for _ in range(config.trunk))
        pairs = zip((config.stem, *config.widths), config.widths, strict=False)
        self.blocks = nn.ModuleList(
            UpBlock(self._norms(i, pair), *pair, config.late(i), config) for i, pair in enumerate(pairs)
        )
        self.heads = nn.ModuleList(convolution(width, 3, config.head_kernel, False) for width in config.widths)
        self.patches = nn.Conv2d(config.width, 3 * config.patch**2, 1) if config.patches else None
        start(self)
        self._start_unbounded()
        channels_last(self)

    def _norms(self, block: int, widths: tuple[int, int]) -> tuple[nn.Module, nn.Module]:
        """The two norms of a block: of its input and of its first convolution's output."""
        config = self.config
        if block >= config.spade_blocks:
            return Plain(config.rest == "instance"), Plain(config.rest == "instance")
        first, second = (Spade(width, config.condition, config.hidden_of(block)) for width in widths)
        return first, second

    def _start_unbounded(self) -> None:
        """Without spectral norm, let residual branches and heads start small, so that no picture starts saturated."""
        if self.config.spectral:
            return
        with torch.no_grad():
            for block in (*self.trunk, *self.blocks):
                block.get_submodule("conv2").get_parameter("weight").mul_(0.3)
            for head in self.heads:
                head.get_parameter("weight").mul_(0.1)
            if self.patches is not None:
                self.patches.weight.mul_(0.1)

    def forward(
        self,
        features: Float[Tensor, "B F n n"],
        seeds: Sequence[int] | None = None,
        noise: Noise | None = None,
        codes: Int[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B 3 S S"]:
        """Paint.

        Args:
            features: a map of visual features, as the codebook's centroids give them.
            seeds: one seed per picture for its noise, which is then the same alone and in any batch; None: no noise.
            noise: another source of noise instead of ``seeds``.
            codes: the codes behind the features, row-major; read by a generator with a table of looks only.

        Returns:
            pictures in [-1, 1], S = ``config.size``.

        Raises:
            XlxmertError: the map has another width or grid than the config, or there is not one seed per picture.
        """
        self._check(features, seeds)
        features = self._with_looks(features, codes)  # (B, F + L, n, n)
        noise = seeded_noise(seeds) if seeds is not None and self.config.noise else noise
        shared = torch.tanh(self.bottleneck(features)) if self.bottleneck is not None else features  # (B, I, n, n)
        conditions = self._conditions(shared)
        h = self.stem(shared)  # (B, C, n, n)
        for block in self.trunk:
            h = block(h)  # (B, C, n, n)
        picture: Tensor | None = None
        for block, head in zip(self.blocks, self.heads, strict=True):
            side = h.shape[-1]
            h = block(h, conditions.get(side), conditions.get(2 * side), noise)  # (B, C', 2h, 2h)
            picture = self._add(picture, head(h).float())  # (B, 3, S, S) or (B, 3, 2h, 2h)
        assert picture is not None
        if self.patches is not None:
            picture = picture + F.pixel_shuffle(self.patches(features).float(), self.config.patch)  # (B, 3, S, S)
        return torch.tanh(picture)  # (B, 3, S, S)

    def _with_looks(self, features: Float[Tensor, "B F n n"], codes: Int[Tensor, "B N"] | None) -> Tensor:
        """The features with the codes' looks beside them, if there is a table."""
        if self.looks is None:
            return features
        if codes is None or int(codes.max()) >= self.config.codes:
            found = "no codes" if codes is None else f"the code {int(codes.max())}"
            raise XlxmertError(
                f"the generator paints from codes below {self.config.codes} beside their features (found {found}): "
                "use the codebook that it was trained with"
            )
        return torch.cat([features, grid_map(self.looks(codes.long())).to(features)], 1)

    @torch.no_grad()
    def start_from(self, patches: Float[Tensor, "K 3 s s"], weights: Float[Tensor, " K"]) -> None:
        """Let looks and patches begin as the codes' mean patches: their principal components, and the way back.

        Args:
            patches: the mean patch of each code in [-1, 1], s = ``config.patch``.
            weights: how much each code matters to the components, for example how often it occurs.

        Raises:
            XlxmertError: the generator has no table of looks or no patches, or they are of other sizes.
        """
        shape = (self.config.codes, 3, self.config.patch, self.config.patch)
        if self.looks is None or self.patches is None or tuple(patches.shape) != shape:
            raise XlxmertError(
                f"expected a generator with looks and patches for {tuple(patches.shape)}, found {shape}, looks "
                f"{self.looks is not None}, patches {self.patches is not None}: change its config"
            )
        rows = patches.flatten(1).clamp(-0.98, 0.98).atanh()  # the picture goes through tanh last
        mean = (rows * weights[:, None]).sum(0) / weights.sum()
        centred = rows - mean
        kept = min(self.config.look, rows.shape[1])
        covariance = (centred * weights[:, None]).T @ centred / weights.sum()
        values, axes = torch.linalg.eigh(covariance)
        axes = axes.flip(1)[:, :kept]  # (P, L)
        spread = values.flip(0)[:kept].clamp(min=1e-8).sqrt()
        first = self.config.feature_width
        self.looks.weight.zero_()[:, :kept] = centred @ axes / spread
        self.patches.weight.zero_()[:, first : first + kept, 0, 0] = axes * spread
        assert self.patches.bias is not None
        self.patches.bias.copy_(mean)

    def _conditions(self, shared: Tensor) -> Mapping[int, Tensor]:
        """The condition map at every side that SPADE meets, upsampled once and shared."""
        if self.style is None:
            return {}
        condition, grid = self.style(shared), self.config.grid  # (B, Y, n, n)
        sides = [grid << level for level in range(self.config.spade_blocks + 1)]
        maps = {side: enlarge(condition, side) for side in {self.config.modulation_of(side) for side in sides}}
        return {side: maps[self.config.modulation_of(side)] for side in sides}

    def _add(self, picture: Tensor | None, layer: Tensor) -> Tensor:
        """The sum of the blocks' pictures so far (the skip connections of StyleGAN 2)."""
        if self.config.head == "straight":
            layer = enlarge(layer, self.config.size)
        return layer if picture is None else enlarge(picture, layer.shape[-1]) + layer

    def _check(self, features: Tensor, seeds: Sequence[int] | None) -> None:
        """Complain about features of another codebook or grid, and about missing seeds."""
        expected = (self.config.feature_width, self.config.grid, self.config.grid)
        if tuple(features.shape[1:]) != expected:
            raise XlxmertError(
                f"the generator paints from features of shape {expected} (found {tuple(features.shape[1:])}): "
                "use the codebook that it was trained with"
            )
        if seeds is not None and len(seeds) != features.shape[0]:
            raise XlxmertError(
                f"expected {features.shape[0]} seeds, one per picture (found {len(seeds)}): pass as many"
            )

    def folded(self) -> "Generator":
        """An equal generator without spectral norm, in evaluation mode: what a checkpoint ships."""
        plain = Generator(replace(self.config, spectral=False)).to(self.heads[0].get_parameter("weight").device)
        plain.load_state_dict(folded_state(self))
        return plain.eval()
