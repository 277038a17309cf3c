"""Fine-tuning on retrieval: the matching head tells a caption's own picture from others, and a picture's caption too.

Others are drawn at random, or are hard: of several candidates those that the model itself takes most for the true one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.epochs import Shuffled
from xlxmert.data.store import Store
from xlxmert.models.base import Transformer
from xlxmert.tasks.reading import View, VisualInput, check_store, paper_optim, view


@dataclass(frozen=True)
class RetrievalConfig:
    """What a caption and its picture are told from.

    Raises:
        XlxmertError: a number is out of range.
    """

    negatives: int = 1
    """Other pictures for each caption, and as many other captions for its picture."""
    hard: Literal["none", "pool", "batch"] = "none"
    """How they are found: at random; the hardest of a random pool each; or the hardest within the batch. A caption may
    be true of another picture too, and hard ones are so more often: random ones first, hard ones with large data."""
    pool: int = 8
    """Candidates for each, with hard=pool."""
    visual_input: VisualInput = "codes"
    """Read pictures as codes, or as the exact features that the store then needs."""
    optim: OptimConfig = field(default_factory=paper_optim)
    """The optimiser."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.negatives < 1 or (self.hard == "pool" and self.pool < self.negatives):
            raise XlxmertError(
                f"expected at least 1 negative and a pool at least as large, found {self.negatives} of {self.pool}: "
                "change one of them"
            )


@dataclass(frozen=True)
class RetrievalBatch:
    """Captions, pictures and which pairs of them to tell apart; a pair is the rows of a caption and a picture."""

    words: Int[Tensor, "C T"]
    """Token ids ``[CLS] w .. [SEP]``, 0 where padded: first those that belong to the pictures, then others."""
    view: View
    """Pictures: first those of the captions, then others."""
    own: Int[Tensor, "B 2"]
    """Pairs that belong together."""
    others: Int[Tensor, "Q n 2"]
    """For each question candidates that do not: B captions beside other pictures, then B pictures beside others'
    captions."""
    allowed: Bool[Tensor, "Q n"]
    """False at candidates that belong together all the same."""
    whole: tuple[int, int] | None = None
    """True pairs and chosen others of the batch of which this is a part; None: this is all of it."""


