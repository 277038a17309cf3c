"""Sentences with blanks: words that are left to the model, written as underscores."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.sampling.words import WordIds
from xlxmert.studio.sentences import read_sentences, without_marks, word_ids

BLANK = re.compile(r"_+")
"""However long it is, a blank stands for one word."""


@dataclass(frozen=True)
class Sentence:
    """A sentence as it was typed and as the model reads it."""

    text: str
    """What was typed."""
    words: Int[Tensor, "1 T"]
    """``[CLS] w .. [SEP]``; a blank is [MASK]."""
    blanks: Bool[Tensor, "1 T"]
    """True at the blanks."""
    notes: tuple[str, ...] = ()
    """What the user should know about it, such as words that the model never saw."""

    def filled(self, words: Sequence[str]) -> str:
        """What was typed, with a word in each blank."""
        left = iter(words)
        return BLANK.sub(lambda _: next(left), self.text)


def has_blanks(text: str) -> bool:
    """Whether a sentence leaves words to the model."""
    return BLANK.search(text) is not None


def read_blanks(tokenizer: Tokenizer, text: str, most: int) -> Sentence:
    """A sentence in which every run of underscores is one word to be found; without any it is read as usual.

    Args:
        tokenizer: the model's words.
        text: what was typed.
        most: the longest sentence that the model can read, in tokens without [CLS] and [SEP].

    Raises:
        UsageError: the sentence is empty or too long, or the model knows none of the words that are given.
    """
    parts = BLANK.split(text)
    notes: tuple[str, ...] = ()
    if len(parts) == 1 or any(character.isalnum() for part in parts for character in part):
        _, (notes,) = read_sentences(tokenizer, [" ".join(parts)], most)
    ids = [tokenizer.start]
    for number, part in enumerate(parts):
        ids += [tokenizer.mask] if number else []
        ids += tokenizer.ids(without_marks(tokenizer, part))[1:-1]
    if len(ids) - 1 > most:
        raise UsageError(f"expected at most {most} tokens, blanks included, found {len(ids) - 1}: write less")
    words = torch.tensor([[*ids, tokenizer.end]])
    return Sentence(text.strip(), words, words == tokenizer.mask, notes)


def blank_ids(tokenizer: Tokenizer) -> WordIds:
    """The tokens that frame a sentence, and all that may not stand in a blank: only whole words may."""
    plain, vocabulary = word_ids(tokenizer), tokenizer.engine.get_vocab()
    never = [place for token, place in vocabulary.items() if token.startswith(("##", "[")) or not _is_word(token)]
    return WordIds(plain.start, plain.end, plain.mask, plain.pad, tuple(sorted({*plain.never, *never})))


def _is_word(token: str) -> bool:
    return any(character.isalnum() for character in token)
