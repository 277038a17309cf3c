"""Words to ids and back."""

from pathlib import Path

import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.tokenizer import SPECIALS, Tokenizer

TEXTS = ["two red cars on the beach", "a zebra to the left of a tree", "is the car red ?", "a car , a tree"] * 3


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 200)


def test_a_batch_is_framed_and_padded(tokenizer: Tokenizer) -> None:
    batch = tokenizer.encode(["a red car", "a zebra to the left of a tree"], 20)
    assert batch.shape == (2, 10)
    assert batch[0, 0] == tokenizer.start and batch[0, 4] == tokenizer.end
    assert batch[0, 5:].tolist() == [tokenizer.pad] * 5


def test_decoding_gives_the_text_back_and_tidies_punctuation(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.ids("A  red car")) == "a red car"
    assert tokenizer.decode(tokenizer.ids("a car , a tree")) == "a car, a tree"
    assert tokenizer.decode([tokenizer.start, tokenizer.mask, tokenizer.end]) == ""


def test_a_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.ids(TEXTS[0]) == tokenizer.ids(TEXTS[0]) and again.size == tokenizer.size


def test_unknown_words_are_named_once_with_near_ones(tokenizer: Tokenizer) -> None:
    assert tokenizer.unknown_words("a zebraa and a zebraa on the beach") == ["zebraa", "and"]
    assert tokenizer.nearest("zebraa")[0] == "zebra"
    assert tokenizer.nearest("斑马") == []


def test_empty_and_long_texts_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="empty text"):
        tokenizer.encode(["a car", "  "], 20)
    with pytest.raises(UsageError, match="expected at most 18 tokens, found 10000"):
        tokenizer.encode(["car " * 10_000], 20)


def test_bert_vocabularies_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "play", "##ing", "a"]))
    tokenizer = Tokenizer.from_vocabulary(tmp_path / "vocab.txt")
    assert tokenizer.ids("a Playing")[1:-1] == [7, 5, 6]
    assert tokenizer.decode([7, 5, 6]) == "a playing"


def test_files_that_are_no_tokenizer_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "vocab.txt").write_text("a\nb")
    with pytest.raises(XlxmertError, match=r"broken\.json"):
        Tokenizer.load(tmp_path / "broken.json")
    with pytest.raises(XlxmertError, match="found nothing"):
        Tokenizer.load(tmp_path / "absent.json")
    with pytest.raises(XlxmertError, match=r"\[PAD\] first"):
        Tokenizer.from_vocabulary(tmp_path / "vocab.txt")


def test_the_same_texts_give_the_same_vocabulary() -> None:
    vocabularies = [Tokenizer.train(TEXTS, 120).engine.get_vocab() for _ in range(3)]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]
