"""Fine-tuning a checkpoint on questions, statements about two pictures, or retrieval, into a new checkpoint.

    xlxmert prepare  --images PICTURES --checkpoint CHECKPOINT --out STORE ...
    xlxmert finetune nlvr2 --checkpoint CHECKPOINT --store STORE --loop.out RUN

It goes on where it was stopped and leaves everything in ``RUN/checkpoint``: generator, words and the other heads stay,
so the fine-tuned checkpoint still paints and captions, if less well.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.recipes.opened import check_size, looked_size
from xlxmert.recipes.train_store import Prepared
from xlxmert.tasks.answering import AnsweringConfig, AnsweringTask, answered, carry_answers
from xlxmert.tasks.nlvr2 import Nlvr2Config, Nlvr2Task
from xlxmert.tasks.retrieval import RetrievalConfig, RetrievalTask
from xlxmert.train import TrainConfig, train
from xlxmert.vision.codebook import Codebook

FinetuneConfig = AnsweringConfig | Nlvr2Config | RetrievalConfig
"""What is learned, and how."""
NAMES: dict[type, str] = {AnsweringConfig: "questions", Nlvr2Config: "statements", RetrievalConfig: "captions"}
"""What the examples of each task are."""
OPTIM = OptimConfig(lr=5e-4, muon_lr=0.005, betas=(0.9, 0.98), weight_decay=0.01)
"""Chosen on statements of the built-in world: 200 steps of 32 from the bundled checkpoint with a rate that falls to
zero gave 76 % of 320 statements of val, as AdamW alone (75 %); a rate of Muon twice as high gave 67 %. The whole run of
`xlxmert.recipes.world_nlvr2` is in docs/results.md. Questions and retrieval take the same settings untried."""
ANSWERING, NLVR2, RETRIEVAL = AnsweringConfig(optim=OPTIM), Nlvr2Config(optim=OPTIM), RetrievalConfig(optim=OPTIM)


def finetune(bundle: Bundle, store: Store, config: FinetuneConfig, loop: TrainConfig) -> Bundle:
    """Train on the store's examples, going on from the last checkpoint of the run; returns the new checkpoint.

    Args:
        bundle: what to start from; it stays as it is.
        store: prepared with the checkpoint's codebook and tokenizer.
        config: which task, and its settings.
        loop: length, schedule and folder of the run.

    Raises:
        XlxmertError: the store was prepared with another codebook or tokenizer, or lacks what the task needs.
    """
    check_fit(bundle, store, config)
    answers = store.answers if isinstance(config, AnsweringConfig) else None
    known = bundle.answers or AnswerTable(())
    model = carried(bundle.model, known, answers, isinstance(config, Nlvr2Config), loop.seed)
    task = make_task(model, store, config, loop.seed)
    facts = {
        "finetune": dataclasses.asdict(config),
        "model": model.config.to_dict(),
        "store": store.facts["digest"],
        "start": weights_digest(bundle.model),
    }
    average = train(task, loop, facts=facts).averages.get("model", model)
    assert isinstance(average, Transformer)
    return _finished(bundle, store, average.eval(), config, loop)


def fresh(prepared: Prepared, shape: ModelConfig, seed: int) -> Bundle:
    """Random weights to start from instead of a checkpoint, with the heads, words and codebook of the data."""
    return prepared.bundle(prepared.model(shape, seed), None, {})


def make_task(
    model: Transformer, store: Store, config: FinetuneConfig, seed: int
) -> AnsweringTask | Nlvr2Task | RetrievalTask:
    """The task that a config belongs to."""
    match config:
        case AnsweringConfig():
            return AnsweringTask(model, store, config, seed)
        case Nlvr2Config():
            return Nlvr2Task(model, store, config, seed)
        case RetrievalConfig():
            return RetrievalTask(model, store, config, seed)


def carried(
    old: Transformer, known: AnswerTable, answers: AnswerTable | None, pairs: bool, seed: int = 0
) -> Transformer:
    """A copy of a model with the heads that a task needs; what is new starts from random weights.

    Args:
        old: the model; it stays as it is.
        known: the answers of its answer head.
        answers: those that the copy is to know: rows of answers that both know are carried over, the others are zeros.
            None keeps the head as it is.
        pairs: whether the copy has a head for pairs of pictures; one that is there stays.
        seed: of the random weights.
    """
    shape = dataclasses.replace(old.config, pairs=old.config.pairs or pairs)
    shape = shape if answers is None else dataclasses.replace(shape, answers=len(answers))
    torch.manual_seed(seed)
    model = build(shape)
    left = () if answers is None else ("answer_head",)
    kept = {name: weight for name, weight in old.state_dict().items() if name.partition(".")[0] not in left}
    model.load_state_dict(model.state_dict() | kept)
    if answers is not None and model.answer_head is not None and old.answer_head is not None:
        carry_answers(old.answer_head, known, model.answer_head, answers)
    return model


def check_fit(bundle: Bundle, store: Store, config: FinetuneConfig) -> None:
    """Make sure that a store speaks of codes and words as the checkpoint does.

    Raises:
        XlxmertError: it was prepared with another codebook or tokenizer, or the checkpoint cannot read features.
    """
    model = bundle.model
    check_codes(model, store)
    check_words(store, bundle.tokenizer, "checkpoint", "the checkpoint's folder")
    check_size(store, bundle.facts, "checkpoint")
    if config.visual_input == "codes" and model.centroids is None:
        raise XlxmertError(
            "expected a checkpoint with codes, found one that reads features: fine-tune it on features "
            "(--answering.visual-input features, --nlvr2.visual-input features or --retrieval.visual-input features)"
        )
    if config.visual_input == "features" and model.config.code_input != "centroids":
        raise XlxmertError(
            f"expected a checkpoint that reads features (code_input 'centroids'), found '{model.config.code_input}': "
            "fine-tune it on codes"
        )


def check_codes(model: Transformer, store: Store) -> None:
    """Make sure that a store's codes, where it has some, are those that a model reads, where it does.

    Raises:
        XlxmertError: they are another codebook's.
    """
    if model.centroids is not None and store.count("codes"):
        mine = Codebook(model.centroids.cpu()).fingerprint
        if store.fingerprint != mine:
            raise XlxmertError(
                f"expected a store with the checkpoint's codes (codebook {mine}), found codebook {store.fingerprint} "
                f"in {store.folder}: prepare it with --codebook and the checkpoint's codebook.safetensors"
            )


def check_words(store: Store, tokenizer: Tokenizer, owner: str, whence: str) -> None:
    """Make sure that a store's words are those of its reader, ``owner``, and say ``whence`` they can be had.

    Raises:
        XlxmertError: they are others.
    """
    if store.tokenizer.engine.get_vocab() != tokenizer.engine.get_vocab():
        raise XlxmertError(
            f"expected a store with the {owner}'s {tokenizer.size} word pieces, found {store.tokenizer.size} others "
            f"in {store.folder}: prepare it with --tokenizer and {whence}"
        )


def examples_of(store: Store, config: FinetuneConfig) -> int:
    """How many examples an epoch of a task has."""
    match config:
        case AnsweringConfig():
            return len(answered(store))
        case Nlvr2Config():
            return len(store.of_kind("statement"))
        case RetrievalConfig():
            return len(store.of_kind("caption"))


def steps_of(epochs: float, examples: int, batch_size: int) -> int:
    """Steps in which every example is seen ``epochs`` times, at least one."""
    return max(1, round(epochs * examples / batch_size))


def finetune_loop(out: Path, steps: int = 3000, batch_size: int = 32, seed: int = 0) -> TrainConfig:
    """Length, schedule and moving average of a run into ``out``."""
    return TrainConfig(
        out=out, steps=steps, batch_size=batch_size, warmup=0.1, decay="linear", ema=0.998, seed=seed, log_every=25
    )


def _finished(bundle: Bundle, store: Store, model: Transformer, config: FinetuneConfig, loop: TrainConfig) -> Bundle:
    """The checkpoint with its new model; sentences as long as those that it was trained on can now be read."""
    longest = store.longest
    what, examples = NAMES[type(config)], examples_of(store, config)
    told = {"task": what, "examples": examples, "steps": loop.steps, "batch": loop.batch_size}
    facts: dict[str, Any] = {
        **bundle.facts,
        **looked_size(store),
        "most_words": max(longest, bundle.most_words),
        "visual_input": config.visual_input,
        "finetuned": [*bundle.facts.get("finetuned", []), told],
    }
    card = (
        f"{bundle.card}\n## Fine-tuned\n\nOn {examples:,} {what}: {loop.steps:,} steps of {loop.batch_size}. "
        "Scores above are of the checkpoint before.\n"
    )
    answers = store.answers if isinstance(config, AnsweringConfig) else bundle.answers
    return Bundle(model, bundle.tokenizer, bundle.vocabulary, bundle.generator, answers, card.lstrip("\n"), facts)


def weights_digest(module: nn.Module) -> str:
    """A short hash of a module's weights, by which a resumed run knows that it starts from the same checkpoint."""
    digest = hashlib.blake2b(digest_size=8)
    for weight in module.state_dict().values():
        digest.update(weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
