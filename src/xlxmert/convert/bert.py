"""BERT's names for words, layers and word scores, which LXMERT's layouts share, and a model's start from BERT itself.

LXMERT compares such a start with one from scratch (section 5.1); the authors of X-LXMERT start from it in their code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from xlxmert.convert.files import read_folder
from xlxmert.convert.table import Row, State, plain_names, same, stacked, translate
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.uniter import Uniter

WORDS = "bert.embeddings.word_embeddings.weight"
TIED = "cls.predictions.decoder.weight"
"""A second copy of the word embeddings: the output weights of the word head."""
OPTIONAL = (TIED, "cls.predictions.decoder.bias", "bert.embeddings.position_ids")
"""Copies of other tensors, and one that counts."""
TABLES = ("words.position.weight", "words.token_type.weight")
"""Embeddings of which a model may have fewer rows than BERT."""


def word_rows() -> list[Row]:
    """The embeddings of words."""
    return [
        Row("words.word.weight", (WORDS,)),
        Row("words.position.weight", ("bert.embeddings.position_embeddings.weight",)),
        Row("words.token_type.weight", ("bert.embeddings.token_type_embeddings.weight",)),
        *same("words.norm", "bert.embeddings.LayerNorm"),
    ]


def layer_rows(ours: str, theirs: str, count: int) -> list[Row]:
    """A stack of encoder layers."""
    rows: list[Row] = []
    for i in range(count):
        mine, other = f"{ours}.{i}", f"{theirs}.{i}"
        rows += attention_rows(
            f"{mine}.attention", f"{mine}.attention_norm", f"{other}.attention.self", f"{other}.attention.output"
        )
        rows += feed_forward_rows(mine, f"{other}.intermediate", f"{other}.output")
    return rows


def attention_rows(ours: str, norm: str, projections: str, output: str) -> list[Row]:
    """An attention, whose queries, keys and values are one matrix here, and its norm."""
    return [
        *stacked(f"{ours}.project", [f"{projections}.{part}" for part in ("query", "key", "value")]),
        *same(f"{ours}.out", f"{output}.dense"),
        *same(f"{norm}.norm", f"{output}.LayerNorm"),
    ]


def feed_forward_rows(ours: str, inner: str, output: str) -> list[Row]:
    """A feed-forward net and its norm."""
    return [
        *same(f"{ours}.feed_forward.up", f"{inner}.dense"),
        *same(f"{ours}.feed_forward.down", f"{output}.dense"),
        *same(f"{ours}.feed_forward_norm.norm", f"{output}.LayerNorm"),
    ]


def transform_rows(ours: str, theirs: str) -> list[Row]:
    """What a prediction head begins with."""
    return [*same(f"{ours}.linear", f"{theirs}.dense"), *same(f"{ours}.norm", f"{theirs}.LayerNorm")]


def word_head_rows() -> list[Row]:
    """The scores of words; the output weights are the embeddings."""
    bias = Row("word_head.bias", ("cls.predictions.bias",))
    return [bias, *transform_rows("word_head.transform", "cls.predictions.transform")]


def start_from_bert(model: Transformer, folder: Path) -> list[str]:
    """Give the words, the layers that read them and the scores of words the weights of a BERT.

    Of BERT's layers the first ones are taken, as in the authors' code, of its positions as many as the model has; a
    BERT without word scores leaves those of the model as they are.

    Args:
        model: an LXMERT, whose language layers start from BERT, or a UNITER, all of whose layers do.
        folder: ``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``.

    Returns:
        the names of the model's weights that were set.

    Raises:
        XlxmertError: the folder holds no BERT, or one of another shape; the model is then as it was.
    """
    state, config = read_folder(folder)
    check_transformers_config(config, model.config, "bert", folder)
    rows = [*word_rows(), *layer_rows(*_layers(model))]
    if any(".predictions." in name for name in state):
        rows += word_head_rows()
    weights = {row.ours: model.get_parameter(row.ours) for row in rows}
    ours, _ = translate(_wanted(plain_names(state), rows, weights), rows, weights, "BERT", source=str(folder))
    with torch.no_grad():
        for name, value in ours.items():
            weights[name].copy_(value)
    return list(ours)


def check_transformers_config(config: Mapping[str, Any], mine: ModelConfig, kind: str, folder: Path) -> None:
    """Make sure of what a model of the `transformers` library computes and its shapes do not tell.

    Raises:
        XlxmertError: it is a model of another kind, or computes otherwise.
    """
    expected = {"model_type": kind, "hidden_act": "gelu", "num_attention_heads": mine.heads}
    found = {name: config[name] for name in expected if name in config and config[name] != expected[name]}
    if found:
        wanted = ", ".join(f"{name} {expected[name]}" for name in found)
        told = ", ".join(f"{name} {value}" for name, value in found.items())
        raise XlxmertError(
            f"expected {wanted} in {folder / 'config.json'}, found {told}: the weights would not compute the same here"
        )
    if mine.norm != "after":
        raise XlxmertError(
            f"expected a model with norm='after', as BERT's layers have it, found norm={mine.norm!r}: its layers "
            f"cannot start from {folder}; choose a preset of the papers"
        )


def _layers(model: Transformer) -> tuple[str, str, int]:
    """Which layers start from BERT's: our name, its name, and how many."""
    layers = "layers" if isinstance(model, Uniter) else "language_layers"
    return layers, "bert.encoder.layer", getattr(model.config, layers)


def _wanted(state: State, rows: Sequence[Row], weights: Mapping[str, Tensor]) -> State:
    """What the rows ask of a BERT; of its tables, the first rows, as many as the model has."""
    names = {name: row.ours for row in rows for name in row.theirs}
    chosen = {name: tensor for name, tensor in state.items() if name in names}
    return {
        name: tensor[: len(weights[names[name]])] if names[name] in TABLES else tensor
        for name, tensor in chosen.items()
    }
