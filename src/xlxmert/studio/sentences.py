"""What a user types, checked: empty and overlong sentences are refused, unknown words are said aloud."""

import unicodedata
from collections.abc import Sequence

from xlxmert.core.axes import Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.sampling.words import WordIds

SHOWN = 40
"""Letters of a sentence that a message repeats."""
TOLD = 5
"""Unknown words of a sentence that are told one by one."""
UNKNOWN = "[UNK]"
UNUSED = "[unused0]"
"""A place that BERT's own vocabulary keeps free: who reads with it learned words in pieces, and knows them so."""


def word_ids(tokenizer: Tokenizer) -> WordIds:
    """The tokens that frame a sentence, and those that are never written: a caption asks no question."""
    asking = tokenizer.engine.token_to_id("?")  # the model learned from questions too
    never = (tokenizer.unknown,) if asking is None else (tokenizer.unknown, asking)
    return WordIds(tokenizer.start, tokenizer.end, tokenizer.mask, tokenizer.pad, never)


def read_sentences(
    tokenizer: Tokenizer, texts: Sequence[str], most: int, what: str = "prompt"
) -> tuple[Int[Tensor, "B T"], list[tuple[str, ...]]]:
    """Token ids of sentences, and notes on words that the model never saw.

    Args:
        tokenizer: the model's words.
        texts: what was typed.
        most: the longest sentence that the model can read, in tokens without [CLS] and [SEP].
        what: what the sentences are, for the messages.

    Raises:
        UsageError: there is no sentence, one is empty or too long, or the model knows not one of its words.
    """
    if not texts:
        raise UsageError(f"expected at least one {what}, found none: write what you have in mind")
    if not all(text.strip() for text in texts):
        raise UsageError(f"expected a {what}, found an empty one: write at least one word")
    cleaned = [without_marks(tokenizer, text) for text in texts]
    words = tokenizer.encode([text or UNKNOWN for text in cleaned], most + 2)
    for text, original in zip(cleaned, texts, strict=True):
        if not any(character.isalnum() for word in _known(tokenizer, text) for character in word):
            near = [word for strange in _unknown(tokenizer, text)[:TOLD] for word in tokenizer.nearest(strange)]
            hint = f"; the nearest it knows: {', '.join(list(dict.fromkeys(near))[:TOLD])}" if near else ""
            raise UsageError(
                f"expected a {what} with at least one word that the model knows, found none in "
                f"'{original.strip()[:SHOWN]}'{hint}: use other words"
            )
    return words, [_notes(tokenizer, text) for text in cleaned]


def prefix_ids(tokenizer: Tokenizer, prefix: str, most: int) -> list[int]:
    """The tokens that every sentence begins with, fewer than ``most``.

    Raises:
        UsageError: the prefix is too long, or has a word that the model does not know.
    """
    if not prefix.strip():
        return []
    words, notes = read_sentences(tokenizer, [prefix], most - 1, "prefix")
    if tokenizer.unknown in words:
        raise UsageError(f"expected a prefix of words that the model knows: {notes[0][0]}")
    return [int(word) for word in words[0, 1:-1]]


def without_marks(tokenizer: Tokenizer, text: str) -> str:
    """The sentence without the punctuation that means nothing to the model."""
    for mark in filter(_is_mark, _unknown(tokenizer, text)):
        text = text.replace(mark, " ")
    return text.strip()


def _notes(tokenizer: Tokenizer, text: str) -> tuple[str, ...]:
    """What to say about the unknown words of a sentence."""
    unknown = _unknown(tokenizer, text)
    more = (f"and {len(unknown) - TOLD} further words that it has never seen",) if len(unknown) > TOLD else ()
    return tuple(_note(tokenizer, word) for word in unknown[:TOLD]) + more


def _known(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text that the model has seen."""
    engine = tokenizer.engine
    words = engine.pre_tokenizer.pre_tokenize_str(engine.normalizer.normalize_str(text))
    unknown = set(_unknown(tokenizer, text))
    return [word for word, _ in words if word not in unknown]


def _unknown(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text that the model has never seen, in order, each once."""
    words = tokenizer.unknown_words(text)
    if tokenizer.engine.token_to_id(UNUSED) is None:
        return words
    return [word for word in words if tokenizer.unknown in tokenizer.ids(word)]


def _note(tokenizer: Tokenizer, word: str) -> str:
    nearest = tokenizer.nearest(word)
    known = f"the nearest it knows: {', '.join(nearest)}" if nearest else "it knows nothing alike"
    return f"the model has never seen the word '{word[:SHOWN]}'; {known}"


def _is_mark(word: str) -> bool:
    """Whether a token is punctuation."""
    return all(unicodedata.category(character).startswith("P") for character in word)
