"""What autoregressive decoding stands between: a network that scores the next word, and sentences.

``Greedy`` and ``Nucleus`` in ``word_by_word``, ``Beam`` and ``DiverseBeam`` in ``beam`` are built on it. Masked
language models see both sides but must know the length in advance: they write with ``words``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.sampling.words import WordIds


@runtime_checkable
class NextWord(Protocol):
    """What a decoder is to a sampler: scores of the next word of sentences under way.

    A sampler's first call has one row per picture. From then on the rows of a picture are consecutive, pictures keep
    their order, and all that are still under way have the same number of rows.
    """

    def __call__(self, words: Int[Tensor, "R t"]) -> Float[Tensor, "R V"]:
        """Logits of the word after each row ``[start] w …``.

        Each call's rows are one word longer than those of the call before, and continue them one to one, or as ``keep``
        has chosen.
        """

    def keep(self, rows: Int[Tensor, " R2"]) -> None:
        """The next call's row i continues row ``rows[i]`` of the last call: repeated, reordered or fewer rows.

        Called at most once between two calls.
        """


@dataclass(frozen=True)
class Hypothesis:
    """One sentence that a decoder has written."""

    words: tuple[int, ...]
    """The prefix and what was written after it, without the frame tokens."""
    log_p: float
    """The sum of log p of the words after the prefix and of the end token, in nats, from the network's own
    distribution: temperature 1, nothing narrowed or banned."""
    score: float
    """What hypotheses are ranked by, higher first: log_p over a power of the length. The length is the number of words
    after the prefix, and one for the end token, so that the power 1 gives the mean log p."""
    finished: bool
    """Whether the decoder chose the end token; False where only the limit ended the sentence."""


@runtime_checkable
class Decoding(Protocol):
    """A way to write sentences from left to right: ``Greedy``, ``Nucleus``, ``Beam`` or ``DiverseBeam``."""

    def write(
        self,
        network: NextWord,
        rows: int,
        prefix: Sequence[int],
        ids: WordIds,
        most: int,
        seeds: Sequence[int],
        count: int = 1,
        device: torch.device | str = "cpu",
    ) -> list[list[Hypothesis]]:
        """For each of ``rows`` pictures up to ``count`` different sentences, best first; the same in any batch.

        Every sentence starts ``[ids.start, *prefix]``. Frame tokens are never written, nor is the end token as the very
        first word, so that no sentence is empty. A sentence of ``most`` words is ended whatever the network says; the
        end token's log p then counts like any other, so the network's longest rows have ``most + 1`` tokens.

        Args:
            network: fresh for this call; see `NextWord`.
            rows: the number of pictures, 1 or more.
            prefix: words with which every sentence starts; they are never rewritten and cost nothing.
            ids: the frame tokens.
            most: the most words of a sentence, prefix included, frame tokens excluded.
            seeds: one per picture; decoders that draw nothing leave them alone.
            count: sentences wanted per picture.
            device: where the words go that the network is asked with.

        Raises:
            UsageError: ``most`` leaves no room after the prefix, or the decoder cannot give ``count`` sentences.
            XlxmertError: the network's answer has a wrong shape or holds NaN, or leaves no word to write.
        """


@dataclass(frozen=True)
class Request:
    """What `Decoding.write` is asked for, checked.

    Raises:
        UsageError: there is nothing to write, or no room for it.
    """

    rows: int
    prefix: tuple[int, ...]
    ids: WordIds
    most: int
    seeds: tuple[int, ...]
    count: int
    device: torch.device | str

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        if self.rows < 1 or self.count < 1:
            raise UsageError(
                f"expected at least 1 picture and 1 sentence for each, found {self.rows} and {self.count}: ask for more"
            )
        if len(self.seeds) != self.rows:
            raise UsageError(
                f"expected {self.rows} seeds, one per picture, found {len(self.seeds)}: pass as many as pictures"
            )
        if self.most <= len(self.prefix):
            raise UsageError(
                f"expected room for more than the prefix's {len(self.prefix)} words, found at most {self.most}: "
                "raise most or shorten the prefix"
            )

    def start(self) -> Int[Tensor, "B t"]:
        """The first rows: ``[start] prefix`` for every picture."""
        return torch.tensor([[self.ids.start, *self.prefix]], device=self.device).repeat(self.rows, 1)

    def is_full(self, words: Int[Tensor, "R t"]) -> bool:
        """Whether the rows have as many words as they may."""
        return words.shape[1] > self.most

    def options(self, log_p: Float[Tensor, "R V"], words: Int[Tensor, "R t"]) -> Float[Tensor, "R V"]:
        """``log_p`` of what may follow ``words``, minus infinity elsewhere."""
        banned = {word for word in self.ids.banned() if word < log_p.shape[1]}
        if words.shape[1] > 1:
            banned.discard(self.ids.end)
        return log_p.index_fill(1, torch.tensor(sorted(banned), device=log_p.device), float("-inf"))

    def hypothesis(self, row: Sequence[int], log_p: float, finished: bool, length_penalty: float = 1.0) -> Hypothesis:
        """The sentence in a row of words whose end token is already part of ``log_p``."""
        words = tuple(row[1:])
        score = log_p / (len(words) - len(self.prefix) + 1) ** length_penalty
        return Hypothesis(words, log_p, score, finished)


class Writing(ABC):
    """What all decoders share: ``write`` checks what is asked for, and each answers in its own way."""

    def write(
        self,
        network: NextWord,
        rows: int,
        prefix: Sequence[int],
        ids: WordIds,
        most: int,
        seeds: Sequence[int],
        count: int = 1,
        device: torch.device | str = "cpu",
    ) -> list[list[Hypothesis]]:
        """As `Decoding.write`."""
        return self.answer(network, Request(rows, tuple(prefix), ids, most, tuple(seeds), count, device))

    @abstractmethod
    def answer(self, network: NextWord, request: Request) -> list[list[Hypothesis]]:
        """The sentences of each picture, best first."""


def next_log_p(network: NextWord, words: Int[Tensor, "R t"]) -> Float[Tensor, "R V"]:
    """The logarithm of the network's probability of every next word, in single precision, without gradients.

    Raises:
        XlxmertError: the answer has another shape than one row of logits per row of words, or holds NaN.
    """
    with torch.no_grad():
        logits = network(words).float()
        if logits.ndim != 2 or len(logits) != len(words):
            raise XlxmertError(
                f"expected one row of logits for each of {len(words)} sentences, found {tuple(logits.shape)}: "
                "the network must answer for the last word of every row and for nothing else"
            )
        log_p = logits.log_softmax(dim=1)
    if bool(log_p.sum().isnan()):  # NaN, infinite, or minus infinity for every word
        raise XlxmertError(
            "expected finite logits, found NaN: the weights may be damaged or half precision overflowed; try float32"
        )
    return log_p


def different(sentences: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The first of every sentence that occurs, in their order."""
    first: dict[tuple[int, ...], Hypothesis] = {}
    for sentence in sentences:
        first.setdefault(sentence.words, sentence)
    return list(first.values())


def best(sentences: Iterable[Hypothesis], count: int | None = None) -> list[Hypothesis]:
    """The ``count`` (not given: all) of highest score, best first; earlier ones win ties."""
    return sorted(sentences, key=lambda sentence: -sentence.score)[:count]


def nothing_to_write() -> XlxmertError:
    """What is raised where the network and the rules together leave no word for a sentence."""
    return XlxmertError(
        "expected at least one word that may come next, found none: the network gives all allowed words probability 0; "
        "see whether the frame tokens are those of its vocabulary"
    )
