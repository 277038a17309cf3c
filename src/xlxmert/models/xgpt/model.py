"""XGPT: a transformer that reads a picture, words or both, and writes sentences, or a picture's regions, step by step.

Three steps: ``embed_picture`` and ``words`` give vectors, ``encode`` makes a `Memory` of them, ``decode`` writes beside
it. With a `Cache` a word costs one position, and the source's keys and values are computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.common import CommonModel
from xlxmert.models.xgpt.cache import Cache
from xlxmert.models.xgpt.config import XgptConfig
from xlxmert.nn.attention import Attention, AttentionOnAttention
from xlxmert.nn.blocks import DecoderLayer, EncoderLayer, FeedForward, KeysValues, RefiningLayer, encoder_layer
from xlxmert.nn.embeddings import RegionEmbeddings, WordEmbeddings, grid_boxes
from xlxmert.nn.initialise import INIT_STD, init_weights
from xlxmert.nn.linear import at_least_single, linear


@dataclass(frozen=True)
class Memory:
    """What the encoder made of its input, as each layer of the decoder looks at it."""

    states: tuple[Float[Tensor, "B S D"], ...]
    """One per layer; the encoder's last state for all of them, unless encoder and decoder are one stack."""
    mask: Bool[Tensor, "B S"] | None
    """True at positions that are there; None where all are."""

    @property
    def last(self) -> Float[Tensor, "B S D"]:
        """The encoder's output."""
        return self.states[-1]

    def rows(self, chosen: Int[Tensor, " R"]) -> "Memory":
        """Some of the sources, in any order and as often as wanted; a state that serves several layers still does."""
        states = {key: state[chosen] for key, state in {id(state): state for state in self.states}.items()}
        return Memory(
            tuple(states[id(state)] for state in self.states), None if self.mask is None else self.mask[chosen]
        )


