"""Blocks: the order of their sub-layers, written out."""

import pytest
import torch
from torch import nn

from xlxmert.core.seeds import torch_generator
from xlxmert.nn.attention import Attention
from xlxmert.nn.blocks import AddNorm, CrossModalityLayer, FeedForward, encoder_layer
from xlxmert.nn.initialise import init_weights


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("blocks", name))


@pytest.fixture
def cross_layer() -> CrossModalityLayer:
    torch.manual_seed(0)
    return CrossModalityLayer(Attention(16, 4), encoder_layer(16, 4, 32), encoder_layer(16, 4, 32)).eval()


def test_a_norm_follows_the_residual() -> None:
    x, update = draw(2, 3, 16), draw(2, 3, 16, name="update")
    out = AddNorm(16)(x, update)
    torch.testing.assert_close(out.mean(-1), torch.zeros(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(out, nn.functional.layer_norm(x + update, (16,), eps=1e-12))


def test_the_feed_forward_net_uses_the_exact_gelu() -> None:
    net = FeedForward(4, 8)
    x = draw(1, 2, 4)
    inner = net.up(x)
    torch.testing.assert_close(net(x), net.down(inner * 0.5 * (1 + torch.erf(inner / 2**0.5))))


def test_an_encoder_layer_is_self_attention_then_feed_forward() -> None:
    torch.manual_seed(0)
    layer = encoder_layer(16, 4, 32).eval()
    x = draw(2, 5, 16)
    mask = torch.arange(5)[None] < torch.tensor([[5], [2]])
    middle = layer.attention_norm.norm(x + layer.attention(x, mask=mask))
    torch.testing.assert_close(layer(x, mask), layer.feed_forward_norm.norm(middle + layer.feed_forward(middle)))


def test_both_cross_directions_share_weights_and_read_the_inputs_as_they_came(cross_layer: CrossModalityLayer) -> None:
    words, cells = draw(2, 5, 16, name="words"), draw(2, 9, 16, name="cells")
    mask = torch.arange(5)[None] < torch.tensor([[5], [2]])
    language, vision = cross_layer(words, cells, mask)
    norm = cross_layer.cross_norm.norm
    torch.testing.assert_close(language, cross_layer.language(norm(words + cross_layer.cross(words, cells)), mask))
    torch.testing.assert_close(vision, cross_layer.vision(norm(cells + cross_layer.cross(cells, words, mask))))


def test_padded_words_do_not_reach_the_picture(cross_layer: CrossModalityLayer) -> None:
    words, cells = draw(1, 5, 16, name="words"), draw(1, 9, 16, name="cells")
    padded = cross_layer(words, cells, torch.arange(5)[None] < 3)
    short = cross_layer(words[:, :3], cells)
    torch.testing.assert_close(padded[0][:, :3], short[0])
    torch.testing.assert_close(padded[1], short[1])


def test_weights_start_as_in_bert() -> None:
    torch.manual_seed(0)
    linear, norm, table = nn.Linear(300, 300), nn.LayerNorm(300), nn.Embedding(300, 300)
    nn.ModuleList([linear, norm, table]).apply(init_weights)
    for weight in (linear.weight, table.weight):
        assert abs(weight.mean().item()) < 3e-4
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert (linear.bias == 0).all()
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
