"""Attention: what may be seen, and that the two ways to compute it agree."""

import pytest
import torch
import torch.nn.functional as F

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.nn.attention import Attention, mix, score_bias


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("attention", name))


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(16, 4)


def test_plain_products_equal_the_fused_kernel_with_and_without_a_mask() -> None:
    q, k, v = draw(2, 4, 5, 8, name="q"), draw(2, 4, 7, 8, name="k"), draw(2, 4, 7, 8, name="v")
    mask = torch.arange(7)[None] < torch.tensor([[7], [3]])
    bias = score_bias(mask, torch.float32)
    torch.testing.assert_close(mix(q, k, v), F.scaled_dot_product_attention(q, k, v))
    torch.testing.assert_close(
        mix(q, k, v, bias), F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    )


def test_equals_three_separate_projections(attention: Attention) -> None:
    x, context = draw(2, 5, 16), draw(2, 7, 16, name="context")
    weights, biases = attention.project.weight.chunk(3), attention.project.bias.chunk(3)
    q, k, v = (
        F.linear(source, weight, bias).view(2, -1, 4, 4).transpose(1, 2)
        for source, weight, bias in zip((x, context, context), weights, biases, strict=True)
    )
    expected = attention.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 5, 16))
    torch.testing.assert_close(attention(x, context), expected)


def test_hidden_positions_change_nothing(attention: Attention) -> None:
    x = draw(2, 6, 16)
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    changed = torch.where(mask[..., None], x, draw(2, 6, 16, name="other"))
    torch.testing.assert_close(attention(x, mask=mask)[mask], attention(changed, mask=mask)[mask])


def test_a_short_text_gives_the_same_with_and_without_padding(attention: Attention) -> None:
    x = draw(1, 6, 16)
    padded = attention(x, mask=torch.arange(6)[None] < 4)[:, :4]
    torch.testing.assert_close(padded, attention(x[:, :4]))


def test_a_mask_per_query_keeps_the_future_out(attention: Attention) -> None:
    x = draw(1, 6, 16)
    past = torch.ones(1, 6, 6, dtype=torch.bool).tril()
    whole = attention(x, mask=past)
    for i in range(1, 7):
        torch.testing.assert_close(attention(x[:, :i], mask=past[:, :i, :i]), whole[:, :i])


def test_a_row_that_may_see_nothing_stays_finite(attention: Attention) -> None:
    assert attention(draw(1, 3, 16), mask=torch.zeros(1, 3, dtype=torch.bool)).isfinite().all()


def test_weights_drop_out_in_training_only() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4, dropout=0.5)
    x = draw(1, 8, 16)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    torch.testing.assert_close(attention(x), attention(x), rtol=0, atol=0)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(XlxmertError, match="width 16, heads 3"):
        Attention(16, 3)
