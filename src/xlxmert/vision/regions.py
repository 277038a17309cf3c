"""Where a picture is looked at: its grid cells as boxes, and the pooling of feature maps into one feature per cell.

A cell's feature is made of blocks: one per depth of the backbone and one of plain colours. Each block averages the cell
in ``parts x parts`` sub-cells, goes through a fixed linear map (`Statistics`: centring, principal axes, scaling) and is
weighted. Blocks hold shares of the squared distance between cells in proportion to their squared weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import UsageError, XlxmertError


@dataclass(frozen=True)
class Depth:
    """One depth of the backbone in a cell's feature."""

    stride: int
    """The feature map's stride in pixels: 2, 4, 8, 16 or 32."""
    parts: int = 1
    """The cell is averaged in parts x parts sub-cells."""
    weight: float = 1.0
    """Length of the block (root mean square over cells)."""
    kept: int = 0
    """Keep this many principal axes of the map's channels; 0 keeps all channels."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.stride not in (2, 4, 8, 16, 32) or self.parts < 1 or self.weight < 0 or self.kept < 0:
            raise UsageError(f"expected stride 2, 4, 8, 16 or 32, parts >= 1, weight >= 0 and kept >= 0, found {self}")


@dataclass(frozen=True)
class FeatureSpec:
    """What a cell's feature is made of."""

    grid: int = 8
    """Cells per side."""
    depths: tuple[Depth, ...] = (Depth(4, 2, 1.0), Depth(8, 2, 1.0), Depth(16, 1, 1.0))
    """The backbone's depths that take part."""
    colour_parts: int = 4
    """Mean colours of parts x parts sub-cells; 0 leaves colours out."""
    colour_weight: float = 1.0
    """Length of the colour block (root mean square over cells)."""
    per_channel: bool = False
    """Bring every channel (or principal axis) to the same variance; by default only the block as a whole."""
    kept: int = 0
    """Keep this many principal axes of the whole feature; 0 keeps the blocks as they are."""
    whiten: float = 0.0
    """How far the kept axes are brought to the same variance: 0 not at all, 1 wholly. Plain areas differ along few axes
    of large variance and things along many of small variance, so whitening gives the codes to the things."""
    embedded: int = 0
    """Width of a learned vector that stands before the feature and tells labelled things apart (`LabelEmbedding`)."""
    plain_weight: float = 0.6
    """How long the feature is beside the learned vector, if there is one (root mean square over cells)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.grid < 1 or self.colour_parts < 0 or self.colour_weight < 0:
            raise UsageError(f"expected grid >= 1, colour_parts >= 0 and colour_weight >= 0, found {self}")
        if self.kept < 0 or not 0 <= self.whiten <= 1 or (self.whiten and not self.kept):
            raise UsageError(f"expected kept >= 0 and whiten in [0, 1], with kept > 0 for whitening, found {self}")
        if self.embedded < 0 or self.plain_weight < 0:
            raise UsageError(f"expected embedded >= 0 and plain_weight >= 0, found {self}")
        if not self.depths and not self.colour_parts:
            raise UsageError("expected at least one depth or colour_parts > 0: the feature would be empty")

    @property
    def deepest(self) -> int:
        """The largest stride in use; 0 when only colours are."""
        return max((depth.stride for depth in self.depths), default=0)

    @property
    def maps(self) -> int:
        """The number of linear maps that the feature goes through."""
        return len(self.depths) + bool(self.colour_parts) + bool(self.kept)

    @property
    def cells(self) -> int:
        """N, the number of visual tokens of a picture."""
        return self.grid**2

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "FeatureSpec":
        """The spec whose ``dataclasses.asdict`` was saved as JSON."""
        return cls(**{**saved, "depths": tuple(Depth(**depth) for depth in saved["depths"])})


@dataclass(frozen=True)
class Statistics:
    """Fixed linear maps, fitted once: of the depths in order, of the colours, with ``kept`` of the whole feature."""

    means: tuple[Float[Tensor, " _"], ...]
    axes: tuple[Float[Tensor, "_ _"], ...]
    """Principal axes (or the identity) divided by the standard deviation."""

    def to(self, device: torch.device | str) -> "Statistics":
        """The same numbers on another device."""
        return Statistics(tuple(mean.to(device) for mean in self.means), tuple(axes.to(device) for axes in self.axes))


def grid_boxes(n: int) -> Float[Tensor, "N 4"]:
    """The boxes of an ``n x n`` grid, row-major: (j/n, i/n, (j+1)/n, (i+1)/n)."""
    row, column = (index.flatten() for index in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    return torch.stack([column, row, column + 1, row + 1], dim=-1) / n


def cell_parts(values: Float[Tensor, "B C H W"], grid: int, parts: int) -> Float[Tensor, "B N P C"]:
    """Average each grid cell in ``parts x parts`` sub-cells; P = parts squared, row-major as the cells are.

    Raises:
        XlxmertError: the map has no whole number of pixels per sub-cell.
    """
    batch, channels, height, width = values.shape
    side = grid * parts
    if height % side or width % side:
        raise XlxmertError(
            f"expected a map with sides in multiples of {side} (grid {grid} x parts {parts}), found {height}x{width}: "
            "use fewer parts or a smaller stride"
        )
    pooled = F.avg_pool2d(values, (height // side, width // side))  # (B, C, side, side)
    cells = pooled.reshape(batch, channels, grid, parts, grid, parts).permute(0, 2, 4, 3, 5, 1)
    return cells.reshape(batch, grid * grid, parts * parts, channels)  # (B, N, P, C)


def cell_blocks(
    maps: Sequence[Tensor], pictures: Float[Tensor, "B 3 H W"], spec: FeatureSpec
) -> list[Float[Tensor, "B N _ _"]]:
    """The blocks of every cell as they come, before `Statistics`: one per depth, colours last.

    Args:
        maps: feature maps of several strides, in any order.
        pictures: the pixels in [-1, 1] that they were made from.
        spec: which blocks.
    """
    by_stride = {pictures.shape[-1] // values.shape[-1]: values for values in maps}
    missing = sorted({depth.stride for depth in spec.depths} - by_stride.keys())
    if missing:
        raise XlxmertError(f"expected maps of strides {missing}, found {sorted(by_stride)}: load a deeper backbone")
    blocks = [cell_parts(by_stride[depth.stride].float(), spec.grid, depth.parts) for depth in spec.depths]
    if spec.colour_parts:
        blocks.append(cell_parts(pictures.float(), spec.grid, spec.colour_parts))
    return blocks


def grid_pool(
    maps: Sequence[Tensor], pictures: Float[Tensor, "B 3 H W"], spec: FeatureSpec, statistics: Statistics
) -> Float[Tensor, "B N F"]:
    """One feature per grid cell: the blocks side by side, each of root mean square length ``weight`` when fitted.

    Always in single precision; differentiable with respect to the maps and the pictures.
    """
    scaled = []
    with torch.autocast(pictures.device.type, enabled=False):
        blocks = cell_blocks(maps, pictures, spec)
        means, axes_of = statistics.means[: len(blocks)], statistics.axes[: len(blocks)]  # kept adds the whole's
        for block, weight, mean, axes in zip(blocks, _weights(spec), means, axes_of, strict=True):
            values = ((block - mean) @ axes).flatten(2)  # (B, N, P * E)
            scaled.append(values * (weight / values.shape[-1] ** 0.5))
        whole = torch.cat(scaled, dim=-1)  # (B, N, F before the last map)
        return (whole - statistics.means[-1]) @ statistics.axes[-1] if spec.kept else whole  # (B, N, F)


def fit_statistics(batches: Iterable[Sequence[Float[Tensor, "B N _ _"]]], spec: FeatureSpec) -> Statistics:
    """Measure the blocks' linear maps on the `cell_blocks` of some pictures, batch by batch.

    The principal axes are those of the channels' covariance over all sub-cells. The scale makes each block's mean
    square per dimension 1: by one standard deviation for the block, or one per axis (``per_channel``).

    Raises:
        XlxmertError: there are no pictures, or ``kept`` is more than a map has channels.
    """
    count = 0
    sums: list[Tensor] = []
    products: list[Tensor] = []
    for blocks in batches:
        rows = [block.flatten(0, 2).double() for block in blocks]
        if not sums:
            sums = [torch.zeros_like(row[0]) for row in rows]
            products = [torch.zeros(row.shape[1], row.shape[1], dtype=torch.float64, device=row.device) for row in rows]
        for total, product, row in zip(sums, products, rows, strict=True):
            total += row.sum(0)
            product += row.T @ row
        count += blocks[0].shape[0] * blocks[0].shape[1]
    if not count:
        raise XlxmertError("expected pictures to measure the features' statistics on, found none")
    parts = [depth.parts**2 for depth in spec.depths] + [spec.colour_parts**2] * bool(spec.colour_parts)
    kept = [depth.kept for depth in spec.depths] + [0] * bool(spec.colour_parts)
    means = [total / (count * part) for total, part in zip(sums, parts, strict=True)]
    axes = [
        _axes(product / (count * part) - torch.outer(mean, mean), keep, spec.per_channel)
        for product, part, mean, keep in zip(products, parts, means, kept, strict=True)
    ]
    return Statistics(tuple(mean.float() for mean in means), tuple(axis.float() for axis in axes))


def fit_whole(features: Iterable[Float[Tensor, "B N _"]], blocks: Statistics, spec: FeatureSpec) -> Statistics:
    """Add the map of the whole feature (``kept``, ``whiten``), measured on features of the blocks' maps alone."""
    rows = torch.cat([batch.flatten(0, 1).double() for batch in features])
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))  # ascending
    if spec.kept > len(values):
        raise XlxmertError(f"expected to keep at most {len(values)} axes of the whole feature, found kept={spec.kept}")
    values, axes = values.flip(0)[: spec.kept].clamp(min=1e-8), vectors.flip(1)[:, : spec.kept]
    axes = axes * torch.where(axes.sum(0) < 0, -1.0, 1.0) * values.pow(-spec.whiten / 2)
    return Statistics((*blocks.means, mean.float()), (*blocks.axes, axes.float().contiguous()))


def _axes(covariance: Tensor, kept: int, per_channel: bool) -> Tensor:
    """The linear map of a block: the identity or the leading principal axes, divided by the standard deviation."""
    channels = len(covariance)
    if kept > channels:
        raise XlxmertError(f"expected to keep at most {channels} channels, found kept={kept}: lower it in the spec")
    if kept:
        values, vectors = torch.linalg.eigh(covariance)  # ascending
        variances, axes = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
        axes = axes * torch.where(axes.sum(0) < 0, -1.0, 1.0)  # the sign of an axis is arbitrary: fix it
    else:
        variances, axes = covariance.diagonal(), torch.eye(channels, dtype=covariance.dtype, device=covariance.device)
    scale = variances if per_channel else variances.mean().expand_as(variances)
    scaled: Tensor = axes / scale.clamp(min=1e-8).sqrt()
    return scaled.contiguous()  # so that a saved and loaded map multiplies to the same bits


def _weights(spec: FeatureSpec) -> list[float]:
    return [depth.weight for depth in spec.depths] + ([spec.colour_weight] if spec.colour_parts else [])
