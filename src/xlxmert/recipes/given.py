"""Words and answers that a recipe is given by name, or learns."""

from collections.abc import Mapping
from pathlib import Path

from xlxmert.core.errors import XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer

MOST_NUMBERS = 2**16
"""What the store's 16 bits can tell apart: words and answers."""


def given_tokenizer(name: str) -> Tokenizer | None:
    """The tokenizer of a file, a store's folder or BERT's ``vocab.txt``; None for ``train``, one that is to be learned.

    Raises:
        XlxmertError: there is no such file, or it is something else.
    """
    if name == "train":
        return None
    path = Path(name)
    if path.is_dir():
        path /= "tokenizer.json"
    return Tokenizer.from_vocabulary(path) if path.suffix == ".txt" else Tokenizer.load(path)


def given_answers(name: str) -> AnswerTable | None:
    """The table of a file or a store's folder; None for ``all``, one that is to be counted.

    Raises:
        XlxmertError: there is no such file, or it is something else.
    """
    if name == "all":
        return None
    path = Path(name)
    return AnswerTable.load(path / "answers.json" if path.is_dir() else path)


def frequent(counts: Mapping[str, int], least: int) -> AnswerTable:
    """The answers that at least ``least`` questions have, the most frequent first."""
    return AnswerTable(sorted((a for a in counts if counts[a] >= least), key=lambda answer: (-counts[answer], answer)))


def check_sizes(tokenizer: Tokenizer, answers: AnswerTable) -> None:
    """Make sure that the store can number all words and answers.

    Raises:
        XlxmertError: there are too many.
    """
    if tokenizer.size > MOST_NUMBERS or len(answers) > MOST_NUMBERS:
        raise XlxmertError(
            f"expected at most {MOST_NUMBERS} words and answers, found {tokenizer.size} words and {len(answers)} "
            "answers: pass a smaller tokenizer, or a larger --least for answers"
        )
