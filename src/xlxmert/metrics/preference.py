"""Pairwise preference: which of two systems people prefer, and how likely lots alone would have been as clear.

Source: X-LXMERT, Sec. 6.1 ("Pairwise preferences") and App. E.2.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from xlxmert.core.errors import UsageError

Vote = Literal["one", "other", "tie"]
"""For the one system, for the other, or for neither."""


@dataclass(frozen=True)
class Preference:
    """What people preferred."""

    one: float
    """Share of the votes for the one system, in [0, 1]."""
    other: float
    """For the other."""
    tie: float
    """For neither."""
    p_value: float
    """Two-sided sign test over the pairs that were decided: how likely a fair coin is to be as one-sided or more."""
    votes: int
    pairs: int
    """Pairs that somebody voted on."""
    decided: tuple[int, int]
    """Pairs with more votes for the one, and for the other."""


def preference(votes: Mapping[str, Sequence[Vote]]) -> Preference:
    """Shares of all votes, and a sign test in which every pair counts once, by the majority of its own votes.

    Args:
        votes: by pair; pairs without votes are not counted.

    Raises:
        UsageError: nobody voted.
    """
    counted = Counter(vote for each in votes.values() for vote in each)
    total = counted.total()
    if not total:
        raise UsageError(f"expected votes on some of {len(votes)} pairs, found none: collect answers first")
    leads = [each.count("one") - each.count("other") for each in map(list, votes.values())]
    wins, losses = sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads)
    return Preference(
        counted["one"] / total,
        counted["other"] / total,
        counted["tie"] / total,
        sign_test(wins, losses),
        total,
        sum(bool(each) for each in votes.values()),
        (wins, losses),
    )


def sign_test(wins: int, losses: int) -> float:
    """The probability, in (0, 1], that a fair coin thrown ``wins + losses`` times comes out at least as one-sided.

    Exact: twice the binomial tail, at most 1.

    Raises:
        UsageError: a number is negative.
    """
    if wins < 0 or losses < 0:
        raise UsageError(f"expected numbers of wins and losses from 0, found {wins} and {losses}")
    throws, ways, tail = wins + losses, 1, 0
    for heads in range(min(wins, losses) + 1):
        tail += ways
        ways = ways * (throws - heads) // (heads + 1)
    return float(min(Fraction(1), Fraction(2 * tail, 2**throws)))
