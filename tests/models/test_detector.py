"""Properties of the detectors: batches, precision, overlaps, pooling and the choice of regions, beside plain loops."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.models.detector import TINY, TINY_C4, Detector, DetectorConfig, RegionReader, Regions
from xlxmert.models.detector.anchors import cell_anchors, tile
from xlxmert.models.detector.boxes import clip, overlaps, refine, suppress
from xlxmert.models.detector.pictures import box_input, cell_boxes, grid_input
from xlxmert.models.detector.pooling import levels_of, roi_align, roi_pool
from xlxmert.models.detector.selection import best_apart, best_of_classes

CONFIGS = {"fpn": TINY, "c4": TINY_C4}


def random_detector(config: DetectorConfig) -> Detector:
    """One whose scores and proposals differ enough that rounding does not swap them."""
    torch.manual_seed(3)
    model = Detector(config)
    with torch.no_grad():
        for module in (model.proposer.objectness, model.head.scores):
            module.weight.mul_(20)
        for module in (model.proposer.deltas, model.head.deltas):
            module.weight.mul_(3)
        model.body.stem.weight.mul_(0.1)
    return model


def random_pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def random_boxes(count: int, width: float = 90, height: float = 70, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([width, height])
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def assert_same(found: Regions, expected: Regions) -> None:
    assert torch.equal(found.labels, expected.labels) and found.size == expected.size
    torch.testing.assert_close(found.features, expected.features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_pictures_of_one_size_give_together_what_they_give_alone(config: DetectorConfig) -> None:
    detector = random_detector(config)
    pictures = random_pictures((60, 80), (120, 90), (60, 80), (60, 80))
    together, alone = RegionReader(detector, batch=4), RegionReader(detector)
    found = together.boxes(pictures, 9)
    assert [regions.size for regions in found] == [(60, 80), (120, 90), (60, 80), (60, 80)]
    for picture, regions in zip(pictures, found, strict=True):
        (expected,) = alone.boxes([picture], 9)
        assert len(regions.features) == 9
        assert_same(regions, expected)


def test_cells_of_pictures_together_are_those_alone() -> None:
    detector = random_detector(TINY)
    pictures = random_pictures((60, 80), (120, 90), (60, 80))
    together = RegionReader(detector, batch=2).grid(pictures, 3)
    assert together.shape == (3, 9, TINY.mlp)
    for picture, features in zip(pictures, together, strict=True):
        (expected,) = RegionReader(detector).grid([picture], 3)
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[0], together[2])


def test_levels_that_no_box_needs_change_nothing() -> None:
    detector = random_detector(TINY)
    pictures, boxes = torch.randn(2, 3, 256, 256), [cell_boxes(256, 256, 2), cell_boxes(256, 256, 1)]
    assert detector.finest(boxes) == 1
    with torch.inference_mode():
        maps = detector.maps(pictures)
        for found, expected in zip(detector.maps(pictures, 1), maps[1:], strict=True):
            torch.testing.assert_close(found, expected)
        for one, other in zip(detector(pictures, boxes), detector.read(maps, boxes), strict=True):
            torch.testing.assert_close(one.features, other.features)


def test_padding_beside_a_picture_finds_nothing() -> None:
    detector = random_detector(TINY)
    (picture,) = random_pictures((60, 85))
    prepared = box_input(picture, TINY)
    height, width = prepared.size
    assert prepared.pixels.shape[2] > width
    with torch.inference_mode():
        maps = detector.maps(prepared.pixels[None])
        (proposals,) = detector.propose(maps, [prepared.size])
    assert proposals[:, 2].max() <= width - 1 and proposals[:, 3].max() <= height - 1 and proposals.min() >= 0


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_half_precision_comes_near(config: DetectorConfig) -> None:
    detector = random_detector(config)
    pictures = random_pictures((60, 80), (60, 80), (90, 60))
    half, whole = RegionReader(detector, batch=2, half=True), RegionReader(detector)
    found, expected = half.grid(pictures, 2), whole.grid(pictures, 2)  # the same regions for both
    assert 0 < (found - expected).norm() < 0.03 * expected.norm()
    assert (found - half.grid(pictures[:1], 2)[0])[0].norm() < 0.01 * found[0].norm()  # in a batch as alone
    for regions in half.boxes(pictures, 9):
        assert regions.features.dtype == torch.float32 and bool(regions.features.isfinite().all())
        assert len(regions.boxes) == 9 and bool((regions.scores <= 1).all())


def test_all_is_told_of_the_regions() -> None:
    (picture,) = random_pictures((60, 80))
    (plain,) = RegionReader(random_detector(TINY)).boxes([picture], 5)
    assert plain.attributes is None and plain.attribute_scores is None
    (full,) = RegionReader(random_detector(TINY_C4)).boxes([picture], 5)
    assert full.attributes is not None and full.attribute_scores is not None
    assert full.attributes.shape == (5,) and bool((full.attributes < TINY_C4.attributes).all())
    for regions, config in ((plain, TINY), (full, TINY_C4)):
        assert regions.features.shape == (5, config.feature_width)
        assert bool((regions.labels < config.labels).all()) and bool((regions.scores > 0).all())
        share = torch.tensor([80, 60, 80, 60])
        torch.testing.assert_close(regions.pixel_boxes, regions.boxes * share)
        assert bool((regions.boxes[:, 2:] >= regions.boxes[:, :2]).all())


def test_a_tiny_picture_gives_as_many_regions_as_it_has_proposals() -> None:
    config = dataclasses.replace(TINY, proposed=4)
    (picture,) = random_pictures((40, 40))
    (regions,) = RegionReader(random_detector(config)).boxes([picture], 36)
    assert len(regions.boxes) == 4


def test_wrong_requests_are_told() -> None:
    detector = random_detector(TINY)
    with pytest.raises(XlxmertError, match=r"multiples of 32, found 32x40"):
        detector.maps(torch.zeros(1, 3, 32, 40))
    with pytest.raises(UsageError, match="batch of at least 1"):
        RegionReader(detector, batch=0)
    with pytest.raises(UsageError, match="at least 1 box"):
        RegionReader(detector).boxes(random_pictures((20, 20)), 0)
    with pytest.raises(UsageError, match="at least 1 cell per side, found 0 and 8"):
        RegionReader(detector).grid([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": (3, 4, 6)}, "blocks must name four stages"),
        ({"blocks": (3, 4, 0, 3)}, "every entry of blocks must be a whole number of at least 1"),
        ({"anchor_sizes": (32, 64)}, "one entry per level"),
        ({"anchor_ratios": ()}, "anchors of positive ratios"),
        ({"stem": 0}, "stem must be a whole number of at least 1"),
        ({"attributes": -1}, "attributes must be a whole number of at least 0"),
        ({"longest": 10}, "longest must be at least shortest"),
    ],
)
def test_configs_check_themselves(change: dict[str, object], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_configs_survive_json(config: DetectorConfig) -> None:
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(XlxmertError, match="found colour"):
        DetectorConfig.from_dict({"colour": 1})


def test_anchors_are_rounded_as_in_the_first_faster_rcnn() -> None:
    found = cell_anchors(16, (128, 256, 512), (0.5, 1.0, 2.0))
    # py-faster-rcnn's generate_anchors.py gives these, one less than the table in its head, which counts from 1
    expected = [(-84, -40, 99, 55), (-176, -88, 191, 103), (-360, -184, 375, 199), (-56, -56, 71, 71)]
    expected += [(-120, -120, 135, 135), (-248, -248, 263, 263), (-36, -80, 51, 95), (-80, -168, 95, 183)]
    assert found.tolist() == [list(box) for box in [*expected, (-168, -344, 183, 359)]]
    cells = torch.tensor(found[:2], dtype=torch.float32)
    tiled = tile(cells, 2, 3, 16)
    assert torch.equal(tiled[2 * 4 + 1], cells[1] + torch.tensor([16, 16, 16, 16.0]))  # row 1, column 1


@pytest.mark.parametrize("edge", [0, 1])
def test_refinement_moves_centres_and_scales_sides(edge: int) -> None:
    boxes = torch.tensor([[10, 20, 29, 59.0]])
    same, moved = refine(boxes, torch.tensor([[0, 0, 0, 0, 5, 0, 0, 5 * math.log(2.0)]]), edge, (10.0, 5.0))[0]
    torch.testing.assert_close(same, boxes[0])
    width, height = 19 + edge, 39 + edge
    expected = torch.tensor([10 + width / 2, 20 - height / 2, 29 + width / 2, 59 + height / 2])
    torch.testing.assert_close(moved, expected)
    grown = refine(boxes, torch.tensor([[0, 0, 100, 0.0]]), edge)[0, 0]
    assert grown[2] - grown[0] + edge == pytest.approx(width * 1000 / 16)
    assert clip(grown, 50, 40, edge).tolist() == [0, 20, 40 - edge, 50 - edge]


@pytest.mark.parametrize("edge", [0, 1])
@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_suppression_is_the_plain_loops(edge: int, threshold: float) -> None:
    boxes = random_boxes(1100)  # more than are compared at once
    scores = torch.rand(1100, generator=torch.Generator().manual_seed(1))
    scores[5:9] = scores[4]
    kept: list[int] = []
    for rank in scores.argsort(descending=True, stable=True).tolist():
        if not kept or bool((overlaps(boxes[[rank]], boxes[kept], edge) <= threshold).all()):
            kept.append(rank)
    assert suppress(boxes, scores, threshold, edge).tolist() == kept
    assert suppress(boxes, scores, threshold, edge, most=7).tolist() == kept[:7]
    assert suppress(boxes[:0], scores[:0], threshold, edge).tolist() == []


def published_choice(boxes: torch.Tensor, probabilities: torch.Tensor, count: int) -> list[int]:
    """X-LXMERT's rule as it is published: through all classes, each suppressing its own overlaps."""
    best = torch.zeros(len(boxes))
    for scores in probabilities.T:
        kept = suppress(boxes, scores, 0.5, 1)
        best[kept] = torch.maximum(best[kept], scores[kept])
    return best.argsort(descending=True, stable=True)[:count].tolist()


