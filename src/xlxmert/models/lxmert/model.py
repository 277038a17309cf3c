"""LXMERT with X-LXMERT's visual codes: words and a picture go in, one vector per token and per pair comes out.

The encoders of the two sides never see each other, so a prompt is encoded once (``encode_words``) and crossed with as
many pictures as a sampler tries (``cross``); heads are called on the positions that are needed.
"""

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.lxmert.config import LxmertConfig
from xlxmert.models.outputs import LxmertOutput
from xlxmert.nn.attention import Attention
from xlxmert.nn.blocks import CrossModalityLayer, EncoderLayer, encoder_layer
from xlxmert.nn.embeddings import CodeContent, FeatureContent, VisualEmbeddings, WordEmbeddings, grid_boxes
from xlxmert.nn.heads import AnswerHead, CentroidHead, CodeHead, Pooler, WordHead
from xlxmert.nn.initialise import INIT_STD, init_weights


class Lxmert(nn.Module):
    """The transformer of LXMERT and X-LXMERT with all its heads (LXMERT section 2; X-LXMERT sections C.1 and C.2)."""

    centroids: Tensor | None
    """The frozen codebook (K, F), saved with the weights; zeros until ``load_centroids``."""
    cell_boxes: Tensor

    def __init__(self, config: LxmertConfig):
        """Build with random weights and an empty codebook."""
        super().__init__()
        self.config = config
        self.words = WordEmbeddings(
            config.vocabulary, config.width, config.max_text, config.token_types, config.dropout
        )
        self.picture = _visual_embeddings(config)
        self.language_layers = nn.ModuleList(_layer(config) for _ in range(config.language_layers))
        self.relation_layers = nn.ModuleList(_layer(config) for _ in range(config.relation_layers))
        self.cross_layers = nn.ModuleList(_cross_layer(config) for _ in range(config.cross_layers))
        if config.norm == "before":  # the streams leave the last layer without a norm
            self.language_norm, self.vision_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.pooler = Pooler(config.width)
        self.word_head = WordHead(config.width, config.vocabulary)
        self.matching_head = nn.Linear(config.width, 2)
        self.code_head = _code_head(config)
        self.answer_head = AnswerHead(config.width, config.answers) if config.answers else None
        self.register_buffer("centroids", torch.zeros(config.codes, config.feature_width) if config.codes else None)
        self.register_buffer("cell_boxes", grid_boxes(config.grid), persistent=False)
        self.apply(init_weights)
        if config.code_input == "both" and self.picture.codes is not None:  # the features speak first
            nn.init.zeros_(self.picture.codes.table.weight)

    def forward(
        self,
        words: Int[Tensor, "B T"],
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> LxmertOutput:
        """Encode both sides and cross them; see ``encode_words`` and ``encode_picture`` for the inputs."""
        word_mask = words > 0 if word_mask is None else word_mask
        return self.cross(self.encode_words(words, word_mask), self.encode_picture(picture, boxes, hidden), word_mask)

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
        """The relation encoder over a picture's codes or features; ``hidden`` cells show the learned mask instead.

        ``boxes`` are x0 y0 x1 y1 in [0, 1], by default the cells of the config's grid, row-major.

        Raises:
            XlxmertError: the model cannot read this kind of picture, or its cells are not those of the grid.
        """
        features, codes = self._content(picture)
        x = self.picture(features, codes, self._boxes(picture) if boxes is None else boxes, hidden)  # (B, N, D)
        for layer in self.relation_layers:
            x = layer(x)  # (B, N, D)
        return x  # type: ignore[no-any-return]

    def cross(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> LxmertOutput:
        """The cross-modality encoder and pooler; ``word_mask`` is True at words that may be seen, by default all."""
        for layer in self.cross_layers:
            language, vision = layer(language, vision, word_mask)  # (B, T, D), (B, N, D)
        if self.config.norm == "before":
            language, vision = self.language_norm(language), self.vision_norm(vision)
        return LxmertOutput(language, vision, self.pooler(language))

    def features_of(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
        """The centroids of these codes.

        Raises:
            XlxmertError: the model has no codes.
        """
        return F.embedding(codes, self._need_centroids())  # (B, N, F)

    def load_centroids(self, centroids: Float[Tensor, "K F"]) -> None:
        """Copy a codebook into the model.

        Raises:
            XlxmertError: the model has no codes, or the codebook has another size.
        """
        mine = self._need_centroids()
        if mine.shape != centroids.shape:
            raise XlxmertError(
                f"the codebook must be {tuple(mine.shape)} (found {tuple(centroids.shape)}): "
                "set codes and feature_width of the model to the codebook's, or pass the codebook it was made for"
            )
        mine.copy_(centroids)

    def word_logits(self, language: Float[Tensor, "*any D"]) -> Float[Tensor, "*any V"]:
        """Scores of all words at the given positions."""
        return self.word_head(language, self.words.word.weight)  # type: ignore[no-any-return]

    def code_logits(self, vision: Float[Tensor, "*any D"]) -> Float[Tensor, "*any K"]:
        """Scores of all codes at the given cells.

        Raises:
            XlxmertError: the model has no codes.
        """
        centroids = self._need_centroids()
        assert self.code_head is not None
        return self.code_head(vision, centroids)  # type: ignore[no-any-return]

    def predicted_features(self, vision: Float[Tensor, "*any D"]) -> Float[Tensor, "*any F"]:
        """The visual features that the centroid head predicts at the given cells.

        Raises:
            XlxmertError: the model has no centroid head.
        """
        if not isinstance(self.code_head, CentroidHead):
            raise XlxmertError(
                "predicting features needs code_head='centroids' and codes above 0 in the model's config"
            )
        return self.code_head.features(vision)

    def matching_logits(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Scores of mismatched (0) and matched (1)."""
        return self.matching_head(pooled)  # type: ignore[no-any-return]

    def answer_logits(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B A"]:
        """Scores of all answers.

        Raises:
            XlxmertError: the model has no answer head.
        """
        if self.answer_head is None:
            raise XlxmertError(
                "answering needs a model with answers (found answers=0 in its config): fine-tune one first"
            )
        return self.answer_head(pooled)  # type: ignore[no-any-return]

    def _content(self, picture: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Features and codes of a picture, as far as the embeddings read them."""
        if not picture.is_floating_point():
            return (None if self.picture.features is None else self.features_of(picture)), picture
        if self.picture.codes is not None:
            raise XlxmertError(
                f"this model reads pictures as codes, whole numbers (B, N) (found features {tuple(picture.shape)}; its "
                f"code_input is {self.config.code_input!r}): turn the features into codes with its codebook first"
            )
        if picture.shape[-1] != self.config.feature_width:
            raise XlxmertError(
                f"visual features must be {self.config.feature_width} wide (found {tuple(picture.shape)}): "
                "they come from another backbone than the model's"
            )
        return picture, None

    def _boxes(self, picture: Tensor) -> Tensor:
        if picture.shape[1] != self.config.cells:
            raise XlxmertError(
                f"a picture without boxes must have {self.config.cells} cells, a grid of {self.config.grid} x "
                f"{self.config.grid} (found {picture.shape[1]}): pass the boxes of its regions"
            )
        return self.cell_boxes[None]  # (1, N, 4)

    def _need_centroids(self) -> Tensor:
        if self.centroids is None:
            raise XlxmertError(
                "this needs a model with visual codes (found codes=0 in its config): pass features instead"
            )
        return self.centroids


def _layer(config: LxmertConfig) -> EncoderLayer:
    first = config.norm == "before"
    return encoder_layer(
        config.width, config.heads, config.feed_forward, config.dropout, config.attention_dropout, first
    )


def _cross_layer(config: LxmertConfig) -> CrossModalityLayer:
    cross = Attention(config.width, config.heads, config.attention_dropout)
    language, vision = _layer(config), _layer(config)
    return CrossModalityLayer(cross, language, vision, config.dropout, first=config.norm == "before")


def _visual_embeddings(config: LxmertConfig) -> VisualEmbeddings:
    mask_std = 0.0 if config.mask_start == "zeros" else INIT_STD
    features = FeatureContent(config.feature_width, config.width, mask_std) if config.code_input != "learned" else None
    codes = CodeContent(config.codes, config.width) if config.code_input != "centroids" else None
    places = config.cells if config.grid_position == "learned" else 0
    return VisualEmbeddings(features, codes, config.width, places, config.dropout)


def _code_head(config: LxmertConfig) -> CentroidHead | CodeHead | None:
    if not config.codes:
        return None
    if config.code_head != "centroids":
        return CodeHead(config.width, config.codes, config.feature_width if config.code_head == "both" else 0)
    return CentroidHead(config.width, config.feature_width, config.codes)
