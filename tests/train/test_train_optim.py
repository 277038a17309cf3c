"""Learning rates, weight decay's exemptions, clipping, and settings that check themselves."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import TinyTask, settings
from torch import nn

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.train.optim import (
    clip_gradients,
    inner_matrices,
    learning_rate_share,
    make_optimizers,
    optimizer_tensors,
    restore_optimizers,
    set_learning_rates,
    undecayed,
)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (dict(decay="linear", warmup=4.0), {0: 0.25, 3: 1.0, 4: 1.0, 12: 0.5, 19: 1 / 16}),
        (dict(decay="linear", warmup=0.2, final_share=0.5), {0: 0.25, 4: 1.0, 12: 0.75, 20: 0.5}),
        (dict(decay="cosine"), {0: 1.0, 5: (1 + math.sqrt(0.5)) / 2, 10: 0.5, 20: 0.0}),
        (dict(decay="cosine", final_share=0.1), {0: 1.0, 10: 0.55, 20: 0.1}),
        (dict(decay="constant", warmup=2.0), {0: 0.5, 1: 1.0, 19: 1.0}),
        (dict(decay="inverse_sqrt", warmup=4.0), {0: 0.25, 3: 1.0, 15: 0.5}),
        (dict(decay="inverse_sqrt", warmup=4.0, final_share=0.6), {15: 0.6}),
    ],
)
def test_the_schedule_has_these_values(tmp_path: Path, fields: dict[str, Any], values: dict[int, float]) -> None:
    config = settings(tmp_path, steps=20, **fields)
    assert {step: learning_rate_share(config, step) for step in values} == pytest.approx(values)


@given(
    steps=st.integers(1, 300),
    warmup=st.floats(0.0, 0.99),
    final=st.floats(0.0, 1.0),
    decay=st.sampled_from(["linear", "cosine", "constant", "inverse_sqrt"]),
)
def test_the_schedule_rises_then_never_rises_again(steps: int, warmup: float, final: float, decay: str) -> None:
    config = settings(Path("unused"), steps=steps, warmup=warmup, final_share=final, decay=decay)
    shares = [learning_rate_share(config, step) for step in range(steps)]
    top = max(1, config.warmup_steps) - 1
    assert shares[: top + 1] == sorted(shares[: top + 1]) and shares[top:] == sorted(shares[top:], reverse=True)
    assert all(0 <= share <= 1 for share in shares) and shares[top] == 1.0


@pytest.mark.parametrize(
    "fields", [dict(steps=0), dict(batch_size=0), dict(ema=1.0), dict(final_share=1.5), dict(warmup=21.0), dict(keep=0)]
)
def test_settings_out_of_range_name_the_field(tmp_path: Path, fields: dict[str, Any]) -> None:
    name = next(iter(fields))
    with pytest.raises(UsageError, match=f"{name} must be .*--{name.replace('_', '-')}"):
        settings(tmp_path, **fields)


def test_biases_and_norms_are_spared_by_weight_decay() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm([2, 2]), nn.Embedding(5, 2), nn.BatchNorm1d(3))
    assert undecayed(module) == {"0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}
    (optimizer,) = make_optimizers(module, OptimConfig(lr=0.1, weight_decay=0.5))
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    for weight in module.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in module.named_parameters():
        factor = 0.95 if name in ("0.weight", "2.weight") else 1.0
        torch.testing.assert_close(weight.detach(), before[name].detach() * factor)


def test_clipping_scales_to_the_limit_and_no_further() -> None:
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert clip_gradients(gradients, 10.0) == 5.0 and gradients[1] == 4.0
    assert clip_gradients(gradients, 0.0) == 5.0 and gradients[1] == 4.0
    assert clip_gradients(gradients, 1.0) == 5.0
    torch.testing.assert_close(gradients, [torch.tensor([0.6, 0.0]), torch.tensor([[0.8]])])


def test_optimizer_state_comes_back_whole_whatever_the_memory_layout() -> None:
    def fresh() -> tuple[nn.Conv2d, list[torch.optim.Optimizer]]:
        torch.manual_seed(3)
        module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module, make_optimizers(module, OptimConfig(lr=0.1))

    def steps(module: nn.Conv2d, optimizers: list[torch.optim.Optimizer], count: int) -> None:
        for _ in range(count):
            module.zero_grad()
            module(torch.linspace(0, 1, 75).reshape(1, 3, 5, 5)).square().sum().backward()
            optimizers[0].step()

    (whole, whole_adamw), (half, half_adamw), (rest, rest_adamw) = fresh(), fresh(), fresh()
    steps(whole, whole_adamw, 4)
    steps(half, half_adamw, 2)
    saved = {name: tensor.clone().contiguous() for name, tensor in optimizer_tensors(half_adamw, half).items()}
    rest.load_state_dict(half.state_dict())
    restore_optimizers(rest_adamw, rest, saved)
    steps(rest, rest_adamw, 2)
    assert torch.equal(rest.weight, whole.weight) and len(saved) == 6


def test_optimizer_state_of_another_module_is_refused() -> None:
    module = TinyTask().regression
    optimizers = make_optimizers(module, OptimConfig())
    with pytest.raises(XlxmertError, match=r"elsewhere.weight:exp_avg \(1,\), found no such parameter"):
        restore_optimizers(optimizers, module, {"elsewhere.weight:exp_avg": torch.zeros(1)})
    with pytest.raises(XlxmertError, match=r"found a parameter of shape \(16, 4\)"):
        restore_optimizers(optimizers, module, {"net.0.weight:exp_avg": torch.zeros(2, 2)})


class Deep(nn.Module):
    """An embedding, two repeated layers and a head."""

    def __init__(self) -> None:
        """Build."""
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(2))
        self.head = nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Scores."""
        x = self.table(ids)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)


