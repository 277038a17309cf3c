"""``xlxmert finetune``: trains a checkpoint further, on questions, statements about pictures, retrieval or captions."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from xlxmert.cli.choices import ShapeName
from xlxmert.cli.progress import print_facts
from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError
from xlxmert.core.processes import is_main
from xlxmert.data.store import Store
from xlxmert.models.families import PRESETS
from xlxmert.recipes.captioner import finetune_captioner, of_stage
from xlxmert.recipes.finetune import (
    ANSWERING,
    NLVR2,
    RETRIEVAL,
    FinetuneConfig,
    examples_of,
    finetune,
    finetune_loop,
    fresh,
    steps_of,
)
from xlxmert.recipes.train_store import Prepared
from xlxmert.tasks.answering import AnsweringConfig
from xlxmert.tasks.generative import GenerativeConfig
from xlxmert.tasks.nlvr2 import Nlvr2Config
from xlxmert.tasks.retrieval import RetrievalConfig
from xlxmert.tasks.self_critical import SelfCriticalConfig
from xlxmert.train import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Options:
    """Fine-tune a checkpoint on a prepared store; stop it and call it again to go on.

    xlxmert finetune nlvr2 --store statements --loop.out runs/nlvr2
    """

    task: Annotated[Literal["vqa", "gqa", "nlvr2", "retrieval", "caption"], tyro.conf.Positional]
    """Questions of VQA v2 or GQA, statements about two pictures, telling captions and pictures from others, or writing
    captions (XGPT)."""
    store: Path
    """The folder that `xlxmert prepare` wrote, with the checkpoint's codebook and tokenizer."""
    checkpoint: str | None = None
    """A checkpoint's folder or its name on the Hugging Face hub; by default the bundled one."""
    preset: ShapeName | None = None
    """Start from random weights of this shape instead of a checkpoint: what learning on the task alone gives."""
    codebook: Path | None = None
    """With --preset: the visual vocabulary that the store was prepared with."""
    model: str | None = None
    """caption: a captioner's folder or its name on the Hugging Face hub; by default the bundled one."""
    epochs: float | None = None
    """How often each example is seen, instead of --loop.steps; the papers have 4 (LXMERT) and 10 (X-LXMERT)."""
    loop: TrainConfig = field(default_factory=lambda: finetune_loop(Path("runs/finetune")))
    """Length, schedule, precision and folder of the run."""
    answering: AnsweringConfig = field(default_factory=lambda: ANSWERING)
    """How questions are learned (vqa and gqa)."""
    nlvr2: Nlvr2Config = field(default_factory=lambda: NLVR2)
    """How statements are learned."""
    retrieval: RetrievalConfig = field(default_factory=lambda: RETRIEVAL)
    """How retrieval is learned."""
    captioning: GenerativeConfig = field(default_factory=lambda: of_stage("captioning"))
    """How captions are learned."""
    self_critical: bool = False
    """caption: learn from the CIDEr-D of captions that the captioner draws, which it must write well already."""
    critical: SelfCriticalConfig = field(default_factory=SelfCriticalConfig)
    """How it learns from them."""


def run(options: Options) -> int:
    """Train, and leave the fine-tuned checkpoint in the run's folder."""
    if options.task == "caption":
        return _caption(options)
    if options.model is not None or options.self_critical:
        raise UsageError(f"expected the task caption for --model and --self-critical, found {options.task}: leave them")
    bundle, store = _start(options)
    configs: dict[str, FinetuneConfig] = {"nlvr2": options.nlvr2, "retrieval": options.retrieval}
    config = configs.get(options.task, options.answering)
    examples = examples_of(store, config)
    loop = _loop(options, examples)
    return _finish(options, finetune(bundle, store, config, loop), examples, loop)


def _start(options: Options) -> tuple[Bundle, Store]:
    """What to start from, and the store.

    Raises:
        UsageError: a checkpoint and a preset are named, or a codebook without a preset.
    """
    if options.preset is None:
        if options.codebook is not None:
            raise UsageError("expected --preset beside --codebook, found none: a checkpoint brings its own codebook")
        return Bundle.from_pretrained(options.checkpoint), Store.open(options.store)
    if options.checkpoint is not None:
        raise UsageError("expected --checkpoint or --preset, found both: a preset starts from random weights")
    prepared = Prepared.open(options.store, options.codebook)
    return fresh(prepared, PRESETS[options.preset], options.loop.seed), prepared.store


def _caption(options: Options) -> int:
    """Fine-tune a captioner."""
    if (options.checkpoint, options.preset, options.codebook) != (None, None, None):
        raise UsageError(
            "expected a captioner to fine-tune, found --checkpoint, --preset or --codebook: pass its folder as --model"
        )
    captioner, store = Captioner.from_pretrained(options.model), Store.open(options.store)
    config = options.critical if options.self_critical else options.captioning
    captions = store.of_kind("caption")
    pictures = len(np.unique(store.arrays["picture"][captions]))
    loop = _loop(options, pictures if options.self_critical else len(captions))
    return _finish(options, finetune_captioner(captioner, store, config, loop), len(captions), loop)


def _loop(options: Options, examples: int) -> TrainConfig:
    """The run, with its length in epochs where that was given."""
    loop = options.loop
    if options.epochs is None:
        return loop
    if options.epochs <= 0:
        raise UsageError(f"expected --epochs above 0, found {options.epochs}: pass 4, for example")
    return dataclasses.replace(loop, steps=steps_of(options.epochs, examples, loop.batch_size))


def _finish(options: Options, tuned: Bundle | Captioner, examples: int, loop: TrainConfig) -> int:
    """Save what came of it and say what was done."""
    folder = loop.out / "checkpoint"
    if is_main():
        tuned.save_pretrained(folder)
        print_facts({"task": options.task, "examples": examples, "steps": loop.steps, "checkpoint": folder})
    return 0
