"""How captions are cut up for generation: a fragment is hidden in place (MASS), or spans leave a single mask (BART)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from xlxmert.core.axes import Int, Tensor


@dataclass(frozen=True)
class Fragment:
    """A fragment of each sentence: what is left for the encoder, and what the decoder reads and is asked."""

    words: Int[Tensor, "B T"]
    """The sentences with their fragments hidden."""
    given: Int[Tensor, "B L"]
    """The word before each hidden one; 0 where padded."""
    places: Int[Tensor, "B L"]
    """The positions of those words in their sentences."""
    targets: Int[Tensor, "B L"]
    """The hidden words; -1 where padded."""


def hide_fragment(
    words: Int[Tensor, "B T"], share: float, mask: int, noise: tuple[int, int], rng: np.random.Generator
) -> Fragment:
    """Hide one run of words of each sentence (Song et al. 2019, MASS; XGPT section 4.3, IMLM).

    The run has ``share`` of the words, at least one. It is at the beginning in a fifth of the sentences, at the end in
    a fifth, and anywhere in the others. Of the hidden words 80 % become ``[MASK]``, 10 % noise, 10 % stay (XGPT,
    appendix A.2). The tokens that frame a sentence are never hidden.

    Args:
        words: framed and padded sentences of at least one word each.
        share: of the words, in (0, 1].
        mask: the id of ``[MASK]``.
        noise: ids from which noise is drawn, the first and the one after the last.
        rng: of all draws.
    """
    counts = (words > 0).sum(1).numpy() - 2
    lengths = np.clip(np.rint(share * counts).astype(int), 1, counts)
    kind, slack = rng.random(len(counts)), counts - lengths
    anywhere = rng.integers(0, slack + 1)
    starts = 1 + np.where(kind < 0.2, 0, np.where(kind < 0.4, slack, anywhere))
    steps = np.arange(lengths.max())[None]
    there = torch.from_numpy(steps < lengths[:, None])  # (B, L)
    hidden = torch.from_numpy(np.where(steps < lengths[:, None], starts[:, None] + steps, 0))  # (B, L)
    targets = words.gather(1, hidden).masked_fill(~there, -1)
    places = (hidden - 1).clamp(min=0)
    given = words.gather(1, places).masked_fill(~there, 0)
    draw = torch.from_numpy(rng.random(tuple(hidden.shape)))
    random = torch.from_numpy(rng.integers(*noise, tuple(hidden.shape)))
    shown = torch.where(draw < 0.8, mask, torch.where(draw < 0.9, random, targets))
    corrupted = words.clone()
    rows = torch.arange(len(words))[:, None].expand_as(hidden)
    corrupted[rows[there], hidden[there]] = shown[there]
    return Fragment(corrupted, given, places, targets)


def infill(
    words: Int[Tensor, "B T"], share: float, mean: float, mask: int, single: bool, rng: np.random.Generator
) -> Int[Tensor, "B T2"]:
    """Replace spans of each sentence by ``[MASK]`` (Lewis et al. 2020, BART's text infilling; XGPT section 4.3, IDA).

    Spans of Poisson-distributed length, at least one word, are taken until they hold ``share`` of the words; none
    touches another.

    Args:
        words: framed and padded sentences of at least one word each.
        share: of the words that are hidden, in (0, 1].
        mean: of the Poisson distribution.
        mask: the id of ``[MASK]``.
        single: one mask for a whole span (the paper's choice), or one for each of its words (table 6).
        rng: of all draws.
    """
    rows = [_infilled(row[row > 0].tolist(), share, mean, mask, single, rng) for row in words]
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def _infilled(
    row: list[int], share: float, mean: float, mask: int, single: bool, rng: np.random.Generator
) -> list[int]:
    count = len(row) - 2
    budget = max(1, round(share * count))
    hidden = np.zeros(len(row) + 1, bool)  # a place that is always free stands at the end
    for _ in range(4 * count):
        if budget <= 0:
            break
        length = min(budget, max(1, int(rng.poisson(mean))))
        start = int(rng.integers(1, count - length + 2))
        if not hidden[start - 1 : start + length + 1].any():
            hidden[start : start + length] = True
            budget -= length
    kept: list[int] = []
    for place, word in enumerate(row):
        if not hidden[place]:
            kept.append(word)
        elif not (single and hidden[place - 1]):
            kept.append(mask)
    return kept
