"""The detectors give the numbers that their published programs gave: maps, features, proposals, boxes, pixels.

Each number is met to 1e-5, and beyond 10 to a millionth of itself: single precision cannot tell more. The tiny
pyramid's maps reach 37, and the reference's own lie up to 2.4e-5 from the same computation in double precision.
"""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from xlxmert.convert.detector_layout import from_reference, infer_config, to_reference
from xlxmert.models.detector import TINY, Detector, RegionReader
from xlxmert.models.detector.anchors import all_cell_anchors
from xlxmert.models.detector.pictures import box_input, cell_boxes, grid_input
from xlxmert.models.detector.pooling import levels_of, roi_align

DATA = Path(__file__).parent / "data"
SIZES = [(800, 1056), (800, 800), (1056, 800), (800, 992), (800, 960), (576, 1312), (800, 1312)]


@cache
def saved(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = torch.load(DATA / f"{name}.pt", weights_only=True)
    return content


@cache
def detector(name: str) -> Detector:
    """The detector of a file, with the sides to which the file's picture was scaled."""
    content = saved(name)
    sides = {key: content[key] for key in ("shortest", "longest") if key in content}
    config = dataclasses.replace(infer_config(content["state_dict"]), **sides)
    model = Detector(config)
    model.load_state_dict(from_reference(content["state_dict"], config))
    return model


def assert_near(found: torch.Tensor, expected: torch.Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=within, rtol=1e-6)


@pytest.fixture(scope="module")
def maps() -> list[torch.Tensor]:
    with torch.inference_mode():
        return detector("tiny_detector").maps(saved("tiny_detector")["img"][None])


def test_the_anchors_are_the_published_ones() -> None:
    state = saved("tiny_detector")["state_dict"]
    theirs = torch.cat([state[f"rpn.anchor_generator.cell_anchors.{level}"] for level in range(5)])
    assert torch.equal(all_cell_anchors(detector("tiny_detector").config), theirs)


def test_every_level_of_the_pyramid(maps: list[torch.Tensor]) -> None:
    for found, expected in zip(maps, saved("tiny_detector")["fpn"], strict=True):
        assert_near(found, expected)


def test_the_features_of_the_grid(maps: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        (reading,) = detector("tiny_detector").read(maps, [cell_boxes(256, 320, 8)])
    assert_near(reading.features, saved("tiny_detector")["grid_fc6"])


def test_a_thousand_proposals_in_their_order(maps: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        (proposals,) = detector("tiny_detector").propose(maps, [(256, 320)])
    assert_near(proposals, saved("tiny_detector")["proposals"], 5e-5)  # pixels, up to 320: two units in the last place


def test_features_scores_and_refinements_of_the_proposals(maps: list[torch.Tensor]) -> None:
    data = saved("tiny_detector")
    with torch.inference_mode():
        (reading,) = detector("tiny_detector").read(maps, [data["proposals"]])
    assert_near(reading.features, data["det_fc6"])
    assert_near(reading.scores, data["scores"])
    assert_near(reading.deltas, data["bbox_deltas"])
    assert reading.attributes is None


@pytest.mark.parametrize("size", SIZES)
def test_the_cells_of_the_grid_and_the_levels_that_they_are_pooled_from(size: tuple[int, int]) -> None:
    data = saved("roi_pool")[size]
    boxes = cell_boxes(*size, 8)
    assert torch.equal(boxes, data["boxes"])
    levels = levels_of(boxes, 4, edge=1)
    assert torch.equal(levels.float(), data["levels"])
    if data["maps"] is not None:
        pooled = roi_align(data["maps"], boxes, torch.zeros(64).long(), levels, (4, 8, 16, 32), 7)
        assert_near(pooled, data["pooled"], 1e-6)


def test_every_number_of_the_files_is_compared() -> None:
    assert set(saved("roi_pool")) == set(SIZES)
    outputs = {"fpn", "grid_fc6", "proposals", "det_fc6", "scores", "bbox_deltas"}
    assert saved("tiny_detector").keys() == {"cfg", "state_dict", "img"} | outputs


def test_bottom_up_attention_from_pixels_to_what_was_read() -> None:
    data, model = saved("c4_detector"), detector("c4_detector")
    prepared = box_input(data["picture"].numpy(), model.config)
    assert_near(prepared.pixels[:, ::3, ::3], data["input"])
    with torch.inference_mode():
        maps = model.maps(prepared.pixels[None])
        assert_near(maps[0], data["map"])
        (proposals,) = model.propose(maps, [prepared.size])
        assert_near(proposals, data["proposals"], 5e-5)  # pixels
        (reading,) = model.read(maps, [data["proposals"]])
    assert reading.attributes is not None
    first = len(data["features"])
    assert_near(reading.features[:first], data["features"])
    assert_near(reading.scores[:first], data["scores"])
    assert_near(reading.deltas[:first], data["deltas"])
    assert_near(reading.attributes[:first], data["attributes"])


def test_bottom_up_attentions_36_boxes() -> None:
    data = saved("c4_detector")
    (found,) = RegionReader(detector("c4_detector")).boxes([data["picture"].numpy()])
    assert_near(found.pixel_boxes, data["boxes"], 5e-5)
    assert torch.equal(found.labels, data["labels"]) and torch.equal(found.attributes, data["attribute_labels"])
    assert_near(found.scores, data["label_scores"])
    assert_near(found.attribute_scores, data["attribute_scores"])


@pytest.mark.parametrize("name", ["tiny_detector", "c4_detector"])
def test_the_tables_are_reversible(name: str) -> None:
    theirs, config = saved(name)["state_dict"], detector(name).config
    again = to_reference(from_reference({f"module.{key}": value for key, value in theirs.items()}, config), config)
    assert again.keys() == theirs.keys()
    assert all(torch.equal(again[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", saved("detector_pictures")["pictures"])
@pytest.mark.parametrize("kind", ["grid", "box"])
def test_pixels_are_scaled_as_opencv_does(name: str, kind: str) -> None:
    content = saved("detector_pictures")
    one = content["pictures"][name]
    config = dataclasses.replace(TINY, shortest=content["shortest"], longest=content["longest"])
    prepared = (grid_input if kind == "grid" else box_input)(one["picture"].numpy(), config)
    assert prepared.size == one[f"{kind}_size"]
    height, width = prepared.size
    assert_near(prepared.pixels[:, :height, :width].permute(1, 2, 0)[::3, ::3], one[kind], 4e-5)
    assert not prepared.pixels[:, height:].any() and not prepared.pixels[:, :, width:].any()
