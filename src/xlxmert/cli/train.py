"""``xlxmert train``: the whole road on a folder of pictures with captions."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, progress_bar
from xlxmert.data.folder_captions import Names
from xlxmert.recipes.folder import FolderRecipe, train_folder
from xlxmert.studio.devices import pick_device


@dataclass(frozen=True)
class Options:
    """Train a checkpoint on a folder of pictures with captions, from nothing: it paints, captions and matches.

    xlxmert train pictures

    Says first how long it will take. Stop it at any time; the same command goes on.
    """

    images: Annotated[Path, tyro.conf.Positional]
    """The folder of pictures; folders within are searched too."""
    out: Path | None = None
    """The run's folder; by default runs/ and the name of the pictures' folder."""
    captions: tuple[Path, ...] = ()
    """COCO's captions_*.json, or one's own .jsonl, .csv, .tsv or .txt files; by default those in the folder that are
    called captions or metadata, or a .txt beside each picture."""
    names: Names = "none"
    """Take the captions from the names of the pictures (files), such as a_red_car-12.jpg, or of their folders."""
    instances: Path | None = None
    """COCO's instances_*.json of the pictures: the visual vocabulary is taught to tell its things apart."""
    minutes: float = 0.0
    """Train for about this long in all; by default as long as the number of pictures asks for."""
    codes: int = 0
    """Size of the visual vocabulary; by default as the number of pictures asks for."""
    seed: int = 0
    """Of everything that is drawn."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where pictures are looked at; training takes an accelerator if there is one."""
    json: bool = False
    """Report as JSON; what is going on is told on the error stream."""


def run(options: Options) -> int:
    """Train, and say what came of it."""
    device = pick_device(options.device)
    out = options.out or Path("runs") / (options.images.resolve().name or "pictures")
    recipe = FolderRecipe(
        options.captions,
        options.names,
        options.instances,
        options.minutes,
        options.codes,
        options.seed,
        log=lambda text: print(text, file=sys.stderr, flush=True),
        quiet=options.json,
    )
    bundle = train_folder(options.images, out, recipe, device, progress_bar)
    sheet = out / "sheet.png"
    facts: dict[str, Any] = {"checkpoint": str(out / "checkpoint"), "sheet": str(sheet) if sheet.exists() else None}
    facts |= {"pictures": bundle.facts["pictures"], **bundle.facts["scores"]["held out"]}
    if options.json:
        print_json(facts)
    else:
        print_facts(facts)
        print(f'\nxlxmert paint "..." --checkpoint {out / "checkpoint"}')
    return 0
