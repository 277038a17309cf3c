"""Layers that keep less: the same losses and gradients, dropout included, for a fraction of what is held."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.models.uniter import TINY as TINY_UNITER
from xlxmert.models.uniter import Uniter
from xlxmert.models.xgpt import TINY as TINY_XGPT
from xlxmert.models.xgpt import Xgpt
from xlxmert.train.layers import keep, layers_of, recompute

WORDS = torch.tensor([[2, 9, 8, 7, 3], [2, 9, 3, 0, 0]])


class Reading(nn.Module):
    """A model that reads words and a picture by every way there is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> Tensor:
        model, mask = self.model, WORDS > 0
        if isinstance(model, Xgpt):
            return model.decode(WORDS, model.encode(model.embed_picture(picture))).square().mean()
        words, seen = model.encode_words(WORDS, mask), model.encode_picture(picture)
        both = model.cross(words, seen, mask)
        alone = model.cross_words(words, seen, mask).square().mean() + model.cross_picture(words, seen, mask).mean()
        return alone + both.pooled.square().mean()


def models() -> list[nn.Module]:
    torch.manual_seed(0)
    two = {"language_layers": 2, "relation_layers": 2, "cross_layers": 3}
    return [Lxmert(dataclasses.replace(TINY, **two)), Uniter(TINY_UNITER), Xgpt(TINY_XGPT)]


def learn(module: nn.Module, picture: Tensor) -> tuple[Tensor, list[Tensor | None], int]:
    """Loss, gradients and how many numbers the forward pass held for them."""
    held: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        loss = module(picture)
    gradients = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    return loss.detach(), list(gradients), sum(held.values())


@pytest.mark.parametrize("number", range(3))
def test_recomputing_gives_the_same_gradients_for_less_memory(number: int) -> None:
    module = Reading(models()[number]).train()  # with dropout
    picture = torch.randn(2, module.model.config.cells, 32)
    plain, names = learn(module, picture), list(module.state_dict())
    recompute(module)
    lean = learn(module, picture)
    assert list(module.state_dict()) == names and torch.equal(plain[0], lean[0])
    for one, other in zip(plain[1], lean[1], strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, atol=1e-7)  # type: ignore[arg-type]
    assert any(gradient is not None for gradient in plain[1]) and lean[2] < 0.6 * plain[2], (plain[2], lean[2])
    keep(module)
    again = learn(module, picture)
    assert again[2] == plain[2] and not any("forward" in vars(layer) for layer in layers_of(module))
