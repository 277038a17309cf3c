"""The search behind ``Beam`` and ``DiverseBeam``: groups of sentences under way, all pictures at once."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.autoregressive import (
    Hypothesis,
    NextWord,
    Request,
    best,
    different,
    next_log_p,
    nothing_to_write,
)


@dataclass(frozen=True)
class Advance:
    """One step of all beams: which S sentences go on, and which of C candidates end. Rows count within a picture."""

    rows: Int[Tensor, "B S"]
    """The sentence that each sentence of the next beam continues."""
    words: Int[Tensor, "B S"]
    """The word that it goes on with."""
    sums: Float[Tensor, "B S"]
    """Its log p then; minus infinity where there is no sentence."""
    candidates: Int[Tensor, "B C"]
    """The sentence behind each candidate."""
    ends: Bool[Tensor, "B C"]
    """Which candidates are sentences that end now."""
    totals: Float[Tensor, "B C"]
    """The candidates' log p, the end included."""
    chosen: Bool[Tensor, "B C"]
    """Which of them were free to go on."""


@dataclass(frozen=True)
class BeamSearch:
    """Beam search in groups; see ``Beam``, which has one, and ``DiverseBeam``.

    A group that is done keeps its rows while its picture has others under way, as the network wants the same number of
    rows for every picture; a log p of minus infinity marks them.

    Raises:
        UsageError: a setting lies outside its range.
    """

    size: int
    groups: int
    diversity: float
    length_penalty: float
    early_stopping: bool
    no_repeat_ngram: int

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.size < 1:
            raise UsageError(f"expected a beam of 1 sentence or more, found {self.size}: try 3")
        if self.groups < 1 or self.size % self.groups:
            raise UsageError(
                f"expected groups that divide a beam of {self.size}, found {self.groups}: "
                "make size a multiple of groups"
            )
        if not 0 <= self.diversity < math.inf:
            raise UsageError(f"expected a diversity of 0 nats or above, found {self.diversity}: try 0.5")
        if not 0 <= self.length_penalty < math.inf:
            raise UsageError(f"expected a length penalty of 0 or above, found {self.length_penalty}: try 1.0")
        if self.no_repeat_ngram < 0:
            raise UsageError(f"expected no_repeat_ngram of 0 (off) or above, found {self.no_repeat_ngram}: try 3")

    @property
    def width(self) -> int:
        """Sentences in a group."""
        return self.size // self.groups

    def run(self, network: NextWord, request: Request) -> list[list[Hypothesis]]:
        """Up to ``request.count`` different sentences for each picture, best first.

        Raises:
            UsageError: more sentences are wanted than the beam has.
            XlxmertError: the network's answer has a wrong shape or holds NaN, or leaves no word to write.
        """
        if request.count > self.size:
            raise UsageError(
                f"expected to write at most {self.size} sentences per picture, as many as the beam has, "
                f"found {request.count}: raise size"
            )
        found = Finished(self, request)
        living, words = list(range(request.rows)), request.start()
        log_p = next_log_p(network, words).repeat_interleave(self.size, dim=0)  # (B S, V)
        origin = torch.arange(request.rows, device=request.device).repeat_interleave(self.size)
        words, sums = words[origin], torch.full((request.rows, self.size), -math.inf, device=request.device)
        sums[:, :: self.width] = 0  # every group starts from one sentence, not from copies of it
        while True:
            step = self._advance(request, words, sums, log_p)
            found.add(living, words, step)
            over = found.over(living, step.sums)
            stay = ~over.all(dim=1)  # (B)
            if not bool(stay.any()):
                return found.best()
            first = torch.arange(len(living), device=request.device)[:, None] * self.size
            rows = (first + step.rows)[stay].flatten()
            words = torch.cat([words[rows], step.words[stay].view(-1, 1)], dim=1)
            sums = step.sums.masked_fill(over.repeat_interleave(self.width, dim=1), -math.inf)[stay]
            living = list(itertools.compress(living, stay.tolist()))
            network.keep(origin[rows])
            log_p, origin = next_log_p(network, words), torch.arange(len(words), device=request.device)

    def _advance(
        self, request: Request, words: Int[Tensor, "R t"], sums: Float[Tensor, "B S"], log_p: Float[Tensor, "R V"]
    ) -> Advance:
        """Let the groups choose one after the other, or end all sentences at the limit."""
        end, options = request.ids.end, without_repeats(request.options(log_p, words), words, self.no_repeat_ngram)
        if request.is_full(words):
            rows = torch.arange(self.size, device=sums.device).expand_as(sums)
            totals = sums + log_p[:, end].view_as(sums)
            freely = (options.argmax(dim=1) == end).view_as(sums)
            return Advance(rows, rows, torch.full_like(sums, -math.inf), rows, sums > -math.inf, totals, freely)
        totals = sums[..., None] + options.view(*sums.shape, -1)  # (B, S, V)
        used, steps = torch.zeros_like(totals[:, 0]), list[Advance]()
        for first in range(0, self.size, self.width):
            step = self._advance_group(totals, used, first, end)
            used = used.scatter_add(1, step.words, (step.sums > -math.inf).to(used))
            steps.append(step)
        return Advance(**{f.name: torch.cat([getattr(s, f.name) for s in steps], dim=1) for f in fields(Advance)})

    def _advance_group(
        self, totals: Float[Tensor, "B S V"], used: Float[Tensor, "B V"], first: int, end: int
    ) -> Advance:
        """Choose for the group whose rows start at ``first``, when earlier groups have ``used`` words so often."""
        own = totals[:, first : first + self.width]  # (B, W, V)
        places = (own - self.diversity * used[:, None]).flatten(1).topk(2 * self.width, dim=1).indices  # (B, 2W)
        sums, rows, words = own.flatten(1).gather(1, places), first + places // own.shape[2], places % own.shape[2]
        is_end = words == end
        ends = is_end & (sums > -math.inf) & ((~is_end).cumsum(dim=1) < self.width)
        onward = is_end.long().argsort(dim=1, stable=True)[:, : self.width]  # the best words, in their order
        following = rows.gather(1, onward), words.gather(1, onward), sums.gather(1, onward)
        return Advance(*following, candidates=rows, ends=ends, totals=sums, chosen=ends)


