"""What people's answers amount to: HUMMUS's majorities, and the shares and sign test of preferences."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError
from xlxmert.metrics.hummus import Blank, hummus_scores, is_right
from xlxmert.metrics.preference import preference, sign_test

DOG = Blank("noun", ("dog", "dogs"))
RIDE = Blank("verb", ("ride", "rides", "riding", "rode", "ridden"))


@pytest.mark.parametrize(
    ("answer", "right"),
    [("dog", True), ("Dogs", True), (" a dog. ", True), ("the DOG", True), ("puppy", False), ("", False), ("a", False)],
)
def test_any_inflection_is_right(answer: str, right: bool) -> None:
    assert is_right(answer, DOG) == right


def test_names_of_several_words_and_marks() -> None:
    assert is_right("hot-dog", Blank("noun", ("hot dog", "hot dogs")))
    assert not is_right("dog", Blank("noun", ("hot dog", "hot dogs")))


def test_more_than_half_must_be_right() -> None:
    answers = {
        "1": ["dog", "dogs", "a dog", "cat", "fox"],  # three of five
        "2": ["dog", "dog", "cat", "cat", "cat"],
        "3": ["dog", "cat"],  # half is no majority
        "4": ["riding"],
        "5": [],
    }
    blanks = {"1": DOG, "2": DOG, "3": DOG, "4": RIDE, "5": RIDE, "6": RIDE}
    assert hummus_scores(answers, blanks) == pytest.approx({"noun": 1 / 3, "verb": 1, "mean": 2 / 3})


def test_hummus_needs_answers_to_what_was_asked() -> None:
    with pytest.raises(UsageError, match="found none"):
        hummus_scores({"1": []}, {"1": DOG})
    with pytest.raises(UsageError, match="'9'"):
        hummus_scores({"9": ["dog"]}, {"1": DOG})


def test_preferences_are_shares_of_votes_and_the_test_is_over_pairs() -> None:
    found = preference({"a": ["one", "one", "tie"], "b": ["one", "other"], "c": ["one"], "d": ["tie"], "e": []})
    assert (found.one, found.other, found.tie) == pytest.approx((4 / 7, 1 / 7, 2 / 7))
    assert (found.votes, found.pairs, found.decided) == (7, 4, (2, 0))
    assert found.p_value == pytest.approx(0.5)
    with pytest.raises(UsageError, match="found none"):
        preference({"a": []})


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_twice_the_tail(wins: int, losses: int) -> None:
    throws = wins + losses
    tail = sum(math.comb(throws, heads) for heads in range(min(wins, losses) + 1)) / 2**throws
    assert sign_test(wins, losses) == pytest.approx(min(1, 2 * tail))
    assert sign_test(wins, losses) == sign_test(losses, wins)


def test_known_sign_tests() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(10, 0) == pytest.approx(2 / 1024)
    assert sign_test(8, 2) == pytest.approx(0.109375)
    # 5,000 pairs, as in the paper: near the normal approximation with its correction for steps
    assert sign_test(2600, 2400) == pytest.approx(math.erfc((200 - 1) / math.sqrt(5000) / math.sqrt(2)), rel=2e-3)
    with pytest.raises(UsageError, match="from 0"):
        sign_test(-1, 2)
