"""NLVR2's scores: by hand, on the built-in world's sets, and what they refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError
from xlxmert.data.world.statements import PAIRS, make_pair_set
from xlxmert.metrics.nlvr2 import nlvr2_scores, sentence_of

LABELS = {
    "dev-850-0-0": True,
    "dev-850-1-0": False,
    "dev-850-0-1": True,
    "dev-850-1-1": True,
    "dev-85-0-0": False,
}


def test_a_sentence_counts_where_all_of_its_pairs_are_right():
    scores = nlvr2_scores(LABELS | {"dev-850-1-0": True}, LABELS)
    assert scores == pytest.approx({"accuracy": 80, "consistency": 200 / 3})


def test_all_right_and_all_wrong():
    assert nlvr2_scores(LABELS, LABELS) == {"accuracy": 100, "consistency": 100}
    wrong = {identifier: not label for identifier, label in LABELS.items()}
    assert nlvr2_scores(wrong, LABELS) == {"accuracy": 0, "consistency": 0}


def test_sentences_differ_by_split_set_and_number_but_not_by_pair():
    assert sentence_of("dev-850-0-1") == sentence_of("dev-850-3-1") == "dev-850-1"
    others = ["dev-850-0-0", "dev-85-0-1", "test1-850-0-1", "dev-8501-0-1"]
    assert len({sentence_of(each) for each in ["dev-850-0-1", *others]}) == 5


def test_a_subset_is_scored_by_its_labels():
    subset = {identifier: label for identifier, label in LABELS.items() if identifier.startswith("dev-850")}
    assert nlvr2_scores(LABELS | {"dev-85-0-0": True}, subset) == {"accuracy": 100, "consistency": 100}


def test_always_saying_true_is_half_right_and_never_consistent_on_the_world():
    labels = {each.identifier: each.label for i in range(6) for each in make_pair_set("val", 0, i).records()}
    assert len(labels) >= 6 * PAIRS
    assert nlvr2_scores(dict.fromkeys(labels, True), labels) == {"accuracy": 50, "consistency": 0}


@settings(max_examples=40)
@given(st.dictionaries(st.tuples(*[st.integers(0, 2)] * 3), st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_consistency_is_the_share_of_sentences_without_a_mistake(judged):
    names = {key: "dev-{}-{}-{}".format(*key) for key in judged}
    scores = nlvr2_scores(
        {names[key]: said for key, (said, _) in judged.items()}, {names[key]: true for key, (_, true) in judged.items()}
    )
    sentences = {(number, sentence) for number, _, sentence in judged}
    mistaken = {(number, sentence) for (number, _, sentence), (said, true) in judged.items() if said != true}
    assert scores["consistency"] == pytest.approx(100 * (1 - len(mistaken) / len(sentences)))
    assert scores["accuracy"] == pytest.approx(100 * sum(a == b for a, b in judged.values()) / len(judged))


def test_missing_predictions_and_foreign_identifiers_are_errors():
    with pytest.raises(UsageError, match=r"each of 5 statements, missing 4 \(\['dev-850-0-0', "):
        nlvr2_scores({"dev-85-0-0": True}, LABELS)
    with pytest.raises(UsageError, match="each of 0 statements"):
        nlvr2_scores(LABELS, {})
    with pytest.raises(UsageError, match="split-set-pair-sentence such as dev-850-0-1, found 'dev-850'"):
        nlvr2_scores({"dev-850": True}, {"dev-850": True})
