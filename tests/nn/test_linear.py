"""Linear maps: oneDNN's products are PyTorch's, in every layout, and step aside where they cannot serve."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.seeds import torch_generator
from xlxmert.nn import linear as module
from xlxmert.nn.attention import Attention
from xlxmert.nn.blocks import FeedForward
from xlxmert.nn.linear import Linear, linear

here = pytest.mark.skipif(not module.AVX512, reason="this machine has no AVX-512, so PyTorch's own products serve")


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("linear", name))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The products that oneDNN makes meanwhile."""
    calls: list[int] = []
    product = module._product

    def counting(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return product(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_product", counting)
        yield calls


LAYOUTS = {
    "vector": draw(32),
    "rows": draw(7, 32),
    "batch": draw(2, 5, 32),
    "heads": draw(2, 3, 5, 32),
    "sliced": draw(2, 9, 32)[:, 2:5],
    "first": draw(4, 9, 32)[:, 0],
    "strided": draw(7, 64)[:, ::2],
    "transposed": draw(3, 32, 7).transpose(1, 2),
    "expanded": draw(1, 1, 32).expand(3, 4, 32),
    "empty": draw(0, 32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bias", ["none", "own", "sliced", "expanded"])
def test_every_layout_gives_what_pytorch_gives(layout: str, bias: str) -> None:
    x, weight = LAYOUTS[layout], draw(64, 32, name="weight")
    biases = {"own": draw(64, name="bias"), "sliced": draw(96, name="bias")[16:80], "expanded": draw(1).expand(64)}
    torch.testing.assert_close(linear(x, weight, biases.get(bias)), F.linear(x, weight, biases.get(bias)))


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "empty"])
@pytest.mark.parametrize("bias", [True, False])
def test_every_gradient_is_pytorch_s(layout: str, bias: bool) -> None:
    ours, plain = Linear(32, 64, bias), nn.Linear(32, 64, bias)
    plain.load_state_dict(ours.state_dict())
    found, expected = ((LAYOUTS[layout].detach().clone()).requires_grad_() for _ in range(2))
    with torch.no_grad():
        weights = draw(*plain(expected).shape, name="weights")
    (ours(found) * weights).sum().backward()
    (plain(expected) * weights).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_gradient_without_memory_of_its_own_is_read_right() -> None:
    layer, x = Linear(32, 64), draw(5, 32).requires_grad_()
    layer(x).sum().backward()  # its gradient is one number, expanded
    torch.testing.assert_close(x.grad, layer.weight.detach().sum(0).expand(5, 32))
    torch.testing.assert_close(layer.weight.grad, x.detach().sum(0).expand(64, 32))


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_each_gradient_is_to_be_had_alone(wanted: str) -> None:
    values = {"x": draw(5, 32), "weight": draw(64, 32, name="weight"), "bias": draw(64, name="bias")}
    values[wanted].requires_grad_()
    (found,) = torch.autograd.grad(linear(**values).square().sum(), values[wanted])
    (expected,) = torch.autograd.grad(F.linear(*values.values()).square().sum(), values[wanted])
    torch.testing.assert_close(found, expected)


def test_gradients_of_gradients_are_right() -> None:
    def penalty(make: Any) -> torch.Tensor:
        x, weight = draw(5, 32).requires_grad_(), draw(64, 32, name="weight").requires_grad_()
        (slope,) = torch.autograd.grad(make(x, weight).square().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(slope.square().sum(), weight)
        return found

    torch.testing.assert_close(penalty(linear), penalty(F.linear))


def test_a_map_to_nothing_gives_nothing() -> None:
    assert linear(draw(5, 32), draw(0, 32)).shape == (5, 0)


@here
def test_float32_goes_to_onednn_and_the_rest_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = Linear(32, 64), draw(5, 32)
    with counted(monkeypatch) as calls, torch.no_grad():
        layer(x)
        assert len(calls) == 1
        assert copy.deepcopy(layer).double()(x.double()).dtype == torch.float64
        assert linear(x.bfloat16(), layer.weight.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        with monkeypatch.context() as patched:
            patched.setattr(torch.backends.mkldnn, "enabled", False)
            layer(x)
        layer(x[:0])
        assert copy.deepcopy(layer).to("meta")(x.to("meta")).shape == (5, 64)
        assert len(calls) == 1


@here
def test_attention_and_feed_forward_nets_are_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = draw(2, 5, 32)
    with counted(monkeypatch) as calls:
        Attention(32, 4)(x).sum().backward()
        assert len(calls) == 2 + 1 + 2  # two maps; x asks for no gradient, the heads do, both weights do
        calls.clear()
        FeedForward(32, 64)(x).sum().backward()
        assert len(calls) == 2 + 1 + 2


def test_it_is_a_linear_layer_to_everyone_else() -> None:
    torch.manual_seed(0)
    ours = Linear(32, 64)
    torch.manual_seed(0)
    plain = nn.Linear(32, 64)
    assert isinstance(ours, nn.Linear)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(ours.weight, plain.weight)
