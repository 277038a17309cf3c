"""Fine-tuning on questions, VQA v2's or GQA's: the pooled vector of question and picture, a score for every answer.

LXMERT (section 4.2) starts from the pre-trained answer head, whose rows are carried over by answer (`carry_answers`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.answers import AnswerTable
from xlxmert.data.epochs import Shuffled
from xlxmert.data.store import Store
from xlxmert.models.reader import Reader
from xlxmert.nn.heads import AnswerHead
from xlxmert.tasks.losses import Scored, answer_loss
from xlxmert.tasks.reading import View, VisualInput, check_store, has_answer, paper_optim, pooled, view


@dataclass(frozen=True)
class AnsweringConfig:
    """How questions are learned; the defaults are LXMERT's."""

    loss: Literal["binary", "softmax"] = "binary"
    """Each answer judged on its own against its soft score (LXMERT), or all against each other as in pre-training."""
    visual_input: VisualInput = "codes"
    """Read pictures as codes, or as the exact features that the store then needs (the published fine-tuning)."""
    optim: OptimConfig = field(default_factory=paper_optim)
    """The optimiser."""


@dataclass(frozen=True)
class AnsweringBatch:
    """Questions and their pictures side by side."""

    words: Int[Tensor, "B T"]
    """Token ids ``[CLS] w .. [SEP]``, 0 where padded."""
    view: View
    answers: Float[Tensor, "B A"]
    """Soft scores in [0, 1]."""
    share: float = 1.0
    """How much of the step's batch this is."""


class AnsweringTask:
    """Learn to answer the questions of a store; those of which the table knows no answer are left out.

    Raises:
        XlxmertError: the store does not fit the model, or has no question with an answer of its table.
    """

    name = "answering"

    def __init__(self, model: Reader, store: Store, config: AnsweringConfig, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides the order of the questions."""
        self.store, self.config = store, config
        self._network = cast(nn.Module, model)
        self.questions = self._checked(model)
        self._order = Shuffled(len(self.questions), seed, "answering")
        self._player = Player("model", AnsweringTurn(model, config), config.optim, trains=self._network, ema=True)

    def _checked(self, model: Reader) -> np.ndarray:
        """Indices of the questions that can be learned from."""
        store = self.store
        check_store(model.config, store, self.config.visual_input)
        if model.config.answers != len(store.answers):
            raise XlxmertError(
                f"expected a model for the {len(store.answers)} answers of {store.folder}, found one for "
                f"{model.config.answers}: build it with the store's table"
            )
        questions = answered(store)
        if not len(questions):
            raise XlxmertError(
                f"expected questions with answers among the table's {len(store.answers)} in {store.folder}, found none "
                f"among {len(store.of_kind('question'))} questions: prepare it with --vqa or --gqa, and with a table "
                "that fits (--answers)"
            )
        return questions

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self._network}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> AnsweringBatch:
        """The questions of a step, each once per epoch."""
        rows = self.questions[self._order.take(step, size)][part.rows(size)]
        pictures = self.store.arrays["picture"][rows]
        seen = view(self.store, pictures, self.config.visual_input)
        return AnsweringBatch(self.store.padded(rows), seen, self.store.soft_answers(rows), part.share(size))

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at."""


def answered(store: Store) -> np.ndarray:
    """Indices of a store's questions that its table knows an answer to."""
    asked = store.of_kind("question")
    known: np.ndarray = asked[has_answer(store, asked)]
    return known


class AnsweringTurn(nn.Module):
    """The loss of a batch of questions."""

    def __init__(self, model: Reader, config: AnsweringConfig) -> None:
        """Take the model."""
        super().__init__()
        self.model: Reader = model
        self.loss = config.loss

    def forward(self, batch: AnsweringBatch) -> dict[str, Tensor]:
        """``loss``, and ``right``, the mean soft score of the best answers, in [0, 1]."""
        logits = self.model.answer_logits(pooled(self.model, batch.words, batch.view))  # (B, A)
        loss, right = (binary_loss if self.loss == "binary" else answer_loss)(logits, batch.answers)
        return {"loss": loss * batch.share, "right": right * batch.share}


def binary_loss(logits: Float[Tensor, "M A"], targets: Float[Tensor, "M A"]) -> Scored:
    """Binary cross-entropy against soft scores, summed over answers and averaged over questions, and the soft accuracy.

    Source: LXMERT's code, which multiplies the mean over both by the number of answers.
    """
    logits = logits.float()
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1).mean()
    return loss, targets.gather(1, logits.argmax(-1, keepdim=True)).mean()


@torch.no_grad()
def carry_answers(old: AnswerHead, known: AnswerTable, new: AnswerHead, wanted: AnswerTable) -> int:
    """Start an answer head from another one of the same width, and give the number of answers that it knows already.

    The hidden layer is copied, and the row of each answer that both tables have; the other rows are zeros.
    Source: LXMERT's code (``load_lxmert_qa``).
    """
    new.transform.load_state_dict(old.transform.state_dict())
    nn.init.zeros_(new.linear.weight)
    nn.init.zeros_(new.linear.bias)
    places = [(row, place) for row, answer in enumerate(wanted) if (place := known.place(answer)) is not None]
    for row, place in places:
        new.linear.weight[row] = old.linear.weight[place]
        new.linear.bias[row] = old.linear.bias[place]
    return len(places)
