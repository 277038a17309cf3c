"""Self-critical training: a captioner learns from the CIDEr-D of captions that it draws, against what it would write.

The gradient of the expected reward, with the reward of the greedy caption as the baseline (Rennie et al. 2017,
equation 8), or that of the other draws (Luo 2020). It follows training by cross-entropy, which it needs as its start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import seed_of
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.epochs import Shuffled
from xlxmert.data.store import Store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.metrics.caption import DocumentFrequency, Tokens, cider, tokenize
from xlxmert.models.xgpt import CachedWriter, Memory, Xgpt
from xlxmert.sampling import Decoding, Greedy, Hypothesis, Nucleus
from xlxmert.sampling.words import WordIds
from xlxmert.tasks.generative import shifted
from xlxmert.tasks.reading import View, VisualInput, check_store, view


@dataclass(frozen=True)
class SelfCriticalConfig:
    """How captions are drawn and what they are measured against.

    Raises:
        XlxmertError: a number is out of range.
    """

    draws: int = 2
    """Captions drawn of each picture of a batch."""
    baseline: Literal["greedy", "others"] = "greedy"
    """What a draw must beat: the greedy caption, or the mean of the picture's other draws, of which it needs two."""
    temperature: float = 1.0
    """Of the draws."""
    visual_input: VisualInput = "features"
    """Read pictures as codes, or as the exact features that the store then needs."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=3e-5, betas=(0.9, 0.98), clip=1.0))
    """The optimiser."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = 2 if self.baseline == "others" else 1
        if self.draws < least or self.temperature <= 0:
            raise XlxmertError(
                f"draws must be at least {least} and temperature above 0 (found {self.draws} and {self.temperature} in "
                "the self-critical config)"
            )


@dataclass(frozen=True)
class CriticalBatch:
    """Pictures to be captioned."""

    view: View
    pictures: Int[Tensor, " B"]
    """Their numbers in the store."""
    seeds: tuple[int, ...]
    """One for each, of its draws."""
    share: float = 1.0
    """How much of the step's batch this is."""


class References:
    """The true captions of a store's pictures as CIDEr-D reads them, with how rare their n-grams are."""

    def __init__(self, store: Store) -> None:
        """Read and count the captions."""
        self.of: dict[int, list[Tokens]] = {}
        for sentence in store.of_kind("caption").tolist():
            text = store.tokenizer.decode(store.words(sentence).tolist())
            self.of.setdefault(int(store.arrays["picture"][sentence]), []).append(tokenize(text))
        self.frequency = DocumentFrequency.of(list(self.of.values()))

    @property
    def pictures(self) -> np.ndarray:
        """Numbers of the pictures that have captions."""
        return np.array(sorted(self.of), np.int64)

    def rewards(self, pictures: Sequence[int], texts: Sequence[str]) -> Float[Tensor, " M"]:
        """CIDEr-D, in [0, 10], of one text for each picture."""
        found = cider([tokenize(text) for text in texts], [self.of[each] for each in pictures], self.frequency)
        return torch.tensor(found)


