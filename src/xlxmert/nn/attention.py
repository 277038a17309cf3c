"""Multi-head attention: the one place where words and visual tokens look at each other.

The three projections are one fused linear map, so self-attention and the shared cross-attention of LXMERT both cost one
matrix product per stream.
"""

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Tensor
from xlxmert.core.errors import XlxmertError

HIDDEN_SCORE = -10000.0
"""Added to the score of a position that may not be seen; finite, so a row that sees nothing stays a number."""


class Attention(nn.Module):
    """Multi-head attention with a fused projection; the residual and the norm belong to the block around it.

    Source: Vaswani et al. (2017), section 3.2; LXMERT section 2.2.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        """Build for ``width`` values per position, split over ``heads``; ``dropout`` acts on the attention weights."""
        super().__init__()
        if width % heads:
            raise XlxmertError(
                f"heads must divide the width (found width {width}, heads {heads}): change one of them in the config"
            )
        self.width, self.heads, self.dropout = width, heads, dropout
        self.project = nn.Linear(width, 3 * width)  # rows: queries, keys, values
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        context: Float[Tensor, "B S D"] | None = None,
        mask: Bool[Tensor, "B S"] | Bool[Tensor, "B L S"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Let ``x`` look at ``context`` (itself by default) where ``mask`` is True (everywhere by default)."""
        queries, keys, values = self.split(x)  # each (B, H, L, D / H)
        if context is not None:
            _, keys, values = self.split(context)  # each (B, H, S, D / H)
        return self.attend(queries, keys, values, mask)

    def split(self, x: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of ``x``, each (B, H, L, D / H)."""
        heads = self.project(x).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, H, D / H)
        queries, keys, values = heads.transpose(1, 3).unbind(2)  # each (B, H, L, D / H)
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
        mixed = mix(queries, keys, values, bias, self.dropout if self.training else 0.0)  # (B, H, L, E)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # (B, L, D)


def score_bias(mask: Bool[Tensor, "B S"] | Bool[Tensor, "B L S"], dtype: torch.dtype) -> Float[Tensor, "B 1 L2 S"]:
    """What is added to the scores: 0 where ``mask`` is True, ``HIDDEN_SCORE`` elsewhere; broadcasts over heads."""
    rows = mask[:, None] if mask.dim() == 2 else mask  # (B, 1 or L, S)
    return torch.zeros_like(rows, dtype=dtype).masked_fill_(~rows, HIDDEN_SCORE)[:, None]


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
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)  # (B, H, L, S)
    scores = scores if bias is None else scores + bias
    weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    return weights @ values  # (B, H, L, E)
