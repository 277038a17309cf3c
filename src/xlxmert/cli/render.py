"""``xlxmert render``: trains the image generator on a store and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xlxmert.cli.progress import print_facts
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.processes import is_main
from xlxmert.models.generator.presets import PRESETS
from xlxmert.recipes.train_store import WARM_START, Prepared, from_folder, render, render_loop
from xlxmert.tasks.render import RenderConfig
from xlxmert.train import TrainConfig
from xlxmert.vision.codebook import Codebook


@dataclass(frozen=True)
class Options:
    """Train the image generator; with --checkpoint, give it to a pre-trained transformer."""

    store: Path
    """The folder that `xlxmert prepare` wrote."""
    images: Path
    """The pictures that the store was made of."""
    codebook: Path | None = None
    """The visual vocabulary that the store's codes were made with, or X-LXMERT's published centroids (.npy). A store of
    published codes needs none."""
    loop: TrainConfig = field(default_factory=lambda: render_loop(Path("runs/render")))
    """Length, schedule, precision and folder of the run."""
    preset: Literal["paper", "world", "tiny"] = "world"
    """Shape of the generator."""
    losses: RenderConfig = field(default_factory=lambda: WARM_START)
    """Weights of the losses; the paper's training is --losses.adversarial-from 0 with the weights 1, 1, 10, 10."""
    checkpoint: Path | None = None
    """A checkpoint that `xlxmert pretrain` wrote; the generator is put into it."""


def run(options: Options) -> int:
    """Train, and put the generator into the checkpoint."""
    bundle = Bundle.from_pretrained(options.checkpoint) if options.checkpoint is not None else None
    prepared = Prepared.open(options.store, options.codebook)
    mine = prepared.coded("an image generator").fingerprint
    if bundle is not None and bundle.model.centroids is not None:
        other = Codebook(bundle.model.centroids).fingerprint
        if mine != other:
            raise XlxmertError(
                f"expected a checkpoint of the codebook {mine}, found {other} in {options.checkpoint}: "
                "use the store that it was trained on"
            )
    shape = PRESETS[options.preset]
    pictures = from_folder(prepared, options.images, shape.size)
    generator = render(prepared, pictures, shape, options.losses, options.loop)
    if not is_main():
        return 0
    facts = {"steps": options.loop.steps, "previews": options.loop.out / "preview"}
    if bundle is not None and options.checkpoint is not None:
        prepared.bundle(bundle.model, generator, dict(bundle.facts)).save_pretrained(options.checkpoint)
        facts["checkpoint"] = options.checkpoint
    print_facts(facts)
    return 0
