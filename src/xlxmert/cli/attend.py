"""``xlxmert attend``: what looks at what while a sentence and a picture are read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from xlxmert.cli.common import Common, print_json, print_table
from xlxmert.core.errors import UsageError
from xlxmert.studio.attention import KINDS, AttentionMaps, Panel
from xlxmert.studio.attention_pictures import draw_attention
from xlxmert.studio.files import check_free, save_picture, slug


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Draw what looks at what while the model reads a sentence and a picture.

    xlxmert attend cars.png "two red cars on the beach" --kind word-region --layer 2
    """

    picture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """A picture file."""
    sentence: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SENTENCE")]
    """A sentence, in quotes; it may be wrong about the picture."""
    out: Path = Path("attention")
    """A folder for the drawings, one per kind."""
    kind: tuple[str, ...] = KINDS
    """Who looks at what."""
    layer: int | None = None
    """One layer, counted from 1 among those of the kind; by default every layer."""
    head: int | None = None
    """One head, counted from 1; by default the mean over all heads."""
    heads: bool = False
    """Every head of the layer instead of their mean."""
    overwrite: bool = False
    """Replace files that xlxmert did not draw."""


def run(options: Options) -> int:
    """Draw and save; one line per drawing."""
    kinds = _kinds(options)
    paths = _paths(options, kinds)
    found = options.studio().attend(options.picture, options.sentence)
    kinds = kinds if options.kind != KINDS else [kind for kind in kinds if kind in found.kinds]
    chosen = {kind: found.panels(kind, options.layer, options.head, options.heads) for kind in kinds}
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    rows = [_drawn(found, kind, panels, paths[kind], options) for kind, panels in chosen.items()]
    if options.json:
        told = {"picture": str(options.picture), "sentence": found.sentence, "tokens": found.tokens, "grid": found.grid}
        print_json({**told, "notes": found.notes, "drawings": rows})
    else:
        cells = [(row["kind"], str(len(row["maps"])), _strongest_told(row["strongest"]), row["file"]) for row in rows]
        print_table(("kind", "maps", "strongest", "file"), cells)
    return 0


def _kinds(options: Options) -> list[str]:
    """The wanted kinds, each once."""
    if not options.kind:
        raise UsageError(f"expected at least one --kind of {', '.join(KINDS)}, found none: name one, or leave it out")
    for kind in options.kind:
        if kind not in KINDS:
            raise UsageError(f"expected a --kind of {', '.join(KINDS)}, found '{kind}': choose among them")
    return list(dict.fromkeys(options.kind))


def _paths(options: Options, kinds: Sequence[str]) -> dict[str, Path]:
    """Where each drawing goes; whatever is in the way is told before anything is drawn."""
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"expected a folder, found --out {options.out}, a file: choose another name")
    parts = [f"-layer-{options.layer}"] if options.layer is not None else []
    parts += ["-heads"] if options.heads else [] if options.head is None else [f"-head-{options.head}"]
    name = slug(f"{options.picture.stem} {options.sentence}")
    paths = {kind: options.out / f"{name}-{kind}{''.join(parts)}.png" for kind in kinds}
    for path in paths.values():
        check_free(path, options.overwrite)
    return paths


def _drawn(found: AttentionMaps, kind: str, panels: Sequence[Panel], path: Path, options: Options) -> dict[str, Any]:
    """Draw one kind, save it, and say what it shows."""
    facts = {"Description": f"attention {kind.replace('-', ' to ')}: {found.sentence}"}
    save_picture(path, draw_attention(found, kind, panels), options.overwrite, facts)
    maps, strongest = [panel.title for panel in panels], _strongest(found, kind, panels)
    return {"kind": kind, "maps": maps, "strongest": strongest, "file": str(path)}


def _strongest(found: AttentionMaps, kind: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """The highest weight of all maps, with who looks at what."""
    weights = np.stack([panel.weights for panel in panels])  # (maps, L, S)
    panel, *pair = (int(place) for place in np.unravel_index(weights.argmax(), weights.shape))
    looks, seen = (found.name(side, place) for side, place in zip(kind.split("-"), pair, strict=True))
    return {"map": panels[panel].title, "looks": looks, "at": seen, "weight": round(float(weights.max()), 4)}


def _strongest_told(strongest: dict[str, Any]) -> str:
    return f"{strongest['looks']} → {strongest['at']} {strongest['weight']:.0%} ({strongest['map'].split(', ')[1]})"
