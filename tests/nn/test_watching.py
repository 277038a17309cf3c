"""Watching attention: what is kept are the weights that were used, and whoever watches changes nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.seeds import torch_generator
from xlxmert.nn.attention import Attention, look, score_bias, watched
from xlxmert.nn.blocks import CrossModalityLayer, encoder_layer


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("watching", name))


@pytest.fixture
def attention() -> Attention:
    return Attention(16, 4)


@pytest.fixture
def layer() -> CrossModalityLayer:
    return CrossModalityLayer(Attention(16, 4), encoder_layer(16, 4, 32), encoder_layer(16, 4, 32))


def by_hand(attention: Attention, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The weights from the three projections, head by head, with hidden positions left out of the softmax."""
    width = attention.width // attention.heads
    (query, key, _), (query_bias, key_bias, _) = attention.project.weight.chunk(3), attention.project.bias.chunk(3)
    queries, keys = F.linear(x, query, query_bias), F.linear(context, key, key_bias)
    heads = []
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        scores = torch.einsum("bld,bsd->bls", queries[..., part], keys[..., part]) / width**0.5
        scores = scores if mask is None else scores.masked_fill(~mask[:, None], float("-inf"))
        heads.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
    return torch.stack(heads, 1)  # (B, H, L, S)


def test_the_weights_kept_are_those_computed_by_hand(attention: Attention) -> None:
    x, context = draw(2, 5, 16), draw(2, 7, 16, name="context")
    mask = torch.arange(7)[None] < torch.tensor([[7], [3]])
    with watched(attention) as seen:
        attention(x)
        attention(x, context, mask)
    assert list(seen) == [""] and len(seen[""]) == 2
    torch.testing.assert_close(seen[""][0], by_hand(attention, x, x, None))
    torch.testing.assert_close(seen[""][1], by_hand(attention, x, context, mask))


def test_the_weights_are_those_of_the_fused_kernel() -> None:
    """Attending to the rows of the identity gives the weights themselves."""
    q, k = draw(2, 4, 5, 8, name="q"), draw(2, 4, 7, 8, name="k")
    bias = score_bias(torch.arange(7)[None] < torch.tensor([[7], [3]]), torch.float32)
    rows = torch.eye(7).expand(2, 4, 7, 7)
    torch.testing.assert_close(look(q, k), F.scaled_dot_product_attention(q, k, rows))
    torch.testing.assert_close(look(q, k, bias), F.scaled_dot_product_attention(q, k, rows, attn_mask=bias))


def test_hidden_padding_has_no_weight_and_rows_sum_to_one(attention: Attention) -> None:
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    with watched(attention) as seen:
        attention(100 * draw(2, 6, 16), mask=mask)
    (weights,) = seen[""]
    assert weights.shape == (2, 4, 6, 6) and torch.count_nonzero(weights[1, ..., 4:]) == 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))


def test_watching_changes_no_bit_of_the_output(layer: CrossModalityLayer) -> None:
    language, vision, mask = draw(2, 5, 16), draw(2, 9, 16, name="vision"), torch.tensor([[1] * 5, [1, 1, 1, 0, 0]]) > 0
    before = layer(language, vision, mask)
    with watched(layer):
        during = layer(language, vision, mask)
    after = layer(language, vision, mask)
    for expected, *found in zip(before, during, after, strict=True):
        assert all(torch.equal(expected, one) for one in found)


def test_watching_draws_no_random_numbers_and_keeps_no_graph() -> None:
    attention, x = Attention(16, 4, dropout=0.5), draw(1, 8, 16)
    torch.manual_seed(1)
    expected = attention(x)
    torch.manual_seed(1)
    with watched(attention) as seen:
        assert torch.equal(attention(x), expected)
    (weights,) = seen[""]
    assert not weights.requires_grad
    torch.testing.assert_close(weights, by_hand(attention, x, x, None).detach())  # dropout comes after


def test_the_shared_exchange_is_seen_twice_words_first(layer: CrossModalityLayer) -> None:
    language, vision = draw(1, 5, 16), draw(1, 9, 16, name="vision")
    model = nn.ModuleDict({"cross_layers": nn.ModuleList([layer])})
    with watched(model) as seen:
        layer(language, vision, torch.arange(5)[None] < 4)
    shapes = {name: [tuple(weights.shape) for weights in calls] for name, calls in seen.items()}
    assert shapes == {
        "cross_layers.0.cross": [(1, 4, 5, 9), (1, 4, 9, 5)],
        "cross_layers.0.language.attention": [(1, 4, 5, 5)],
        "cross_layers.0.vision.attention": [(1, 4, 9, 9)],
    }
    to_words, to_vision = seen["cross_layers.0.cross"]
    torch.testing.assert_close(to_words, by_hand(layer.cross, language, vision, None))
    torch.testing.assert_close(to_vision, by_hand(layer.cross, vision, language, torch.arange(5)[None] < 4))
    assert torch.count_nonzero(to_vision[..., 4]) == 0


def test_nobody_watches_outside_of_the_context_even_after_an_error(attention: Attention) -> None:
    with pytest.raises(ZeroDivisionError), watched(attention) as seen:
        attention(draw(1, 3, 16))
        raise ZeroDivisionError
    attention(draw(1, 3, 16))
    assert attention.seen is None and len(seen[""]) == 1


def test_an_inner_watcher_takes_over_and_hands_back(attention: Attention) -> None:
    with watched(attention) as outer:
        attention(draw(1, 2, 16))
        with watched(attention) as inner:
            attention(draw(1, 3, 16))
        attention(draw(1, 4, 16))
    assert [weights.shape[-1] for weights in outer[""]] == [2, 4]
    assert [weights.shape[-1] for weights in inner[""]] == [3]


def test_what_is_watched_is_no_part_of_the_weights(attention: Attention) -> None:
    names = set(attention.state_dict())
    with watched(attention):
        attention(draw(1, 3, 16))
        assert set(attention.state_dict()) == names
