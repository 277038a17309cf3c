"""One side alone, words or picture: the same numbers as the whole, without the work that nobody reads."""

import dataclasses

import pytest
import torch
from torch import nn

from xlxmert.models import lxmert, uniter
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.lxmert import Lxmert
from xlxmert.nn.blocks import CrossModalityLayer

SHAPES: list[ModelConfig] = [lxmert.TINY, dataclasses.replace(lxmert.TINY, cross_layers=3), uniter.TINY]
MASK = torch.arange(6)[None] < torch.tensor([[6], [4]])


def made(shape: ModelConfig, norm: str = "after") -> tuple[Transformer, torch.Tensor, torch.Tensor]:
    """A model and two encoded sides."""
    torch.manual_seed(0)
    model = build(dataclasses.replace(shape, norm=norm)).eval()
    return model, torch.randn(2, 6, shape.width), torch.randn(2, shape.cells, shape.width)


@pytest.mark.parametrize("norm", ["after", "before"])
@pytest.mark.parametrize("shape", SHAPES, ids=["lxmert", "three layers", "uniter"])
def test_each_side_alone_is_that_of_the_whole(shape: ModelConfig, norm: str) -> None:
    model, language, vision = made(shape, norm)
    whole = model.cross(language, vision, MASK)
    alone = model.cross_words(language, vision, MASK)
    torch.testing.assert_close(alone, whole.language, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.pooler(alone), whole.pooled, rtol=0, atol=1e-6)
    picture = model.cross_picture(language, vision, MASK)
    torch.testing.assert_close(picture, whole.vision, rtol=0, atol=1e-6)
    unmasked = model.cross(language, vision)
    torch.testing.assert_close(model.cross_words(language, vision), unmasked.language, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.cross_picture(language, vision), unmasked.vision, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", ["language", "vision"])
def test_gradients_of_one_side_are_those_of_the_whole(side: str) -> None:
    model, language, vision = made(SHAPES[1])

    def gradients(out: torch.Tensor) -> dict[str, torch.Tensor]:
        model.zero_grad()
        out.square().sum().backward()
        return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    one = {"language": model.cross_words, "vision": model.cross_picture}[side]
    whole = gradients(getattr(model.cross(language, vision, MASK), side))
    alone = gradients(one(language, vision, MASK))
    assert alone.keys() == whole.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(alone[name], gradient, rtol=1e-5, atol=1e-5)


def test_a_model_without_cross_layers_gives_its_inputs_back() -> None:
    model, language, vision = made(dataclasses.replace(lxmert.TINY, cross_layers=0))
    assert torch.equal(model.cross_words(language, vision), language)
    assert torch.equal(model.cross_picture(language, vision), vision)


def test_the_last_layer_leaves_the_other_side_out() -> None:
    model, language, vision = made(SHAPES[1])
    assert isinstance(model, Lxmert)
    ran: list[nn.Module] = []
    for layer in model.cross_layers:
        assert isinstance(layer, CrossModalityLayer)
        for part in (layer.language, layer.vision):
            part.register_forward_hook(lambda module, *_: ran.append(module))
    first, second, last = model.cross_layers
    both = [first.language, first.vision, second.language, second.vision]
    model.cross_words(language, vision, MASK)
    assert ran == [*both, last.language]
    ran.clear()
    model.cross_picture(language, vision, MASK)
    assert ran == [*both, last.vision]
