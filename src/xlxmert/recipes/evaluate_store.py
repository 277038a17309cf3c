"""Scores on a prepared store: how a checkpoint that reads published features or codes is measured, and any other.

xlxmert prepare --lxmert vqa/minival.json --tsv val2014_obj36.tsv --checkpoint runs/vqa/checkpoint --out minival
xlxmert evaluate vqa --store minival --checkpoint runs/vqa/checkpoint
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.store import Store
from xlxmert.recipes.finetune import check_codes, check_words
from xlxmert.recipes.reading import Progress, no_progress
from xlxmert.tasks.reading import View, VisualInput, check_store, pooled, view

StoreTask = Literal["vqa", "gqa", "nlvr2"]
KINDS: dict[str, str] = {"vqa": "question", "gqa": "question", "nlvr2": "statement"}
"""What is scored on a store, and the kind of its sentences."""
TOGETHER = 64
"""Examples that are read together."""


@torch.inference_mode()
def evaluate_store(
    bundle: Bundle, store: Store, task: str, progress: Progress = no_progress
) -> tuple[int, dict[str, float]]:
    """The number of examples, and the scores in [0, 1] by name.

    ``vqa`` and ``gqa``: the mean over all questions of the soft score of the likeliest answer, 0 where it is none of
    the store's; ``nlvr2``: the share of statements that are judged rightly.

    Args:
        bundle: reads codes or features, as it says itself.
        store: prepared with its words, and with its codebook where it reads codes.
        task: one of `KINDS`.
        progress: is told how many examples are done.

    Raises:
        UsageError: the task is not scored on stores.
        XlxmertError: the store does not fit, or has no example of the task; the checkpoint has no head for it.
    """
    if task not in KINDS:
        raise UsageError(f"expected one of {', '.join(KINDS)} to score on a store, found {task}: leave --store out")
    visual_input = reads(bundle)
    check_codes(bundle.model, store)
    check_words(store, bundle.tokenizer, "checkpoint", "the checkpoint's folder")
    check_store(bundle.model.config, store, visual_input)
    _check_head(bundle, task)
    rows = store.of_kind(KINDS[task])
    if not len(rows):
        raise XlxmertError(
            f"expected {KINDS[task]}s in {store.folder}, found none: prepare it with --lxmert or --{task}"
        )
    score = _statements if task == "nlvr2" else _answers
    right = 0.0
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        right += float(score(bundle, store, some, visual_input).sum())
        progress(start + len(some), len(rows))
    return len(rows), {f"{task}/accuracy": right / len(rows)}


def reads(bundle: Bundle) -> VisualInput:
    """Whether a checkpoint reads codes or features."""
    told = bundle.facts.get("visual_input") == "features" or bundle.model.centroids is None
    return "features" if told else "codes"


def _check_head(bundle: Bundle, task: str) -> None:
    config = bundle.model.config
    if not (config.pairs if task == "nlvr2" else config.answers):
        raise XlxmertError(
            f"expected a checkpoint with a head for {task}, found none in it: train one with `xlxmert finetune {task}`"
        )


def _answers(bundle: Bundle, store: Store, rows: np.ndarray, visual_input: VisualInput) -> Tensor:
    """The soft score of each question's likeliest answer."""
    assert bundle.answers is not None
    (both,) = _pooled(bundle, store, rows, visual_input, "picture")
    best = bundle.model.answer_logits(both).argmax(-1).cpu()
    soft = store.soft_answers(rows)
    places = [store.answers.place(bundle.answers[int(answer)]) for answer in best]
    return torch.tensor([0.0 if place is None else float(soft[row, place]) for row, place in enumerate(places)])


def _statements(bundle: Bundle, store: Store, rows: np.ndarray, visual_input: VisualInput) -> Tensor:
    """1 for each statement that is judged rightly."""
    left, right = _pooled(bundle, store, rows, visual_input, "picture", "second")
    truth = torch.from_numpy(store.arrays["truth"][rows].astype(np.int64))
    return (bundle.model.pair_logits(left, right).argmax(-1).cpu() == truth).float()


def _pooled(bundle: Bundle, store: Store, rows: np.ndarray, visual_input: VisualInput, *sides: str) -> Iterator[Tensor]:
    """One vector (B, D) for each side: the sentences beside its pictures."""
    model = bundle.model
    device = model.cell_boxes.device
    words = store.padded(rows).to(device)
    for side in sides:
        seen = view(store, store.arrays[side][rows], visual_input)
        boxes = None if seen.boxes is None else seen.boxes.to(device)
        yield pooled(model, words, View(seen.picture.to(device), boxes))
