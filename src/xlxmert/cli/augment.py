"""``xlxmert augment``: more captions for a training set."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from xlxmert.cli.common import Common, print_json
from xlxmert.cli.progress import print_facts, print_unreadable, progress_bar
from xlxmert.core.errors import UsageError
from xlxmert.recipes.augment import Augmentation, augment
from xlxmert.studio import Describer


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Let a captioner write more captions for the pictures of a training set.

    xlxmert augment --images train2014 --captions captions_train2014.json --out captions_more.json

    The --checkpoint's matching head drops those that do not fit their pictures.
    """

    images: Path
    """The pictures' folder."""
    captions: Path
    """COCO's ``captions_*.json``: the captions that the pictures have."""
    out: Path
    """The new file, with the earlier captions and the new ones."""
    model: str | None = None
    """A captioner's folder or its name on the Hugging Face hub; by default the bundled one."""
    only_new: bool = False
    """Leave the earlier captions out of the new file."""
    overwrite: bool = False
    """Replace the file that is there."""
    choices: tyro.conf.OmitArgPrefixes[Augmentation] = field(default_factory=Augmentation)
    """How many captions are drawn, and which are kept."""


def run(options: Options) -> int:
    """Write the file and say what became of the draws."""
    if options.out.exists() and not options.overwrite:
        raise UsageError(f"expected no file at {options.out}, found one: choose another --out, or pass --overwrite")
    describer = Describer.from_pretrained(options.model, options.device)
    with progress_bar("writing captions") as progress:
        tally, unreadable = augment(
            options.images, options.captions, options.out, describer, options.studio(), options.choices,
            options.only_new, progress,
        )  # fmt: skip
    facts = {**dataclasses.asdict(tally), "unreadable": len(unreadable), "captions": str(options.out)}
    (print_json if options.json else print_facts)(facts)
    print_unreadable(unreadable)
    return 1 if unreadable else 0
