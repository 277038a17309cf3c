"""Fragments and spans: how much is hidden, where, and that what is asked is what was hidden."""

import itertools

import numpy as np
import pytest
import torch

from xlxmert.data.fragments import hide_fragment, infill

MASK, START, END, FIRST, WORDS = 4, 2, 3, 5, 100


def sentences(rows: int, longest: int = 12, seed: int = 0) -> torch.Tensor:
    """Framed and padded sentences of 1 to ``longest`` words, all different words."""
    rng = np.random.default_rng(seed)
    words = torch.zeros(rows, longest + 2, dtype=torch.long)
    for row, length in zip(words, rng.integers(1, longest + 1, rows), strict=True):
        row[0], row[length + 1] = START, END
        row[1 : length + 1] = torch.from_numpy(rng.permutation(np.arange(FIRST, WORDS))[:length])
    return words


def test_a_fragment_is_one_run_of_half_the_words_and_is_asked_in_place() -> None:
    words = sentences(400)
    cut = hide_fragment(words, 0.5, MASK, (FIRST, WORDS), np.random.default_rng(1))
    for row, given, places, targets in zip(words, cut.given, cut.places, cut.targets, strict=True):
        there = targets >= 0
        count = int((row > 0).sum()) - 2
        assert int(there.sum()) == max(1, round(0.5 * count))
        hidden = places[there] + 1
        assert hidden.tolist() == list(range(int(hidden[0]), int(hidden[0]) + len(hidden)))
        assert int(hidden[0]) >= 1 and int(hidden[-1]) <= count
        assert torch.equal(row[hidden], targets[there])
        assert torch.equal(row[places[there]], given[there])
        assert not given[~there].any()


def test_fragments_change_nothing_but_the_hidden_words_eight_in_ten_of_them_to_masks() -> None:
    words = sentences(2000)
    cut = hide_fragment(words, 0.5, MASK, (FIRST, WORDS), np.random.default_rng(2))
    hidden = torch.zeros_like(words, dtype=torch.bool)
    for row, places, targets in zip(hidden, cut.places, cut.targets, strict=True):
        row[places[targets >= 0] + 1] = True
    assert torch.equal(cut.words[~hidden], words[~hidden])
    shown, true = cut.words[hidden], words[hidden]
    assert float((shown == MASK).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((shown == true).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert not torch.isin(shown, torch.tensor([0, START, END])).any()


def test_fragments_begin_and_end_sentences_in_a_fifth_each_and_more_by_chance() -> None:
    words = sentences(4000)
    words = words[(words > 0).sum(1) == 12]  # ten words, fragments of five, six places
    cut = hide_fragment(words, 0.5, MASK, (FIRST, WORDS), np.random.default_rng(3))
    first = cut.places[:, 0]
    assert float((first == 0).float().mean()) == pytest.approx(0.2 + 0.6 / 6, abs=0.06)
    assert float((first == 5).float().mean()) == pytest.approx(0.2 + 0.6 / 6, abs=0.06)


@pytest.mark.parametrize("single", [True, False])
def test_spans_hold_their_share_of_the_words_and_the_rest_stays_in_order(single: bool) -> None:
    words = sentences(500)
    holed = infill(words, 0.3, 3.0, MASK, single, np.random.default_rng(4))
    for row, left in zip(words, holed, strict=True):
        true, kept = row[row > 0].tolist(), left[left > 0].tolist()
        shown = [word for word in kept if word != MASK]
        hidden = len(true) - len(shown)
        assert kept[0] == START and kept[-1] == END
        assert shown == [word for word in true if word in shown]
        assert 1 <= hidden <= max(1, round(0.3 * (len(true) - 2)))
        if single:
            assert all(pair != (MASK, MASK) for pair in itertools.pairwise(kept))
        else:
            assert len(kept) == len(true)


def test_long_sentences_give_up_their_whole_share_in_spans_of_the_wanted_length() -> None:
    words = torch.cat([torch.tensor([START]), torch.arange(FIRST, FIRST + 60), torch.tensor([END])])[None]
    rng = np.random.default_rng(5)
    counts, spans = [], []
    for _ in range(300):
        left = infill(words, 0.3, 3.0, MASK, True, rng)[0]
        spans.append(int((left == MASK).sum()))
        counts.append(62 - int((left > 0).sum()) + spans[-1])
    assert np.mean(counts) == pytest.approx(18, abs=0.3)
    assert 2.3 < np.sum(counts) / np.sum(spans) < 3.3  # Poisson(3), at least 1, the last ones cut to what is left
