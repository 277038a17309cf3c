"""UNITER with X-LXMERT's visual codes: words and visual tokens in one sequence, every layer over both.

The three steps are those of LXMERT, so samplers, tasks and the studio take either; but here each side is only embedded
before they meet, and a sampler can reuse no more than that.
"""

import torch
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.base import Transformer
from xlxmert.models.outputs import Encoded
from xlxmert.models.uniter.config import UniterConfig


class Uniter(Transformer):
    """The transformer of UNITER and X-UNITER with all its heads (Chen et al. 2019; X-LXMERT section 7.2).

    As in X-LXMERT's own code the visual embeddings are LXMERT's. Unlike there, padding is never attended.
    """

    config: UniterConfig

    def __init__(self, config: UniterConfig):
        """Build with random weights and an empty codebook."""
        super().__init__(config)
        self.layers = nn.ModuleList(self.encoder_layer() for _ in range(config.layers))
        if config.norm == "before":  # the stream leaves the last layer without a norm
            self.norm = nn.LayerNorm(config.width)
        self.start()

    def encode_words(
        self, words: Int[Tensor, "B T"], word_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """The words' embeddings: ``[CLS] w .. [SEP]`` ids, 0 where padded."""
        return self.words(words)  # type: ignore[no-any-return]  # (B, T, D)

    def encode_picture(
        self,
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The visual tokens' embeddings; see ``embed_picture`` for the inputs and errors."""
        return self.embed_picture(picture, boxes, hidden)  # (B, N, D)

    def cross(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Encoded:
        """All layers over both, and the pooler; ``word_mask`` is True at words that may be seen, by default all."""
        mask = None
        if word_mask is not None:
            mask = torch.cat([word_mask, word_mask.new_ones(vision.shape[:2])], 1)  # (B, T + N)
        x = torch.cat([language, vision], 1)  # (B, T + N, D)
        for layer in self.layers:
            x = layer(x, mask)  # (B, T + N, D)
        if self.config.norm == "before":
            x = self.norm(x)
        words = language.shape[1]
        language, vision = x[:, :words], x[:, words:]  # (B, T, D), (B, N, D)
        return Encoded(language, vision, self.pooler(language))