@pytest.mark.parametrize(("rows", "classes", "count"), [(80, 6, 36), (300, 90, 36), (60, 3, 60), (5, 4, 36)])
def test_the_choice_among_classes_is_the_published_one(rows: int, classes: int, count: int) -> None:
    boxes = random_boxes(rows, seed=rows)
    logits = torch.randn(rows, classes, generator=torch.Generator().manual_seed(rows)) * 2
    probabilities = logits.softmax(1)
    assert best_of_classes(boxes, probabilities, count, 1).tolist() == published_choice(boxes, probabilities, count)


def test_boxes_that_are_suppressed_everywhere_come_last() -> None:
    boxes = torch.tensor([[0, 0, 50, 50.0], [0, 0, 50, 51], [0, 0, 51, 50], [60, 0, 80, 50]])
    probabilities = torch.tensor([[0.9, 0.8], [0.5, 0.3], [0.4, 0.2], [0.1, 0.05]])
    assert best_of_classes(boxes, probabilities, 4, 1).tolist() == [0, 3, 1, 2]
    assert best_of_classes(boxes, probabilities, 2, 1).tolist() == [0, 3]


def test_overlaps_are_allowed_until_enough_boxes_remain() -> None:
    boxes = torch.tensor([[0, 0, 100, 10.0], [0, 0, 100, 14], [0, 0, 100, 30], [0, 50, 100, 60]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert best_apart(boxes, scores, 2, 0).tolist() == [0, 3]
    assert best_apart(boxes, scores, 3, 0).tolist() == [0, 2, 3]  # 0 and 2 share a third
    assert best_apart(boxes, scores, 4, 0).tolist() == [0, 1, 2, 3]
    assert best_apart(torch.cat([boxes, boxes]), torch.cat([scores, scores]), 9, 0).tolist() == [0, 1, 2, 3]


def aligned(level: torch.Tensor, box: list[float], stride: int, size: int) -> torch.Tensor:
    """One box by plain loops over its cells and their four samples."""
    channels, height, width = level.shape
    x0, y0, x1, y1 = (value / stride for value in box)
    cell = (max(x1 - x0, 1.0) / size, max(y1 - y0, 1.0) / size)
    out = torch.zeros(channels, size, size)
    for i, j, a, b in np.ndindex(size, size, 2, 2):
        y, x = y0 + (i + (a + 0.5) / 2) * cell[1], x0 + (j + (b + 0.5) / 2) * cell[0]
        if not (-1 <= y <= height and -1 <= x <= width):
            continue
        y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
        top, left = int(y), int(x)
        below, right = min(top + 1, height - 1), min(left + 1, width - 1)
        down, across = y - top, x - left
        upper = level[:, top, left] * (1 - across) + level[:, top, right] * across
        lower = level[:, below, left] * (1 - across) + level[:, below, right] * across
        out[:, i, j] += (upper * (1 - down) + lower * down) / 4
    return out


def test_aligned_regions_are_those_of_plain_loops() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 12, 17), torch.randn(2, 3, 6, 9)]
    boxes = torch.cat([random_boxes(10, 68, 48), torch.tensor([[-9, -9, 3, 3.0], [60, 40, 75, 60], [5, 5, 5, 5]])])
    owners, levels = torch.arange(13) % 2, torch.arange(13) // 2 % 2
    found = roi_align(maps, boxes, owners, levels, (4, 8), 5)
    for number, box in enumerate(boxes.tolist()):
        level = int(levels[number])
        expected = aligned(maps[level][owners[number]], box, (4, 8)[level], 5)
        torch.testing.assert_close(found[number], expected, atol=1e-5, rtol=1e-5)


