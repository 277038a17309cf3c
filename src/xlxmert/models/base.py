"""What the transformer families share: embeddings, heads and the codebook; a family adds the encoders between them.

Encoding is three steps: ``encode_words``, ``encode_picture`` and ``cross``. What the first two give does not depend on
the other side, so samplers and the studio compute it once and cross it as often as they need; heads are called on the
positions that are needed.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.common import CommonModel
from xlxmert.models.config import ModelConfig
from xlxmert.models.outputs import Encoded
from xlxmert.nn.blocks import EncoderLayer, encoder_layer
from xlxmert.nn.embeddings import CodeContent, FeatureContent, VisualEmbeddings, WordEmbeddings, grid_boxes
from xlxmert.nn.heads import AnswerHead, CentroidHead, CodeHead, FoldedHead, ObjectHead, PairHead, Pooler, WordHead
from xlxmert.nn.initialise import INIT_STD, init_weights


class Transformer(CommonModel, ABC):
    """A transformer over words and a picture, with every head that its config asks for."""

    config: ModelConfig
    cell_boxes: Tensor
    answer_head: AnswerHead | None

    def __init__(self, config: ModelConfig):
        """Build embeddings and heads; a family builds its encoders after this, and calls ``start`` last."""
        super().__init__()
        self.config = config
        self.words = WordEmbeddings(
            config.vocabulary, config.width, config.max_text, config.token_types, config.dropout
        )
        self.picture = _visual_embeddings(config)
        self.pooler = Pooler(config.width)
        self.word_head = WordHead(config.width, config.vocabulary)
        self.matching_head = nn.Linear(config.width, 2)
        self.code_head = _code_head(config)
        self.object_head = _object_head(config)
        self.answer_head = AnswerHead(config.width, config.answers) if config.answers else None
        self.pair_head = PairHead(config.width) if config.pairs else None
        self.register_buffer("centroids", torch.zeros(config.codes, config.feature_width) if config.codes else None)
        self.register_buffer("cell_boxes", grid_boxes(config.grid), persistent=False)

    def start(self) -> None:
        """Draw all weights as BERT does."""
        self.apply(init_weights)
        if self.config.code_input == "both" and self.picture.codes is not None:  # the features speak first
            nn.init.zeros_(self.picture.codes.table.weight)

    def encoder_layer(self) -> EncoderLayer:
        """A fresh layer of the config's sizes."""
        config = self.config
        first = config.norm == "before"
        return encoder_layer(
            config.width, config.heads, config.feed_forward, config.dropout, config.attention_dropout, first
        )

    @abstractmethod
    def encode_words(
        self, words: Int[Tensor, "B T"], word_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """What can be computed of the words without the picture; ``word_mask`` is ``words > 0`` by default."""

    @abstractmethod
    def encode_picture(
        self,
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """What can be computed of the picture without the words; see ``embed_picture`` for the inputs."""

    @abstractmethod
    def cross(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Encoded:
        """Let both sides meet; ``word_mask`` is True at words that may be seen, by default all."""

    def cross_words(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The words' side of `cross` where nobody reads the picture's; a family leaves out what it can."""
        return self.cross(language, vision, word_mask).language

    def cross_picture(
        self,
        language: Float[Tensor, "B T D"],
        vision: Float[Tensor, "B N D"],
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The picture's side of `cross` where nobody reads the words'; a family leaves out what it can."""
        return self.cross(language, vision, word_mask).vision

    def forward(
        self,
        words: Int[Tensor, "B T"],
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Encoded:
        """Encode both sides and cross them; see ``encode_words`` and ``encode_picture`` for the inputs."""
        word_mask = words > 0 if word_mask is None else word_mask
        return self.cross(self.encode_words(words, word_mask), self.encode_picture(picture, boxes, hidden), word_mask)

    def embed_picture(
        self,
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """The visual tokens' embeddings.

        Args:
            picture: codes or features.
            boxes: x0 y0 x1 y1 in [0, 1], by default the cells of the config's grid, row-major.
            hidden: True at tokens that show the mask feature instead of their own.

        Raises:
            XlxmertError: the model cannot read this kind of picture, or its cells are not those of the grid.
        """
        features, codes = self._content(picture)
        return self.picture(features, codes, self._boxes(picture) if boxes is None else boxes, hidden)  # type: ignore[no-any-return]

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

    def folded_code_head(self) -> FoldedHead:
        """What gives the logits of `code_logits` for less work, as long as no weight changes.

        Raises:
            XlxmertError: the model has no codes.
        """
        centroids = self._need_centroids()
        assert self.code_head is not None
        return self.code_head.folded(centroids)

    def predicted_features(self, vision: Float[Tensor, "*any D"]) -> Float[Tensor, "*any F"]:
        """The visual features that the regression head, or else the centroid head, predicts at the given cells.

        Raises:
            XlxmertError: the model has neither.
        """
        if self.object_head is not None and self.object_head.feature is not None:
            return self.object_head.features(vision)
        if not isinstance(self.code_head, CentroidHead):
            raise XlxmertError(
                "predicting features needs regress=True, or code_head='centroids' and codes above 0, in the model's "
                "config"
            )
        return self.code_head.features(vision)

    def label_logits(self, vision: Float[Tensor, "*any D"]) -> Float[Tensor, "*any L"]:
        """Scores of all object labels at the given regions.

        Raises:
            XlxmertError: the model has no labels.
        """
        return self._need_object_head("labels").label_logits(vision)

    def attribute_logits(self, vision: Float[Tensor, "*any D"]) -> Float[Tensor, "*any A"]:
        """Scores of all object attributes at the given regions.

        Raises:
            XlxmertError: the model has no attributes.
        """
        return self._need_object_head("attributes").attribute_logits(vision)

    def matching_logits(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Scores of mismatched (0) and matched (1)."""
        return self.matching_head(pooled)  # type: ignore[no-any-return]

    def _content(self, picture: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Features and codes of a picture, as far as the embeddings read them."""
        if not picture.is_floating_point():
            return (None if self.picture.features is None else self.features_of(picture)), picture
        if self.picture.codes is not None:
            raise XlxmertError(
                f"this model reads pictures as codes, whole numbers (B, N) (found features {tuple(picture.shape)}; its "
                f"code_input is {self.config.code_input!r}): turn the features into codes with its codebook first"
            )
        self._check_width(picture)
        return picture, None

    def _boxes(self, picture: Tensor) -> Tensor:
        self._check_cells(picture)
        return self.cell_boxes[None]  # (1, N, 4)

    def _need_object_head(self, field: str) -> ObjectHead:
        if self.object_head is None or not getattr(self.config, field):
            raise XlxmertError(f"this needs a model with {field} (found {field}=0 in its config): train one with them")
        return self.object_head


def _visual_embeddings(config: ModelConfig) -> VisualEmbeddings:
    mask_std = {"zeros": 0.0, "normal": INIT_STD, "fixed": None}[config.mask_start]
    features = FeatureContent(config.feature_width, config.width, mask_std) if config.code_input != "learned" else None
    codes = CodeContent(config.codes, config.width) if config.code_input != "centroids" else None
    places = config.cells if config.grid_position == "learned" else 0
    return VisualEmbeddings(features, codes, config.width, places, config.dropout)


def _code_head(config: ModelConfig) -> CentroidHead | CodeHead | None:
    if not config.codes:
        return None
    if config.code_head != "centroids":
        return CodeHead(config.width, config.codes, config.feature_width if config.code_head == "both" else 0)
    return CentroidHead(config.width, config.feature_width, config.codes)


def _object_head(config: ModelConfig) -> ObjectHead | None:
    if not (config.regress or config.labels or config.attributes):
        return None
    return ObjectHead(
        config.width,
        config.feature_width if config.regress else 0,
        config.labels,
        config.attributes,
        config.label_input == "feature",
    )
