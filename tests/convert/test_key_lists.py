"""Full-size models, written in each published layout, have exactly the names and shapes of the published files."""

import re
from pathlib import Path

import pytest
import torch

from xlxmert.convert import generator_layout
from xlxmert.convert.published import published_names
from xlxmert.convert.xlxmert_layout import from_reference, infer_config
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.generator import Generator
from xlxmert.models.generator.presets import PAPER as PAPER_GENERATOR
from xlxmert.models.lxmert import LXMERT, PAPER

DATA = Path(__file__).parent / "data"


def listed(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a list."""
    lines = [line.split("\t") for line in (DATA / name).read_text().splitlines() if line and not line.startswith("#")]
    return {key: tuple(int(number) for number in re.findall(r"\d+", shape)) for key, shape, _ in lines}


def shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def meta_state(config: ModelConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return build(config).state_dict()


@pytest.mark.parametrize(
    ("layout", "config", "file", "count"),
    [
        ("xlxmert", PAPER, "xlxmert_Epoch20_LXRT.txt", 472),
        ("lxmert", LXMERT, "airsplay_model_LXRT.txt", 473),
        ("transformers", LXMERT, "hf_LxmertForPreTraining.txt", 473),
    ],
)
def test_a_full_size_transformer_has_the_published_names_and_shapes(
    layout: str, config: ModelConfig, file: str, count: int
) -> None:
    theirs = published_names(meta_state(config), config, layout)
    assert len(theirs) == count
    assert shapes(theirs) == listed(file)


@pytest.mark.parametrize(
    ("file", "config"),
    [("xlxmert_Epoch20_LXRT.txt", PAPER), ("airsplay_model_LXRT.txt", LXMERT), ("hf_LxmertForPreTraining.txt", LXMERT)],
)
def test_a_published_key_list_tells_the_preset_and_all_our_weights(file: str, config: ModelConfig) -> None:
    theirs = {name: torch.empty(shape, device="meta") for name, shape in listed(file).items()}
    assert infer_config(theirs) == config
    tied = [name for name in theirs if name.endswith("cls.predictions.decoder.weight")]
    assert len(tied) == 1  # values cannot be compared without values
    ours = from_reference({name: tensor for name, tensor in theirs.items() if name not in tied})
    assert shapes(ours) == shapes(meta_state(config))


def test_the_full_size_generator_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        ours = Generator(PAPER_GENERATOR).state_dict()
    theirs = generator_layout.to_reference(ours, generator_layout.generator_rows())
    assert shapes(theirs) == listed("xlxmert_G_60.txt") and len(theirs) == 150
    assert generator_layout.infer_config(theirs) == PAPER_GENERATOR
    again = generator_layout.from_reference(theirs, generator_layout.generator_rows())
    assert shapes(again) == shapes(ours)
