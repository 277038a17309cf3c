"""``xlxmert codebook``: fit the visual vocabulary on a folder of pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, print_unreadable, progress_bar
from xlxmert.core.errors import XlxmertError
from xlxmert.recipes.codebook import FEATURES, TAUGHT, CodebookRecipe, fit_codebook, parse_depths
from xlxmert.studio.devices import pick_device
from xlxmert.vision.regions import FeatureSpec


@dataclass(frozen=True)
class Options:
    """Fit the visual vocabulary: k-means over the features of the pictures' grid cells."""

    images: Path
    """A folder of pictures; folders within are searched too."""
    out: Path
    """The file to write, such as vocabulary.safetensors."""
    codes: int = 8192
    """Size of the vocabulary."""
    iterations: int = 12
    """Rounds of k-means."""
    seed: int = 0
    """Seed of the choice of pictures and of k-means."""
    pictures: int = 12_000
    """Most pictures that are looked at, drawn at random; 0 takes all."""
    balance: float = 1.0
    """How much k-means prefers things to plain areas; 0 is plain k-means."""
    grid: int = FEATURES.grid
    """Grid cells per side."""
    backbone: str = CodebookRecipe.backbone
    """The network that looks at pictures: the shipped one, or with the extra `backbones` any picture network of
    transformers, as hf:OWNER/NAME of the hub or as hf:FOLDER."""
    depths: tuple[str, ...] = tuple(f"{depth.stride}:{depth.parts}" for depth in FEATURES.depths)
    """Depths of the backbone in a feature, each stride:parts or stride:parts:weight; a backbone without these strides
    takes its own two finest by default."""
    colour_parts: int = FEATURES.colour_parts
    """Mean colours of parts x parts sub-cells in a feature; 0 leaves colours out."""
    colour_weight: float = FEATURES.colour_weight
    """Weight of the colours in a feature."""
    kept: int = FEATURES.kept
    """Principal axes of the feature that are kept; 0 keeps all as they are."""
    whiten: float = FEATURES.whiten
    """How far the kept axes are brought to the same variance, from 0 to 1."""
    instances: Path | None = None
    """COCO's instances_*.json of the pictures: the codes are taught to tell its things and their attributes apart."""
    embedded: int = TAUGHT.embedded
    """With --instances: width of the vector that is taught."""
    plain_weight: float = TAUGHT.plain_weight
    """With --instances: how long the plain feature is beside that vector."""
    lessons: int = CodebookRecipe.lessons
    """With --instances: steps in which it is taught."""
    size: int = 256
    """Side in pixels to which pictures are brought."""
    crop: bool = False
    """Keep the centre square of a picture instead of squashing it."""
    workers: int = 2
    """Threads that decode pictures."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the backbone runs."""
    overwrite: bool = False
    """Replace the file if it is there."""
    json: bool = False
    """Report as JSON."""


def recipe_of(options: Options) -> CodebookRecipe:
    """The recipe that the options ask for."""
    features = FeatureSpec(
        options.grid,
        parse_depths(options.depths),
        options.colour_parts,
        options.colour_weight,
        kept=options.kept,
        whiten=options.whiten,
        embedded=options.embedded if options.instances else 0,
        plain_weight=options.plain_weight,
    )
    return CodebookRecipe(
        options.codes,
        options.iterations,
        options.seed,
        features,
        options.pictures,
        options.balance,
        size=options.size,
        crop=options.crop,
        workers=options.workers,
        instances=options.instances,
        lessons=options.lessons,
        backbone=options.backbone,
    )


def run(options: Options) -> int:
    """Fit, write and report."""
    if options.out.exists() and not options.overwrite:
        raise XlxmertError(f"expected a new file at {options.out}, found one: pass --overwrite to replace it")
    with progress_bar("looking at pictures") as progress:
        fitted = fit_codebook(options.images, recipe_of(options), pick_device(options.device), progress)
    fitted.vocabulary.save(options.out)
    print_unreadable(fitted.unreadable)
    facts = {
        "file": str(options.out),
        "backbone": fitted.vocabulary.backbone.name,
        "codes": len(fitted.vocabulary.codebook),
        "width": fitted.vocabulary.width,
        "pictures": fitted.pictures,
        "unreadable": len(fitted.unreadable),
        "fingerprint": fitted.vocabulary.codebook.fingerprint,
    }
    if options.json:
        print_json(facts)
    else:
        print_facts(facts)
    return 0
