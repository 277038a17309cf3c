"""Grid cells: where they lie, how maps are pooled into them, and how blocks share the distance between cells."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.vision.regions import (
    Depth,
    FeatureSpec,
    Statistics,
    cell_blocks,
    cell_parts,
    fit_statistics,
    grid_boxes,
    grid_pool,
)

SPEC = FeatureSpec(4, (Depth(2, 2, 0.5, 3), Depth(4, 1, 2.0)), colour_parts=2, colour_weight=1.5)


def scene(key: int, count: int = 6):
    generator = torch_generator("regions", key)
    pictures = torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1
    maps = [
        5 * torch.randn(count, 7, 16, 16, generator=generator) + 3,
        torch.randn(count, 5, 8, 8, generator=generator),
    ]
    return pictures, maps


@given(st.integers(1, 12))
def test_boxes_tile_the_picture_row_major(n):
    boxes = grid_boxes(n)
    assert boxes.shape == (n * n, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert float(areas.sum()) == pytest.approx(1, abs=1e-5)
    for number, box in enumerate(boxes.tolist()):
        row, column = divmod(number, n)
        assert box == pytest.approx([column / n, row / n, (column + 1) / n, (row + 1) / n])


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_a_sub_cell_is_the_mean_of_its_own_pixels(grid, parts, pixels):
    side = grid * parts * pixels
    values = torch.randn(2, 3, side, side, generator=torch_generator(grid, parts, pixels))
    cells = cell_parts(values, grid, parts)
    assert cells.shape == (2, grid * grid, parts * parts, 3)
    row, column, top, left = grid - 1, 0, parts - 1, parts // 2
    y, x = (row * parts + top) * pixels, (column * parts + left) * pixels
    expected = values[:, :, y : y + pixels, x : x + pixels].mean((-1, -2))
    assert torch.allclose(cells[:, row * grid + column, top * parts + left], expected, atol=1e-6)


def test_maps_that_do_not_divide_are_an_error():
    with pytest.raises(XlxmertError, match="multiples of 8"):
        cell_parts(torch.zeros(1, 1, 12, 12), 4, 2)


def test_each_block_has_the_length_of_its_weight():
    pictures, maps = scene(0)
    statistics = fit_statistics([cell_blocks(maps, pictures, SPEC)], SPEC)
    features = grid_pool(maps, pictures, SPEC, statistics)
    assert features.shape == (6, 16, 4 * 3 + 5 + 4 * 3)
    for block, weight in zip(features.split([12, 5, 12], dim=-1), (0.5, 2.0, 1.5), strict=True):
        assert float(block.square().sum(-1).mean().sqrt()) == pytest.approx(weight, rel=1e-4)
        assert float(block.mean().abs()) < 0.1 * weight


def test_statistics_do_not_depend_on_the_batches():
    pictures, maps = scene(1)
    whole = fit_statistics([cell_blocks(maps, pictures, SPEC)], SPEC)
    halves = [
        cell_blocks([values[part] for values in maps], pictures[part], SPEC) for part in (slice(0, 2), slice(2, 6))
    ]
    pieces = fit_statistics(halves, SPEC)
    for ours, theirs in zip(whole.means + whole.axes, pieces.means + pieces.axes, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_per_channel_gives_every_axis_the_same_variance():
    pictures, maps = scene(2)
    maps[1] = maps[1] * torch.tensor([1.0, 10, 100, 1, 1])[:, None, None]
    spec = dataclasses.replace(SPEC, per_channel=True)
    statistics = fit_statistics([cell_blocks(maps, pictures, spec)], spec)
    deviations = grid_pool(maps, pictures, spec, statistics)[..., 12:17].flatten(0, 1).std(0)
    assert torch.allclose(deviations / deviations.mean(), torch.ones(5), atol=0.02)


def test_all_principal_axes_keep_all_distances():
    pictures, maps = scene(3)
    rotated, plain = (FeatureSpec(4, (Depth(4, 1, 1.0, kept),), colour_parts=0) for kept in (5, 0))
    distances = []
    for spec in (rotated, plain):
        features = grid_pool(maps, pictures, spec, fit_statistics([cell_blocks(maps, pictures, spec)], spec)).flatten(
            0, 1
        )
        distances.append(torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist"))
    assert torch.allclose(distances[0], distances[1], atol=1e-4)


def test_colours_come_back_from_a_feature():
    picture = torch.tensor([0.5, -1.0, 0.25])[:, None, None].expand(3, 32, 32)[None]
    spec = FeatureSpec(4, (), colour_parts=1, colour_weight=3**0.5)
    plain = Statistics((torch.zeros(3),), (torch.eye(3),))
    assert torch.allclose(grid_pool([], picture, spec, plain), picture[0, :, 0, 0].expand(1, 16, 3))


def test_features_have_gradients_to_pictures_and_maps():
    pictures, maps = scene(4)
    statistics = fit_statistics([cell_blocks(maps, pictures, SPEC)], SPEC)
    leaves = [values.requires_grad_() for values in (pictures, *maps)]
    grid_pool(maps, pictures, SPEC, statistics).square().sum().backward()
    assert all(leaf.grad is not None and float(leaf.grad.abs().sum()) > 0 for leaf in leaves)


def test_a_missing_depth_is_named():
    pictures, maps = scene(5)
    with pytest.raises(XlxmertError, match=r"strides \[4\], found \[2\]"):
        cell_blocks(maps[:1], pictures, SPEC)


def test_no_pictures_or_too_many_axes_are_errors():
    pictures, maps = scene(6)
    with pytest.raises(XlxmertError, match="found none"):
        fit_statistics([], SPEC)
    spec = FeatureSpec(4, (Depth(4, 1, 1.0, 6),))
    with pytest.raises(XlxmertError, match="kept=6"):
        fit_statistics([cell_blocks(maps, pictures, spec)], spec)


def test_a_spec_survives_json_and_checks_itself():
    assert FeatureSpec.from_dict(json.loads(json.dumps(dataclasses.asdict(SPEC)))) == SPEC
    for wrong in (lambda: Depth(3), lambda: Depth(4, 0), lambda: FeatureSpec(0), lambda: FeatureSpec(8, (), 0)):
        with pytest.raises(UsageError, match="expected"):
            wrong()
