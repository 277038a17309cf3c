"""Words: prefixes stay, frame tokens are never written, lengths are kept, the likeliest length wins."""

import pytest
import torch
from toy_networks import ToyWriter

from xlxmert.core.errors import UsageError
from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
    last,
)
from xlxmert.sampling.words import WordIds, as_network, blank, draft_likelihood, pseudo_log_likelihood, write

IDS = WordIds(start=1, end=2, mask=3, pad=0, never=(4,))
SAMPLERS = [
    Raster(),
    Raster(temperature=1.0),
    RandomOrder(sweeps=3.0, temperature=0.8),
    EasyFirst(),
    MaskPredict(),
    MaskGIT(4),
    Moment(3),
    Halton(3, token_temperature=0.5),
    EntropyBound(gamma=3.0),
    ReMDM(5, rescale=1.0, cap=0.5),
    Revised(Raster(), rounds=1, looks=2),
]
PREFIXES = [[10], [10, 11], []]


def test_a_blank_sentence_is_framed_and_padded():
    words, unknown = blank([[10], []], [3, 2], IDS)
    assert words.tolist() == [[1, 10, 3, 3, 2], [1, 3, 3, 2, 0]]
    assert unknown.tolist() == [[False, False, True, True, False], [False, True, True, False, False]]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_sentences_keep_prefix_length_and_frame(sampler):
    lengths = [6, 4, 5]
    words = last(write(ToyWriter(), PREFIXES, lengths, sampler, [1, 2, 3], IDS)).codes
    for row, prefix, length in zip(words.tolist(), PREFIXES, lengths, strict=True):
        assert row[0] == 1
        assert row[1 : len(prefix) + 1] == prefix
        assert not set(row[1 : length + 1]) & {0, 1, 2, 3, 4}
        assert row[length + 1] == 2
        assert set(row[length + 2 :]) <= {0}


@pytest.mark.parametrize("sampler", SAMPLERS[:4], ids=str)
def test_one_at_a_time_no_word_is_written_twice_in_a_row(sampler):
    words = last(write(ToyWriter(), PREFIXES, [9, 9, 9], sampler, [1, 2, 3], IDS)).codes
    inner = words[:, 1:-1]
    assert not (inner[:, 1:] == inner[:, :-1]).any()


def test_left_to_right_writes_every_word_after_the_prefix_in_order():
    steps = list(write(ToyWriter(), [[10, 11]], [6], Raster(), [1], IDS))
    assert [step.changed[0].nonzero().item() for step in steps] == [3, 4, 5, 6]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_sentence_is_the_same_alone_and_in_any_batch_of_its_length(sampler):
    batch = last(write(ToyWriter(), PREFIXES, [6, 6, 6], sampler, [1, 2, 3], IDS)).codes
    for place, prefix in enumerate(PREFIXES):
        alone = last(write(ToyWriter(), [prefix], [6], sampler, [place + 1], IDS)).codes
        assert torch.equal(alone[0], batch[place])


def test_pseudo_likelihood_is_the_mean_over_words_masked_one_at_a_time():
    writer = ToyWriter()
    words = torch.tensor([[1, 10, 11, 12, 2], [1, 13, 14, 2, 0]])
    expected = []
    for row, length in ((0, 3), (1, 2)):
        log_p = []
        for place in range(1, length + 1):
            masked = words[row : row + 1].clone()
            masked[0, place] = IDS.mask
            logits = writer(masked)[0, place]
            logits[[0, 1, 2, 3, 4]] = float("-inf")
            log_p.append(logits.log_softmax(-1)[words[row, place]].item())
        expected.append(sum(log_p) / length)
    assert pseudo_log_likelihood(writer, words, IDS).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_network_is_left_as_it_was():
    writer = ToyWriter()
    kept = writer.pairs.clone()
    words, unknown = blank([[10]], [4], IDS)
    shared = writer(words)
    as_network(lambda _: shared, IDS)(words, unknown)
    assert shared.isfinite().all()
    assert torch.equal(writer.pairs, kept)


def test_a_draft_is_judged_by_the_probabilities_met_while_writing():
    writer, lengths = ToyWriter(), [4, 6, 8]
    steps = list(write(writer, PREFIXES, lengths, Raster(), [1, 2, 3], IDS))
    _, unknown = blank(PREFIXES, lengths, IDS)
    met = [[step.confidence[row][step.changed[row]].log().sum() for step in steps] for row in range(3)]
    expected = [float(sum(logs) / unknown[row].sum()) for row, logs in enumerate(met)]
    assert draft_likelihood(steps[-1], unknown).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_length_without_room_is_refused():
    with pytest.raises(UsageError, match="more than the prefix's 2 words"):
        write(ToyWriter(), [[10, 11]], [2], Raster(), [1], IDS)