class Finished:
    """The best sentences that have ended, as many as a group is wide, for each group of each picture."""

    def __init__(self, search: BeamSearch, request: Request) -> None:
        """Start without any."""
        self._search, self._request = search, request
        self._groups: list[list[list[Hypothesis]]] = [[[] for _ in range(search.groups)] for _ in range(request.rows)]

    def add(self, living: Sequence[int], words: Int[Tensor, "R t"], step: Advance) -> None:
        """Take those of the pictures ``living`` that end in this step."""
        texts, rows = words.tolist(), step.candidates.tolist()
        totals, chosen = step.totals.tolist(), step.chosen.tolist()
        for place, column in step.ends.nonzero().tolist():
            row, log_p, freely = rows[place][column], totals[place][column], chosen[place][column]
            text = texts[place * self._search.size + row]
            sentence = self._request.hypothesis(text, log_p, freely, self._search.length_penalty)
            group = self._groups[living[place]][row // self._search.width]
            group[:] = best([*group, sentence], self._search.width)

    def over(self, living: Sequence[int], sums: Float[Tensor, "B S"]) -> Bool[Tensor, "B G"]:
        """Which groups are done, when their sentences under way have log p of ``sums``."""
        hopes = sums.view(len(sums), -1, self._search.width).amax(dim=2).tolist()
        over = [
            [self._is_over(group, hope) for group, hope in zip(self._groups[picture], row, strict=True)]
            for picture, row in zip(living, hopes, strict=True)
        ]
        return torch.tensor(over, device=sums.device)

    def _is_over(self, group: Sequence[Hypothesis], hope: float) -> bool:
        """Whether a group is done; log p only falls from ``hope`` on, and divided by the most length it hurts least."""
        if hope == -math.inf or len(group) < self._search.width:
            return hope == -math.inf  # no sentence is left, or there is room for one
        longest = self._request.most - len(self._request.prefix) + 1
        return self._search.early_stopping or group[-1].score >= hope / longest**self._search.length_penalty

    def best(self) -> list[list[Hypothesis]]:
        """The best sentences of all groups of each picture, as many as were asked for, none twice.

        Raises:
            XlxmertError: a picture has none.
        """
        found = [different(sentence for group in groups for sentence in group) for groups in self._groups]
        if not all(found):
            raise nothing_to_write()
        return [best(sentences, self._request.count) for sentences in found]


def without_repeats(options: Float[Tensor, "R V"], words: Int[Tensor, "R t"], length: int) -> Float[Tensor, "R V"]:
    """Rule out each word with which a sequence of ``length`` words would occur a second time in its row; 0: none."""
    written = words[:, 1:]
    if not 0 < length <= written.shape[1]:
        return options
    sequences = written.unfold(1, length, 1)  # (R, places, length)
    current = written[:, written.shape[1] - length + 1 :]
    again = (sequences[..., :-1] == current[:, None]).all(dim=2)
    repeats = torch.zeros_like(options).scatter_add(1, sequences[..., -1], again.to(options))
    return options.masked_fill(repeats > 0, -math.inf)
