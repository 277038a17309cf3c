"""Beam search: the true best where the beam is wide enough, scores and stops as said, groups that avoid each other."""

import dataclasses
import functools
import itertools
import math

import pytest
import torch
from toy_decoder import FIRST, IDS, ToyDecoder, chain

from xlxmert.core.errors import UsageError
from xlxmert.sampling import Beam, DiverseBeam, Greedy
from xlxmert.sampling.beam_search import without_repeats

PICTURES = (0, 1, 2, 3)
START, END = IDS.start, IDS.end
LOOP = chain({START: {5: 1.0}, 5: {6: 0.99, 7: 0.01}, 6: {5: 0.99, END: 0.01}, 7: {END: 1.0}})
"""5 6 5 6 … for ever, rather than an end."""


def written(decoder, count=1, prefix=(), most=7, network=None):
    return decoder.write(network or ToyDecoder(PICTURES), 4, prefix, IDS, most, [0] * 4, count)


def sentences_of(words, most, prefix=()):
    """Every sentence of at most so many words that starts with the prefix."""
    for length in range(0 if prefix else 1, most - len(prefix) + 1):
        for further in itertools.product(range(FIRST, FIRST + words), repeat=length):
            yield (*prefix, *further)


@pytest.mark.parametrize("prefix", [(), (6,)], ids=str)
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("power", [0.0, 0.7, 1.0, 2.0])
def test_a_beam_that_is_wide_enough_finds_the_best_of_all_sentences(power, early, prefix):
    toy = ToyDecoder(PICTURES, words=3)
    found = written(Beam(30, power, early), 5, prefix, 3, toy)
    for picture in PICTURES:
        scores = {
            words: toy.log_p(picture, words, prefix) / (len(words) - len(prefix) + 1) ** power
            for words in sentences_of(3, 3, prefix)
        }
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:5]
        assert [sentence.words for sentence in found[picture]] == best
        assert [sentence.score for sentence in found[picture]] == pytest.approx([scores[w] for w in best], abs=1e-5)


def test_every_group_that_is_wide_enough_finds_the_best_whatever_it_must_avoid():
    found = written(DiverseBeam(90, groups=3, diversity=1.5), 30, most=3, network=ToyDecoder(PICTURES, words=3))
    plain = written(Beam(30), 30, most=3, network=ToyDecoder(PICTURES, words=3))
    assert [[s.words for s in sentences[:5]] for sentences in found] == [
        [s.words for s in sentences[:5]] for sentences in plain
    ]


def by_lists(toy, picture, prefix, most, size, groups, diversity, power, early, rule):
    """The same search for one picture, one sentence after the other, in double precision."""
    width, longest = size // groups, most - len(prefix) + 1
    beams, ended = [[(0.0, list(prefix))] for _ in range(groups)], [[] for _ in range(groups)]

    def end(group, log_p, words):
        ended[group].append((log_p / (len(words) - len(prefix) + 1) ** power, tuple(words)))
        ended[group] = sorted(ended[group], reverse=True)[:width]

    while any(beams):
        used = []
        for group, beam in enumerate(beams):
            candidates = []
            for log_p, words in beam:
                after = toy.after(picture, [START, START, *words]).tolist()
                if len(words) == most:
                    end(group, log_p + after[END], words)
                    continue
                runs = {tuple(words[i : i + rule]) for i in range(len(words) - rule + 1)} if rule else set()
                for word in [END] * bool(words) + list(range(FIRST, len(after))):
                    if (*words[len(words) - rule + 1 :], word) not in runs:
                        total = log_p + after[word]
                        candidates.append((total - diversity * used.count(word), total, [*words, word]))
            onward = []
            for _, total, words in sorted(candidates, reverse=True):
                if len(onward) == width:
                    break
                if words[-1] == END:
                    end(group, total, words[:-1])
                else:
                    onward.append((total, words))
            used += [words[-1] for _, words in onward]
            beams[group] = onward
            if onward and len(ended[group]) == width:
                hope = max(onward)[0] / longest**power
                if early or ended[group][-1][0] >= hope:
                    beams[group] = []
    return sorted({found[1]: found for group in ended for found in group}.values(), reverse=True)


@pytest.mark.parametrize("prefix", [(), (6, 5)], ids=str)
@pytest.mark.parametrize(("power", "rule"), [(0.0, 0), (1.0, 2), (1.7, 1)])
@pytest.mark.parametrize("decoder", [Beam(2), Beam(5), Beam(3, early_stopping=False), DiverseBeam(), DiverseBeam(4, 2)])
def test_all_pictures_at_once_are_searched_like_one_with_lists(decoder, power, rule, prefix):
    decoder = dataclasses.replace(decoder, length_penalty=power, no_repeat_ngram=rule)
    plan = decoder.size, getattr(decoder, "groups", 1), getattr(decoder, "diversity", 0.0)
    found = written(decoder, decoder.size, prefix, 8)
    for picture in PICTURES:
        early = getattr(decoder, "early_stopping", True)
        expected = by_lists(ToyDecoder(), picture, prefix, 8, *plan, power, early, rule)
        assert [sentence.words for sentence in found[picture]] == [words for _, words in expected]
        assert [sentence.score for sentence in found[picture]] == pytest.approx([s for s, _ in expected], abs=1e-5)


