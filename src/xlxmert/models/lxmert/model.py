"""LXMERT with X-LXMERT's visual codes: one encoder for words, one for visual tokens, and one across both.

The encoders of the two sides never see each other, so a prompt is encoded once (``encode_words``) and crossed with as
many pictures as a sampler tries (``cross``).
"""

from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.base import Transformer
from xlxmert.models.lxmert.config import LxmertConfig
from xlxmert.models.outputs import Encoded
from xlxmert.nn.attention import Attention
from xlxmert.nn.blocks import CrossModalityLayer


class Lxmert(Transformer):
    """The transformer of LXMERT and X-LXMERT with all its heads (LXMERT section 2; X-LXMERT sections C.1 and C.2)."""

    config: LxmertConfig

    def __init__(self, config: LxmertConfig):
        """Build with random weights and an empty codebook."""
        super().__init__(config)
        self.language_layers = nn.ModuleList(self.encoder_layer() for _ in range(config.language_layers))
        self.relation_layers = nn.ModuleList(self.encoder_layer() for _ in range(config.relation_layers))
        self.cross_layers = nn.ModuleList(self._cross_layer() for _ in range(config.cross_layers))
        if config.norm == "before":  # the streams leave the last layer without a norm
            self.language_norm, self.vision_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.start()

    def encode_words(
        self, words: Int[Tensor, "B T"], word_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """The language encoder: ``[CLS] w .. [SEP]`` ids, 0 where padded; ``word_mask`` is ``words > 0`` by default."""
        word_mask = words > 0 if word_mask is None else word_mask
        x = self.words(words)  # (B, T, D)
        for layer in self.language_layers:
            x = layer(x, word_mask)  # (B, T, D)
        return x  # type: ignore[no-any-return]

    def encode_picture(
        self,
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The relation encoder over a picture's codes or features; see ``embed_picture`` for the inputs and errors."""
        x = self.embed_picture(picture, boxes, hidden)  # (B, N, D)
        for layer in self.relation_layers:
            x = layer(x)  # (B, N, D)
        return x

    def cross(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Encoded:
        """The cross-modality encoder and pooler; ``word_mask`` is True at words that may be seen, by default all."""
        for layer in self.cross_layers:
            language, vision = layer(language, vision, word_mask)  # (B, T, D), (B, N, D)
        if self.config.norm == "before":
            language, vision = self.language_norm(language), self.vision_norm(vision)
        return Encoded(language, vision, self.pooler(language))

    def cross_words(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The words' side of `cross`: the last layer leaves out the picture's."""
        language, vision = self._but_last(language, vision, word_mask)  # (B, T, D), (B, N, D)
        for layer in self.cross_layers[-1:]:
            assert isinstance(layer, CrossModalityLayer)
            language = layer.words_alone(language, vision, word_mask)  # (B, T, D)
        return self.language_norm(language) if self.config.norm == "before" else language

    def cross_picture(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The picture's side of `cross`: the last layer leaves out the words'."""
        language, vision = self._but_last(language, vision, word_mask)  # (B, T, D), (B, N, D)
        for layer in self.cross_layers[-1:]:
            assert isinstance(layer, CrossModalityLayer)
            vision = layer.picture_alone(language, vision, word_mask)  # (B, N, D)
        return self.vision_norm(vision) if self.config.norm == "before" else vision

    def _but_last(self, language: Tensor, vision: Tensor, word_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """All layers of the cross-modality encoder but the last."""
        for layer in self.cross_layers[:-1]:
            language, vision = layer(language, vision, word_mask)  # (B, T, D), (B, N, D)
        return language, vision

    def _cross_layer(self) -> CrossModalityLayer:
        config = self.config
        cross = Attention(config.width, config.heads, config.attention_dropout)
        language, vision = self.encoder_layer(), self.encoder_layer()
        return CrossModalityLayer(cross, language, vision, config.dropout, first=config.norm == "before")
