"""Transformer blocks, norm after the residual (BERT) or before it: what every family's encoders are stacked from."""

from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Tensor
from xlxmert.nn.attention import Attention
from xlxmert.nn.linear import Linear

NORM_EPS = 1e-12
"""The epsilon of every layer norm, as in BERT."""


class AddNorm(nn.Module):
    """The residual connection around a sub-layer, with its layer norm.

    After (the papers): ``LayerNorm(x + dropout(f(x)))`` (Vaswani et al., 2017, section 3.1). Before (``first``):
    ``x + dropout(f(LayerNorm(x)))`` (Xiong et al., 2020), which trains from scratch at high learning rates.
    """

    def __init__(self, width: int, dropout: float = 0.0, first: bool = False):
        """Build for ``width`` values per position; ``dropout`` acts on the update."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.first = first

    def before(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """What the sub-layer reads."""
        return self.norm(x) if self.first else x  # (B, L, D)

    def forward(self, x: Float[Tensor, "B L D"], update: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Add what the sub-layer gave to ``x``."""
        x = x + self.dropout(update)
        return x if self.first else self.norm(x)  # (B, L, D)


class FeedForward(nn.Module):
    """Two linear maps with the exact GELU between them (Hendrycks and Gimpel, 2016)."""

    def __init__(self, width: int, inner: int):
        """Build ``width`` → ``inner`` → ``width``."""
        super().__init__()
        self.up = Linear(width, inner)
        self.down = Linear(inner, width)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Transform every position on its own."""
        return self.down(F.gelu(self.up(x)))  # type: ignore[no-any-return]  # (B, L, D)


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward net, each closed by an ``AddNorm`` (LXMERT section 2.2, left of Fig. 1)."""

    entries: ClassVar[tuple[str, ...]] = ("forward",)
    """Methods by which models enter a layer, here and in the other blocks."""

    def __init__(self, attention: Attention, feed_forward: FeedForward, dropout: float = 0.0, first: bool = False):
        """Put the sub-layers together; ``dropout`` acts on what each adds; ``first`` puts the norms before them."""
        super().__init__()
        self.attention = attention
        self.attention_norm = AddNorm(attention.width, dropout, first)
        self.feed_forward = feed_forward
        self.feed_forward_norm = AddNorm(attention.width, dropout, first)

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | Bool[Tensor, "B L L"] | None = None
    ) -> Float[Tensor, "B L D"]:
        """One layer; ``mask`` is True where a position may be seen, all of them by default."""
        x = self.attention_norm(x, self.attention(self.attention_norm.before(x), mask=mask))  # (B, L, D)
        return self.feed_forward_norm(x, self.feed_forward(self.feed_forward_norm.before(x)))  # type: ignore[no-any-return]  # (B, L, D)


KeysValues = tuple[Tensor, Tensor]
"""Projected keys and values of a sequence, each (B, H, S, D / H)."""


