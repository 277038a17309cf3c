"""Words from a masked language model: a sentence of a given length is painted like a picture, by the same samplers.

``Raster`` writes from left to right, ``RandomOrder`` is the paper's Gibbs sampling, ``MaskPredict`` writes all words at
once. A masked model must know the length in advance: write several lengths, and keep what the model finds likeliest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.paint import paint
from xlxmert.sampling.steps import Network, Sampler, Step, look

WordNetwork = Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T V"]]
"""``network(words)`` gives logits for every position of ``[CLS] w … [SEP] pad …``; hidden words are [MASK]."""


@dataclass(frozen=True)
class WordIds:
    """The ids of the tokens that frame a sentence and are never written; the defaults are BERT's."""

    start: int = 101
    """[CLS]."""
    end: int = 102
    """[SEP]."""
    mask: int = 103
    """[MASK]."""
    pad: int = 0
    """[PAD]."""
    never: tuple[int, ...] = (100,)
    """Further ids that are never written, such as [UNK]."""

    def banned(self) -> list[int]:
        """All ids that no sentence may hold between its ends."""
        return [self.start, self.end, self.mask, self.pad, *self.never]


def blank(
    prefixes: Sequence[Sequence[int]], lengths: Sequence[int], ids: WordIds, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """``[CLS] prefix [MASK] … [SEP] pad …`` for each sample, and where its masks are; a length counts the prefix too.

    Raises:
        UsageError: a length leaves no room after the prefix.
    """
    words = torch.full((len(prefixes), max(lengths) + 2), ids.pad, dtype=torch.long)
    for row, prefix, length in zip(words, prefixes, lengths, strict=True):
        if length <= len(prefix):
            raise UsageError(
                f"expected more than the prefix's {len(prefix)} words, found a length of {length}: ask for more"
            )
        row[0], row[1 : length + 1], row[length + 1] = ids.start, ids.mask, ids.end
        row[1 : len(prefix) + 1] = torch.tensor(list(prefix), dtype=torch.long)
    return words.to(device), (words == ids.mask).to(device)


def as_network(network: WordNetwork, ids: WordIds, repeats: bool = False) -> Network:
    """Let the samplers of pictures write words: hidden positions become [MASK]; frame tokens get no probability.

    Without ``repeats``, a word may not equal a settled neighbour: masked models like to write a word twice.
    """

    def masked(words: Int[Tensor, "B T"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        seen = words.masked_fill(hidden, ids.mask)
        logits = network(seen).clone()
        logits[..., [word for word in ids.banned() if word < logits.shape[-1]]] = float("-inf")
        if not repeats:
            logits[:, 1:].scatter_(-1, seen[:, :-1, None], float("-inf"))
            logits[:, :-1].scatter_(-1, seen[:, 1:, None], float("-inf"))
        return logits

    return masked


def write(
    network: WordNetwork,
    prefixes: Sequence[Sequence[int]],
    lengths: Sequence[int],
    sampler: Sampler,
    seeds: Sequence[int],
    ids: WordIds,
    device: torch.device | str = "cpu",
) -> Iterator[Step]:
    """Write one sentence of the given length per sample, as a stream of steps whose ``codes`` are words.

    Prefixes are never rewritten, positions 1 … length are the only ones written, every sample's draws are its own
    (X-LXMERT Sec. 6, Fig. 5).

    Raises:
        UsageError: a length leaves no room after the prefix.
    """
    words, unknown = blank(prefixes, lengths, ids, device)
    return paint(as_network(network, ids), words, unknown, sampler, seeds)


def pseudo_log_likelihood(network: WordNetwork, words: Int[Tensor, "B T"], ids: WordIds) -> Float[Tensor, " B"]:
    """The mean over a sentence's words of log p(word | all others), one word masked at a time (Salazar et al. 2020).

    Takes as many forward passes as the longest sentence has words; [CLS], [SEP] and padding are not counted.
    """
    inner = (words != ids.start) & (words != ids.end) & (words != ids.pad)
    free, total = as_network(network, ids, repeats=True), torch.zeros(len(words), device=words.device)
    for position in inner.any(dim=0).nonzero().flatten().tolist():
        hidden = torch.zeros_like(inner)
        hidden[:, position] = inner[:, position]
        log_p = look(free, words, hidden)[:, position].log_softmax(dim=-1)
        found = log_p.gather(-1, words[:, position, None]).squeeze(-1)
        total = total + found.masked_fill(~inner[:, position], 0)
    return total / inner.sum(dim=1).clamp(min=1)


def draft_likelihood(step: Step, unknown: Bool[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """The mean logarithm of the probabilities met while writing: free, but early words were judged by fewer neighbours.

    Good enough to choose which drafts are worth a `pseudo_log_likelihood`.

    Args:
        step: the last step of `write`.
        unknown: True at the words that were written.
    """
    log_p = step.confidence.clamp(min=1e-30).log().masked_fill(~unknown, 0)
    return log_p.sum(dim=1) / unknown.sum(dim=1).clamp(min=1)
