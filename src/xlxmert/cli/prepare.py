"""``xlxmert prepare``: pictures and annotations to a store of visual tokens and sentences."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, print_left_out, print_same, print_unreadable, progress_bar
from xlxmert.convert.locate import CODEBOOK, locate
from xlxmert.core.errors import UsageError
from xlxmert.core.processes import is_main
from xlxmert.data.shards import expanded
from xlxmert.data.tables import Columns, open_table
from xlxmert.recipes.picture_sources import PictureSources
from xlxmert.recipes.prepare import PrepareRecipe, check_store, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.unpack import unpack, unpack_table
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
    shards: tuple[str, ...] = ()
    """Instead of --images: webdataset's tar files, one or more, or a range of them, "data-{000000..000009}.tar"."""
    table: str | None = None
    """Instead of --images: a table of the datasets library with pictures and captions: a folder of save_to_disk or of
    parquet files, a .parquet or .arrow file, or a name on the Hugging Face hub."""
    image_column: str = "image"
    """With --table: the column of pictures."""
    caption_column: str = "caption"
    """With --table: the column of captions, texts or lists of them."""
    table_split: str | None = None
    """With --table: which of its splits, by default train or the only one."""
    pictures: Path | None = None
    """With --shards and --table: where their pictures are put and stay, by default a folder beside the store."""
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
    options = unpacked(options)
    published = published_of(options)
    sources = Sources(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Sources)})
    device = pick_device(options.device)
    codebook, recipe = parts_of(options)
    with progress_bar("encoding pictures") as progress:
        prepared = prepare(options.out, sources, codebook, recipe, device, options.overwrite, progress, published)
    if not is_main():
        return 0
    print_unreadable(prepared.unreadable)
    print_same(prepared.same)
    if options.json:
        unreadable = [str(path) for path in prepared.unreadable]
        same = [[str(path) for path in files] for files in prepared.same]
        print_json(prepared.summary() | {"unreadable_files": unreadable, "duplicate_files": same})
    else:
        print_facts(prepared.summary())
    return 0


def unpacked(options: Options) -> Options:
    """The same options, with pictures and captions that came out of shards or a table.

    Raises:
        UsageError: there are pictures from elsewhere, too.
        XlxmertError: a shard or the table is damaged, or the store may not be written.
    """
    given = [name for name in ("images", "shards", "table") if getattr(options, name)]
    if len(given) > 1:
        raise UsageError(f"expected one of --images, --shards and --table, found --{' and --'.join(given)}")
    if not given or given == ["images"]:
        return options
    check_store(options.out, options.overwrite)
    folder = options.pictures or options.out.with_name(f"{options.out.name}-pictures")
    if options.table is None:
        done = unpack(tuple(path for name in options.shards for path in expanded(name)), folder)
    else:
        columns = Columns(options.image_column, options.caption_column, options.table_split)
        done = unpack_table(open_table(options.table, columns), folder)
    print_left_out(done.left_out)
    return dataclasses.replace(options, images=folder / "images", captions=(*options.captions, *done.files))


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
    if options.images is not None and not (folder / CODEBOOK).is_file():
        raise UsageError(
            f"expected a checkpoint that looks at pictures, found no visual vocabulary in {folder}: give what it reads "
            "in the place of --images (--tsv, --h5 or --clusters), or name another with --checkpoint"
        )
    given = options.recipe.tokenizer != "train"
    recipe = options.recipe if given else dataclasses.replace(options.recipe, tokenizer=str(folder))
    return None if options.images is None else folder / CODEBOOK, recipe
