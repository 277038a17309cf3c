"""``xlxmert finetune``: trains a checkpoint further, on questions, statements about two pictures, or retrieval."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xlxmert.cli.progress import print_facts
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError
from xlxmert.data.store import Store
from xlxmert.recipes.finetune import (
    ANSWERING,
    NLVR2,
    RETRIEVAL,
    FinetuneConfig,
    examples_of,
    finetune,
    finetune_loop,
    steps_of,
)
from xlxmert.tasks.answering import AnsweringConfig
from xlxmert.tasks.nlvr2 import Nlvr2Config
from xlxmert.tasks.retrieval import RetrievalConfig
from xlxmert.train import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Options:
    """Fine-tune a checkpoint on a prepared store; stop it and call it again to go on.

    xlxmert finetune nlvr2 --store statements --loop.out runs/nlvr2
    """

    task: Annotated[Literal["vqa", "gqa", "nlvr2", "retrieval"], tyro.conf.Positional]
    """Questions of VQA v2 or GQA, statements about two pictures, or telling captions and pictures from others."""
    store: Path
    """The folder that `xlxmert prepare` wrote, with the checkpoint's codebook and tokenizer."""
    checkpoint: str | None = None
    """A checkpoint's folder or its name on the Hugging Face hub; by default the bundled one."""
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


def run(options: Options) -> int:
    """Train, and leave the fine-tuned checkpoint in the run's folder."""
    bundle, store = Bundle.from_pretrained(options.checkpoint), Store.open(options.store)
    configs: dict[str, FinetuneConfig] = {"nlvr2": options.nlvr2, "retrieval": options.retrieval}
    config = configs.get(options.task, options.answering)
    loop = options.loop
    if options.epochs is not None:
        if options.epochs <= 0:
            raise UsageError(f"expected --epochs above 0, found {options.epochs}: pass 4, for example")
        each_step = loop.batch_size * loop.accumulate
        loop = dataclasses.replace(loop, steps=steps_of(options.epochs, examples_of(store, config), each_step))
    folder = loop.out / "checkpoint"
    finetune(bundle, store, config, loop).save_pretrained(folder)
    told = {"task": options.task, "examples": examples_of(store, config), "steps": loop.steps, "checkpoint": folder}
    print_facts(told)
    return 0
