"""Caption scores: known values, invariances, and parity with the common implementation where it is installed."""

import math
import random

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.metrics.caption import DocumentFrequency, bleu, caption_scores, cider, rouge_l, tokenize

WORDS = [
    "a",
    "the",
    "cat",
    "dog",
    "man",
    "red",
    "blue",
    "sits",
    "runs",
    "on",
    "in",
    "grass",
    "street",
    "two",
    "with",
    "hat",
    "near",
    "big",
    "small",
    "and",
]


def random_captions(pictures, seed=0, empty=False):
    generator = random.Random(seed)

    def caption(shortest):
        return [generator.choice(WORDS) for _ in range(generator.randint(shortest, 14))]

    candidates = [caption(0 if empty else 1) for _ in range(pictures)]
    references = [[caption(1) for _ in range(generator.randint(1, 5))] for _ in range(pictures)]
    for place in range(0, pictures, 3):  # some candidates are close to a reference
        candidates[place] = list(references[place][0])
        if place % 2:
            candidates[place][-1:] = ["cat", "cat"]
    return candidates, references


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        (
            "A man's dog isn't black/white, it's 1,000 years old.",
            "a man 's dog is n't black/white it 's 1,000 years old",
        ),
        ("They cannot go; gonna run at 10:30 a.m.", "they can not go gon na run at 10:30 a.m."),
        ('A T-shirt that says "I love you"... for $5.00!', "a t-shirt that says i love you for $ 5.00"),
        ("Mr. Smith (the old one) in the U.S. now?!", "mr. smith -lrb- the old one -rrb- in the u.s. now ?!"),
        ("a dog. the cat sits by the players' bench", "a dog the cat sits by the players bench"),
        ("rock 'n' roll in the '80s, 6ft. tall & 50% off", "rock 'n' roll in the '80s 6ft tall & 50 % off"),
        ("a man&apos;s caf\u00e9 \u2014 \u201cyes\u201d", "a man 's caf\u00e9 yes"),
        ("bus no. 5 has a sign that says no.", "bus no. 5 has a sign that says no"),
        ("  ", ""),
    ],
)
def test_tokens_are_those_of_the_penn_treebank_without_punctuation(caption, tokens):
    assert tokenize(caption) == tokens.split()


def test_a_caption_equal_to_its_reference_scores_full():
    _, references = random_captions(20, seed=3)
    references = [[group[0]] for group in references]
    candidates = [group[0] for group in references]
    assert bleu(candidates, references)[0] == pytest.approx(1, abs=1e-6)
    assert rouge_l(candidates, references) == pytest.approx([1.0] * 20)
    long = [score for score, words in zip(cider(candidates, references), candidates, strict=True) if len(words) >= 4]
    assert long == pytest.approx([10.0] * len(long))


def test_bleu_punishes_short_candidates_by_the_closest_reference():
    reference = ["a", "red", "cat", "sits", "on", "the", "grass"]
    assert bleu([reference[:4]], [[reference]])[0] == pytest.approx(math.exp(1 - 7 / 4), rel=1e-6)
    assert bleu([reference[:4]], [[reference, reference[:3]]])[0] == pytest.approx(1, rel=1e-6)


def test_rouge_takes_the_best_precision_and_recall_over_references():
    score = rouge_l([["a", "cat"]], [[["a", "cat", "runs", "far"], ["a", "dog"]]])[0]
    precision, recall = 1.0, 0.5
    assert score == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision))


def test_cider_of_a_single_picture_is_zero_unless_frequencies_come_from_elsewhere():
    _, references = random_captions(10, seed=5)
    one = [references[0][0]], references[:1]
    assert cider(*one) == [0.0]
    assert cider(*one, frequency=DocumentFrequency.of(references))[0] > 1


def test_cider_ignores_the_order_of_pictures():
    candidates, references = random_captions(30, seed=6)
    assert cider(candidates[::-1], references[::-1]) == pytest.approx(cider(candidates, references)[::-1])


def test_written_captions_are_scored_in_per_cent():
    scores = caption_scores(["A cat sits.", "A dog runs!"], [["a cat sits"], ["a dog runs"]])
    assert list(scores) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"]
    assert scores["BLEU-3"] == pytest.approx(100, abs=1e-4)
    assert scores["ROUGE-L"] == pytest.approx(100)


def test_unpaired_captions_are_refused():
    with pytest.raises(UsageError, match="found 1 candidates and 2 lists"):
        bleu([["a"]], [[["a"]], [["b"]]])
    with pytest.raises(UsageError, match="none for number 1"):
        caption_scores(["a", "b"], [["a"], []])


@pytest.mark.parametrize("empty", [False, True])
def test_scores_equal_the_common_implementation(empty):
    bleu_module = pytest.importorskip("pycocoevalcap.bleu.bleu_scorer")
    cider_module = pytest.importorskip("pycocoevalcap.cider.cider")
    rouge_module = pytest.importorskip("pycocoevalcap.rouge.rouge")
    candidates, references = random_captions(250, seed=11, empty=empty)
    theirs = {place: [" ".join(words) for words in group] for place, group in enumerate(references)}
    mine = {place: [" ".join(words)] for place, words in enumerate(candidates)}

    scorer = bleu_module.BleuScorer(n=4)
    for place in mine:
        scorer += (mine[place][0], theirs[place])
    assert bleu(candidates, references) == pytest.approx(scorer.compute_score(option="closest")[0], abs=1e-9)
    assert rouge_l(candidates, references) == pytest.approx(
        list(rouge_module.Rouge().compute_score(theirs, mine)[1]), abs=1e-9
    )
    assert cider(candidates, references) == pytest.approx(
        list(cider_module.Cider().compute_score(theirs, mine)[1]), abs=1e-9
    )
