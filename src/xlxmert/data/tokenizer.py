"""Words to ids and back: BERT's WordPiece, trained on one's own sentences or read from a published vocabulary."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from xlxmert.core.axes import Int, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_text

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOGETHER = 10_000
"""Texts whose tokens are counted together."""


class Tokenizer:
    """WordPiece with ``[CLS] w .. [SEP]`` framing and padding id 0.

    Raises:
        XlxmertError: the vocabulary lacks a special token, or its ``[PAD]`` is not 0.
    """

    def __init__(self, engine: tokenizers.Tokenizer) -> None:
        """Wrap a trained engine."""
        ids = {token: engine.token_to_id(token) for token in SPECIALS}
        if None in ids.values() or ids["[PAD]"] != 0:
            raise XlxmertError(
                f"expected a vocabulary with {', '.join(SPECIALS)} and [PAD] first, found {ids}: use another file"
            )
        self.engine = engine
        self.pad, self.unknown, self.start, self.end, self.mask = (int(ids[token] or 0) for token in SPECIALS)
        self.size: int = engine.get_vocab_size()
        self._words = sorted(word for word in engine.get_vocab() if word.isalpha())

    def ids(self, text: str) -> list[int]:
        """The tokens of one text, framed."""
        return [self.start, *self.engine.encode(text, add_special_tokens=False).ids, self.end]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, the two that frame it not counted."""
        found: list[int] = []
        for start in range(0, len(texts), TOGETHER):
            codes = self.engine.encode_batch_fast(list(texts[start : start + TOGETHER]), add_special_tokens=False)
            found += [len(code.ids) for code in codes]
        return found

    def encode(self, texts: Sequence[str], most: int) -> Int[Tensor, "B T"]:
        """Texts as one padded batch.

        Args:
            texts: sentences.
            most: the largest number of tokens of a sentence, framing included.

        Raises:
            UsageError: a text is empty or too long.
        """
        rows = [self.ids(text) for text in texts]
        for text, row in zip(texts, rows, strict=True):
            if len(row) == 2:
                raise UsageError("expected a sentence, found an empty text: write at least one word")
            if len(row) > most:
                start = " ".join(text.split()[:6])
                found = f"found {len(row) - 2} in '{start} …'"
                raise UsageError(f"expected at most {most - 2} tokens, {found}: write a shorter sentence")
        width = max(len(row) for row in rows)
        return torch.tensor([row + [self.pad] * (width - len(row)) for row in rows])

    def decode(self, words: Int[Tensor, " T"] | Sequence[int]) -> str:
        """Ids as text: special tokens dropped, pieces joined, punctuation tidied."""
        specials = {self.pad, self.start, self.end, self.mask}
        kept = [int(word) for word in words if int(word) not in specials]
        text: str = self.engine.decode(kept, skip_special_tokens=False)
        return re.sub(r"\s+([,.?!;:'])", r"\1", text)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that the vocabulary does not hold whole, in order, each once."""
        words = [
            word for word, _ in self.engine.pre_tokenizer.pre_tokenize_str(self.engine.normalizer.normalize_str(text))
        ]
        known = self.engine.token_to_id
        return list(dict.fromkeys(word for word in words if known(word) is None))

    def nearest(self, word: str, count: int = 3) -> list[str]:
        """Known whole words with the most similar spelling, best first; may be empty."""
        return difflib.get_close_matches(word.lower(), self._words, n=count, cutoff=0.5)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        write_text(path, self.engine.to_str(pretty=True))

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read ``tokenizer.json``.

        Raises:
            XlxmertError: the file is missing or is no tokenizer.
        """
        try:
            return cls(tokenizers.Tokenizer.from_str(Path(path).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise XlxmertError(f"expected a tokenizer at {path}, found nothing: check the path") from error
        except XlxmertError:
            raise
        except Exception as error:  # the engine raises bare Exception
            raise XlxmertError(
                f"expected a tokenizer in {path}, found something else ({error}): write it again"
            ) from error

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 30_000, least: int = 2) -> "Tokenizer":
        """Learn a vocabulary of at most ``size`` pieces from texts; pieces seen less than ``least`` times are left out.

        The same texts give the same vocabulary: the trainer is given the alphabet, whose order it would else draw.
        """
        texts = list(texts)
        engine = _engine(models.WordPiece(unk_token="[UNK]"))
        letters = sorted({c for text in texts for c in engine.normalizer.normalize_str(text) if not c.isspace()})
        first = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters)]
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, min_frequency=least, special_tokens=first, show_progress=False
        )
        engine.train_from_iterator(texts, trainer)
        return cls(_engine(models.WordPiece(engine.get_vocab(), unk_token="[UNK]")))

    @classmethod
    def from_vocabulary(cls, path: Path) -> "Tokenizer":
        """Read BERT's ``vocab.txt``: one piece per line.

        Raises:
            XlxmertError: the file cannot be read or lacks the special tokens.
        """
        try:
            pieces = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise XlxmertError(f"could not read the vocabulary {path}: {error}") from error
        return cls(_engine(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")))


def _engine(model: models.WordPiece) -> tokenizers.Tokenizer:
    """BERT's uncased text handling around a WordPiece model."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(cleanup=False)
    return engine