@pytest.mark.parametrize("prefix", [(), (6,), (7, 5)], ids=str)
@pytest.mark.parametrize("most", [3, 6, 12])
def test_a_beam_of_one_is_greedy(prefix, most):
    for one, greedy in zip(written(Beam(1), 1, prefix, most), written(Greedy(), 1, prefix, most), strict=True):
        assert [(s.words, s.finished) for s in one] == [(s.words, s.finished) for s in greedy]
        assert [s.score for s in one] == pytest.approx([s.score for s in greedy], abs=1e-6)


def test_a_wider_beam_finds_what_greedy_walks_past():
    table = chain({START: {5: 0.6, 6: 0.4}, 5: {7: 0.5, 8: 0.5}, 6: {8: 1.0}})
    near, far = (written(decoder, network=ToyDecoder(PICTURES, table=table))[0][0] for decoder in (Greedy(), Beam(2)))
    assert near.log_p == pytest.approx(math.log(0.3))
    assert (far.words, far.log_p) == ((6, 8), pytest.approx(math.log(0.4)))


@pytest.mark.parametrize(("power", "best"), [(0.0, (5,)), (0.5, (5,)), (1.0, (6, 7, 8)), (2.0, (6, 7, 8))])
def test_the_power_of_the_length_decides_between_short_and_long(power, best):
    # log 0.5 / 2^power against log 0.3 / 4^power: they break even at a power of 0.796
    table = chain({START: {5: 0.5, 6: 0.3, 7: 0.2}, 6: {7: 1.0}, 7: {8: 1.0}})
    (first, *_), *_ = written(Beam(4, power, early_stopping=False), 3, network=ToyDecoder(PICTURES, table=table))
    assert first.words == best
    assert first.score == pytest.approx(math.log(0.5) / 2**power if best == (5,) else math.log(0.3) / 4**power)


LATE = chain({START: {5: 1.0}, 5: {END: 0.5, 6: 0.4, 7: 0.1}, 6: {END: 0.99, 8: 0.01}})
"""``5`` is worth log 0.5 / 2, ``5 6`` log 0.396 / 3: the later one is better by its mean and worse by its sum."""


def test_stopping_early_takes_the_first_that_ends_and_otherwise_the_best():
    early, patient = ToyDecoder(PICTURES, table=LATE), ToyDecoder(PICTURES, table=LATE)
    assert written(Beam(1), network=early)[0][0].words == (5,)
    assert written(Beam(1, early_stopping=False), network=patient)[0][0].words == (5, 6)
    assert len(early.calls) == 2


def test_a_patient_beam_stops_when_nothing_under_way_can_beat_what_it_has():
    def calls(power, most, prefix=()):
        network = ToyDecoder(PICTURES, table=LATE)
        written(Beam(1, power, early_stopping=False), 1, prefix, most, network)
        return len(network.calls)

    # by the sum, ``5 6`` cannot win: log 0.4 < log 0.5
    assert calls(0.0, 7) == 2
    # ``5 6 8`` has log 0.004: over a length of 4 that is worse than log 0.396 / 3, over 21 it is better
    assert calls(1.0, 3) == 3
    assert calls(1.0, 20) == 4
    # where 5 is given, log 0.396 / 2 lies between log 0.004 / 11 and log 0.004 / 12
    assert calls(1.0, 11, (5,)) == 2
    assert calls(1.0, 12, (5,)) == 3


def test_a_patient_beam_never_does_worse():
    for size in (1, 2, 4):
        early, patient = (written(Beam(size, early_stopping=stop), most=9) for stop in (True, False))
        assert all(b[0].score >= a[0].score - 1e-6 for a, b in zip(early, patient, strict=True))


def test_ends_never_leave_the_beam_short():
    table = chain({START: {5: 0.5, 6: 0.5}, 5: {END: 0.9, 7: 0.1}, 6: {END: 0.9, 8: 0.1}})
    network = ToyDecoder(PICTURES, table=table)
    found = written(Beam(2, early_stopping=False, length_penalty=9.0), 2, most=3, network=network)
    assert {sentence.words for sentence in found[0]} == {(5, 7), (6, 8)}


def test_fewer_sentences_than_the_beam_are_no_harm():
    table = chain({START: {5: 1.0}, 5: {6: 0.7, 7: 0.3}})
    for decoder in (Beam(6), Beam(6, early_stopping=False), DiverseBeam(6, groups=2)):
        found = written(decoder, 6, network=ToyDecoder(PICTURES, table=table))
        assert [[s.words for s in sentences] for sentences in found] == [[(5, 6), (5, 7)]] * 4
        assert all(s.finished for sentences in found for s in sentences)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("kind", [functools.partial(Beam, early_stopping=False), DiverseBeam])