def test_muon_takes_the_matrices_of_repeated_layers_and_nothing_else() -> None:
    module = Deep()
    assert inner_matrices(module) == {"layers.0.0.weight", "layers.1.0.weight"}
    muon, adamw = make_optimizers(module, OptimConfig(lr=0.001, muon_lr=0.02))
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(4, 4), (4, 4)]
    mine = {id(p) for group in adamw.param_groups for p in group["params"]}
    assert len(mine) + 2 == len(list(module.parameters()))
    set_learning_rates([muon, adamw], 0.5)
    assert [group["lr"] for group in (*muon.param_groups, *adamw.param_groups)] == [0.01, 0.0005, 0.0005]


def test_muon_takes_steps_of_even_singular_values_and_resumes_exactly() -> None:
    def steps(module: Deep, optimizers: list[torch.optim.Optimizer], count: int) -> None:
        for _ in range(count):
            module.zero_grad()
            module(torch.arange(5)).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()

    config = OptimConfig(lr=0.01, muon_lr=0.02)
    torch.manual_seed(0)
    whole = Deep()
    half, rest = copy.deepcopy(whole), copy.deepcopy(whole)
    first, before = make_optimizers(whole, config), whole.layers[0][0].weight.detach().clone()  # type: ignore[index]
    steps(whole, first, 1)
    gradient = whole.layers[0][0].weight.grad  # type: ignore[index]
    change = torch.linalg.svdvals(before - whole.layers[0][0].weight.detach())  # type: ignore[index]
    slopes = torch.linalg.svdvals(gradient)
    assert float(change.max()) < 0.02 * 1.5
    assert float(change.max() / change.min()) < 0.2 * float(slopes.max() / slopes.min())
    steps(whole, first, 3)
    second, third = make_optimizers(half, config), make_optimizers(rest, config)
    steps(half, second, 2)
    rest.load_state_dict(half.state_dict())
    restore_optimizers(third, rest, {name: t.clone() for name, t in optimizer_tensors(second, half).items()})
    steps(rest, third, 2)
    for name, weight in whole.named_parameters():
        assert torch.equal(weight, rest.get_parameter(name)), name


def test_muon_of_an_old_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(XlxmertError, match=r"muon_lr needs torch 2.9 or newer"):
        make_optimizers(Deep(), OptimConfig(muon_lr=0.02))
