"""Answering and verifying in the tables: fine-tuning of any model on one task, and its accuracy on unseen pictures."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.task import OptimConfig
from xlxmert.data.records import QuestionRecord
from xlxmert.data.store import Store
from xlxmert.data.world.annotations import PER_SPLIT, gqa_of, vqa_of
from xlxmert.data.world.render import render as render_scene
from xlxmert.metrics.nlvr2 import nlvr2_scores
from xlxmert.metrics.vqa import Question, vqa_scores
from xlxmert.models.reader import Reader
from xlxmert.recipes.tables.data import SEED, Data, pair_set, scene_of
from xlxmert.tasks.answering import AnsweringConfig, AnsweringTask
from xlxmert.tasks.nlvr2 import Nlvr2Config, Nlvr2Task
from xlxmert.train import TrainConfig, train

OPTIM = OptimConfig(lr=5e-4, muon_lr=0.005, betas=(0.9, 0.98), weight_decay=0.01)
"""Of every fine-tuning."""
BATCH = 32
"""Examples a step of fine-tuning, as in LXMERT."""
TOGETHER = 64
"""Examples that are judged together."""


@dataclasses.dataclass(frozen=True)
class Exam:
    """Questions, with the features of their pictures, and how to mark the answers."""

    words: Sequence[str]
    features: Float[Tensor, "P N F"]
    pictures: Sequence[tuple[int, ...]]
    """For each question the number of its picture, or of its two."""


class Exams:
    """The tests of all three tasks on unseen pictures, encoded once.

    Args:
        data: vocabulary and words.
        pictures: how many pictures of the split are asked about; half as many sets of pairs.
        split: ``val`` or ``test``.
    """

    def __init__(self, data: Data, pictures: int = 200, split: str = "test") -> None:
        """Draw and encode the pictures; see the class."""
        self.data, self.pictures, self.split = data, pictures, split
        scenes = [scene_of(index, split) for index in range(pictures)]
        self._single = self._encoded([np.array(render_scene(scene)) for scene in scenes])
        sets = [pair_set(split, index) for index in range(max(1, pictures // 2))]
        named = {name: scene for each in sets for name, scene in each.pictures().items()}
        self._paired = self._encoded([np.array(render_scene(scene)) for scene in named.values()])
        places = {name: place for place, name in enumerate(named)}
        self._records = [record for each in sets for record in each.records()]
        self._pairs = [(places[r.left_id], places[r.right_id]) for r in self._records]

    def vqa(self, model: Reader, store: Store) -> float:
        """VQA accuracy, in [0, 1]."""
        asked = [q for i in range(self.pictures) for q in vqa_of(scene_of(i, self.split), self.split, SEED, i)]
        exam = Exam([q.text for q in asked], self._single, self._of_single(asked))
        marks = {i: Question(q.raw_answers, q.answer_type) for i, q in enumerate(asked)}
        return vqa_scores(dict(enumerate(self._answers(model, store, exam))), marks)["overall"] / 100

    def gqa(self, model: Reader, store: Store) -> float:
        """GQA accuracy over the balanced questions, in [0, 1]."""
        asked = [q for i in range(self.pictures) for q in gqa_of(scene_of(i, self.split), self.split, SEED, i)]
        asked = [question for question in asked if question.is_balanced]
        exam = Exam([q.text for q in asked], self._single, self._of_single(asked))
        found = self._answers(model, store, exam)
        return float(np.mean([answer == q.raw_answers[0] for answer, q in zip(found, asked, strict=True)]))

    def nlvr2(self, model: Reader, store: Store) -> dict[str, float]:
        """Accuracy and consistency of NLVR2, in [0, 1]."""
        exam = Exam([record.sentence for record in self._records], self._paired, self._pairs)
        found: dict[str, bool] = {}
        with torch.inference_mode():
            for some, words, (left, right) in self._batches(store, exam):
                chosen = model.pair_logits(model(words, left).pooled, model(words, right).pooled).argmax(-1)
                found |= {self._records[i].identifier: bool(c) for i, c in zip(some, chosen.tolist(), strict=True)}
        scores = nlvr2_scores(found, {record.identifier: record.label for record in self._records})
        return {name: value / 100 for name, value in scores.items()}

    def _answers(self, model: Reader, store: Store, exam: Exam) -> list[str]:
        found: list[str] = []
        with torch.inference_mode():
            for _, words, (picture,) in self._batches(store, exam):
                chosen = model.answer_logits(model(words, picture).pooled).argmax(-1)
                found += [store.answers[place] for place in chosen.tolist()]
        return found

    def _batches(self, store: Store, exam: Exam) -> Iterator[tuple[range, Tensor, tuple[Tensor, ...]]]:
        """Numbers, words and pictures of some questions at a time."""
        words = store.tokenizer.encode(exam.words, 64)
        for start in range(0, len(exam.words), TOGETHER):
            some = range(start, min(start + TOGETHER, len(exam.words)))
            sides = zip(*(exam.pictures[i] for i in some), strict=True)
            yield some, words[some.start : some.stop], tuple(exam.features[list(side)] for side in sides)

    def _of_single(self, asked: Sequence[QuestionRecord]) -> list[tuple[int, ...]]:
        return [(int(question.picture_id) % PER_SPLIT,) for question in asked]

    def _encoded(self, drawn: Sequence[np.ndarray]) -> Float[Tensor, "P N F"]:
        return torch.cat([features for features, _ in self.data.vocabulary.extract(drawn)]).half().float()


def tune(model: nn.Module, store: Store, task: str, steps: int, out: Path, seed: int) -> nn.Module:
    """Fine-tune a model on ``vqa``, ``gqa`` or ``nlvr2`` reading features, going on from an earlier stop."""
    loop = TrainConfig(
        out=out, steps=steps, batch_size=BATCH, warmup=0.1, decay="linear", ema=0.99, seed=seed, log_every=25,
        quiet=True, keep=1, tensorboard=False,
    )  # fmt: skip
    reader: Reader = model  # type: ignore[assignment]
    if task == "nlvr2":
        job: Nlvr2Task | AnsweringTask = Nlvr2Task(reader, store, Nlvr2Config("features", OPTIM), seed)
    else:
        job = AnsweringTask(reader, store, AnsweringConfig("binary", "features", OPTIM), seed)
    return train(job, loop).averages.get("model", model).eval()
