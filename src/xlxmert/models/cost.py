"""What a transformer's forward pass costs, by formula: floating-point operations, a multiplication and an addition two.

Products are counted, and nothing else, as `torch.utils.flop_counter` does, which a test compares with.
"""

from typing import Literal

from xlxmert.models.config import ModelConfig
from xlxmert.models.lxmert import LxmertConfig
from xlxmert.models.uniter import UniterConfig

Side = Literal["both", "words", "picture"]
"""Whose states are wanted in the end: the last cross-modality layer leaves out the other side."""


def linear_flops(rows: int, inputs: int, outputs: int) -> int:
    """A linear map of ``rows`` vectors."""
    return 2 * rows * inputs * outputs


def look_flops(asked: int, seen: int, width: int) -> int:
    """Attention without its projections: scores, and the mix of values."""
    return 4 * asked * seen * width


def layer_flops(config: ModelConfig, positions: int) -> int:
    """An encoder layer over one sequence (`xlxmert.nn.blocks.EncoderLayer`)."""
    width, inner = config.width, config.feed_forward
    projections = linear_flops(positions, width, 4 * width) + 2 * linear_flops(positions, width, inner)
    return projections + look_flops(positions, positions, width)


def cross_flops(config: ModelConfig, words: int, cells: int, side: Side) -> int:
    """A cross-modality layer, or one side of it."""
    width, exchange = config.width, look_flops(words, cells, config.width)
    if side == "both":
        shared = linear_flops(words + cells, width, 4 * width) + 2 * exchange
        return shared + layer_flops(config, words) + layer_flops(config, cells)
    own, other = (words, cells) if side == "words" else (cells, words)
    projections = linear_flops(own, width, 2 * width) + linear_flops(other, width, 2 * width)
    return projections + exchange + layer_flops(config, own)


def embedding_flops(config: ModelConfig, cells: int) -> int:
    """Features and boxes of visual tokens to the transformer's width; words and learned codes are looked up."""
    boxes = linear_flops(cells, 4, config.width)
    return boxes + (0 if config.code_input == "learned" else linear_flops(cells, config.feature_width, config.width))


def encoder_flops(config: ModelConfig, words: int, cells: int, side: Side = "both") -> int:
    """All layers over one sentence and its picture, without heads."""
    if isinstance(config, UniterConfig):
        return embedding_flops(config, cells) + config.layers * layer_flops(config, words + cells)
    assert isinstance(config, LxmertConfig)
    apart = config.language_layers * layer_flops(config, words) + config.relation_layers * layer_flops(config, cells)
    but_last = max(config.cross_layers - 1, 0) * cross_flops(config, words, cells, "both")
    last = cross_flops(config, words, cells, side) if config.cross_layers else 0
    return embedding_flops(config, cells) + apart + but_last + last


def word_head_flops(config: ModelConfig, words: int) -> int:
    """Scores of all words at some positions."""
    return linear_flops(words, config.width, config.width + config.vocabulary)


def code_head_flops(config: ModelConfig, cells: int) -> int:
    """Scores of all codes at some cells."""
    free = linear_flops(cells, config.width, config.codes) if config.code_head != "centroids" else 0
    by_feature = linear_flops(cells, config.width + config.codes, config.feature_width)
    inner = linear_flops(cells, config.width, config.width)
    return inner + free + (by_feature if config.code_head != "learned" else 0)


def object_head_flops(config: ModelConfig, cells: int) -> int:
    """Features, labels and attributes of some regions, each from an inner state of its own."""
    feature = linear_flops(cells, config.width, config.feature_width)
    inner = linear_flops(cells, config.width, config.width)
    read = config.feature_width if config.label_input == "feature" else config.width
    total = inner + feature if config.regress else 0
    for count in (config.labels, config.attributes):
        before = inner + (feature if config.label_input == "feature" else 0)
        total += before + linear_flops(cells, read, count) if count else 0
    return total


def pooled_flops(config: ModelConfig, answered: float) -> float:
    """Pooler and matching head of a sentence, and the answers to a share of the sentences."""
    width = config.width
    answers = linear_flops(1, width, 2 * width) + linear_flops(1, 2 * width, config.answers) if config.answers else 0
    return linear_flops(1, width, width) + linear_flops(1, width, 2) + answered * answers
