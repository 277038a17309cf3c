"""Words one after the other: greedy and nucleus decoding, and what every decoder keeps to."""

import pytest
import torch
from toy_decoder import FIRST, IDS, ToyDecoder, chain

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.sampling import Beam, Decoding, DiverseBeam, Greedy, NextWord, Nucleus
from xlxmert.sampling.draws import narrow

DECODERS = [
    (Greedy(), 1),
    (Nucleus(), 3),
    (Nucleus(top_p=1.0, temperature=1.5, top_k=4), 2),
    (Beam(), 3),
    (Beam(4, length_penalty=0.5, early_stopping=False), 2),
    (Beam(2, no_repeat_ngram=2), 2),
    (DiverseBeam(), 6),
    (DiverseBeam(6, groups=2, diversity=2.0, length_penalty=0.0, no_repeat_ngram=1), 4),
]
SEEDS = [11, 12, 13, 14]


def written(decoder, count, pictures=(0, 1, 2, 3), prefix=(), most=7, network=None):
    network = network or ToyDecoder(pictures)
    return decoder.write(network, len(pictures), prefix, IDS, most, [SEEDS[p] for p in pictures], count)


class Same:
    """The same logits after any words; what it is asked is forgotten."""

    def __init__(self, logits):
        self.logits = logits

    def __call__(self, words):
        return self.logits.expand(len(words), -1)

    def keep(self, rows):
        pass


def words_only(*probabilities, end=0.0):
    """Logits over the frame tokens, which are likely, and so many words."""
    frame = torch.tensor([0.9, 0.9, end, 0.9, 0.9])
    return torch.cat([frame, torch.tensor(probabilities)]).log()


def test_toys_and_decoders_are_what_they_claim():
    assert isinstance(ToyDecoder(), NextWord)
    assert all(isinstance(decoder, Decoding) for decoder, _ in DECODERS)


@pytest.mark.parametrize("prefix", [(), (6,), (7, 5)], ids=str)
@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_prefixes_stay_frame_tokens_are_never_written_and_no_sentence_is_empty(decoder, count, prefix):
    found = written(decoder, count, prefix=prefix)
    assert len(found) == 4
    for sentences in found:
        assert 1 <= len(sentences) <= count
        for sentence in sentences:
            assert sentence.words[: len(prefix)] == prefix
            assert 1 <= len(sentence.words) <= 7
            assert min(sentence.words) >= FIRST


@pytest.mark.parametrize("prefix", [(), (6,)], ids=str)
@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_log_p_is_that_of_the_network_s_own_distribution_with_the_end(decoder, count, prefix):
    toy, power = ToyDecoder(), getattr(decoder, "length_penalty", 1.0)
    for picture, sentences in enumerate(written(decoder, count, prefix=prefix)):
        for sentence in sentences:
            assert sentence.log_p == pytest.approx(toy.log_p(picture, sentence.words, prefix), abs=1e-5)
            length = len(sentence.words) - len(prefix) + 1
            assert sentence.score == pytest.approx(sentence.log_p / length**power)


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_sentences_of_a_picture_differ_and_the_best_comes_first(decoder, count):
    for sentences in written(decoder, count):
        assert len({sentence.words for sentence in sentences}) == len(sentences)
        scores = [sentence.score for sentence in sentences]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("prefix", [(), (6,)], ids=str)
@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_a_picture_gets_the_same_sentences_alone_and_in_any_batch(decoder, count, prefix):
    batch = written(decoder, count, prefix=prefix)
    for pictures in ((0,), (2,), (3, 1)):
        for picture, alone in zip(pictures, written(decoder, count, pictures, prefix), strict=True):
            together = batch[picture]
            assert [(s.words, s.finished) for s in alone] == [(s.words, s.finished) for s in together]
            assert [s.log_p for s in alone] == pytest.approx([s.log_p for s in together], abs=1e-6)


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_a_picture_that_is_done_is_not_asked_for_any_more(decoder, count):
    network = ToyDecoder()
    written(decoder, count, most=12, network=network)
    alone = []
    for picture in range(4):
        single = ToyDecoder((picture,))
        written(decoder, count, (picture,), most=12, network=single)
        alone.append(len(single.calls))
    asked = [sum(picture in call for call in network.calls) for picture in range(4)]
    assert asked == alone
    assert min(asked) < max(asked)


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_the_limit_ends_a_sentence_and_its_end_counts(decoder, count):
    logits = words_only(0.3, 0.2, 0.2, 0.2, end=1e-3)
    log_p = logits.log_softmax(0)
    for sentence in decoder.write(Same(logits), 1, [], IDS, 3, [1], count)[0]:
        assert sentence.log_p == pytest.approx(log_p[[*sentence.words, IDS.end]].sum().item(), abs=1e-4)
        assert (len(sentence.words), sentence.finished) == (3, False)


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_an_end_that_is_chosen_at_the_limit_is_an_end(decoder, count):
    table = chain({IDS.start: {5: 0.6, 6: 0.4}, 5: {7: 1.0}, 6: {7: 1.0}})
    for sentences in written(decoder, count, most=2, network=ToyDecoder(table=table)):
        assert {sentence.words for sentence in sentences} <= {(5, 7), (6, 7)}
        assert all(sentence.finished for sentence in sentences)


