"""Pre-training: one modality is drawn per step and masked; words, codes, matching and answers are learned together.

X-LXMERT (sections 5.1 and C.5): with equal chances a batch hides cells (and the model predicts their codes, captions
only), hides words (and predicts them), or hides nothing (and half of the sentences are replaced: the model tells which,
and answers the questions among the others).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator, torch_generator
from xlxmert.core.task import OptimConfig, Player
from xlxmert.data.batch import Batch
from xlxmert.data.masking import bernoulli_mask, block_mask, mask_words, rare_mask, thinned, uniform_mask
from xlxmert.data.store import KINDS, Store
from xlxmert.models.base import Transformer

Modality = Literal["picture", "words", "none"]
MODALITIES: tuple[Modality, ...] = ("picture", "words", "none")


@dataclass(frozen=True)
class PretrainConfig:
    """What is masked, how often, and on which sentences; the defaults are X-LXMERT's."""

    modalities: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Relative chances of masking the picture, the words, or nothing."""
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
    """Kinds of sentences from which codes are predicted."""
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
        self._captions = store.of_kind(*config.code_kinds)
        self._pools = {"words": self._pool(config.word_kinds), "none": self._pool(KINDS)}
        for name, kinds, found in (
            ("code_kinds", config.code_kinds, self._captions),
            ("word_kinds", config.word_kinds, np.concatenate(self._pools["words"])),
        ):
            if not len(found):
                raise XlxmertError(
                    f"expected sentences of the {name} {', '.join(kinds)} in {store.folder}, found none: "
                    "prepare captions, or change the setting"
                )
        tokenizer = store.tokenizer
        self._specials = (tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, tokenizer.mask)
        counts = torch.from_numpy(np.bincount(store.codes.ravel(), minlength=int(store.facts["codes"]))).float()
        self._log_counts = counts.clamp(min=1).log()
        self._code_weights = code_weights(counts, config.code_balance)
        turn = PretrainTurn(model, self._code_weights.log())
        self._player = Player("model", turn, config.optim, trains=model, ema=True)

    def _pool(self, kinds: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the questions, and of the other sentences, of these kinds."""
        asked = [kind for kind in kinds if kind == "question"]
        return self.store.of_kind(*asked), self.store.of_kind(*(kind for kind in kinds if kind != "question"))

    def _check(self) -> None:
        """Complain about a store that was not made for this model."""
        model, store = self.model.config, self.store
        wanted = {"codes": store.facts["codes"], "vocabulary": store.tokenizer.size, "answers": len(store.answers)}
        found = {name: getattr(model, name) for name in wanted}
        if wanted != found or store.codes.shape[1] != model.cells:
            raise XlxmertError(
                f"expected a model for {wanted} and {store.codes.shape[1]} cells, found {found} and {model.cells}: "
                "build it from the store"
            )

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self.model}

    def batch(self, step: int, size: int) -> Batch:
        """The batch of a step: draws the modality, then the sentences, then what is hidden."""
        rng = numpy_generator(self.seed, "pretrain", step)
        generator = torch_generator(self.seed, "mask", step)
        chances = np.array(self.config.modalities)
        modality = MODALITIES[int(rng.choice(3, p=chances / chances.sum()))]
        sentences = self._draw(rng, size, modality)
        words, labels = self.store.padded(sentences), None
        pictures = self.store.arrays["picture"][sentences].astype(np.int64)
        matched, answers = torch.full((size,), -1), torch.zeros(size, len(self.store.answers))
        if modality == "words":
            tokenizer, rate = self.store.tokenizer, self._word_rate(size, generator)
            words, labels = mask_words(words, self._specials, tokenizer.mask, tokenizer.size, rate, generator)
        elif modality == "none":
            answers = self.store.soft_answers(sentences)
            pictures, matched = self._swap(rng, sentences, pictures)
        codes = torch.from_numpy(self.store.codes[pictures].astype(np.int64))
        hidden, weights = torch.zeros_like(codes, dtype=torch.bool), torch.zeros(codes.shape)
        if modality == "picture":
            hidden = self._hide(codes, generator)
            words = self._blanked(words, generator)
            weights = torch.where(hidden, self._code_weights[codes], 0.0)
            weights = thinned(weights, self.config.most_cells, generator) if self.config.most_cells else weights
        labels = torch.full_like(words, -1) if labels is None else labels
        return Batch(words, codes, hidden, weights, labels, matched, answers)

    def _draw(self, rng: np.random.Generator, size: int, modality: Modality) -> np.ndarray:
        """Indices of the sentences of a batch."""
        if modality == "picture":
            return rng.choice(self._captions, size)
        questions, plain = self._pools[modality]
        if not len(questions) or not len(plain):
            return rng.choice(questions if len(questions) else plain, size)
        some = rng.choice(questions, size)
        return np.where(rng.random(size) < self.config.questions, some, rng.choice(plain, size))

    def _blanked(self, words: Int[Tensor, "B T"], generator: torch.Generator) -> Int[Tensor, "B T"]:
        """Some sentences as ``[CLS] [SEP]``."""
        if not self.config.caption_dropout:
            return words
        tokenizer, blank = self.store.tokenizer, torch.zeros_like(words)
        blank[:, 0], blank[:, 1] = tokenizer.start, tokenizer.end
        chosen = torch.rand(len(words), 1, generator=generator) < self.config.caption_dropout
        return torch.where(chosen, blank, words)

    def _hide(self, codes: Int[Tensor, "B N"], generator: torch.Generator) -> Bool[Tensor, "B N"]:
        size, cells = codes.shape
        match self.config.visual_mask:
            case "uniform":
                hidden = uniform_mask(size, cells, generator)
            case "blocks":
                hidden = block_mask(size, self.model.config.grid, generator)
            case "bernoulli":
                hidden = bernoulli_mask(size, cells, self.config.visual_rate, generator)
        if self.config.rare_first:
            chosen = torch.rand(size, 1, generator=generator) < self.config.rare_first
            hidden = torch.where(chosen, rare_mask(codes, self._log_counts, generator), hidden)
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
        asked = np.isin(self.store.arrays["kind"][sentences], kinds)
        swapped = asked & (rng.random(len(pictures)) < self.config.mismatched)
        shift = rng.integers(1, max(len(self.store.codes), 2), len(pictures))
        others = (pictures + shift) % len(self.store.codes)
        matched = np.where(asked, ~swapped, -1)
        return np.where(swapped, others, pictures), torch.from_numpy(matched.astype(np.int64))

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at before there is a generator."""


class PretrainTurn(nn.Module):
    """The losses of a batch: whichever its labels ask for, heads run only where they do."""

    log_weights: Tensor

    def __init__(self, model: Transformer, log_weights: Float[Tensor, " K"]) -> None:
        """Take the model and the logarithms of the codes' weights."""
        super().__init__()
        self.model = model
        self.register_buffer("log_weights", log_weights, persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` is the sum of the others; accuracies are in [0, 1]."""
        output = self.model(batch.words, batch.codes, hidden=batch.hidden)
        terms: dict[str, Tensor] = {}
        scores: dict[str, Tensor] = {}
        masked, asked = batch.word_labels >= 0, batch.matched >= 0
        cells = batch.code_weights > 0
        if bool(cells.any()):
            logits = self.model.code_logits(output.vision[cells])  # (cells asked, K)
            asked_of = batch.codes[cells], batch.code_weights[cells]
            terms["codes"], scores["codes_right"] = code_loss(logits, *asked_of, self.log_weights)
        if bool(masked.any()):
            logits = self.model.word_logits(output.language[masked])  # (masked words, V)
            terms["words"], scores["words_right"] = _classify(logits, batch.word_labels[masked])
        if bool(asked.any()):
            logits = self.model.matching_logits(output.pooled[asked])
            terms["match"], scores["match_right"] = _classify(logits, batch.matched[asked])
        questions = (batch.answers.sum(1) > 0) & (batch.matched != 0)
        if bool(questions.any()):
            logits = self.model.answer_logits(output.pooled[questions])
            terms["answers"], scores["answers_right"] = answer_loss(logits, batch.answers[questions])
        return {"loss": torch.stack(list(terms.values())).sum(), **terms, **scores}


def _classify(logits: Float[Tensor, "M C"], labels: Int[Tensor, " M"]) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy."""
    logits = logits.float()
    return F.cross_entropy(logits, labels), (logits.argmax(-1) == labels).float().mean()


def code_weights(counts: Float[Tensor, " K"], balance: float) -> Float[Tensor, " K"]:
    """Each code's weight: its count in the data to minus ``balance``; the mean over all cells is 1."""
    weights = (counts + 1).pow(-balance)
    return weights * counts.sum() / (weights * counts).sum()


def code_loss(
    logits: Float[Tensor, "M K"],
    codes: Int[Tensor, " M"],
    cells: Float[Tensor, " M"],
    log_weights: Float[Tensor, " K"],
) -> tuple[Tensor, Tensor]:
    """Cross-entropy over codes, each cell with its weight, and the plain accuracy over the cells asked.

    Weights alone would make heavy codes look too likely, by just their weight. Scores are therefore raised by the
    logarithm of the codes' weights inside the loss (and only there): the best scores are then the data's own chances.
    """
    logits = logits.float()
    losses = F.cross_entropy(logits + log_weights, codes, reduction="none")
    return (losses * cells).sum() / cells.sum(), (logits.argmax(-1) == codes).float().mean()


def answer_loss(logits: Float[Tensor, "M A"], targets: Float[Tensor, "M A"]) -> tuple[Tensor, Tensor]:
    """Cross-entropy against soft answers brought to sum 1, and the soft accuracy of the best answer.

    The expectation of the reference's rule, which draws one answer of each question in proportion to its score.
    """
    logits = logits.float()
    shares = targets / targets.sum(1, keepdim=True)
    loss = -(shares * logits.log_softmax(-1)).sum(1).mean()
    return loss, targets.gather(1, logits.argmax(-1, keepdim=True)).mean()