def pooled(level: torch.Tensor, box: list[float], stride: int, size: int) -> torch.Tensor:
    """One box by plain loops over its cells, rounded in single precision."""
    channels, height, width = level.shape
    x0, y0, x1, y1 = (math.copysign(math.floor(abs(value / stride) + 0.5), value) for value in box)
    cells = [np.float32(max(end - start + 1, 1)) / np.float32(size) for start, end in ((y0, y1), (x0, x1))]
    out = torch.zeros(channels, size, size)
    for i, j in np.ndindex(size, size):
        top, left = math.floor(np.float32(i) * cells[0]) + y0, math.floor(np.float32(j) * cells[1]) + x0
        bottom, right = math.ceil(np.float32(i + 1) * cells[0]) + y0, math.ceil(np.float32(j + 1) * cells[1]) + x0
        rows = slice(int(min(max(top, 0), height)), int(min(max(bottom, 0), height)))
        columns = slice(int(min(max(left, 0), width)), int(min(max(right, 0), width)))
        part = level[:, rows, columns]
        out[:, i, j] = part.amax((1, 2)) if part.numel() else 0
    return out


@pytest.mark.parametrize(("shape", "size"), [((9, 13), 4), ((70, 66), 14), ((5, 3), 7)])
def test_pooled_regions_are_those_of_plain_loops(shape: tuple[int, int], size: int) -> None:
    torch.manual_seed(0)
    level = torch.randn(2, 3, *shape)
    height, width = 16 * shape[0], 16 * shape[1]
    special = [[0, 0, width, height], [8, 8, 8, 8], [-40, -40, 8, 8], [0, 0, 16.0 * 56, 16.0 * 61]]  # 57, 62 places
    boxes = torch.cat([random_boxes(9, width, height), torch.tensor(special, dtype=torch.float32)])
    owners = torch.arange(13) % 2
    found = roi_pool(level, boxes, owners, 16, size)
    for number, box in enumerate(boxes.tolist()):
        assert torch.equal(found[number], pooled(level[owners[number]], box, 16, size)), box


