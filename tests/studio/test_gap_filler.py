"""Gaps of captions filled by a checkpoint: as many pieces as the word had, the same alone and among others."""

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.studio.gap_filler import GapFiller
from xlxmert.testing.tiny import tiny_bundle, tiny_pictures

SIDES = [("two red ", " on the beach"), ("", " dog and a cat"), ("a dog in the ", "")]
HIDDEN = ["cars", "a", "snow"]


@pytest.fixture(scope="module")
def filler() -> GapFiller:
    return GapFiller(tiny_bundle(), torch.device("cpu"))


def test_gaps_are_filled_alone_as_among_others(filler: GapFiller) -> None:
    pictures = list(tiny_pictures(3))
    words = filler.fill(pictures, SIDES, HIDDEN)
    assert len(words) == 3 and all(words)
    for place in range(3):
        some = slice(place, place + 1)
        assert filler.fill(pictures[some], SIDES[some], HIDDEN[some]) == words[some]


def test_a_word_is_the_models_likeliest(filler: GapFiller) -> None:
    bundle, picture = filler.bundle, tiny_pictures(1)
    (word,) = filler.fill(list(picture), SIDES[:1], HIDDEN[:1])
    tokenizer, model = bundle.tokenizer, bundle.model
    words = torch.tensor([[tokenizer.mask if w == tokenizer.ids("cars")[1] else w
                           for w in tokenizer.ids("two red cars on the beach")]])  # fmt: skip
    with torch.no_grad():
        assert bundle.vocabulary is not None
        vision = model.encode_picture(bundle.vocabulary.encode(torch.from_numpy(np.array(picture))))
        states = model.cross_words(model.encode_words(words, words > 0), vision, words > 0)
        logits = model.word_logits(states)[0, 3].clone()
    specials = [tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, tokenizer.mask]
    neighbours = [int(words[0, 2]), int(words[0, 4])]  # a word is not written twice
    logits[specials + neighbours] = -torch.inf
    assert word == tokenizer.decode([int(logits.argmax())])


def test_a_word_of_several_pieces_gets_as_many(filler: GapFiller) -> None:
    pieces = len(filler.bundle.tokenizer.ids("red car house")) - 2
    words = filler._framed([("a ", " in the snow")], ["red car house"])
    assert int((words == filler.bundle.tokenizer.mask).sum()) == pieces == 3


def test_an_overlong_caption_is_refused(filler: GapFiller) -> None:
    with pytest.raises(UsageError, match="expected at most 30 tokens, found 121 in 'a dog a dog a dog …'"):
        filler.fill(list(tiny_pictures(1)), [("a dog " * 60, "")], ["cat"])
