"""What every published layout is read and written with: an ordered, reversible table of names, and a load report."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError

State = dict[str, Tensor]
Shape = tuple[int, ...]
HINT = "it is of another network, or cut short"
"""What a state that does not fit its table is, and what to do."""
SHOWN = 20
"""Names that a message lists before it only counts the rest."""


@dataclass(frozen=True)
class Row:
    """One tensor of ours, and those of theirs that it stacks along the first axis, in order."""

    ours: str
    theirs: tuple[str, ...]


def same(ours: str, theirs: str, kinds: Sequence[str] = ("weight", "bias")) -> list[Row]:
    """A module that both sides have, under two names."""
    return [Row(f"{ours}.{kind}", (f"{theirs}.{kind}",)) for kind in kinds]


def stacked(ours: str, theirs: Sequence[str], kinds: Sequence[str] = ("weight", "bias")) -> list[Row]:
    """A module of ours that stacks several of theirs."""
    return [Row(f"{ours}.{kind}", tuple(f"{name}.{kind}" for name in theirs)) for kind in kinds]


@dataclass(frozen=True)
class LoadReport:
    """What a published file gave; names are the file's, without its prefixes."""

    layout: str
    """Whose weights they are."""
    source: str
    """Where they lie."""
    expected: int
    """Tensors that the model asks for."""
    read: int
    """Tensors that were read."""
    missing: tuple[str, ...] = ()
    """Asked for and not found: these weights keep their random start."""
    unexpected: tuple[str, ...] = ()
    """Found and unknown: passed over."""
    misshapen: Mapping[str, str] = field(default_factory=dict)
    """Found in another shape, which is told: these weights keep their random start."""
    ignored: tuple[str, ...] = ()
    """Found, known and not needed: copies of other tensors, and what holds no weights."""

    def refuse(self, allow: Sequence[str] = (), hint: str = HINT) -> None:
        """Complain about whatever did not fit.

        Args:
            allow: names, or patterns with ``*``, of what need not fit.
            hint: how the message ends.

        Raises:
            XlxmertError: something else did not fit; the message names it.
        """
        missing, unexpected = (_others(names, allow) for names in (self.missing, self.unexpected))
        misshapen = [f"{name} is {self.misshapen[name]}" for name in _others(self.misshapen, allow)]
        if not (missing or unexpected or misshapen):
            return
        found = [f"{len(missing)} missing ({some(missing)})", f"{len(unexpected)} unexpected ({some(unexpected)})"]
        found += [f"{len(misshapen)} misshapen ({some(misshapen)})"] if misshapen else []
        raise XlxmertError(
            f"expected {self.expected} {self.layout} weights in {self.source}, found {' and '.join(found)}: {hint}"
        )


def translate(
    theirs: Mapping[str, Tensor],
    rows: Sequence[Row],
    ours: Mapping[str, Tensor] | None = None,
    layout: str = "reference",
    allow: Sequence[str] = (),
    optional: Iterable[str] = (),
    source: str = "the state",
    hint: str = HINT,
) -> tuple[State, LoadReport]:
    """Their tensors under our names, stacked where ours are; values are untouched.

    Args:
        theirs: the published state, prefixes taken off (`plain_names`).
        rows: the table.
        ours: our state before: gives the shapes, and the start of whatever is missing; without it shapes are not
            checked, and what is missing is left out.
        layout: what the weights are, for the report.
        allow: names, or patterns with ``*``, of what need not fit.
        optional: names that may be there and are not needed.
        source: where the tensors lie, for the report.
        hint: how a complaint ends.

    Raises:
        XlxmertError: a tensor is missing, unexpected or misshapen, and not allowed to be; the message names them all.
    """
    report = _compare(theirs, rows, ours, set(optional), layout, source)
    report.refuse(allow, hint)
    bad = {*report.missing, *report.misshapen}
    return {row.ours: _stack(row, theirs, bad, ours) for row in rows if ours or not bad & set(row.theirs)}, report


def split(ours: Mapping[str, Tensor], rows: Sequence[Row], wanted: Mapping[str, Tensor] | None = None) -> State:
    """The exact inverse of `translate`: our tensors as theirs, stacks taken apart.

    Args:
        ours: our state.
        rows: the table.
        wanted: gives the shapes; without it they are not checked.

    Raises:
        XlxmertError: a tensor is missing, unexpected or misshapen; the message names them all.
    """
    translate(ours, [Row(row.ours, (row.ours,)) for row in rows], wanted, layout="xlxmert")
    pieces = {row: ours[row.ours].chunk(len(row.theirs)) for row in rows}
    return {name: part.clone() for row in rows for name, part in zip(row.theirs, pieces[row], strict=True)}


def plain_names(state: Mapping[str, Tensor]) -> State:
    """The state with all prefixes of wrappers and models taken off and old names of norms renewed.

    ``module.``, ``model.``, ``bert.`` and ``lxmert.`` may come in any combination; a BERT's own parts get ``bert.``
    back. ``gamma`` and ``beta`` become ``weight`` and ``bias``.

    Raises:
        XlxmertError: two names become one.
    """
    renamed: State = {}
    for name, tensor in state.items():
        plain = re.sub(r"^((module|model|bert|lxmert)\.)+", "", name)
        plain = re.sub(r"^(?=(embeddings|encoder|pooler)\.)", "bert.", plain)
        plain = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", plain))
        if plain in renamed:
            raise XlxmertError(f"expected {plain} once, found it again as {name}: keep one of them in the file")
        renamed[plain] = tensor
    return renamed


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first of many names for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more or "none"


def _compare(
    theirs: Mapping[str, Tensor],
    rows: Sequence[Row],
    ours: Mapping[str, Tensor] | None,
    optional: set[str],
    layout: str,
    source: str,
) -> LoadReport:
    """What fits, and what does not."""
    names = [name for row in rows for name in row.theirs]
    wanted = _shapes(rows, ours or {})
    misshapen = {
        name: f"{tuple(theirs[name].shape)}, not {wanted[name]}"
        for name in names
        if name in theirs and name in wanted and tuple(theirs[name].shape) != wanted[name]
    }
    missing = tuple(name for name in names if name not in theirs)
    spare = sorted(theirs.keys() - set(names))
    return LoadReport(
        layout,
        source,
        len(names),
        len(names) - len(missing) - len(misshapen),
        missing,
        tuple(name for name in spare if name not in optional),
        misshapen,
        tuple(name for name in spare if name in optional),
    )


def _shapes(rows: Sequence[Row], ours: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shape of each of their tensors, as ours tell it: all parts of a stack are alike."""
    whole = {row: tuple(ours[row.ours].shape) for row in rows if row.ours in ours}
    return {
        name: (shape[0] // len(row.theirs), *shape[1:]) if len(row.theirs) > 1 else shape
        for row, shape in whole.items()
        for name in row.theirs
    }


def _stack(row: Row, theirs: Mapping[str, Tensor], bad: set[str], ours: Mapping[str, Tensor] | None) -> Tensor:
    """One tensor of ours; its parts that cannot be read come from ``ours``."""
    parts = [theirs.get(name) for name in row.theirs]
    if bad & set(row.theirs):
        assert ours is not None
        pieces = ours[row.ours].chunk(len(row.theirs))
        parts = [piece if name in bad else part for name, part, piece in zip(row.theirs, parts, pieces, strict=True)]
    found = [part for part in parts if part is not None]
    return found[0] if len(found) == 1 else torch.cat(found)


def _others(names: Iterable[str], allow: Sequence[str]) -> list[str]:
    """The names that are not allowed."""
    return [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allow)]
