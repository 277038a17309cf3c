"""The public X-LXMERT generator's and discriminator's weights, to our names and back, by one reversible table each."""

import re
from collections.abc import Mapping, Sequence

import torch

from xlxmert.convert.table import Row, State, plain_names, same, some, split, stacked, translate
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.generator import GeneratorConfig

PREFIX = "module."
"""What distributed training put before every name of the published files."""


def _spectral(ours: str, theirs: str) -> list[Row]:
    """A convolution with spectral norm in torch's old style: weight_orig, weight_u, weight_v."""
    pairs = (("bias", "bias"), ("weight", "weight_orig"), ("u", "weight_u"), ("v", "weight_v"))
    return [Row(f"{ours}.{mine}", (f"{theirs}.{other}",)) for mine, other in pairs]


def _spade(ours: str, theirs: str) -> list[Row]:
    """SPADE, whose scale and shift are one convolution here and two there."""
    merged = stacked(f"{ours}.modulation", (f"{theirs}.gamma", f"{theirs}.beta"))
    return [*same(f"{ours}.shared", f"{theirs}.shared.0"), *merged]


def generator_rows(blocks: int = 5) -> list[Row]:
    """The table of a generator whose blocks all have SPADE, spectral norm and noise."""
    rows = [
        *same("bottleneck", "bottleneck_emb.0"),
        *_spectral("stem", "learned_init_conv.0"),
        *_spectral("style", "style_init_conv.0"),
    ]
    for i in range(blocks):
        ours, theirs = f"blocks.{i}", f"resblocks.{i}"
        for half in (1, 2):
            rows += _spade(f"{ours}.norm{half}", f"{theirs}.cbn{half}")
            rows += _spectral(f"{ours}.conv{half}", f"{theirs}.conv{half}")
            rows += [Row(f"{ours}.noise{half}", (f"{theirs}.noise{half}.weight",))]
        rows += _spectral(f"{ours}.skip", f"{theirs}.res_branch.1")
        rows += same(f"heads.{i}", f"to_RGB_blocks.{i}.conv")
    return rows


def discriminator_rows(blocks: int = 6) -> list[Row]:
    """The table of a discriminator with spectral norm."""
    rows: list[Row] = []
    for i in range(blocks):
        ours, theirs = f"blocks.{i}", f"resblocks.{i}"
        rows += _spectral(f"{ours}.conv1", f"{theirs}.conv1") + _spectral(f"{ours}.conv2", f"{theirs}.conv2")
        rows += _spectral(f"{ours}.skip", f"{theirs}.res_branch.1")
    rows += [*_spectral("real", "adv_out"), *same("project", "emb_proj")]
    return [*rows, Row("centroids", ("emb_classifier.weight",)), Row("code_bias", ("emb_classifier.bias",))]


def from_reference(state: Mapping[str, Tensor], rows: Sequence[Row], allow: Sequence[str] = ()) -> State:
    """Rename the reference's tensors, with or without their prefix, and stack what is merged here.

    Args:
        state: the reference's state.
        rows: the table.
        allow: names of the reference that may be missing; our tensor is then left out.

    Raises:
        XlxmertError: a name is missing or unexpected; the message names all of them.
    """
    return translate(plain_names(state), rows, allow=allow)[0]


def to_reference(state: Mapping[str, Tensor], rows: Sequence[Row], prefix: str = PREFIX) -> State:
    """The exact inverse of `from_reference`: our tensors under the reference's names.

    Raises:
        XlxmertError: a name is missing or unexpected; a generator with folded spectral norm has no such layout.
    """
    return {prefix + name: tensor for name, tensor in split(state, rows).items()}


def infer_config(state: Mapping[str, Tensor], grid: int = 8) -> GeneratorConfig:
    """The config that a generator's state tells by its shapes; these do not tell ``grid``.

    Raises:
        XlxmertError: a weight that tells a size is missing.
    """
    state = plain_names(state)
    stem, bottleneck = _shape(state, "learned_init_conv.0.weight_orig"), _shape(state, "bottleneck_emb.0.weight")
    blocks = range(len({found[1] for name in state if (found := re.match(r"resblocks\.(\d+)\.", name))}))
    hidden = tuple(_shape(state, f"resblocks.{i}.cbn1.shared.0.weight")[0] for i in blocks)
    return GeneratorConfig(
        feature_width=bottleneck[1],
        grid=grid,
        bottleneck=bottleneck[0],
        groups=bottleneck[0] // stem[1],
        stem=stem[0],
        condition=_shape(state, "style_init_conv.0.weight_orig")[0],
        widths=tuple(_shape(state, f"resblocks.{i}.conv2.weight_orig")[0] for i in blocks),
        spade_hidden=hidden[0] if len(set(hidden)) == 1 else hidden,
    )


def check_expressible(config: GeneratorConfig) -> None:
    """Make sure that the layout has a place for every weight of such a generator, spectral norm apart.

    Raises:
        XlxmertError: it has none for some.
    """
    paper = GeneratorConfig()
    fixed = ("trunk", "modulation_size", "skip", "upsample_late", "head", "head_kernel", "codes", "patches", "noise")
    other = [f"{name}={getattr(config, name)!r}" for name in fixed if getattr(config, name) != getattr(paper, name)]
    other += [] if config.bottleneck else ["bottleneck=0"]
    other += [] if config.spade_blocks == len(config.widths) else [f"modulated={config.modulated}"]
    if other:
        raise XlxmertError(
            f"the published generator's layout must have a place for every weight (found {', '.join(other)}, unknown "
            "to it): only generators of the preset 'paper', of whatever widths, can be written in it"
        )


def unfolded(state: Mapping[str, Tensor], rows: Sequence[Row]) -> State:
    """A state without spectral norm with one put around its weights, which leaves them as they are.

    The norm divides by ``u' W v``; with the first singular vectors, ``v`` divided by the first singular value, that
    is 1.
    """
    whole = dict(state)
    for name in [row.ours.removesuffix(".u") for row in rows if row.ours.endswith(".u")]:
        matrix = state[f"{name}.weight"].flatten(1)  # (O, I*k*k)
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        whole |= {f"{name}.u": left[:, 0], f"{name}.v": right[0] / values[0]}
    return whole


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise XlxmertError(
            f"expected {name} in the weights of a generator, found {some(sorted(state), 3)}: is it X-LXMERT's?"
        )
    return tuple(state[name].shape)
