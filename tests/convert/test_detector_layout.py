"""The detectors' key lists: full-size models have exactly the published names and shapes, and files are read loudly."""

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from xlxmert.convert.detector_layout import from_reference, infer_config, read_detector, table, to_reference
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_tensors
from xlxmert.models.detector import R101, TINY, TINY_C4, X152, Detector, DetectorConfig

DATA = Path(__file__).parent / "data"
PUBLISHED = [("detectron_model_x152.txt", X152, 810, 206_374_224), ("frcnn_vg_finetuned.txt", R101, 640, 65_545_318)]


def listed(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a list."""
    lines = [line.split("\t") for line in (DATA / name).read_text().splitlines() if not line.startswith("#")]
    return {key: tuple(int(number) for number in re.findall(r"\d+", shape)) for key, shape in lines}


def empty(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def meta_state(config: DetectorConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return Detector(config).state_dict()


def is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


@pytest.mark.parametrize(("file", "config", "count", "values"), PUBLISHED)
def test_a_full_size_detector_has_the_published_names_and_shapes(
    file: str, config: DetectorConfig, count: int, values: int
) -> None:
    expected = listed(file)
    assert len(expected) == count
    assert sum(torch.Size(shape).numel() for shape in expected.values()) == values
    weights = {name: shape for name, shape in expected.items() if not is_counter(name)}
    ours = meta_state(config)
    assert sum(tensor.numel() for tensor in ours.values()) == values - sum(map(is_counter, expected))
    theirs = to_reference(ours, config)
    assert {name: tuple(tensor.shape) for name, tensor in theirs.items()} == weights
    assert list(theirs) == list(weights)


@pytest.mark.parametrize(("file", "config", "count", "values"), PUBLISHED)
def test_a_published_key_list_tells_the_preset_and_all_our_weights(
    file: str, config: DetectorConfig, count: int, values: int
) -> None:
    theirs = empty(listed(file))
    assert infer_config(theirs) == config
    ours = from_reference({f"module.{name}": tensor for name, tensor in theirs.items()}, config)
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: t.shape for n, t in meta_state(config).items()}


def test_without_attributes_the_list_tells_so() -> None:
    shapes = listed("frcnn_vg_finetuned.txt")
    told = {name: shape for name, shape in shapes.items() if not re.search(r"cls_embedding|fc_attr|attr_score", name)}
    config = infer_config(empty(told))
    assert config.attributes == 0
    assert len(from_reference(empty(told), config)) == len(table(config))


def tiny_state(config: DetectorConfig) -> tuple[DetectorConfig, dict[str, torch.Tensor]]:
    """A random published state of tiny size, and the config that its shapes tell."""
    torch.manual_seed(0)
    theirs = to_reference(Detector(config).state_dict(), config)
    told = infer_config(theirs)
    return told, theirs


# pooling and the number of anchors in c4 are not told by shapes: as published
TINIES = {"fpn": TINY, "c4": DetectorConfig(**{**TINY_C4.to_dict(), "anchor_sizes": (64, 128, 256, 512)})}


@pytest.mark.parametrize("config", TINIES.values(), ids=TINIES)
@pytest.mark.parametrize("kind", ["pth", "old pth", "pickle", "safetensors"])
def test_every_kind_of_file_is_read(tmp_path: Path, config: DetectorConfig, kind: str) -> None:
    told, theirs = tiny_state(config)
    path = tmp_path / "weights"
    if kind == "safetensors":
        write_tensors(path, theirs)
    elif kind == "pickle":
        arrays = {name: tensor.numpy() for name, tensor in theirs.items()}
        path.write_bytes(pickle.dumps({"model": OrderedDict(arrays), "__author__": "somebody"}, protocol=2))
    else:
        prefixed = {f"module.{name}": tensor for name, tensor in theirs.items()}
        torch.save({"model": prefixed, "iteration": 9}, path, _use_new_zipfile_serialization=kind == "pth")
    detector, report = read_detector(path)
    assert detector.config == told and not report.missing and not report.unexpected
    assert report.read == report.expected == len(theirs)
    again = to_reference(detector.state_dict(), told)
    assert all(torch.equal(again[name], theirs[name]) for name in theirs)
    assert not any(parameter.requires_grad for parameter in detector.parameters())


def test_counters_and_means_are_passed_over(tmp_path: Path) -> None:
    _, theirs = tiny_state(TINIES["c4"])
    more = {"backbone.stem.conv1.norm.num_batches_tracked": torch.tensor(0), "pixel_mean": torch.zeros(3, 1, 1)}
    write_tensors(tmp_path / "a", theirs | more)
    _, report = read_detector(tmp_path / "a")
    assert set(report.ignored) == set(more) and not report.unexpected


def test_whatever_does_not_fit_is_named(tmp_path: Path) -> None:
    _, theirs = tiny_state(TINY)
    del theirs["rpn.head.conv.bias"]
    theirs["roi_heads.box.predictor.cls_score.bias"] = torch.zeros(3)
    theirs["roi_heads.mask.weight"] = torch.zeros(1)
    write_tensors(tmp_path / "a", theirs)
    message = (
        r"1 missing \(rpn\.head\.conv\.bias\) and 1 unexpected \(roi_heads\.mask\.weight\) and "
        r"1 misshapen \(roi_heads\.box\.predictor\.cls_score\.bias is \(3,\), not \(8,\)\)"
    )
    with pytest.raises(XlxmertError, match=message):
        read_detector(tmp_path / "a")
    allowed = ("rpn.head.conv.bias", "roi_heads.mask.*", "*.cls_score.bias")
    detector, report = read_detector(tmp_path / "a", allowed)
    assert report.missing == ("rpn.head.conv.bias",)
    assert bool(detector.proposer.conv.bias.isfinite().all()) and detector.device.type == "cpu"


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected the weights of a detector.*found fc\.weight"):
        infer_config({"fc.weight": torch.zeros(1)})
    _, theirs = tiny_state(TINY)
    with pytest.raises(XlxmertError, match=r"expected rpn\.head\.cls_logits\.weight in the weights of a detector"):
        infer_config({name: tensor for name, tensor in theirs.items() if "cls_logits" not in name})
    with pytest.raises(XlxmertError, match="expected 12 anchors per place, as published, found 6"):
        tiny_state(TINY_C4)
    (tmp_path / "page").write_bytes(b"<html>gone</html>")
    with pytest.raises(XlxmertError, match="a web page"):
        read_detector(tmp_path / "page")