class DecoderLayer(EncoderLayer):
    """An encoder layer that also decodes: with attention to a source between self-attention and the feed-forward net.

    Without a ``cross`` of its own it asks the source with the weights and the norm of its self-attention; only whose
    keys and values are asked differs (XGPT section 4.2, where a "signal" says which). Called as it is, it encodes.
    """

    entries = ("forward", "source", "own", "decode")

    def __init__(
        self,
        attention: Attention,
        feed_forward: FeedForward,
        dropout: float = 0.0,
        first: bool = False,
        cross: Attention | None = None,
    ):
        """Put the sub-layers together; see `EncoderLayer`."""
        super().__init__(attention, feed_forward, dropout, first)
        self.cross = cross
        self.cross_norm = None if cross is None else AddNorm(cross.width, dropout, first)

    def source(self, states: Float[Tensor, "B S D"]) -> KeysValues:
        """Keys and values of a source, the same for every word that is written beside it."""
        return (self.cross or self.attention).keys_values(states)

    def own(self, x: Float[Tensor, "B L D"]) -> tuple[Float[Tensor, "B H L E"], KeysValues]:
        """Queries of the sequence itself, and its keys and values."""
        queries, keys, values = self.attention.split(self.attention_norm.before(x))
        return queries, (keys, values)

    def decode(
        self,
        x: Float[Tensor, "B L D"],
        queries: Float[Tensor, "B H L E"],
        own: KeysValues,
        mask: Bool[Tensor, "B3 L S"] | None,
        source: KeysValues | None = None,
        source_mask: Bool[Tensor, "B2 N"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """One layer of a decoder.

        Args:
            x: the sequence, or its new positions.
            queries: of ``x``; see `own`.
            own: keys and values of all positions that ``x`` may look back at, its own among them.
            mask: True where it may; everywhere by default.
            source: keys and values of the source, a row of which may serve several of ``x``; None where there is none.
            source_mask: True at the source's positions that may be seen.
        """
        x = self.attention_norm(x, self.attention.attend(queries, *own, mask))  # (B, L, D)
        if source is not None:
            cross, norm = self.cross or self.attention, self.cross_norm or self.attention_norm
            x = norm(x, cross.attend(cross.queries(norm.before(x)), *source, source_mask))  # (B, L, D)
        return self.feed_forward_norm(x, self.feed_forward(self.feed_forward_norm.before(x)))  # type: ignore[no-any-return]


class RefiningLayer(nn.Module):
    """``LayerNorm(x + AoA(x))``: regions look at each other before anything else (XGPT, appendix A.1)."""

    entries = ("forward",)

    def __init__(self, attention: Attention, dropout: float = 0.0, first: bool = False):
        """Take the attention, an `AttentionOnAttention` in the paper; see `EncoderLayer` for the rest."""
        super().__init__()
        self.attention = attention
        self.norm = AddNorm(attention.width, dropout, first)

    def forward(self, x: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"] | None = None) -> Float[Tensor, "B N D"]:
        """One layer; ``mask`` is True at regions that are there."""
        return self.norm(x, self.attention(self.norm.before(x), mask=mask))  # type: ignore[no-any-return]


class CrossModalityLayer(nn.Module):
    """One exchange between words and visual tokens, then an encoder layer on each side (LXMERT section 2.2, Fig. 1).

    Both directions share ``cross`` and its norm, and both read the streams as they came in: neither sees what the other
    changes.
    """

    entries = ("forward", "words_alone", "picture_alone")

    def __init__(
        self, cross: Attention, language: EncoderLayer, vision: EncoderLayer, dropout: float = 0.0, first: bool = False
    ):
        """Put the shared exchange and the two sides together; ``dropout`` acts on the exchange."""
        super().__init__()
        self.cross = cross
        self.cross_norm = AddNorm(cross.width, dropout, first)
        self.language = language
        self.vision = vision

    def forward(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B N D"]]:
        """One layer; ``word_mask`` is True at words that may be seen; visual tokens always may."""
        asked, word_keys, word_values = self.cross.split(self.cross_norm.before(language))
        looked, visual_keys, visual_values = self.cross.split(self.cross_norm.before(vision))
        to_words = self.cross.attend(asked, visual_keys, visual_values)  # (B, T, D)
        to_vision = self.cross.attend(looked, word_keys, word_values, word_mask)  # (B, N, D)
        language = self.language(self.cross_norm(language, to_words), word_mask)  # (B, T, D)
        return language, self.vision(self.cross_norm(vision, to_vision))  # (B, N, D)

    def words_alone(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The words' side of the layer, where nobody reads the other: the same numbers for a third of the work."""
        to_words = self.cross(self.cross_norm.before(language), self.cross_norm.before(vision))  # (B, T, D)
        return self.language(self.cross_norm(language, to_words), word_mask)  # type: ignore[no-any-return]  # (B, T, D)

    def picture_alone(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The picture's side of the layer, where nobody reads the other."""
        to_vision = self.cross(self.cross_norm.before(vision), self.cross_norm.before(language), word_mask)  # (B, N, D)
        return self.vision(self.cross_norm(vision, to_vision))  # type: ignore[no-any-return]  # (B, N, D)


def encoder_layer(
    width: int, heads: int, inner: int, dropout: float = 0.0, attention_dropout: float = 0.0, first: bool = False
) -> EncoderLayer:
    """An encoder layer from its sizes."""
    return EncoderLayer(Attention(width, heads, attention_dropout), FeedForward(width, inner), dropout, first)
