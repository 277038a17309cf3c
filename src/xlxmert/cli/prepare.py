"""``xlxmert prepare``: pictures and annotations to a store of visual tokens and sentences."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, print_same, print_unreadable, progress_bar
from xlxmert.convert.locate import CODEBOOK, locate
from xlxmert.core.errors import UsageError
from xlxmert.recipes.mixture_pictures import PictureSources
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.studio.devices import pick_device


@dataclass(frozen=True)
class Options:
    """Turn pictures and annotations into a store of visual tokens and sentences, ready for training."""

    out: Path
    """The store's folder, new or empty."""
    images: Path | None = None
    """The folder of pictures; folders within are searched too."""
    codebook: Path | None = None
    """The visual vocabulary that `xlxmert codebook` wrote; by default the checkpoint's."""
    checkpoint: str | None = None
    """Without --codebook: the checkpoint that is to be fine-tuned, a folder or a name on the Hugging Face hub, by
    default the bundled one. Its visual vocabulary and its words are taken."""
    captions: tuple[Path, ...] = ()
    """COCO's captions_*.json, or one's own .jsonl, .csv, .tsv or .txt files, one or more."""
    karpathy: tuple[Path, ...] = ()
    """Karpathy's dataset_coco.json, dataset_flickr30k.json and their like, one or more: captions with their splits."""
    split: Literal["train", "restval", "val", "test"] | None = None
    """With --karpathy: which of its splits, by default train, to which COCO's restval belongs."""
    vqa: tuple[tuple[Path, Path], ...] = ()
    """VQA v2's questions and annotations, in pairs."""
    gqa: tuple[Path, ...] = ()
    """GQA's *_questions.json, files or folders."""
    regions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and region_descriptions.json, in pairs."""
    genome_questions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and question_answers.json, in pairs."""
    nlvr2: tuple[Path, ...] = ()
    """NLVR2's train.json and its like: statements about two pictures."""
    flickr: tuple[Path, ...] = ()
    """Flickr30k's results_20130124.token, one or more."""
    conceptual: tuple[Path, ...] = ()
    """Conceptual Captions' tsv with the names of local files, one or more; captions without a file are passed over."""
    easy_vqa: tuple[Path, ...] = ()
    """easy-VQA's questions.json, or a split's folder with it, one or more."""
    lxmert: tuple[Path, ...] = ()
    """LXMERT's files for fine-tuning, vqa/train.json, gqa/train.json, nlvr2/train.json and their like, one or more."""
    tsv: tuple[Path, ...] = ()
    """Instead of --images: LXMERT's features of the pictures, train2014_obj36.tsv and its like."""
    h5: tuple[Path, ...] = ()
    """Instead of --images: X-LXMERT's features, maskrcnn_train_grid8.h5, maskrcnn_train_boxes36.h5 and their like."""
    clusters: tuple[Path, ...] = ()
    """X-LXMERT's codes instead of --images, _img_id_to_cluster_id_10000_iter20_d2048_grid8.pkl; with --centroids."""
    centroids: Path | None = None
    """X-LXMERT's centroids, ..._centroids10000_iter20_d2048_grid8.npy; with --h5 they turn features into codes."""
    recipe: OmitArgPrefixes[PrepareRecipe] = field(default_factory=PrepareRecipe)
    """How sentences and pictures are turned into numbers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the backbone runs."""
    overwrite: bool = False
    """Replace a store that was written to this folder earlier."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Prepare the store and report its counts."""
    published = published_of(options)
    sources = Sources(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Sources)})
    device = pick_device(options.device)
    codebook, recipe = parts_of(options)
    with progress_bar("encoding pictures") as progress:
        prepared = prepare(options.out, sources, codebook, recipe, device, options.overwrite, progress, published)
    print_unreadable(prepared.unreadable)
    print_same(prepared.same)
    if options.json:
        unreadable = [str(path) for path in prepared.unreadable]
        same = [[str(path) for path in files] for files in prepared.same]
        print_json(prepared.summary() | {"unreadable_files": unreadable, "duplicate_files": same})
    else:
        print_facts(prepared.summary())
    return 0


def published_of(options: Options) -> PictureSources | None:
    """What others saw in the pictures; None where they are looked at here.

    Raises:
        UsageError: there are neither pictures nor features, or both.
    """
    if options.images is not None and not (options.tsv or options.h5 or options.clusters or options.centroids):
        return None
    if options.codebook is not None and options.images is None:
        raise UsageError("expected --images beside --codebook, found none: published features need no codebook")
    return PictureSources(
        options.images, options.codebook, options.tsv, options.h5, options.clusters, options.centroids
    )


def parts_of(options: Options) -> tuple[Path | None, PrepareRecipe]:
    """The visual vocabulary, where pictures are looked at, and the recipe with the words that belong to it.

    Raises:
        UsageError: both a codebook and a checkpoint are named, or there is no such checkpoint.
    """
    if options.codebook is not None:
        if options.checkpoint is not None:
            raise UsageError("expected --codebook or --checkpoint, found both: a checkpoint brings its own codebook")
        return options.codebook, options.recipe
    if options.images is None and options.checkpoint is None:
        return None, options.recipe
    folder = locate(options.checkpoint)
    given = options.recipe.tokenizer != "train"
    recipe = options.recipe if given else dataclasses.replace(options.recipe, tokenizer=str(folder))
    return None if options.images is None else folder / CODEBOOK, recipe
