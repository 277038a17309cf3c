"""Beam search: the likeliest whole sentences, not the likeliest words; plain or in groups that avoid each other."""

from abc import abstractmethod
from dataclasses import dataclass

from xlxmert.sampling.autoregressive import Hypothesis, NextWord, Request, Writing
from xlxmert.sampling.beam_search import BeamSearch


class _Searching(Writing):
    """What both share: they set up one `BeamSearch` and let it write."""

    @abstractmethod
    def _search(self) -> BeamSearch:
        """The search of these settings."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        self._search()

    def answer(self, network: NextWord, request: Request) -> list[list[Hypothesis]]:
        """Search; a ``count`` above ``size`` is a UsageError."""
        return self._search().run(network, request)


@dataclass(frozen=True)
class Beam(_Searching):
    """Beam search, scored as in facebookresearch/XLM (``BeamHypotheses``), which XGPT's code base decodes with.

    1. For each picture rank all words after all its ``size`` sentences by the log p of the whole, and look at the best
       2 · ``size``: at most ``size`` of them are ends, so ends never leave the beam short.
    2. An end that has fewer than ``size`` words before it in that ranking makes a finished hypothesis, of which the
       ``size`` best are kept; the ``size`` best words make the next beam.
    3. A picture is done as ``early_stopping`` says. At the limit all its sentences are ended.

    The score is log_p / length ** ``length_penalty``. XLM's length counts the start token and the words but not the
    end: as many as there are written tokens. Words of the prefix are not written, so they do not count here. Unlike
    XLM's, sentences at the limit pay for their end; they are ``finished`` if it was their likeliest next word.
    """

    size: int = 3
    """Sentences under way for each picture; 1, with ``early_stopping``, is ``Greedy``."""
    length_penalty: float = 1.0
    """Power of the length, 0 or more: 0 ranks by log p, 1 by its mean, more favours long sentences."""
    early_stopping: bool = True
    """A picture is done as soon as ``size`` sentences have ended; otherwise only when no sentence under way could still
    beat the worst that is kept, were it certain of all its words up to the limit."""
    no_repeat_ngram: int = 0
    """No sequence of so many words, prefix included, may occur twice in a sentence; 0 for no such rule."""

    def _search(self) -> BeamSearch:
        return BeamSearch(self.size, 1, 0.0, self.length_penalty, self.early_stopping, self.no_repeat_ngram)


@dataclass(frozen=True)
class DiverseBeam(_Searching):
    """Diverse beam search with Hamming diversity (Vijayakumar et al. 2018, arXiv 1610.02424, Algorithm 1).

    The beam is cut into groups, each a `Beam` of its own that stops early. Within a step they advance one after the
    other, and a group ranks a word lower by ``diversity`` for each sentence of earlier groups of its picture that went
    on with it in this step. Ends are not ranked lower, and neither log_p nor score holds what was taken off. A sentence
    that several groups wrote is given once.
    """

    size: int = 6
    """Sentences under way for each picture, in all groups together."""
    groups: int = 3
    """Groups, all of one size."""
    diversity: float = 0.5
    """What each earlier use takes off a word's log p, in nats (λ)."""
    length_penalty: float = 1.0
    """Power of the length, 0 or more; see `Beam`."""
    no_repeat_ngram: int = 0
    """No sequence of so many words, prefix included, may occur twice in a sentence; 0 for no such rule."""

    def _search(self) -> BeamSearch:
        return BeamSearch(self.size, self.groups, self.diversity, self.length_penalty, True, self.no_repeat_ngram)