class Xgpt(CommonModel):
    """The transformer of XGPT (section 4.2, appendix A.1)."""

    config: XgptConfig
    cell_boxes: Tensor

    def __init__(self, config: XgptConfig):
        """Build with random weights and an empty codebook."""
        super().__init__()
        self.config = config
        self.answer_head = self.pair_head = None
        self.words = self._word_embeddings()
        places = config.cells if config.grid_position == "learned" else 0
        self.regions = RegionEmbeddings(
            config.feature_width, config.width, places, config.unit_position, config.dropout
        )
        self.refiner = nn.ModuleList(self._refining_layer() for _ in range(config.refine_layers))
        self.layers = nn.ModuleList(self._layer() for _ in range(config.layers))
        self.word_bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.align = nn.Parameter(torch.empty(3, config.width).normal_(std=INIT_STD))
        self.first = nn.Parameter(torch.empty(config.width).normal_(std=INIT_STD))
        self.encoder_words, self.encoder_layers = None, None
        if config.arch == "encdec":
            self.encoder_words = self._word_embeddings()
            self.encoder_layers = nn.ModuleList(self._encoder_layer() for _ in range(config.layers))
        if config.norm == "before":  # streams leave their last layer without a norm
            self.refiner_norm, self.norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
            self.encoder_norm = nn.LayerNorm(config.width) if config.arch == "encdec" else None
        self.register_buffer("centroids", torch.zeros(config.codes, config.feature_width) if config.codes else None)
        self.register_buffer("cell_boxes", grid_boxes(config.grid), persistent=False)
        self.apply(init_weights)

    def embed_picture(
        self,
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """Regions embedded and refined: x^I of the paper.

        Args:
            picture: codes or features.
            boxes: x0 y0 x1 y1 in [0, 1], by default the cells of the config's grid, row-major.
            mask: True at regions that are there, by default all.

        Raises:
            XlxmertError: the features have another width, there are no codes, or there are no boxes and the number of
                regions is not the grid's.
        """
        features = picture if picture.is_floating_point() else self.features_of(picture)  # (B, N, F)
        self._check_width(features)
        if boxes is None:
            self._check_cells(features)
        x: Tensor = self.regions(features, self.cell_boxes[None] if boxes is None else boxes)  # (B, N, D)
        for layer in self.refiner:
            x = layer(x, mask)  # (B, N, D)
        return self.refiner_norm(x) if self.config.norm == "before" and len(self.refiner) else x

    def embed_words(self, words: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Words as the encoder reads them."""
        return (self.encoder_words or self.words)(words)  # type: ignore[no-any-return]

    def attend_words(
        self,
        words: Float[Tensor, "B T D"],
        regions: Float[Tensor, "B N D"],
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """What words attend to in a picture, in the place of the words (XGPT section 4.3, IDA).

        ``A_ij = W [w_i; v_j; w_i * v_j]``, softmax over j, and the weighted sum of v_j. The part of ``W`` that reads
        ``w_i`` alone shifts a whole row and so changes nothing; it is there for the equation's sake.
        """
        by_word, by_region, by_both = self.align.to(words)
        scores = (words * by_both) @ regions.transpose(1, 2)  # (B, T, N)
        scores = scores + (words @ by_word)[..., None] + (regions @ by_region)[:, None]
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        seen: Tensor = at_least_single(scores).softmax(-1).to(regions) @ regions  # (B, T, D)
        return seen if self.config.attended == "attended" else seen + words

    def encode(self, x: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"] | None = None) -> Memory:
        """Read embedded regions, words, or both side by side; ``mask`` is True at positions that are there."""
        states = []
        layers = self.layers if self.encoder_layers is None else self.encoder_layers
        for layer in layers:
            assert isinstance(layer, EncoderLayer)
            states.append(layer.attention_norm.before(x))
            x = layer(x, mask)  # (B, S, D)
        if self.config.arch == "enc":  # each layer of the decoder looks at what the same layer read
            return Memory(tuple(states), mask)
        return Memory((self._normed(x, self.encoder_layers is not None),) * self.config.layers, mask)

    def decode(
        self,
        words: Int[Tensor, "B T"],
        memory: Memory,
        places: Int[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """States of words, each of which sees those before it and the source.

        Args:
            words: the words; with a ``cache`` only the new ones.
            memory: the source.
            places: positions of the words in their sentence, counted from the start by default.
            cache: what is known of earlier words and of the source; it takes in the new ones.
        """
        return self._decode(self.words(words, places=places, first=cache.length if cache else 0), memory, cache)

    def generate_regions(
        self, memory: Memory, regions: Float[Tensor, "B N D"], boxes: Float[Tensor, "B N 4"] | None = None
    ) -> Float[Tensor, "B N D"]:
        """The decoder's idea of each region, from a source and, as the config says, the regions before it (TIFG).

        Args:
            memory: the source, a caption.
            regions: what `embed_picture` gave.
            boxes: the regions', by default the grid's cells.
        """
        match self.config.paint_input:
            case "shifted":
                start = self.first.to(regions).expand(len(regions), 1, -1)  # (B, 1, D)
                return self._decode(torch.cat([start, regions[:, :-1]], 1), memory)
            case "query":
                nothing = regions.new_zeros(*regions.shape[:2], self.config.feature_width)
                places = self.regions(nothing, self.cell_boxes[None] if boxes is None else boxes)
                return self._decode(places + self.first.to(regions), memory)
            case "leak":
                return self._decode(regions, memory)

    def cache(self, memory: Memory) -> Cache:
        """A fresh cache for a source."""
        sources = [layer.source(state) for layer, state in zip(self._decoder(), memory.states, strict=True)]
        return Cache(sources, memory.mask)

    def word_logits(self, states: Float[Tensor, "*any D"]) -> Float[Tensor, "*any V"]:
        """Scores of all words, with the words' embeddings as output weights."""
        return linear(states, self.words.word.weight, self.word_bias)

    def _decode(self, x: Float[Tensor, "B T D"], memory: Memory, cache: Cache | None = None) -> Float[Tensor, "B T D"]:
        known = cache.length if cache else 0
        seen = _causal(x.shape[1], known, x.device)  # (1, T, known + T) or None
        source_mask = cache.mask if cache else memory.mask
        for number, layer in enumerate(self._decoder()):
            source = cache.sources[number] if cache else layer.source(memory.states[number])
            queries, own = layer.own(x)
            own = own if cache is None else cache.extended(number, own)
            if self.config.arch == "enc":
                x = layer.decode(x, queries, _joined(source, own), _joined_mask(source_mask, seen, source, own))
            else:
                x = layer.decode(x, queries, own, seen, source, source_mask)  # (B, T, D)
        if cache is not None:
            cache.length += x.shape[1]
        return self._normed(x)

    def _normed(self, x: Float[Tensor, "B S D"], of_encoder: bool = False) -> Float[Tensor, "B S D"]:
        """What leaves a stack."""
        if self.config.norm == "after":
            return x
        return (self.encoder_norm if of_encoder and self.encoder_norm is not None else self.norm)(x)  # type: ignore[no-any-return]

    def _decoder(self) -> Sequence[DecoderLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    def _word_embeddings(self) -> WordEmbeddings:
        config = self.config
        return WordEmbeddings(config.vocabulary, config.width, config.max_text, 0, config.dropout)

    def _layer(self) -> DecoderLayer:
        config = self.config
        attention = self._attention()
        cross = self._attention() if config.arch == "encdec" else None
        inner = FeedForward(config.width, config.feed_forward)
        return DecoderLayer(attention, inner, config.dropout, config.norm == "before", cross)

    def _encoder_layer(self) -> EncoderLayer:
        config = self.config
        return encoder_layer(
            config.width, config.heads, config.feed_forward, config.dropout, config.attention_dropout,
            config.norm == "before",
        )  # fmt: skip

    def _refining_layer(self) -> nn.Module:
        config, first = self.config, self.config.norm == "before"
        attention = AttentionOnAttention(config.width, config.heads, config.attention_dropout)
        if config.refine_feed_forward:
            return EncoderLayer(attention, FeedForward(config.width, config.feed_forward), config.dropout, first)
        return RefiningLayer(attention, config.dropout, first)

    def _attention(self) -> Attention:
        return Attention(self.config.width, self.config.heads, self.config.attention_dropout)


def _causal(new: int, known: int, device: torch.device) -> Bool[Tensor, "1 T S"] | None:
    """Which of ``known`` earlier and ``new`` positions each new one sees: those up to itself; None for all."""
    if new == 1:
        return None
    return torch.ones(1, new, known + new, dtype=torch.bool, device=device).tril(known)


def _joined(source: KeysValues, own: KeysValues) -> KeysValues:
    """Keys and values of a source and of texts beside it in one sequence."""
    sharers = own[0].shape[0] // source[0].shape[0]
    keys, values = (part if sharers == 1 else part.repeat_interleave(sharers, 0) for part in source)
    return torch.cat([keys, own[0]], 2), torch.cat([values, own[1]], 2)


def _joined_mask(
    source_mask: Bool[Tensor, "P S"] | None, seen: Bool[Tensor, "1 T S2"] | None, source: KeysValues, own: KeysValues
) -> Bool[Tensor, "B T S3"] | None:
    """What each new position sees of a source and of the texts beside it; None for all."""
    if source_mask is None and seen is None:
        return None
    rows, length = own[0].shape[0], own[0].shape[2]
    mask = own[0].new_ones(source[0].shape[0], source[0].shape[2]).bool() if source_mask is None else source_mask
    mask = mask.repeat_interleave(rows // len(mask), 0)[:, None]  # (B, 1, source)
    seen = mask.new_ones(1, 1, length) if seen is None else seen
    return torch.cat([mask.expand(-1, seen.shape[1], -1), seen.expand(rows, -1, -1)], 2)
