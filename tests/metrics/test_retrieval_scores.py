"""Retrieval: by hand, against counting every order of ties, and against numpy's sorting where nothing ties."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.metrics.retrieval import retrieval_scores


def test_scores_by_hand():
    scores = torch.tensor(
        [
            [0.9, 0.1, 0.8],  # sentences 0 and 1 are its own: the first place is right
            [0.2, 0.7, 0.3],  # sentence 2 is its own: second place
        ]
    )
    # sentence 0 finds picture 0 first, sentence 1 finds it second, sentence 2 finds picture 1 second
    assert retrieval_scores(scores, [0, 0, 1], ranks=(1, 2)) == pytest.approx(
        {
            "text_to_image/R@1": 100 / 3,
            "text_to_image/R@2": 100,
            "text_to_image/median_rank": 2,
            "image_to_text/R@1": 50,
            "image_to_text/R@2": 100,
            "image_to_text/median_rank": 1.5,
        }
    )


def by_orders(scores: np.ndarray, pictures: list[int], ranks: tuple[int, ...]) -> dict[str, float]:
    """The same scores from every order of the candidates, sorted stably: ties stand in every order equally often."""
    own = np.array(pictures)[None] == np.arange(len(scores))[:, None]
    result = {}
    for name, table, right in (("text_to_image", scores.T, own.T), ("image_to_text", scores, own)):
        places = []  # of the first own candidate, per query and order
        for row, mine in zip(table, right, strict=True):
            if mine.any():
                orders = [list(order) for order in permutations(range(len(row)))]
                sorted_ones = [sorted(order, key=lambda place: -row[place]) for order in orders]
                places.append([1 + next(i for i, place in enumerate(each) if mine[place]) for each in sorted_ones])
        for rank in ranks:
            result[f"{name}/R@{rank}"] = 100 * np.mean(np.array(places) <= rank)
        result[f"{name}/median_rank"] = float(np.median(np.mean(places, axis=1)))
    return result


@settings(max_examples=60)
@given(st.data())
def test_ties_count_as_the_mean_over_all_their_orders(data):
    pictures = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    scores = np.array([[data.draw(st.integers(0, 2)) for _ in pictures] for _ in range(4)], dtype=np.float32)
    found = retrieval_scores(torch.from_numpy(scores), pictures, ranks=(1, 2, 3))
    assert found == pytest.approx(by_orders(scores, pictures, (1, 2, 3)))


def test_without_ties_the_scores_are_those_of_sorting():
    rng = np.random.default_rng(7)
    pictures = np.repeat(np.arange(120), 5)[rng.permutation(600)]
    own = pictures[None] == np.arange(120)[:, None]  # (B, S)
    scores = (rng.standard_normal((120, 600)) + 2.5 * own).astype(np.float32)
    found = retrieval_scores(torch.from_numpy(scores), pictures.tolist())

    to_image = np.array([(scores[:, s] > scores[p, s]).sum() + 1 for s, p in enumerate(pictures)])
    order = np.argsort(-scores, axis=1, kind="stable")
    to_text = np.take_along_axis(own, order, axis=1).argmax(axis=1) + 1
    for name, places in (("text_to_image", to_image), ("image_to_text", to_text)):
        for rank in (1, 5, 10):
            assert found[f"{name}/R@{rank}"] == pytest.approx(100 * (places <= rank).mean())
        assert found[f"{name}/median_rank"] == np.median(places)
    assert 5 < found["text_to_image/R@1"] < found["text_to_image/R@10"] < 95  # neither way is trivial here


def test_a_model_that_scores_all_alike_gets_what_lots_get():
    pictures = [place // 5 for place in range(500)]
    found = retrieval_scores(torch.zeros(100, 500), pictures)
    assert found["text_to_image/R@1"] == pytest.approx(1)
    assert found["text_to_image/R@10"] == pytest.approx(10)
    assert found["text_to_image/median_rank"] == pytest.approx(50.5)
    assert found["image_to_text/R@1"] == pytest.approx(1)
    all_missed = np.prod([(495 - drawn) / (500 - drawn) for drawn in range(10)])
    assert found["image_to_text/R@10"] == pytest.approx(100 * (1 - all_missed))
    assert found["image_to_text/median_rank"] == pytest.approx(501 / 6)


def test_the_order_of_pictures_and_sentences_does_not_matter():
    rng = np.random.default_rng(0)
    scores, pictures = torch.from_numpy(rng.integers(0, 4, (12, 40)).astype(np.float32)), rng.integers(0, 12, 40)
    rows, columns = rng.permutation(12), rng.permutation(40)
    moved = np.argsort(rows)[pictures[columns]]
    there = retrieval_scores(scores, pictures.tolist())
    assert retrieval_scores(scores[rows][:, columns], moved.tolist()) == pytest.approx(there)


def test_pictures_without_a_sentence_are_in_the_way_but_ask_nothing():
    scores = torch.tensor([[0.9], [1.0], [0.1]])
    found = retrieval_scores(scores, [0], ranks=(1, 5))
    assert (found["text_to_image/R@1"], found["text_to_image/median_rank"]) == (0, 2)
    assert (found["image_to_text/R@1"], found["image_to_text/median_rank"]) == (100, 1)
    assert found["text_to_image/R@5"] == 100  # fewer candidates than places


def test_infinite_scores_and_half_precision_are_scores_too():
    scores = torch.tensor([[0.5, -torch.inf], [torch.inf, -torch.inf]])
    found = retrieval_scores(scores, [0, 1], ranks=(1,))
    assert found["text_to_image/R@1"] == 25  # never, and every second order
    assert found == retrieval_scores(scores.half(), [0, 1], ranks=(1,))


def test_the_scores_given_are_left_as_they_are():
    scores = torch.rand(3, 6)
    before = scores.clone()
    retrieval_scores(scores, [0, 0, 1, 1, 2, 2])
    assert torch.equal(scores, before)


@pytest.mark.parametrize(
    ("shape", "pictures", "message"),
    [
        ((2, 3), [0, 1], r"found \(2, 3\) and 2 sentences' pictures: transpose"),
        ((2, 0), [], r"found \(2, 0\) and 0"),
        ((2, 3), [0, 1, 2], r"from 0 to 1, found 2 \(1 such\): give rows"),
        ((2, 3), [-1, 1, 7], r"from 0 to 1, found -1 \(2 such\)"),
    ],
)
def test_what_does_not_fit_together_is_an_error(shape, pictures, message):
    with pytest.raises(UsageError, match=message):
        retrieval_scores(torch.zeros(shape), pictures)


def test_nan_and_ranks_below_one_are_errors():
    scores = torch.zeros(2, 2)
    with pytest.raises(UsageError, match="ranks of at least 1, found 0"):
        retrieval_scores(scores, [0, 1], ranks=(1, 0))
    scores[1, 0] = torch.nan
    with pytest.raises(XlxmertError, match="found NaN for 1 of 4 pairs"):
        retrieval_scores(scores, [0, 1])
