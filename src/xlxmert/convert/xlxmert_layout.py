"""The reference code's weight names for X-LXMERT, and ours: one ordered table, read in both directions.

The released file is ``Epoch20_LXRT.pth``. Our attention keeps queries, keys and values in one matrix, so one of our
names may stand for three of theirs, stacked in order; otherwise names pair one to one and values are untouched.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.lxmert import Lxmert, LxmertConfig

State = dict[str, Tensor]
TIED = "cls.predictions.decoder.weight"
"""A second copy of the word embeddings in the reference layout."""
WORDS = "bert.embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class Row:
    """One weight of ours, and the reference weights that it stacks."""

    ours: str
    theirs: tuple[str, ...]


def table(config: LxmertConfig) -> tuple[Row, ...]:
    """Every weight of a model in the reference layout, in the order of the forward pass.

    Raises:
        XlxmertError: the config has parts that the reference layout has no place for.
    """
    _check_expressible(config)
    rows = _embeddings()
    for i in range(config.language_layers):
        rows += _encoder(f"language_layers.{i}", f"bert.encoder.layer.{i}")
    for i in range(config.relation_layers):
        rows += _encoder(f"relation_layers.{i}", f"bert.encoder.r_layers.{i}")
    for i in range(config.cross_layers):
        rows += _cross(f"cross_layers.{i}", f"bert.encoder.x_layers.{i}")
    rows += _pair("pooler.linear", "bert.pooler.dense")
    rows += [Row("word_head.bias", ("cls.predictions.bias",))]
    rows += _transform("word_head.transform", "cls.predictions.transform")
    rows += _pair("matching_head", "cls.seq_relationship")
    if config.codes:
        rows += _transform("code_head.transform", "obj_predict_head.transform")
        rows += _pair("code_head.feature", "obj_predict_head.linear_feat")
        rows += [Row("centroids", ("obj_predict_head.out_cluster.weight",))]
        rows += [Row("code_head.bias", ("obj_predict_head.out_cluster.bias",))]
    if config.answers:
        rows += _pair("answer_head.transform.linear", "answer_head.logit_fc.0")
        rows += _pair("answer_head.transform.norm", "answer_head.logit_fc.2")
        rows += _pair("answer_head.linear", "answer_head.logit_fc.3")
    return tuple(rows)


def from_reference(state: Mapping[str, Tensor], config: LxmertConfig | None = None) -> State:
    """A state dict in the reference layout as one of ours; without ``config``, ``infer_config`` reads the shapes.

    Prefixes of wrappers (``module.``, ``model.``), ``lxmert.`` for ``bert.`` and the old norm names ``gamma`` and
    ``beta`` are understood; the tied output weights of the word head may be there or not.

    Raises:
        XlxmertError: weights are missing, unexpected or misshapen; the message names them.
    """
    theirs = plain_names(state)
    config = infer_config(theirs) if config is None else config
    rows = table(config)
    _check_names(theirs, [name for row in rows for name in row.theirs], optional={TIED}, what="reference checkpoint")
    if TIED in theirs and not torch.equal(theirs[TIED], theirs[WORDS]):
        raise XlxmertError(
            f"{TIED} must equal {WORDS}, to which it is tied (found other values): the checkpoint is damaged"
        )
    ours = {row.ours: _stack(row, theirs) for row in rows}
    _check_shapes(ours, config)
    return ours


def to_reference(state: Mapping[str, Tensor], config: LxmertConfig) -> State:
    """A state dict of ours in the reference layout, without a prefix.

    Raises:
        XlxmertError: weights are missing, unexpected or misshapen, or the layout has no place for some.
    """
    rows = table(config)
    _check_names(state, [row.ours for row in rows], optional=set(), what="xlxmert checkpoint")
    _check_shapes(state, config)
    theirs: State = {}
    for row in rows:
        parts = state[row.ours].chunk(len(row.theirs))
        theirs |= {name: part.clone() for name, part in zip(row.theirs, parts, strict=True)}
    return {**theirs, TIED: theirs[WORDS].clone()}


def infer_config(state: Mapping[str, Tensor], heads: int | None = None, grid: int = 8) -> LxmertConfig:
    """The config that a reference state dict tells by its shapes.

    The shapes do not tell ``heads``: by default one per 64 values of width, as in BERT; nor ``grid``.

    Raises:
        XlxmertError: a weight that tells a size is missing.
    """
    state = plain_names(state)
    vocabulary, width = _shape(state, WORDS)
    return LxmertConfig(
        vocabulary=vocabulary,
        width=width,
        heads=heads or max(1, width // 64),
        feed_forward=_shape(state, "bert.encoder.layer.0.intermediate.dense.weight")[0],
        language_layers=_count(state, r"bert\.encoder\.layer\.(\d+)\."),
        relation_layers=_count(state, r"bert\.encoder\.r_layers\.(\d+)\."),
        cross_layers=_count(state, r"bert\.encoder\.x_layers\.(\d+)\."),
        max_text=_shape(state, "bert.embeddings.position_embeddings.weight")[0],
        token_types=_shape(state, "bert.embeddings.token_type_embeddings.weight")[0],
        feature_width=_shape(state, "bert.encoder.visn_fc.visn_fc.weight")[1],
        codes=_rows(state, "obj_predict_head.out_cluster.weight"),
        answers=_rows(state, "answer_head.logit_fc.3.weight"),
        grid=grid,
    )


def plain_names(state: Mapping[str, Tensor]) -> State:
    """The state with wrapper prefixes taken off and old norm names renewed.

    Raises:
        XlxmertError: two names become one.
    """
    renamed: State = {}
    for name, tensor in state.items():
        plain = re.sub(r"^((module|model)\.)+", "", name)
        plain = re.sub(r"^lxmert\.", "bert.", plain)
        plain = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", plain))
        if plain in renamed:
            raise XlxmertError(
                f"a reference checkpoint must hold {plain} once (found it again as {name}): keep one of them"
            )
        renamed[plain] = tensor
    return renamed


def _embeddings() -> list[Row]:
    visual = "bert.encoder.visn_fc"
    return [
        Row("words.word.weight", (WORDS,)),
        Row("words.position.weight", ("bert.embeddings.position_embeddings.weight",)),
        Row("words.token_type.weight", ("bert.embeddings.token_type_embeddings.weight",)),
        *_pair("words.norm", "bert.embeddings.LayerNorm"),
        Row("picture.features.mask", ("mask_feat",)),
        *_pair("picture.features.linear", f"{visual}.visn_fc"),
        *_pair("picture.content_norm", f"{visual}.visn_layer_norm"),
        *_pair("picture.box", f"{visual}.box_fc"),
        *_pair("picture.box_norm", f"{visual}.box_layer_norm"),
    ]


def _encoder(ours: str, theirs: str) -> list[Row]:
    return [
        *_attention(
            f"{ours}.attention", f"{ours}.attention_norm", f"{theirs}.attention.self", f"{theirs}.attention.output"
        ),
        *_feed_forward(ours, f"{theirs}.intermediate", f"{theirs}.output"),
    ]


def _cross(ours: str, theirs: str) -> list[Row]:
    shared = f"{theirs}.visual_attention"
    rows = _attention(f"{ours}.cross", f"{ours}.cross_norm", f"{shared}.att", f"{shared}.output")
    for side, short in (("language", "lang"), ("vision", "visn")):
        mine, att = f"{ours}.{side}", f"{theirs}.{short}_self_att"
        rows += _attention(f"{mine}.attention", f"{mine}.attention_norm", f"{att}.self", f"{att}.output")
        rows += _feed_forward(mine, f"{theirs}.{short}_inter", f"{theirs}.{short}_output")
    return rows


def _attention(ours: str, norm: str, projections: str, output: str) -> list[Row]:
    parts = [f"{projections}.{part}" for part in ("query", "key", "value")]
    stacked = [Row(f"{ours}.project.{kind}", tuple(f"{part}.{kind}" for part in parts)) for kind in ("weight", "bias")]
    return [*stacked, *_pair(f"{ours}.out", f"{output}.dense"), *_pair(f"{norm}.norm", f"{output}.LayerNorm")]


def _feed_forward(ours: str, inner: str, output: str) -> list[Row]:
    return [
        *_pair(f"{ours}.feed_forward.up", f"{inner}.dense"),
        *_pair(f"{ours}.feed_forward.down", f"{output}.dense"),
        *_pair(f"{ours}.feed_forward_norm.norm", f"{output}.LayerNorm"),
    ]


def _transform(ours: str, theirs: str) -> list[Row]:
    return [*_pair(f"{ours}.linear", f"{theirs}.dense"), *_pair(f"{ours}.norm", f"{theirs}.LayerNorm")]


def _pair(ours: str, theirs: str) -> list[Row]:
    return [Row(f"{ours}.{kind}", (f"{theirs}.{kind}",)) for kind in ("weight", "bias")]


def _check_expressible(config: LxmertConfig) -> None:
    paper = {"code_head": "centroids", "code_input": "centroids", "grid_position": "box"}
    other = [f"{name}={getattr(config, name)!r}" for name, value in paper.items() if getattr(config, name) != value]
    if other:
        raise XlxmertError(
            f"the reference layout must have a place for every weight (found {', '.join(other)}, unknown to it): "
            "only models with the paper's choices can be converted"
        )


def _check_names(found: Iterable[str], expected: Sequence[str], optional: set[str], what: str) -> None:
    names = set(found)
    missing = [name for name in expected if name not in names]
    unexpected = sorted(names - set(expected) - optional)
    if missing or unexpected:
        raise XlxmertError(
            f"the {what} must hold exactly {len(expected)} weights: missing {len(missing)} ({_some(missing)}); "
            f"unexpected {len(unexpected)} ({_some(unexpected)}): it is of another model or layout, or cut short"
        )


def _check_shapes(ours: Mapping[str, Tensor], config: LxmertConfig) -> None:
    with torch.device("meta"):
        wanted = Lxmert(config).state_dict()
    wrong = [
        f"{name} is {tuple(ours[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if ours[name].shape != tensor.shape
    ]
    if wrong:
        raise XlxmertError(
            f"the weights must fit the model's config: {len(wrong)} misshapen ({_some(wrong)}): "
            "pass the config that the checkpoint was made with"
        )


def _stack(row: Row, theirs: Mapping[str, Tensor]) -> Tensor:
    parts = [theirs[name] for name in row.theirs]
    if len({part.shape for part in parts}) > 1:
        raise XlxmertError(
            f"{', '.join(row.theirs)} must have one shape (found {[tuple(part.shape) for part in parts]})"
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _some(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise XlxmertError(
            f"a reference checkpoint must hold {name} (found {_some(sorted(state), 3)}): is it an X-LXMERT?"
        )
    return tuple(state[name].shape)


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return state[name].shape[0] if name in state else 0


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
