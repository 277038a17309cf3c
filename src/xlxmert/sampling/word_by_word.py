"""Greedy and nucleus decoding: each sentence goes its own way, word by word, and never back."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import seed_of
from xlxmert.sampling.autoregressive import (
    Hypothesis,
    NextWord,
    Request,
    Writing,
    best,
    different,
    next_log_p,
    nothing_to_write,
)
from xlxmert.sampling.draws import check_draws, choose


@dataclass(frozen=True)
class Greedy(Writing):
    """The likeliest word each time; one sentence per picture, whose score is its mean log p."""

    def answer(self, network: NextWord, request: Request) -> list[list[Hypothesis]]:
        """Write; a ``count`` above 1 is a UsageError."""
        if request.count > 1:
            raise UsageError(
                f"expected to write 1 sentence per picture, found {request.count}: greedy decoding knows only one; "
                "use Beam or Nucleus"
            )
        return _write(network, request, 1, lambda options, *_: options.argmax(dim=1))


@dataclass(frozen=True)
class Nucleus(Writing):
    """Words drawn from the most probable share (Holtzman et al. 2020, arXiv 1904.09751, Sec. 3.1).

    1. Draw ``count`` sentences for each picture and half as many spare ones, all together. Each word is drawn from what
       ``temperature``, ``top_k`` and ``top_p``, in this order, leave of the distribution over the allowed words. A
       sentence's draws are a function of its picture's seed and its own number, so the same alone and in any batch.
    2. Pass over sentences that were drawn before, and take the first ``count`` of the others: fewer where the draws
       agree too often. Spare ones stand in for repeated ones only, never for worse ones, so that what is given are fair
       samples.
    3. Rank them by their mean log p.
    """

    top_p: float = 0.9
    """Draw within this most probable share; 1 for all."""
    temperature: float = 1.0
    """Spread of the draws; 0 takes the most probable."""
    top_k: int = 0
    """Draw among this many best words; 0 for all."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_draws(self.temperature, self.top_k, self.top_p)

    def answer(self, network: NextWord, request: Request) -> list[list[Hypothesis]]:
        """Draw."""
        draws = request.count + request.count // 2
        own = [[seed_of(seed, "sentence", number) for number in range(draws)] for seed in request.seeds]

        def draw(options: Float[Tensor, "R V"], step: int, living: Sequence[int]) -> Int[Tensor, " R"]:
            current = [seed for picture in living for seed in own[picture]]
            return choose(options[:, None], current, step, self.temperature, self.top_k, self.top_p)[:, 0]

        written = _write(network, request, draws, draw)
        return [best(different(sentences)[: request.count]) for sentences in written]


Pick = Callable[[Float[Tensor, "R V"], int, Sequence[int]], Int[Tensor, " R"]]
"""``pick(options, step, living)`` chooses a word for each row of the pictures ``living``, in step 0, 1, …"""


def _write(network: NextWord, request: Request, samples: int, pick: Pick) -> list[list[Hypothesis]]:
    """So many sentences for each picture, in the order of their rows; a picture leaves when its last one has ended."""
    living, end = list(range(request.rows)), request.ids.end
    found: list[dict[int, Hypothesis]] = [{} for _ in living]
    words, asked = request.start(), request.rows
    log_p = next_log_p(network, words).repeat_interleave(samples, dim=0)  # (R, V)
    words, origin = words.repeat_interleave(samples, dim=0), [row for row in living for _ in range(samples)]
    total, over = torch.zeros_like(log_p[:, 0]), torch.zeros_like(words[:, 0], dtype=torch.bool)
    for step in itertools.count():
        options = request.options(log_p, words)
        if bool(((options.amax(dim=1) == float("-inf")) & ~over).any()):
            break
        free = pick(options, step, living)
        chosen = torch.full_like(free, end) if request.is_full(words) else free.masked_fill(over, end)
        total = total + log_p.gather(1, chosen[:, None]).squeeze(1)
        sums, freely = total.tolist(), (free == end).tolist()
        for row in ((chosen == end) & ~over).nonzero().flatten().tolist():
            sentence = request.hypothesis(words[row].tolist(), sums[row], freely[row])
            found[living[row // samples]][row % samples] = sentence
        over = over | (chosen == end)
        left = (~over).view(-1, samples).any(dim=1)  # (B)
        if not bool(left.any()):
            return [[sentences[number] for number in range(samples)] for sentences in found]
        living, stay = list(itertools.compress(living, left.tolist())), left.repeat_interleave(samples)
        words, total, over = torch.cat([words, chosen[:, None]], dim=1)[stay], total[stay], over[stay]
        kept = list(itertools.compress(origin, stay.tolist()))
        if kept != list(range(asked)):
            network.keep(torch.tensor(kept, device=words.device))
        log_p, asked, origin = next_log_p(network, words), len(words), list(range(len(words)))
    raise nothing_to_write()
