"""``xlxmert prepare``: pictures and annotations to a store of visual tokens and sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, print_unreadable, progress_bar
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.studio.studio import pick_device


@dataclass(frozen=True)
class Options:
    """Turn pictures and annotations into a store of visual tokens and sentences, ready for training."""

    images: Path
    """The folder of pictures; folders within are searched too."""
    codebook: Path
    """The visual vocabulary that `xlxmert codebook` wrote."""
    out: Path
    """The store's folder, new or empty."""
    captions: tuple[Path, ...] = ()
    """COCO's captions_*.json, one or more."""
    vqa: tuple[tuple[Path, Path], ...] = ()
    """VQA v2's questions and annotations, in pairs."""
    gqa: tuple[Path, ...] = ()
    """GQA's *_questions.json, files or folders."""
    regions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and region_descriptions.json, in pairs."""
    genome_questions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and question_answers.json, in pairs."""
    tokenizer: str = "train"
    """Learn the words from these sentences (train), or a tokenizer.json, a store's folder or BERT's vocab.txt."""
    words: int = 30_000
    """Most pieces of a tokenizer that is trained."""
    answers: str = "all"
    """Keep all answers that are given here (all), or an answers.json or LXMERT's published table."""
    least: int = 1
    """With --answers all: leave out answers that fewer questions than this have."""
    size: int = 256
    """Side in pixels to which pictures are brought."""
    crop: bool = False
    """Keep the centre square of a picture instead of squashing it."""
    workers: int = 2
    """Threads that decode pictures."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the backbone runs."""
    overwrite: bool = False
    """Replace a store that was written to this folder earlier."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Prepare the store and report its counts."""
    sources = Sources(
        options.images, options.captions, options.vqa, options.gqa, options.regions, options.genome_questions
    )
    recipe = PrepareRecipe(
        options.tokenizer,
        options.words,
        options.answers,
        options.least,
        options.size,
        options.crop,
        options.workers,
    )
    device = pick_device(options.device)
    with progress_bar("encoding pictures") as progress:
        prepared = prepare(options.out, sources, options.codebook, recipe, device, options.overwrite, progress)
    print_unreadable(prepared.unreadable)
    if options.json:
        unreadable = {"unreadable_files": [str(path) for path in prepared.unreadable]}
        print_json(prepared.summary() | unreadable)
    else:
        print_facts(prepared.summary())
    return 0
