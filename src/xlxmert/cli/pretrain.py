"""``xlxmert pretrain``: trains the transformer on a store."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xlxmert.cli.progress import print_facts
from xlxmert.models.families import PRESETS
from xlxmert.recipes.train_store import GUIDANCE, OBJECTIVES, Prepared, pretrain, pretrain_loop
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.train import TrainConfig

PresetName = Literal["x-lxmert", "lxmert", "lxmert-grid", "x-uniter", "uniter-grid", "world", "uniter-world", "tiny"]


@dataclass(frozen=True)
class Options:
    """Train the transformer on a prepared store; stop it and call it again to go on."""

    store: Path
    """The folder that `xlxmert prepare` wrote."""
    codebook: Path
    """The visual vocabulary that the store's codes were made with."""
    loop: TrainConfig = field(default_factory=lambda: pretrain_loop(Path("runs/pretrain")))
    """Length, schedule, precision and folder of the run."""
    preset: PresetName = "world"
    """Family and shape of the model; words, codes, features, labels and answers are the store's."""
    bert: Path | None = None
    """Start words and language layers from this folder of BERT's weights, as some rows of the papers do; the store's
    words must be BERT's (`xlxmert prepare --tokenizer vocab.txt`)."""
    objectives: PretrainConfig = field(default_factory=lambda: OBJECTIVES)
    """What is masked, how often, and on which sentences; the defaults are those that docs/results.md measured."""


def run(options: Options) -> int:
    """Train, and leave a checkpoint (without a generator yet) in the run's folder."""
    prepared = Prepared.open(options.store, options.codebook)
    model = pretrain(prepared, PRESETS[options.preset], options.objectives, options.loop, options.bert)
    folder = options.loop.out / "checkpoint"
    guidance = GUIDANCE if options.objectives.caption_dropout else 0.0
    prepared.bundle(model, None, {"guidance": guidance}).save_pretrained(folder)
    print_facts({"steps": options.loop.steps, "checkpoint": folder})
    return 0
