"""``xlxmert features``: pictures to a detector's features, in the published files' formats."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, print_unreadable, progress_bar
from xlxmert.core.errors import XlxmertError
from xlxmert.recipes.features import FeaturesRecipe, extract
from xlxmert.studio.devices import pick_device


@dataclass(frozen=True)
class Options:
    """Read pictures with a published detector and write their features, as the papers' models take them.

    xlxmert features --images train2014 --detector detectron_model.pth --out maskrcnn_train_grid8.h5
    """

    images: Path
    """A folder of pictures; folders within are searched too."""
    detector: Path
    """detectron_model.pth, faster_rcnn_from_caffe*.pkl, or frcnn-vg-finetuned's pytorch_model.bin."""
    out: Path
    """The file to write: .h5 as X-LXMERT publishes them, or .tsv as LXMERT does (boxes with attributes)."""
    recipe: OmitArgPrefixes[FeaturesRecipe] = field(default_factory=FeaturesRecipe)
    """What is read of each picture."""
    allow: tuple[str, ...] = ()
    """Weights of the detector that may be missing, unexpected or misshapen: names, or patterns in quotes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the detector runs."""
    overwrite: bool = False
    """Replace the file if it is there."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Read, write and report."""
    out, recipe = options.out, options.recipe
    if out.is_dir() or (out.exists() and not options.overwrite):
        move = "name a file in it" if out.is_dir() else "pass --overwrite to replace it"
        raise XlxmertError(f"expected a new file at {out}, found {'a folder' if out.is_dir() else 'one'}: {move}")
    device = pick_device(options.device)
    with progress_bar("looking at pictures") as progress:
        found = extract(options.images, options.detector, out, recipe, device, options.allow, progress)
    print_unreadable(found.unreadable)
    facts = {
        "file": str(out),
        "pictures": found.pictures,
        "unreadable": len(found.unreadable),
        "regions": recipe.cells**2 if recipe.regions == "grid" else recipe.count,
        "width": found.width,
        "precision": recipe.precision,
    }
    if options.json:
        print_json(facts | {"unreadable_files": [str(path) for path in found.unreadable]})
    else:
        print_facts(facts)
    return 0
