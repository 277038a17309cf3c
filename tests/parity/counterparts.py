"""Which weight of `transformers`' LXMERT holds what a weight of ours holds: written by hand, apart from `convert/`."""

from collections.abc import Iterator, Mapping

import torch

from xlxmert.models.lxmert import LxmertConfig

Names = dict[str, tuple[str, ...]]
"""The name of each of our weights, and theirs: three (queries, keys, values) where ours stacks them."""


def both(ours: str, theirs: str) -> Names:
    """A linear map's or a norm's weight and bias."""
    return {f"{ours}.{kind}": (f"{theirs}.{kind}",) for kind in ("weight", "bias")}


def attention(ours: str, theirs: str, norm: str, projections: str) -> Names:
    """The projections, the output map and the norm after it."""
    stacked = {
        f"{ours}.project.{kind}": tuple(f"{theirs}.{projections}.{each}.{kind}" for each in ("query", "key", "value"))
        for kind in ("weight", "bias")
    }
    return stacked | both(f"{ours}.out", f"{theirs}.output.dense") | both(f"{norm}.norm", f"{theirs}.output.LayerNorm")


def layer(ours: str, looks: str, up: str, down: str) -> Names:
    """One encoder layer: self-attention and feed-forward net."""
    return (
        attention(f"{ours}.attention", looks, f"{ours}.attention_norm", "self")
        | both(f"{ours}.feed_forward.up", f"{up}.dense")
        | both(f"{ours}.feed_forward.down", f"{down}.dense")
        | both(f"{ours}.feed_forward_norm.norm", f"{down}.LayerNorm")
    )


def layers(config: LxmertConfig) -> Iterator[Names]:
    """All layers of the three encoders."""
    sides = (
        ("language_layers", "layer", config.language_layers),
        ("relation_layers", "r_layers", config.relation_layers),
    )
    for ours, theirs, count in sides:
        for i in range(count):
            old = f"lxmert.encoder.{theirs}.{i}"
            yield layer(f"{ours}.{i}", f"{old}.attention", f"{old}.intermediate", f"{old}.output")
    for i in range(config.cross_layers):
        new, old = f"cross_layers.{i}", f"lxmert.encoder.x_layers.{i}"
        yield attention(f"{new}.cross", f"{old}.visual_attention", f"{new}.cross_norm", "att")
        yield layer(f"{new}.language", f"{old}.lang_self_att", f"{old}.lang_inter", f"{old}.lang_output")
        yield layer(f"{new}.vision", f"{old}.visn_self_att", f"{old}.visn_inter", f"{old}.visn_output")


def counterparts(config: LxmertConfig) -> Names:
    """Every weight of an LXMERT with the authors' heads."""
    tables = {"word": "word_embeddings", "position": "position_embeddings", "token_type": "token_type_embeddings"}
    found = {f"words.{new}.weight": (f"lxmert.embeddings.{old}.weight",) for new, old in tables.items()}
    visual = "lxmert.encoder.visn_fc"
    for new, old in (
        ("words.norm", "lxmert.embeddings.LayerNorm"),
        ("picture.features.linear", f"{visual}.visn_fc"),
        ("picture.content_norm", f"{visual}.visn_layer_norm"),
        ("picture.box", f"{visual}.box_fc"),
        ("picture.box_norm", f"{visual}.box_layer_norm"),
        ("pooler.linear", "lxmert.pooler.dense"),
        ("word_head.transform.linear", "cls.predictions.transform.dense"),
        ("word_head.transform.norm", "cls.predictions.transform.LayerNorm"),
        ("matching_head", "cls.seq_relationship"),
        ("object_head.transform.linear", "obj_predict_head.transform.dense"),
        ("object_head.transform.norm", "obj_predict_head.transform.LayerNorm"),
        ("object_head.feature", "obj_predict_head.decoder_dict.feat"),
        ("object_head.label", "obj_predict_head.decoder_dict.obj"),
        ("object_head.attribute", "obj_predict_head.decoder_dict.attr"),
        ("answer_head.transform.linear", "answer_head.logit_fc.0"),
        ("answer_head.transform.norm", "answer_head.logit_fc.2"),
        ("answer_head.linear", "answer_head.logit_fc.3"),
    ):
        found |= both(new, old)
    found["word_head.bias"] = ("cls.predictions.bias",)
    for names in layers(config):
        found |= names
    return found


def as_ours(theirs: Mapping[str, torch.Tensor], config: LxmertConfig) -> dict[str, torch.Tensor]:
    """Their weights, or their gradients, under our names."""
    return {name: torch.cat([theirs[each] for each in old]) for name, old in counterparts(config).items()}
