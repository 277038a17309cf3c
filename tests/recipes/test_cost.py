"""What a run costs: three forward passes per step against PyTorch's count, memory, hours, and the dry run's report."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from xlxmert.models.families import PRESETS, build
from xlxmert.models.lxmert import PAPER
from xlxmert.recipes.cost import Data, held_bytes, pretrain_cost
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.train import TrainConfig

PAPER_RUN = TrainConfig(out=Path("out"), steps=9_180_000 * 20 // 920, batch_size=920)


def test_a_training_pass_costs_about_three_forward_passes_and_four_with_checkpointing() -> None:
    config = PRESETS["world"]
    with torch.device("meta"):
        model = build(config).train()
        words, picture = torch.ones(2, 20, dtype=torch.long), torch.zeros(2, 64, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        encoded = model(words, picture)
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        encoded = model(words, picture)
        (encoded.language.sum() + encoded.vision.sum()).backward()
    assert counter.get_total_flops() == pytest.approx(3 * forward, rel=0.02)


def test_the_papers_run_has_the_published_size() -> None:
    cost = pretrain_cost(PAPER, PretrainConfig(), PAPER_RUN)
    assert cost.parameters == 226_525_800 and cost.steps == 199_565
    assert cost.weights == 4 * 4 * cost.parameters  # weights, gradients and two moments
    assert cost.hours(989 * 0.5) == pytest.approx(cost.hours(989.0) * 2)
    assert "computed, not measured" in cost.facts()["hours"] and "at 350 TFLOP/s" in cost.facts(350.0)["hours"]


def test_what_makes_a_run_cheaper_or_dearer() -> None:
    def cost(**changes: object) -> object:
        loop = {name: value for name, value in changes.items() if name in ("checkpointing", "ema", "accumulate")}
        rest = {name: value for name, value in changes.items() if name not in loop}
        return pretrain_cost(
            PRESETS["world"], PretrainConfig(**rest), dataclasses.replace(PAPER_RUN, **loop), processes=2
        )  # type: ignore[arg-type]

    plain, lean, averaged = cost(), cost(checkpointing=True), cost(ema=0.9)
    assert 3.5 < 3 * lean.step / plain.step < 4 and lean.activations < 0.2 * plain.activations
    assert averaged.weights == 5 * 4 * plain.parameters
    assert cost(accumulate=4).activations == pytest.approx(plain.activations / 4)
    assert cost(policy="all").step > cost().step and cost(most_cells=100).step < cost().step


def test_held_bytes_are_those_that_a_real_pass_holds() -> None:
    model = build(dataclasses.replace(PRESETS["tiny"], dropout=0.0, attention_dropout=0.0))
    held: dict[int, torch.Tensor] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    words, picture = torch.ones(1, 20, dtype=torch.long), torch.zeros(1, 64, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        model(words, picture, word_mask=words > 0)
    real = sum(tensor.untyped_storage().nbytes() for place, tensor in held.items() if place not in weights)
    with torch.device("meta"):
        shape = build(model.config)
    assert held_bytes(shape, Data()) == pytest.approx(real, rel=0.1)
