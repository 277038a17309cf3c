"""Multi-head attention: the one place where words and visual tokens look at each other.

The three projections are one fused linear map, so self-attention and the shared cross-attention of LXMERT both cost one
matrix product per stream. `watched` keeps the weights of every look for whoever wants to see them.
"""

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.nn.linear import Linear, linear

HIDDEN_SCORE = -10000.0
"""Added to the score of a position that may not be seen; finite, so a row that sees nothing stays a number."""


class Attention(nn.Module):
    """Multi-head attention with a fused projection; the residual and the norm belong to the block around it.

    Source: Vaswani et al. (2017), section 3.2; LXMERT section 2.2.
    """

    seen: list[Tensor] | None
    """The weights (B, H, L, S) of each call so far while `watched`; None while nobody watches."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        """Build for ``width`` values per position, split over ``heads``; ``dropout`` acts on the attention weights."""
        super().__init__()
        if width % heads:
            raise XlxmertError(
                f"heads must divide the width (found width {width}, heads {heads}): change one of them in the config"
            )
        self.width, self.heads, self.dropout = width, heads, dropout
        self.project = Linear(width, 3 * width)  # rows: queries, keys, values
        self.out = Linear(width, width)
        self.seen = None

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        context: Float[Tensor, "B S D"] | None = None,
        mask: Bool[Tensor, "B S"] | Bool[Tensor, "B L S"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Let ``x`` look at ``context`` (itself by default) where ``mask`` is True (everywhere by default)."""
        if context is None:
            return self.attend(*self.split(x), mask)
        return self.attend(self.queries(x), *self.keys_values(context), mask)

    def split(self, x: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of ``x``, each (B, H, L, D / H)."""
        queries, keys, values = self._heads(self.project(x))
        return queries, keys, values

    def queries(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L E"]:
        """What ``x`` asks, at the cost of that alone."""
        return self._part(x, 0, 1)[0]

    def keys_values(self, context: Float[Tensor, "B S D"]) -> tuple[Float[Tensor, "B H S E"], Float[Tensor, "B H S E"]]:
        """What is asked of ``context``, for a caller that keeps it over many steps."""
        keys, values = self._part(context, 1, 3)
        return keys, values

    def attend(
        self,
        queries: Float[Tensor, "B H L E"],
        keys: Float[Tensor, "B2 H S E"],
        values: Float[Tensor, "B2 H S E"],
        mask: Bool[Tensor, "B3 S"] | Bool[Tensor, "B3 L S"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Attention over projected heads; a caller that keeps keys and values of earlier steps starts here.

        A row of keys may serve several rows of queries in succession (the beams of one picture): B is a multiple of B2.
        """
        bias = None if mask is None else score_bias(mask, queries.dtype)  # (B2, 1, 1 or L, S)
        sharers = queries.shape[0] // keys.shape[0]
        asked = queries if sharers == 1 else _side_by_side(queries, sharers)  # (B2, H, sharers * L, E)
        if self.seen is not None:  # beside the output, which stays the same to the bit on every device
            self.seen.append(look(asked, keys, bias).detach())  # (B2, H, sharers * L, S)
        mixed = mix(asked, keys, values, bias, self.dropout if self.training else 0.0)  # (B2, H, sharers * L, E)
        mixed = mixed.transpose(1, 2).reshape(queries.shape[0], -1, self.width)  # (B, L, D)
        return self.close(mixed, queries)

    def close(self, mixed: Float[Tensor, "B L D"], queries: Float[Tensor, "B H L E"]) -> Float[Tensor, "B L D"]:
        """The last step: an output projection of what the heads gathered."""
        return self.out(mixed)  # type: ignore[no-any-return]

    def _part(self, x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
        """Some of queries (0), keys (1) and values (2), each (B, H, L, D / H), at the cost of those alone."""
        rows = slice(first * self.width, last * self.width)
        return self._heads(linear(x, self.project.weight[rows], self.project.bias[rows]))

    def _heads(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Projections side by side (B, L, P * D), each apart as heads (B, H, L, D / H)."""
        heads: Tensor = projected.unflatten(-1, (-1, self.heads, self.width // self.heads))  # type: ignore[no-untyped-call]
        return heads.transpose(1, 3).unbind(2)


class AttentionOnAttention(Attention):
    """Attention whose result meets the question once more: a gate says how much of it is let through.

    ``sigmoid(W1 q + W2 a + b1) * (W3 q + W4 a + b2)`` of the projected queries ``q`` and what they gathered, ``a``
    (Huang et al. 2019; XGPT, appendix A.1). It takes the place of the output projection.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        """Build as `Attention`."""
        super().__init__(width, heads, dropout)
        self.out = Linear(2 * width, 2 * width)  # rows: what passes, then its gate

    def close(self, mixed: Float[Tensor, "B L D"], queries: Float[Tensor, "B H L E"]) -> Float[Tensor, "B L D"]:
        """The gated mix of question and answer."""
        return F.glu(self.out(torch.cat([mixed, queries.transpose(1, 2).flatten(2)], -1)), -1)  # (B, L, D)


def _side_by_side(queries: Float[Tensor, "B H L E"], sharers: int) -> Float[Tensor, "B2 H M E"]:
    """Rows of queries that ask the same keys, as one row of ``sharers`` times the length."""
    grouped: Tensor = queries.unflatten(0, (-1, sharers))  # type: ignore[no-untyped-call]  # (B2, sharers, H, L, E)
    return grouped.transpose(1, 2).flatten(2, 3)


@contextlib.contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Keep what every `Attention` of ``model`` looks at while the context lasts; no output changes.

    Yields:
        for each module, by its name in ``model``, the weights (B, H, L, S) of its calls in order, before dropout: rows
        sum to 1, and what a mask hides has weight 0. A cross-modality layer calls its ``cross`` twice: first the words
        look at the picture, then the picture at the words. Contexts of one model do not nest: the inner one takes over.
    """
    modules = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
    before = [module.seen for module in modules.values()]
    seen: dict[str, list[Tensor]] = {name: [] for name in modules}
    for name, module in modules.items():
        module.seen = seen[name]
    try:
        yield seen
    finally:
        for module, earlier in zip(modules.values(), before, strict=True):
            module.seen = earlier


def score_bias(mask: Bool[Tensor, "B S"] | Bool[Tensor, "B L S"], dtype: torch.dtype) -> Float[Tensor, "B 1 L2 S"]:
    """What is added to the scores: 0 where ``mask`` is True, ``HIDDEN_SCORE`` elsewhere; broadcasts over heads."""
    rows = mask[:, None] if mask.dim() == 2 else mask  # (B, 1 or L, S)
    return torch.zeros_like(rows, dtype=dtype).masked_fill_(~rows, HIDDEN_SCORE)[:, None]


def look(
    queries: Float[Tensor, "B H L E"],
    keys: Float[Tensor, "B H S E"],
    bias: Float[Tensor, "B3 1 L2 S"] | None = None,
) -> Float[Tensor, "B H L S"]:
    """The attention weights: softmax of the scaled scores."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)  # (B, H, L, S)
    scores = scores if bias is None else scores + bias
    return scores.softmax(-1)  # type: ignore[no-any-return]


def mix(
    queries: Float[Tensor, "B H L E"],
    keys: Float[Tensor, "B H S E"],
    values: Float[Tensor, "B H S E"],
    bias: Float[Tensor, "B3 1 L2 S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H L E"]:
    """Softmax of the scaled scores, times the values.

    On an accelerator this is the fused kernel. On a CPU the plain products are about three times faster, forward and
    backward, at the few dozen positions of a sentence or a grid in bfloat16, so they are written out.
    """
    if queries.device.type != "cpu":
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, dropout_p=dropout)
    weights = F.dropout(look(queries, keys, bias), dropout, training=dropout > 0)  # (B, H, L, S)
    return weights @ values  # (B, H, L, E)
