"""LXMERT's pre-training sentences, from and to ``mscoco_train.json`` and its like (github.com/airsplay/lxmert).

The files hold every picture with its captions and questions from five data sets, and the soft answers to the questions:
``mscoco_train``, ``mscoco_nominival`` and ``vgnococo`` for training, 174,866 pictures with 9.18 million sentences, and
the 5,000 pictures of ``mscoco_minival`` for validation. They are read one picture at a time.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, brief, write_list
from xlxmert.data.records import Id
from xlxmert.data.streams import stream_list

KINDS = {"mscoco": "caption", "vg": "region", "vqa": "question", "gqa": "question", "visual7w": "question"}
"""The data sets by the names that the files use, and the kind of their sentences. ``vg`` are Visual Genome's region
descriptions, which the papers count as captions; ``visual7w`` its questions."""
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SPELLINGS = {word: str(number) for number, word in enumerate(_NUMBERS, start=1)} | {"grey": "gray"}


@dataclass(frozen=True)
class ToldPicture:
    """One picture and everything that is said and asked of it."""

    picture_id: str
    """The stem of its file: ``COCO_train2014_000000318556``, or Visual Genome's number."""
    sentences: Mapping[str, tuple[str, ...]]
    """By data set, see `KINDS`."""
    answers: Mapping[str, tuple[Mapping[str, float], ...]] = field(default_factory=dict)
    """By data set, one of soft answers for each of its questions; data sets without answers are not there."""

    def lines(self) -> Iterator[tuple[str, str, Mapping[str, float]]]:
        """Data set, sentence and soft answers, one by one."""
        for source, texts in self.sentences.items():
            answers = self.answers.get(source, ({},) * len(texts))
            yield from ((source, text, soft) for text, soft in zip(texts, answers, strict=True))


def read_pretraining(path: Path, pictures: Container[Id] | None = None) -> Iterator[ToldPicture]:
    """The pictures of a file with their sentences, one at a time.

    Args:
        path: the file, plain or gzip.
        pictures: the ids of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a picture repeats or is unknown, a data set
            is, or there are not as many answers as questions.
    """
    seen: set[str] = set()
    for entry in stream_list(path):
        yield _picture(entry, pictures, seen)


def write_pretraining(path: Path, told: Iterable[ToldPicture]) -> None:
    """Write such a file, whole or not at all.

    Raises:
        XlxmertError: a picture repeats or has not as many answers as questions, or the file cannot be written.
    """
    write_list(path, _contents(told))


def plain_answer(text: str) -> str:
    """An answer as LXMERT's table spells it.

    In lower case, without its last period and without article, numbers up to ten in digits, ``grey`` as ``gray``.
    """
    answer = text.lower().removesuffix(".").strip()
    for article in ("a ", "an ", "the "):
        answer = answer.removeprefix(article).strip()
    return _SPELLINGS.get(answer, answer)


def plain_answers(soft: Mapping[str, float]) -> dict[str, float]:
    """Soft answers as `plain_answer` spells them; of answers that become the same, the better score counts."""
    plain: dict[str, float] = {}
    for text, score in soft.items():
        if answer := plain_answer(text):
            plain[answer] = max(score, plain.get(answer, 0.0))
    return plain


def _picture(entry: Entry, pictures: Container[Id] | None, seen: set[str]) -> ToldPicture:
    picture_id = entry.known(entry.once(entry.text("img_id"), seen, "picture"), pictures)
    said = entry.entry("sentf")
    if unknown := [name for name in said.content if name not in KINDS]:
        raise said.wrong(f"one of the data sets {', '.join(KINDS)}", brief(unknown[0]))
    sentences = {source: said.strings(source) for source in said.content}
    for source, texts in sentences.items():
        for text in texts:
            if not text.isascii():
                Entry({source: text}, entry.source, said.place).text(source)
    labels = entry.entry("labelf") if "labelf" in entry else Entry({}, entry.source, "")
    return ToldPicture(
        picture_id, sentences, {source: _answers(labels, source, sentences) for source in labels.content}
    )


def _answers(labels: Entry, source: str, sentences: Mapping[str, tuple[str, ...]]) -> tuple[Mapping[str, float], ...]:
    """The soft answers to the questions of one data set."""
    answers = tuple(soft_answers(each) for each in labels.entries(source))
    asked = len(sentences.get(source, ()))
    if len(answers) != asked:
        raise labels.wrong(f'{asked} answers as "{source}", one for each of its sentences', str(len(answers)))
    return answers


def soft_answers(entry: Entry) -> dict[str, float]:
    """The members of an object as answers with their scores.

    Raises:
        XlxmertError: a score is not in (0, 1].
    """
    soft = {answer: entry.number(answer) for answer in entry.content}
    for answer, score in soft.items():
        if not 0 < score <= 1:
            raise entry.wrong(f'a score above 0 and at most 1 as "{answer}"', f"{score:g}")
    return soft


def _contents(told: Iterable[ToldPicture]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for picture in told:
        counts = {source: len(texts) for source, texts in picture.sentences.items()}
        fits = all(counts.get(source) == len(answers) for source, answers in picture.answers.items())
        if picture.picture_id in seen or not fits or set(counts) - set(KINDS):
            raise XlxmertError(
                f"expected every picture once, data sets of {', '.join(KINDS)} and an answer to each question, found "
                f"picture {picture.picture_id!r} {'again' if picture.picture_id in seen else f'with {counts}'}: "
                "mend its record"
            )
        seen.add(picture.picture_id)
        yield {
            "img_id": picture.picture_id,
            "labelf": {source: [dict(each) for each in answers] for source, answers in picture.answers.items()},
            "sentf": {source: list(texts) for source, texts in picture.sentences.items()},
        }
