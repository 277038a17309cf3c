"""Pre-training: what is masked at a step and what the model is asked about it, under the policies of both papers.

X-LXMERT (sections 5.1 and C.5): with equal chances a batch hides cells (and the model predicts their codes, captions
only), hides words (and predicts them), or hides nothing (and half of the sentences are replaced: the model tells which,
and answers the questions among the others).

LXMERT (section 3.1): every batch hides words and regions alike and replaces half of the sentences; questions are asked
from some step on only. What is hidden is predicted from a sentence's own picture: where the sentence was replaced,
nothing but matching is asked.

"X-" is four fields: ``targets`` (codes instead of features and labels), ``visual_mask`` (uniform instead of Bernoulli),
``code_kinds`` (captions instead of all sentences) and the store's regions (cells instead of boxes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator, torch_generator
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.batch import Asked, Batch
from xlxmert.data.masking import bernoulli_mask, block_mask, mask_words, rare_mask, thinned, uniform_mask
from xlxmert.data.pool import Pool
from xlxmert.data.store import KINDS, Store
from xlxmert.models.base import Transformer
from xlxmert.tasks.losses import PretrainTurn, code_weights
from xlxmert.tasks.reading import has_answer

Target = Literal["codes", "features", "labels", "attributes"]
Modality = Literal["picture", "words", "none"]
MODALITIES: tuple[Modality, ...] = ("picture", "words", "none")


@dataclass(frozen=True)
class PretrainConfig:
    """What is masked, how often, and on which sentences; the defaults are X-LXMERT's."""

    policy: Literal["one", "all"] = "one"
    """One modality is masked per step (X-LXMERT), or words and regions at every step, with matching (LXMERT)."""
    targets: tuple[Target, ...] = ("codes",)
    """What is predicted of hidden visual tokens: their codes (X-LXMERT), or their features, labels and attributes
    (LXMERT); nothing at all is possible too."""
    visual_input: Literal["codes", "features"] = "codes"
    """What the model reads of a picture: codes (as their centroids), or the features themselves."""
    modalities: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """With policy one: relative chances of masking the picture, the words, or nothing."""
    visual_mask: Literal["uniform", "bernoulli", "blocks"] = "uniform"
    """How cells are hidden: a uniformly drawn share (X-LXMERT), each with its own chance (LXMERT), or a drawn share of
    whole blocks of 2x2 or 4x4 cells, so that a thing is often hidden as a whole and only the words tell of it."""
    rare_first: float = 0.0
    """Share of pictures in which the cells of rare codes are hidden first instead (`rare_mask`)."""
    visual_rate: float = 0.15
    """The chance of Bernoulli masking."""
    word_mask: Literal["bernoulli", "uniform"] = "bernoulli"
    """How words are hidden: each with its own chance (the papers), or with a chance drawn for each sentence between
    word_rate and 1, so that the model also learns to write a caption of which no word is known yet."""
    word_rate: float = 0.15
    """The chance of a word to be masked, or with uniform masking the smallest."""
    mismatched: float = 0.5
    """The chance that a sentence is replaced by another picture's when nothing is masked."""
    match_kinds: tuple[str, ...] = ("caption", "question", "region")
    """Kinds of sentences that are ever replaced, and of which matching is asked. A question seldom tells its picture
    from another: without it here, every question keeps its picture and is answered."""
    caption_dropout: float = 0.0
    """Share of sentences that are blank where codes are predicted, so that the model also knows pictures of no caption:
    painting can then be guided away from them (Ho and Salimans 2022, classifier-free guidance)."""
    code_balance: float = 0.0
    """Cells weigh in the code loss by their code's frequency to minus this power: plain areas share few codes and hold
    most cells, things share many. The predicted chances stay those of the data (`code_loss`)."""
    most_cells: int = 0
    """About how many hidden cells of a batch are asked for their codes, heavy ones more likely and the loss the same on
    average (`thinned`); 0 asks all. With thousands of codes the scores of all cells take half of a step on a CPU."""
    word_kinds: tuple[str, ...] = ("caption", "question", "region")
    """Kinds of sentences whose words are predicted; questions among them teach the model to write questions."""
    code_kinds: tuple[str, ...] = ("caption",)
    """Kinds of sentences from which hidden visual tokens are predicted."""
    answers_from: int = 0
    """The first step, counted from 0, at which questions are to be answered (LXMERT: the second half of the run)."""
    questions: float = 0.5
    """Share of questions among the sentences of the other steps; 0 to 1."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01))
    """The optimiser."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in (
            "visual_rate",
            "word_rate",
            "mismatched",
            "questions",
            "code_balance",
            "caption_dropout",
            "rare_first",
        ):
            if not 0 <= getattr(self, name) <= 1:
                found = getattr(self, name)
                raise XlxmertError(f"{name} must be between 0 and 1 (found {found} in the pre-training config)")
        if self.most_cells < 0:
            raise XlxmertError(f"most_cells must be at least 0 (found {self.most_cells} in the pre-training config)")
        if len(self.modalities) != 3 or min(self.modalities) < 0 or not sum(self.modalities):
            raise XlxmertError(f"modalities must be three chances, not all zero (found {self.modalities})")
        if not self.targets and self.policy == "one" and self.modalities[0]:
            raise XlxmertError(
                "expected targets for the steps that mask the picture, found none: set the first of modalities to 0"
            )
        if self.answers_from < 0:
            raise XlxmertError(f"answers_from must be at least 0 (found {self.answers_from})")