def test_no_sequence_of_words_is_written_twice(kind, length):
    def repeats(sentence):
        runs = [sentence.words[i : i + length] for i in range(len(sentence.words) - length + 1)]
        return len(set(runs)) < len(runs)

    def of(rule):
        network = ToyDecoder(PICTURES, table=LOOP)
        return written(kind(3, no_repeat_ngram=rule), 2, prefix=(5, 6), most=12, network=network)[0]

    assert any(map(repeats, of(0)))
    assert not any(map(repeats, of(length)))


def test_the_prefix_counts_as_written_before():
    network = ToyDecoder(PICTURES, table=LOOP)
    (sentence,) = written(Beam(1, no_repeat_ngram=2), prefix=(5, 6, 5), most=12, network=network)[0]
    assert sentence.words == (5, 6, 5, 7)
    assert sentence.log_p == pytest.approx(math.log(0.01))


def test_words_that_would_repeat_are_ruled_out_by_hand():
    words = torch.tensor([[1, 5, 6, 7, 5, 6], [1, 5, 5, 5, 5, 5], [1, 5, 6, 7, 8, 9]])
    for length, ruled_out in [(0, [[], [], []]), (1, [[5, 6, 7], [5], [5, 6, 7, 8, 9]]), (3, [[7], [5], []])]:
        options = without_repeats(torch.zeros(3, 10), words, length)
        assert [row.isinf().nonzero().flatten().tolist() for row in options] == ruled_out
    assert without_repeats(torch.zeros(1, 10), words[:1, :1], 1).isfinite().all()


def test_one_group_without_diversity_is_a_beam():
    for size, rule in ((1, 0), (4, 2)):
        diverse = written(DiverseBeam(size, 1, 0.0, no_repeat_ngram=rule), size)
        assert diverse == written(Beam(size, no_repeat_ngram=rule), size)
        assert diverse == written(DiverseBeam(size, 1, 9.0, no_repeat_ngram=rule), size)  # no earlier group to avoid


def test_groups_that_need_not_differ_write_the_same_once():
    alike = written(DiverseBeam(6, groups=3, diversity=0.0), 6)
    assert [[s.words for s in sentences] for sentences in alike] == [
        [s.words for s in sentences] for sentences in written(Beam(2), 2)
    ]


def test_groups_avoid_the_words_of_earlier_ones():
    firsts = [{s.words[0] for s in sentences} for sentences in written(DiverseBeam(4, 4, diversity=50.0), 4)]
    assert [len(words) for words in firsts] == [4, 4, 4, 4]
    few, many = (
        sum(len(sentences) for sentences in written(DiverseBeam(6, diversity=diversity), 6)) for diversity in (0.0, 3.0)
    )
    assert few < many


@pytest.mark.parametrize(("diversity", "second"), [(0.3, 5), (0.5, 6)])
def test_a_word_is_avoided_by_as_much_as_it_was_used(diversity, second):
    # log 0.6 - log 0.4 = 0.405 is what the second group pays for 6, and twice the diversity what the third pays for 5
    table = chain({START: {5: 0.6, 6: 0.4}})
    firsts = written(DiverseBeam(2, 2, diversity), 2, network=ToyDecoder(PICTURES, table=table))[0]
    assert {s.words[0] for s in firsts} == {5, second}
    third = written(DiverseBeam(3, 3, 0.3), 3, network=ToyDecoder(PICTURES, table=table))[0]
    assert {s.words[0] for s in third} == {5, 6}


def test_ends_are_not_avoided():
    table = chain({START: {5: 0.5, 6: 0.5}, 5: {END: 0.6, 7: 0.4}, 6: {END: 0.6, 8: 0.4}})
    found = written(DiverseBeam(2, 2, diversity=2.0), 2, network=ToyDecoder(PICTURES, table=table))
    assert {s.words for s in found[0]} == {(5,), (6,)}


def test_more_sentences_than_the_beam_has_are_refused():
    for decoder in (Beam(2), DiverseBeam(2, groups=2)):
        with pytest.raises(UsageError, match="at most 2 sentences per picture, as many as the beam has, found 3"):
            written(decoder, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "a beam of 1 sentence or more, found 0"),
        ({"length_penalty": -0.1}, "a length penalty of 0 or above, found -0.1"),
        ({"length_penalty": math.nan}, "a length penalty of 0 or above, found nan"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram of 0"),
        ({"groups": 4}, "groups that divide a beam of 6, found 4"),
        ({"groups": 0}, "groups that divide a beam of 6, found 0"),
        ({"diversity": -1.0}, "a diversity of 0 nats or above"),
        ({"diversity": math.inf}, "a diversity of 0 nats or above"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    for kind in (Beam, DiverseBeam):
        if set(wrong) <= set(kind.__dataclass_fields__):
            with pytest.raises(UsageError, match=message):
                kind(**wrong)
