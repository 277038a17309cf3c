"""The public X-LXMERT generator's and discriminator's weights, to our names and back, by one reversible table each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError

PREFIX = "module."
"""What distributed training put before every name of the published files."""


@dataclass(frozen=True)
class Row:
    """One tensor of ours and its parts in the reference layout, which stack along the first axis."""

    ours: str
    theirs: tuple[str, ...]


def _same(ours: str, theirs: str, kinds: Sequence[str] = ("weight", "bias")) -> list[Row]:
    """A module without spectral norm."""
    return [Row(f"{ours}.{kind}", (f"{theirs}.{kind}",)) for kind in kinds]


def _spectral(ours: str, theirs: str) -> list[Row]:
    """A convolution with spectral norm in torch's old style: weight_orig, weight_u, weight_v."""
    pairs = (("bias", "bias"), ("weight", "weight_orig"), ("u", "weight_u"), ("v", "weight_v"))
    return [Row(f"{ours}.{mine}", (f"{theirs}.{other}",)) for mine, other in pairs]


def _spade(ours: str, theirs: str) -> list[Row]:
    """SPADE, whose scale and shift are one convolution here and two there."""
    merged = [
        Row(f"{ours}.modulation.{kind}", (f"{theirs}.gamma.{kind}", f"{theirs}.beta.{kind}"))
        for kind in ("weight", "bias")
    ]
    return [*_same(f"{ours}.shared", f"{theirs}.shared.0"), *merged]


def generator_rows(blocks: int = 5) -> list[Row]:
    """The table of a generator whose blocks all have SPADE, spectral norm and noise."""
    rows = [
        *_same("bottleneck", "bottleneck_emb.0"),
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
        rows += _same(f"heads.{i}", f"to_RGB_blocks.{i}.conv")
    return rows


def discriminator_rows(blocks: int = 6) -> list[Row]:
    """The table of a discriminator with spectral norm."""
    rows: list[Row] = []
    for i in range(blocks):
        ours, theirs = f"blocks.{i}", f"resblocks.{i}"
        rows += _spectral(f"{ours}.conv1", f"{theirs}.conv1") + _spectral(f"{ours}.conv2", f"{theirs}.conv2")
        rows += _spectral(f"{ours}.skip", f"{theirs}.res_branch.1")
    rows += [*_spectral("real", "adv_out"), *_same("project", "emb_proj")]
    return [*rows, Row("centroids", ("emb_classifier.weight",)), Row("code_bias", ("emb_classifier.bias",))]


def from_reference(state: Mapping[str, Tensor], rows: Sequence[Row], allow: Sequence[str] = ()) -> dict[str, Tensor]:
    """Rename the reference's tensors, with or without their prefix, and stack what is merged here.

    Args:
        state: the reference's state.
        rows: the table.
        allow: names of the reference that may be missing; our tensor is then left out.

    Raises:
        XlxmertError: a name is missing or unexpected; the message names all of them.
    """
    found = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    _complain(found, [name for row in rows for name in row.theirs], allow, "reference weights")
    whole = [row for row in rows if all(name in found for name in row.theirs)]
    return {row.ours: torch.cat([found[name] for name in row.theirs]) for row in whole}


def to_reference(state: Mapping[str, Tensor], rows: Sequence[Row], prefix: str = PREFIX) -> dict[str, Tensor]:
    """The exact inverse of `from_reference`: our tensors under the reference's names.

    Raises:
        XlxmertError: a name is missing or unexpected; a generator with folded spectral norm has no such layout.
    """
    _complain(state, [row.ours for row in rows], (), "weights for the reference layout")
    pieces = {row: state[row.ours].chunk(len(row.theirs)) for row in rows}
    return {prefix + name: part.clone() for row in rows for name, part in zip(row.theirs, pieces[row], strict=True)}


def _complain(found: Mapping[str, Tensor], wanted: Sequence[str], allow: Sequence[str], what: str) -> None:
    """Raise an error that names every missing and every unexpected tensor."""
    missing = sorted(set(wanted) - set(found) - set(allow))
    unexpected = sorted(set(found) - set(wanted))
    if missing or unexpected:
        raise XlxmertError(
            f"expected {len(wanted)} {what}, found {len(missing)} missing ({', '.join(missing) or 'none'}) and "
            f"{len(unexpected)} unexpected ({', '.join(unexpected) or 'none'}): is this the file of another network?"
        )