class PretrainTask:
    """Learn every objective from one store.

    Raises:
        XlxmertError: the store and the model do not fit each other, or the store lacks sentences of a needed kind.
    """

    name = "pretrain"

    def __init__(self, model: Transformer, store: Store, config: PretrainConfig, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides everything that is drawn."""
        self.model, self.store, self.config, self.seed = model, store, config, seed
        self._check()
        self._seen = store.pool(*config.code_kinds if config.targets else ())
        pair_free = tuple(kind for kind in KINDS if kind != "statement")
        self._pools = {"words": self._pool(config.word_kinds), "none": self._pool(pair_free)}
        for name, kinds, found in (
            ("code_kinds", config.code_kinds, len(self._seen)),
            ("word_kinds", config.word_kinds, sum(map(len, self._pools["words"]))),
        ):
            if not found and (name != "code_kinds" or config.targets):
                raise XlxmertError(
                    f"expected sentences of the {name} {', '.join(kinds)} in {store.folder}, found none: "
                    "prepare captions, or change the setting"
                )
        tokenizer = store.tokenizer
        self._specials = (tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, tokenizer.mask)
        counts = torch.zeros(0)
        if "codes" in config.targets or config.rare_first:
            counts = torch.from_numpy(store.code_counts()).float()
        self._log_counts = counts.clamp(min=1).log()
        self._code_weights = code_weights(counts, config.code_balance)
        read_features = config.visual_input == "features"
        turn = PretrainTurn(model, self._code_weights.log(), config.targets, read_features)
        self._player = Player("model", turn, config.optim, trains=model, ema=True)
        # what of the store a batch needs besides the codes
        needed = {"features": read_features, "boxes": "boxes" in store.pictures}
        names = ("features", "labels", "attributes", "boxes")
        self._wanted = tuple(name for name in names if needed.get(name) or name in config.targets)

    def _pool(self, kinds: Sequence[str]) -> tuple[Pool, Pool]:
        """The questions, and the other sentences, of these kinds."""
        asked = [kind for kind in kinds if kind == "question"]
        return self.store.pool(*asked), self.store.pool(*(kind for kind in kinds if kind != "question"))

    def _check(self) -> None:
        """Complain about a store that was not made for this model, or lacks what the objectives need."""
        model, store, config = self.model.config, self.store, self.config
        wanted = {"vocabulary": store.tokenizer.size, "answers": len(store.answers)}
        if "codes" in config.targets or config.visual_input == "codes":
            store.picture_array("codes")
            wanted["codes"] = store.count("codes")
        if "features" in config.targets or config.visual_input == "features":
            wanted["feature_width"] = store.picture_array("features").shape[2]
        wanted |= {name: store.count(name) for name in ("labels", "attributes") if name in config.targets}
        found = {name: getattr(model, name) for name in wanted}
        cells = model.cells if "boxes" not in store.pictures else store.tokens
        if wanted != found or store.tokens != cells:
            raise XlxmertError(
                f"expected a model for {wanted} and {store.tokens} cells, found {found} and {model.cells}: "
                "build it from the store"
            )
        for name in ("labels", "attributes"):
            if name in config.targets:
                store.picture_array(name)

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self.model}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> Batch:
        """The batch of a step: draws the modality, then the sentences, then what is hidden; then reads its rows."""
        rng = numpy_generator(self.seed, "pretrain", step)
        generator = torch_generator(self.seed, "mask", step)
        if self.config.policy == "all":
            return self._batch(self._all(step, size, rng, generator), part)
        chances = np.array(self.config.modalities)
        modality = MODALITIES[int(rng.choice(3, p=chances / chances.sum()))]
        sentences = self._draw(rng, size, modality)
        pictures = self.store.arrays["picture"][sentences].astype(np.int64)
        if modality == "words":
            words, labels = self._masked(sentences, generator)
            return self._batch(_Draft(sentences, words, pictures, labels), part)
        words = self.store.padded(sentences)
        if modality == "picture":
            hidden = self._hide(pictures, generator)
            words = self._blanked(words, generator)
            return self._batch(_Draft(sentences, words, pictures, hidden=hidden, generator=generator), part)
        pictures, matched = self._swap(rng, sentences, pictures)
        answered = step >= self.config.answers_from
        return self._batch(_Draft(sentences, words, pictures, matched=matched, answered=answered), part)

    def _all(self, step: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> "_Draft":
        """LXMERT's batch: everything is masked and asked at once."""
        sentences = self._draw(rng, size, "none")
        words, labels = self._masked(sentences, generator)
        pictures = self.store.arrays["picture"][sentences].astype(np.int64)
        pictures, matched = self._swap(rng, sentences, pictures)
        own = matched != 0  # what is hidden is asked of a sentence's own picture only
        labels = torch.where(own[:, None], labels, -1)
        hidden = self._hide(pictures, generator) if self.config.targets else None
        kinds = [KINDS.index(kind) for kind in self.config.code_kinds]
        telling = own & torch.from_numpy(np.isin(self.store.kinds[sentences], kinds))
        answered = step >= self.config.answers_from
        return _Draft(sentences, words, pictures, labels, hidden, matched, answered, telling, generator)

    def _batch(self, draft: "_Draft", part: Part) -> Batch:
        """Everything in its place, and what the whole batch asks; what an objective leaves out is not asked."""
        size, store, config = len(draft.words), self.store, self.config
        hidden = torch.zeros(size, store.tokens, dtype=torch.bool) if draft.hidden is None else draft.hidden
        asked = hidden if draft.telling is None else hidden & draft.telling[:, None]
        codes, weights = None, None
        if "codes" in store.pictures and (config.visual_input == "codes" or "codes" in config.targets):
            codes = store.rows("codes", draft.pictures)
        if "codes" in config.targets and codes is not None:
            weights = torch.where(asked, self._code_weights[codes], 0.0)
            if config.most_cells and draft.generator is not None:
                weights = thinned(weights, config.most_cells, draft.generator)
            asked = weights > 0
        nobody = torch.full((size,), -1)
        labels = torch.full_like(draft.words, -1) if draft.labels is None else draft.labels
        matched = nobody if draft.matched is None else draft.matched
        rows = part.rows(size)
        return Batch(
            words=draft.words[rows],
            hidden=hidden[rows],
            word_labels=labels[rows],
            matched=matched[rows],
            answers=self._answers(draft.sentences[rows], draft.answered),
            asked=asked[rows],
            codes=None if codes is None else codes[rows],
            code_weights=None if weights is None else weights[rows],
            **{name: store.rows(name, draft.pictures[rows]) for name in self._wanted},
            whole=Asked(
                words=int((labels >= 0).sum()),
                matched=int((matched >= 0).sum()),
                questions=int((has_answer(store, draft.sentences) & (matched != 0).numpy()).sum()) * draft.answered,
                tokens=int(asked.sum()),
                weight=0.0 if weights is None else float(weights.sum()),
            ),
        )

    def _masked(
        self, sentences: np.ndarray, generator: torch.Generator
    ) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Sentences with some words masked, and these words' ids."""
        tokenizer, rate = self.store.tokenizer, self._word_rate(len(sentences), generator)
        words = self.store.padded(sentences)
        return mask_words(words, self._specials, tokenizer.mask, tokenizer.size, rate, generator)

    def _answers(self, sentences: np.ndarray, answered: bool) -> Float[Tensor, "B A"]:
        """The soft answers, where they are asked."""
        return self.store.soft_answers(sentences) if answered else torch.zeros(len(sentences), len(self.store.answers))

    def _draw(self, rng: np.random.Generator, size: int, modality: Modality) -> np.ndarray:
        """Indices of the sentences of a batch."""
        if modality == "picture":
            return self._seen.draw(rng, size)
        questions, plain = self._pools[modality]
        if not len(questions) or not len(plain):
            return (questions if len(questions) else plain).draw(rng, size)
        some = questions.draw(rng, size)
        return np.where(rng.random(size) < self.config.questions, some, plain.draw(rng, size))

    def _blanked(self, words: Int[Tensor, "B T"], generator: torch.Generator) -> Int[Tensor, "B T"]:
        """Some sentences as ``[CLS] [SEP]``."""
        if not self.config.caption_dropout:
            return words
        tokenizer, blank = self.store.tokenizer, torch.zeros_like(words)
        blank[:, 0], blank[:, 1] = tokenizer.start, tokenizer.end
        chosen = torch.rand(len(words), 1, generator=generator) < self.config.caption_dropout
        return torch.where(chosen, blank, words)

    def _hide(self, pictures: np.ndarray, generator: torch.Generator) -> Bool[Tensor, "B N"]:
        size, cells = len(pictures), self.store.tokens
        match self.config.visual_mask:
            case "uniform":
                hidden = uniform_mask(size, cells, generator)
            case "blocks":
                hidden = block_mask(size, self.model.config.grid, generator)
            case "bernoulli":
                hidden = bernoulli_mask(size, cells, self.config.visual_rate, generator)
        if self.config.rare_first:
            chosen = torch.rand(size, 1, generator=generator) < self.config.rare_first
            hidden = torch.where(
                chosen, rare_mask(self.store.rows("codes", pictures), self._log_counts, generator), hidden
            )
        return hidden

    def _word_rate(self, size: int, generator: torch.Generator) -> float | Float[Tensor, "B 1"]:
        least = self.config.word_rate
        if self.config.word_mask == "bernoulli":
            return least
        return least + (1 - least) * torch.rand(size, 1, generator=generator)

    def _swap(
        self, rng: np.random.Generator, sentences: np.ndarray, pictures: np.ndarray
    ) -> tuple[np.ndarray, Int[Tensor, " B"]]:
        """Give some sentences another picture; 1 where the picture stayed, -1 where matching is not asked."""
        kinds = [KINDS.index(kind) for kind in self.config.match_kinds]
        asked = np.isin(self.store.kinds[sentences], kinds)
        swapped = asked & (rng.random(len(pictures)) < self.config.mismatched)
        shift = rng.integers(1, max(self.store.size, 2), len(pictures))
        others = (pictures + shift) % self.store.size
        matched = np.where(asked, ~swapped, -1)
        return np.where(swapped, others, pictures), torch.from_numpy(matched.astype(np.int64))

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at before there is a generator."""


@dataclass(frozen=True)
class _Draft:
    """A whole batch as it is drawn, before anything is read of its pictures and answers."""

    sentences: np.ndarray
    words: Int[Tensor, "B T"]
    pictures: np.ndarray
    labels: Int[Tensor, "B T"] | None = None
    hidden: Bool[Tensor, "B N"] | None = None
    matched: Int[Tensor, " B"] | None = None
    answered: bool = False
    """Whether questions are to be answered."""
    telling: Bool[Tensor, " B"] | None = None
    """True where hidden visual tokens are asked, by default everywhere."""
    generator: torch.Generator | None = None