class RetrievalTask:
    """Learn which captions and pictures of a store belong together.

    Raises:
        XlxmertError: the store does not fit the model, or has no captions of at least two pictures.
    """

    name = "retrieval"

    def __init__(self, model: Transformer, store: Store, config: RetrievalConfig, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides everything that is drawn."""
        check_store(model.config, store, config.visual_input)
        self.model, self.store, self.config, self.seed = model, store, config, seed
        self.captions = store.of_kind("caption")
        self._pictures = store.arrays["picture"].astype(np.int64)
        told = np.unique(self._pictures[self.captions])
        if len(told) < 2:
            raise XlxmertError(
                f"expected captions of two pictures or more in {store.folder}, found captions of {len(told)}: "
                "prepare it with --captions"
            )
        self._told = told
        self._order = Shuffled(len(self.captions), seed, "retrieval")
        self._player = Player("model", RetrievalTurn(model, config), config.optim, trains=model, ema=True)

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self.model}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> RetrievalBatch:
        """The captions of a step, each once per epoch, with whatever they are told from.

        A part asks about its own captions and pictures; within a batch (hard=batch) they are told from all of it.
        """
        captions, rows = self.captions[self._order.take(step, size)], part.rows(size)
        pictures, own = self._pictures[captions], torch.arange(size)[:, None].expand(-1, 2)
        if self.config.hard == "batch":
            others, allowed = _within(torch.from_numpy(pictures))
            mine = torch.cat([torch.arange(size)[rows], size + torch.arange(size)[rows]])
            found = int(allowed.sum(1).clamp(max=self.config.negatives).sum())
            return self._read(captions, pictures, own[rows], others[mine], allowed[mine], (size, found))
        count = self.config.pool if self.config.hard == "pool" else self.config.negatives
        rng = numpy_generator(self.seed, "others", step)
        strange = self._other_captions(rng, pictures, count), self._other_pictures(rng, pictures, count)
        captions, pictures, own = captions[rows], pictures[rows], own[: len(captions[rows])]
        strangers = slice(rows.start * count, rows.stop * count)
        others = _beyond(len(own), count)
        captions = np.concatenate([captions, strange[0][strangers]])
        pictures = np.concatenate([pictures, strange[1][strangers]])
        allowed = torch.ones(others.shape[:2], dtype=torch.bool)
        return self._read(captions, pictures, own, others, allowed, (size, 2 * size * self.config.negatives))

    def _read(
        self, captions: np.ndarray, pictures: np.ndarray, own: Tensor, others: Tensor, allowed: Tensor,
        whole: tuple[int, int],
    ) -> RetrievalBatch:  # fmt: skip
        """The batch with these captions and pictures."""
        seen = view(self.store, pictures, self.config.visual_input)
        return RetrievalBatch(self.store.padded(captions), seen, own, others, allowed, whole)

    def _other_pictures(self, rng: np.random.Generator, pictures: np.ndarray, count: int) -> np.ndarray:
        """``count`` pictures for each that are not it, out of those that have captions."""
        places = np.searchsorted(self._told, pictures)[:, None]
        shift = rng.integers(1, len(self._told), (len(pictures), count))
        others: np.ndarray = self._told[(places + shift) % len(self._told)].reshape(-1)
        return others

    def _other_captions(self, rng: np.random.Generator, pictures: np.ndarray, count: int) -> np.ndarray:
        """``count`` captions for each picture that are none of its own."""
        own = np.repeat(pictures, count)
        drawn = rng.choice(self.captions, len(own))
        while (wrong := self._pictures[drawn] == own).any():
            drawn[wrong] = rng.choice(self.captions, int(wrong.sum()))
        return drawn

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at."""


def _beyond(size: int, count: int) -> Int[Tensor, "Q n 2"]:
    """Candidates that stand behind the ``size`` captions and pictures of a batch, ``count`` for each of both."""
    rows = torch.arange(size)[:, None].expand(-1, count)  # (B, n)
    strangers = size + torch.arange(size * count).view(size, count)  # (B, n)
    return torch.cat([torch.stack([rows, strangers], -1), torch.stack([strangers, rows], -1)])


def _within(pictures: Int[Tensor, " B"]) -> tuple[Int[Tensor, "Q n 2"], Bool[Tensor, "Q n"]]:
    """All pairs of a batch as candidates; those of one picture belong together."""
    rows = torch.arange(len(pictures))
    pairs = torch.stack(torch.meshgrid(rows, rows, indexing="ij"), -1)  # (B captions, B pictures, 2)
    allowed = pictures[:, None] != pictures  # (B, B)
    return torch.cat([pairs, pairs.transpose(0, 1)]), torch.cat([allowed, allowed])


class RetrievalTurn(nn.Module):
    """The loss of a batch of captions and pictures."""

    def __init__(self, model: Transformer, config: RetrievalConfig) -> None:
        """Take the model."""
        super().__init__()
        self.model = model
        self.hard, self.negatives = config.hard != "none", config.negatives

    def forward(self, batch: RetrievalBatch) -> dict[str, Tensor]:
        """``loss``, cross-entropy in which true pairs weigh as much as all others, and ``right``, accuracy alike."""
        wrong = self.hardest(batch) if self.hard else batch.others.flatten(0, 1)  # (M, 2)
        logits = self._logits(batch, torch.cat([batch.own, wrong])).float()  # (B + M, 2)
        pairs, strangers = batch.whole or (len(batch.own), len(wrong))
        labels = torch.ones(len(logits), dtype=torch.long, device=logits.device)
        labels[len(batch.own) :] = 0
        weights = torch.where(labels == 1, 0.5 / pairs, 0.5 / max(strangers, 1))
        losses = F.cross_entropy(logits, labels, reduction="none")
        right = (logits.argmax(-1) == labels).float()
        total = 1.0 if strangers else 0.5
        return {"loss": (losses * weights).sum(), "right": (right * weights).sum() / total}

    def hardest(self, batch: RetrievalBatch) -> Int[Tensor, "M 2"]:
        """Of each question's candidates the ``negatives`` that score highest; fewer where fewer are allowed."""
        pairs, places = torch.unique(batch.others.flatten(0, 1), dim=0, return_inverse=True)
        with torch.no_grad(), _quiet(self.model):
            logits = self._logits(batch, pairs).float()
        scores = (logits[:, 1] - logits[:, 0])[places].view(batch.allowed.shape)  # (Q, n)
        scores = scores.masked_fill(~batch.allowed, -torch.inf)
        best = scores.topk(min(self.negatives, scores.shape[1]), dim=1).indices  # (Q, negatives)
        chosen = batch.others.gather(1, best[..., None].expand(-1, -1, 2))  # (Q, negatives, 2)
        return chosen[batch.allowed.gather(1, best)]

    def _logits(self, batch: RetrievalBatch, pairs: Int[Tensor, "M 2"]) -> Float[Tensor, "M 2"]:
        """Scores of mismatched and matched; each side is encoded once."""
        mask = batch.words > 0
        language = self.model.encode_words(batch.words, mask)  # (C, T, D)
        vision = self.model.encode_picture(batch.view.picture, batch.view.boxes)  # (P, N, D)
        caption, picture = pairs.unbind(1)
        crossed = self.model.cross_words(language[caption], vision[picture], mask[caption])  # (M, T, D)
        return self.model.matching_logits(self.model.pooler(crossed))


@contextmanager
def _quiet(module: nn.Module) -> Iterator[None]:
    """Without dropout, for as long as the block lasts."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