class SelfCriticalTask:
    """Learn from the rewards of drawn captions.

    Raises:
        XlxmertError: the store does not fit the model, or has no captions.
    """

    name = "self-critical"

    def __init__(self, model: Xgpt, store: Store, config: SelfCriticalConfig, ids: WordIds, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides everything that is drawn."""
        check_store(model.config, store, config.visual_input)
        self.model, self.store, self.config, self.seed = model, store, config, seed
        references = References(store)
        if not references.of:
            raise XlxmertError(f"expected captions in {store.folder}, found none: prepare some")
        self._pictures = references.pictures
        self._order = Shuffled(len(self._pictures), seed, "self-critical")
        turn = SelfCriticalTurn(model, references, store.tokenizer, config, ids)
        self._player = Player("model", turn, config.optim, trains=model, ema=True)

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self.model}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> CriticalBatch:
        """The pictures of a step, each once per epoch."""
        pictures = self._pictures[self._order.take(step, size)][part.rows(size)]
        seeds = tuple(seed_of(self.seed, "critical", step, place) for place in range(size)[part.rows(size)])
        seen = view(self.store, pictures, self.config.visual_input)
        return CriticalBatch(seen, torch.from_numpy(pictures), seeds, part.share(size))

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at."""


class SelfCriticalTurn(nn.Module):
    """The loss of a batch of pictures: drawn captions, weighted by how much they beat the baseline."""

    def __init__(
        self, model: Xgpt, references: References, tokenizer: Tokenizer, config: SelfCriticalConfig, ids: WordIds
    ) -> None:
        """Take the model, and who marks its captions."""
        super().__init__()
        self.model, self.references, self.tokenizer, self.config, self.ids = model, references, tokenizer, config, ids

    def forward(self, batch: CriticalBatch) -> dict[str, Tensor]:
        """``loss``, and ``reward``: the draws' mean CIDEr-D in [0, 10]; ``gain``: its lead over the baseline.

        How many words the other parts of a batch draw nobody knows yet, so the mean is over the part's own words: parts
        add up to the whole batch's loss as far as they draw captions of one length.
        """
        pictures, draws = batch.pictures.tolist(), self.config.draws
        regions = self.model.embed_picture(batch.view.picture, batch.view.boxes)  # (B, N, D)
        memory = self.model.encode(regions)
        owners = [picture for picture in pictures for _ in range(draws)]
        seeds = [seed_of(seed, "draw", draw) for seed in batch.seeds for draw in range(draws)]
        drawn = self._write(memory, Nucleus(1.0, self.config.temperature), seeds, draws)
        rewards = self.references.rewards(owners, [self.tokenizer.decode(each.words) for each in drawn])
        gains = (rewards - self._baseline(memory, rewards, pictures, batch.seeds)).to(regions.device)
        words = _framed(drawn, self.ids).to(regions.device)  # (B * draws, T)
        given, targets = shifted(words, self.ids.end)
        logits = self.model.word_logits(self.model.decode(given, memory)).float()  # (B * draws, T - 1, V)
        log_p = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None]).squeeze(-1)
        there = targets >= 0
        loss = -(gains[:, None] * log_p)[there].mean()
        return {
            "loss": loss * batch.share,
            "reward": rewards.mean() * batch.share,
            "gain": gains.mean() * batch.share,
        }

    def _baseline(
        self, memory: Memory, rewards: Float[Tensor, " M"], pictures: Sequence[int], seeds: Sequence[int]
    ) -> Float[Tensor, " M"]:
        """What every draw must beat."""
        draws = self.config.draws
        if self.config.baseline == "others":
            of_picture = rewards.view(-1, draws)
            return ((of_picture.sum(1, keepdim=True) - of_picture) / (draws - 1)).flatten()
        greedy = self._write(memory, Greedy(), seeds)
        texts = [self.tokenizer.decode(each.words) for each in greedy]
        return self.references.rewards(pictures, texts).repeat_interleave(draws)

    @torch.no_grad()
    def _write(self, memory: Memory, decoding: Decoding, seeds: Sequence[int], each: int = 1) -> list[Hypothesis]:
        """A caption for each seed, ``each`` of every source in succession, without dropout."""
        training = self.model.training
        owners = torch.arange(len(memory.last), device=memory.last.device).repeat_interleave(each)
        self.model.eval()
        try:
            network, most = CachedWriter(self.model, memory.rows(owners)), self.model.config.max_text - 2
            found = decoding.write(network, len(owners), [], self.ids, most, seeds, 1, owners.device)
        finally:
            self.model.train(training)
            torch.clear_autocast_cache()  # older PyTorch would go on with weights that were cast without gradients here
        return [row[0] for row in found]


def _framed(drawn: Sequence[Hypothesis], ids: WordIds) -> Int[Tensor, "B T"]:
    """Hypotheses as framed and padded sentences."""
    rows = [torch.tensor([ids.start, *each.words, ids.end]) for each in drawn]
    return pad_sequence(rows, batch_first=True)