def test_greedy_takes_the_likeliest_word_each_time():
    toy = ToyDecoder()
    for picture, (sentence,) in enumerate(written(Greedy(), 1, most=9)):
        row = [IDS.start, IDS.start]
        while len(row) < 11:
            banned = [0, 1, 3, 4] + [IDS.end] * (len(row) == 2)
            row.append(int(toy.after(picture, row).index_fill(0, torch.tensor(banned), float("-inf")).argmax()))
            if row[-1] == IDS.end:
                break
        assert sentence.words == tuple(word for word in row[2:] if word != IDS.end)
        assert sentence.finished == (IDS.end in row[2:])


@pytest.mark.parametrize(
    "decoder",
    [Nucleus(top_p=1.0), Nucleus(top_p=0.7), Nucleus(top_p=1.0, top_k=2), Nucleus(top_p=0.9, temperature=2.0)],
    ids=str,
)
def test_nucleus_draws_words_as_often_as_the_narrowed_distribution_says(decoder):
    logits, pictures = words_only(0.5, 0.3, 0.2), 1500
    found = decoder.write(Same(logits), pictures, [], IDS, 1, range(pictures))
    shares = torch.bincount(torch.tensor([s.words[0] - FIRST for (s,) in found]), minlength=3) / pictures
    allowed = logits[None, None, FIRST:] / decoder.temperature
    expected = narrow(allowed, decoder.top_k, decoder.top_p).softmax(-1).flatten()
    assert shares == pytest.approx(expected, abs=0.04)
    assert not shares[expected == 0].any()


def test_a_picture_s_seed_decides_its_draws_and_its_samples_are_drawn_apart():
    hot = Nucleus(top_p=1.0, temperature=2.0)
    first, again, other = (hot.write(ToyDecoder((0,)), 1, [], IDS, 7, [seed], 8)[0] for seed in (1, 1, 2))
    assert first == again
    assert {s.words for s in first} != {s.words for s in other}
    same = hot.write(ToyDecoder(table=ToyDecoder().table[:1].expand(8, -1, -1, -1)), 4, [], IDS, 7, [1, 2, 1, 2])
    assert same[0] == same[2] != same[1] == same[3]


def test_spare_draws_stand_in_for_repeated_sentences_and_for_no_others():
    logits = words_only(0.5, 0.5)
    found = Nucleus(top_p=1.0).write(Same(logits), 500, [], IDS, 1, range(500), 2)
    assert sum(len(sentences) == 2 for sentences in found) / 500 == pytest.approx(3 / 4, abs=0.04)  # 1/2 without spares
    for seed in range(10):
        few, more = (Nucleus().write(ToyDecoder((0,)), 1, [], IDS, 5, [seed], count)[0] for count in (2, 5))
        assert {s.words for s in few} <= {s.words for s in more}


def test_a_picture_that_is_left_alone_goes_on_with_its_own_rows():
    table = chain({7: {5: 0.5, 6: 0.5}})
    table[[0, 2], :, 7] = table[0, 0, 8]  # these two end at once: nine rows become three, as many as there were before
    network = ToyDecoder((0, 1, 2), table=table)
    found = written(Nucleus(top_p=1.0), 2, (0, 1, 2), prefix=(7,), network=network)
    assert [len(call) for call in network.calls] == [3, 1]
    assert [{s.words for s in sentences} for sentences in found] == [{(7,)}, {(7, 5), (7, 6)}, {(7,)}]


def test_few_sentences_are_given_where_the_draws_agree():
    assert [len(sentences) for sentences in written(Nucleus(temperature=0.0), 5)] == [1, 1, 1, 1]
    cold, greedy = written(Nucleus(temperature=0.0), 1), written(Greedy(), 1)
    assert [s.words for (s,) in cold] == [s.words for (s,) in greedy]


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_what_cannot_be_written_is_refused(decoder, count):
    with pytest.raises(UsageError, match="more than the prefix's 2 words, found at most 2"):
        decoder.write(ToyDecoder(), 4, [5, 6], IDS, 2, SEEDS)
    with pytest.raises(UsageError, match="4 seeds, one per picture, found 1"):
        decoder.write(ToyDecoder(), 4, [], IDS, 2, [1])
    with pytest.raises(UsageError, match="at least 1 picture"):
        decoder.write(ToyDecoder(), 0, [], IDS, 2, [])
    with pytest.raises(UsageError, match="1 sentence for each, found 4 and 0"):
        decoder.write(ToyDecoder(), 4, [], IDS, 2, SEEDS, 0)


@pytest.mark.parametrize(("decoder", "count"), DECODERS, ids=str)
def test_answers_that_are_no_scores_are_refused(decoder, count):
    broken = words_only(0.5, 0.5)
    for value in (float("nan"), float("inf")):
        broken[FIRST] = value
        with pytest.raises(XlxmertError, match="expected finite logits, found NaN"):
            decoder.write(Same(broken), 1, [], IDS, 2, [1])
    with pytest.raises(XlxmertError, match="at least one word that may come next"):
        decoder.write(Same(words_only(0.0, 0.0, end=1.0)), 1, [], IDS, 2, [1])

    class Everywhere(Same):
        def __call__(self, words):
            return self.logits.expand(*words.shape, -1)

    with pytest.raises(XlxmertError, match="one row of logits for each of 1 sentences"):
        decoder.write(Everywhere(words_only(1.0)), 1, [], IDS, 2, [1])


def test_greedy_writes_only_one_sentence_and_says_who_writes_more():
    with pytest.raises(UsageError, match="use Beam or Nucleus"):
        written(Greedy(), 2)


def test_settings_of_nucleus_out_of_range_are_refused():
    for wrong in ({"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}):
        with pytest.raises(UsageError, match="expected"):
            Nucleus(**wrong)
