"""The authors' weight names for X-LXMERT, LXMERT and their kin, and ours: one ordered table, read in both directions.

The published files are ``Epoch20_LXRT.pth`` (X-LXMERT), ``model_LXRT.pth`` (LXMERT) and the folder of the
``transformers`` library, which holds LXMERT with ``lxmert.`` for ``bert.``. Our attention keeps queries, keys and
values in one matrix, so one of our names may stand for three of theirs, stacked in order; otherwise names pair one to
one, values untouched.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from xlxmert.convert.bert import (
    OPTIONAL,
    TIED,
    WORDS,
    attention_rows,
    feed_forward_rows,
    layer_rows,
    transform_rows,
    word_head_rows,
    word_rows,
)
from xlxmert.convert.table import Row, Shape, State, plain_names, same, some, split, translate
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.lxmert import LxmertConfig
from xlxmert.models.uniter import UniterConfig

__all__ = ["TIED", "from_reference", "infer_config", "layout_of", "table", "to_reference"]
HEAD = "obj_predict_head"
ANSWERS = "answer_head"


def table(config: ModelConfig) -> tuple[Row, ...]:
    """Every weight of a model in the authors' layout, in the order of the forward pass.

    Raises:
        XlxmertError: the config has parts that the layout has no place for.
    """
    layout_of(config)
    rows = [*word_rows(), *_picture(config)]
    if isinstance(config, LxmertConfig):
        rows += layer_rows("language_layers", "bert.encoder.layer", config.language_layers)
        rows += layer_rows("relation_layers", "bert.encoder.r_layers", config.relation_layers)
        for i in range(config.cross_layers):
            rows += _cross(f"cross_layers.{i}", f"bert.encoder.x_layers.{i}")
    if isinstance(config, UniterConfig):
        rows += layer_rows("layers", "bert.encoder.layer", config.layers)
    rows += [*same("pooler.linear", "bert.pooler.dense"), *word_head_rows()]
    return (*rows, *same("matching_head", "cls.seq_relationship"), *_visual_head(config), *_answer_head(config))


def layout_of(config: ModelConfig) -> str:
    """Whose layout has a place for every weight of such a model: ``xlxmert``, with a mask feature, or ``lxmert``.

    Raises:
        XlxmertError: none has.
    """
    fixed = {"code_head": "centroids", "code_input": "centroids", "grid_position": "box", "norm": "after"}
    fixed["pairs"] = False  # type: ignore[assignment]
    other = [f"{name}={getattr(config, name)!r}" for name, value in fixed.items() if getattr(config, name) != value]
    objects = [name for name in ("regress", "labels", "attributes") if getattr(config, name)]
    if config.codes and objects:
        other.append(f"{' and '.join(objects)} beside codes")
    kind = "lxmert" if config.mask_start == "fixed" else "xlxmert"
    if kind == "lxmert" and (config.codes or not isinstance(config, LxmertConfig)):
        other.append(f"mask_start='fixed' in an {'X-LXMERT' if config.codes else config.family.upper()}")
    if objects and config.label_input != {"lxmert": "state", "xlxmert": "feature"}[kind]:
        other.append(f"label_input={config.label_input!r} with mask_start={config.mask_start!r}")
    if other:
        raise XlxmertError(
            f"the published layouts must have a place for every weight (found {', '.join(other)}, unknown to them): "
            "only models with the papers' choices can be converted"
        )
    return kind


def from_reference(state: Mapping[str, Tensor], config: ModelConfig | None = None) -> State:
    """A state dict in the authors' layout as one of ours; without ``config``, ``infer_config`` reads the shapes.

    Prefixes of wrappers (`plain_names`) and the old norm names ``gamma`` and ``beta`` are understood; the tied output
    weights of the word head may be there or not.

    Raises:
        XlxmertError: weights are missing, unexpected or misshapen; the message names them.
    """
    theirs = plain_names(state)
    config = infer_config(theirs) if config is None else config
    check_tied(theirs)
    return translate(theirs, table(config), _shapes_of(config), optional=OPTIONAL)[0]


def to_reference(state: Mapping[str, Tensor], config: ModelConfig) -> State:
    """A state dict of ours in the authors' layout, without a prefix.

    Raises:
        XlxmertError: weights are missing, unexpected or misshapen, or the layout has no place for some.
    """
    theirs = split(state, table(config), _shapes_of(config))
    return {**theirs, TIED: theirs[WORDS].clone()}


def infer_config(state: Mapping[str, Tensor], heads: int | None = None, grid: int = 8) -> ModelConfig:
    """The config that a state dict of the authors tells by its shapes; without cross layers it is a UNITER's.

    The shapes do not tell ``heads``: by default one per 64 values of width, as in BERT; nor ``grid``.

    Raises:
        XlxmertError: a weight that tells a size is missing.
    """
    state = plain_names(state)
    vocabulary, width = _shape(state, WORDS)
    codes = _rows(state, f"{HEAD}.out_cluster.weight")
    counts = [_count(state, part) for part in ("layer", "r_layers", "x_layers")]
    kind = LxmertConfig if any(counts[1:]) else UniterConfig
    layers = dict(zip(kind.layers_of, counts, strict=False))
    own = any(name.startswith(f"{HEAD}.linear_feat.") for name in state)  # X-LXMERT's head, not LXMERT's
    labels, attributes = ("out_obj", "out_attr") if own else ("decoder_dict.obj", "decoder_dict.attr")
    shared: dict[str, Any] = {
        "vocabulary": vocabulary,
        "width": width,
        "heads": heads or max(1, width // 64),
        "feed_forward": _shape(state, "bert.encoder.layer.0.intermediate.dense.weight")[0],
        "max_text": _shape(state, "bert.embeddings.position_embeddings.weight")[0],
        "token_types": _shape(state, "bert.embeddings.token_type_embeddings.weight")[0],
        "feature_width": _shape(state, "bert.encoder.visn_fc.visn_fc.weight")[1],
        "codes": codes,
        "answers": _rows(state, f"{ANSWERS}.logit_fc.3.weight"),
        "grid": grid,
        "mask_start": "fixed" if kind is LxmertConfig and not own and "mask_feat" not in state else "zeros",
        "regress": (own and not codes) or f"{HEAD}.decoder_dict.feat.weight" in state,
        "labels": _rows(state, f"{HEAD}.{labels}.weight"),
        "attributes": _rows(state, f"{HEAD}.{attributes}.weight"),
        "label_input": "feature" if own and not codes else "state",
    }
    return kind.from_dict({**shared, **layers})


def check_tied(theirs: Mapping[str, Tensor]) -> None:
    """Make sure that the second copy of the word embeddings, if there is one, is one.

    Raises:
        XlxmertError: it holds other values.
    """
    if TIED in theirs and WORDS in theirs and not torch.equal(theirs[TIED], theirs[WORDS]):
        raise XlxmertError(
            f"{TIED} must equal {WORDS}, to which it is tied (found other values): the checkpoint is damaged"
        )


def _picture(config: ModelConfig) -> list[Row]:
    """The embeddings of visual tokens."""
    visual = "bert.encoder.visn_fc"
    mask = [Row("picture.features.mask", ("mask_feat",))] if config.mask_start != "fixed" else []
    return [
        *mask,
        *same("picture.features.linear", f"{visual}.visn_fc"),
        *same("picture.content_norm", f"{visual}.visn_layer_norm"),
        *same("picture.box", f"{visual}.box_fc"),
        *same("picture.box_norm", f"{visual}.box_layer_norm"),
    ]


def _cross(ours: str, theirs: str) -> list[Row]:
    """A cross-modality layer."""
    shared = f"{theirs}.visual_attention"
    rows = attention_rows(f"{ours}.cross", f"{ours}.cross_norm", f"{shared}.att", f"{shared}.output")
    for side, short in (("language", "lang"), ("vision", "visn")):
        mine, att = f"{ours}.{side}", f"{theirs}.{short}_self_att"
        rows += attention_rows(f"{mine}.attention", f"{mine}.attention_norm", f"{att}.self", f"{att}.output")
        rows += feed_forward_rows(mine, f"{theirs}.{short}_inter", f"{theirs}.{short}_output")
    return rows


def _visual_head(config: ModelConfig) -> list[Row]:
    """What hidden visual tokens are predicted with."""
    if config.codes:
        rows = [
            *transform_rows("code_head.transform", f"{HEAD}.transform"),
            *same("code_head.feature", f"{HEAD}.linear_feat"),
        ]
        cluster = f"{HEAD}.out_cluster"
        return [*rows, Row("centroids", (f"{cluster}.weight",)), Row("code_head.bias", (f"{cluster}.bias",))]
    if not (config.regress or config.labels or config.attributes):
        return []
    own = {"feature": "linear_feat", "label": "out_obj", "attribute": "out_attr"}
    plain = {"feature": "decoder_dict.feat", "label": "decoder_dict.obj", "attribute": "decoder_dict.attr"}
    names = own if config.label_input == "feature" else plain
    parts = {"feature": config.regress, "label": config.labels, "attribute": config.attributes}
    rows = transform_rows("object_head.transform", f"{HEAD}.transform")
    for part in (part for part, there in parts.items() if there):
        rows += same(f"object_head.{part}", f"{HEAD}.{names[part]}")
    return rows


def _answer_head(config: ModelConfig) -> list[Row]:
    """The classifier over answers."""
    if not config.answers:
        return []
    return [
        *same("answer_head.transform.linear", f"{ANSWERS}.logit_fc.0"),
        *same("answer_head.transform.norm", f"{ANSWERS}.logit_fc.2"),
        *same("answer_head.linear", f"{ANSWERS}.logit_fc.3"),
    ]


def _shapes_of(config: ModelConfig) -> State:
    """A state of such a model without values."""
    with torch.device("meta"):
        return build(config).state_dict()


def _shape(state: Mapping[str, Tensor], name: str) -> Shape:
    if name not in state:
        raise XlxmertError(
            f"expected {name} in the weights of an LXMERT, found {some(sorted(state), 3)}: is it one of the authors'?"
        )
    return tuple(state[name].shape)


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return state[name].shape[0] if name in state else 0


def _count(state: Mapping[str, Tensor], part: str) -> int:
    return len({found[1] for name in state if (found := re.match(rf"bert\.encoder\.{part}\.(\d+)\.", name))})
