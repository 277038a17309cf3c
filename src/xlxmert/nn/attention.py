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
        (queries,) = self._part(x, 0, 1)  # (B, H, L, D / H)
        keys, values = self._part(context, 1, 3)  # each (B, H, S, D / H)
        return self.attend(queries, keys, values, mask)

    def split(self, x: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of ``x``, each (B, H, L, D / H)."""
        queries, keys, values = self._heads(self.project(x))
        return queries, keys, values

    def attend(
        self,
        queries: Float[Tensor, "B H L E"],
        keys: Float[Tensor, "B H S E"],
        values: Float[Tensor, "B H S E"],
        mask: Bool[Tensor, "B S"] | Bool[Tensor, "B L S"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Attention over projected heads; a caller that keeps keys and values of earlier steps starts here."""
        bias = None if mask is None else score_bias(mask, queries.dtype)  # (B, 1, 1 or L, S)
        if self.seen is not None:  # beside the output, which stays the same to the bit on every device
            self.seen.append(look(queries, keys, bias).detach())  # (B, H, L, S)
        mixed = mix(queries, keys, values, bias, self.dropout if self.training else 0.0)  # (B, H, L, E)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # (B, L, D)

    def _part(self, x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
        """Some of queries (0), keys (1) and values (2), each (B, H, L, D / H), at the cost of those alone."""
        rows = slice(first * self.width, last * self.width)
        return self._heads(linear(x, self.project.weight[rows], self.project.bias[rows]))

    def _heads(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Projections side by side (B, L, P * D), each apart as heads (B, H, L, D / H)."""
        heads: Tensor = projected.unflatten(-1, (-1, self.heads, self.width // self.heads))  # type: ignore[no-untyped-call]
        return heads.transpose(1, 3).unbind(2)


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
    bias: Float[Tensor, "B 1 L2 S"] | None = None,
) -> Float[Tensor, "B H L S"]:
    """The attention weights: softmax of the scaled scores."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)  # (B, H, L, S)
    scores = scores if bias is None else scores + bias
    return scores.softmax(-1)  # type: ignore[no-any-return]


def mix(
    queries: Float[Tensor, "B H L E"],
    keys: Float[Tensor, "B H S E"],
    values: Float[Tensor, "B H S E"],
    bias: Float[Tensor, "B 1 L2 S"] | None = None,
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