def test_the_level_flips_where_cells_reach_112_pixels() -> None:
    boxes = torch.tensor([[0, 0, 110.999, 111], [0, 0, 111, 111], [0, 0, 222.9, 223], [0, 0, 5, 5], [0, 0, 2000, 2000]])
    assert levels_of(boxes, 4, edge=1).tolist() == [0, 1, 1, 0, 3]
    assert levels_of(boxes, 4, edge=0).tolist() == [0, 0, 1, 0, 3]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [((480, 640), (800, 1056)), ((640, 480), (1056, 800)), ((500, 500), (800, 800)), ((300, 1200), (320, 1312))],
)
def test_sides_are_cut_to_multiples_of_32(picture: tuple[int, int], expected: tuple[int, int]) -> None:
    config = DetectorConfig()
    prepared = grid_input(np.zeros((*picture, 3), np.uint8), config)
    assert prepared.size == expected and prepared.pixels.shape == (3, *expected)
    assert prepared.pixels[:, 0, 0].tolist() == pytest.approx([-102.9801, -115.9465, -122.7717])  # blue first
    cells = cell_boxes(*expected, 8)
    assert cells[0].tolist() == [0, 0, expected[1] // 8, expected[0] // 8] and cells[1, 0] == expected[1] // 8


def test_red_is_read_last() -> None:
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 200
    for config in (TINY, TINY_C4):
        assert box_input(red, config).pixels[:, 0, 0].tolist() == pytest.approx([-102.9801, -115.9465, 77.2283])
