"""More captions for a training set: a captioner draws them, and those that fit their pictures are kept (XGPT, §6.1).

    xlxmert augment --images train2014 --captions captions_train2014.json --out captions_more.json

Captions are drawn with nucleus sampling; those that a picture already has are dropped, and so are those that a matching
head takes for another picture's. The paper does not say how it filters; its 62,000 captions are 2.1 for each picture.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.data.coco import read_captions, write_captions
from xlxmert.data.records import CaptionRecord, Id
from xlxmert.metrics.caption import tokenize
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.sources import finder
from xlxmert.sampling import Nucleus
from xlxmert.studio import Describer, Studio
from xlxmert.studio.sentences import read_sentences

Fit = Callable[[Sequence[int], Sequence[str]], Sequence[float]]
"""The probabilities that sentences belong to the pictures beside them."""
TOGETHER = 32
"""Pictures that are described together."""


@dataclass(frozen=True)
class Augmentation:
    """How many captions are drawn, and which are kept.

    Raises:
        UsageError: a number is out of range.
    """

    num: int = 2
    """Most captions that are written for each picture."""
    draws: int = 6
    """Captions that are drawn for each."""
    top_p: float = 0.9
    """Words are drawn among the likeliest with this probability together."""
    temperature: float = 1.0
    """Of the draws."""
    least_match: float = 0.5
    """The least probability, by the matching head, that a caption belongs to its picture."""
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        Nucleus(self.top_p, self.temperature)
        if not 1 <= self.num <= self.draws:
            raise UsageError(
                f"expected 1 or more captions of at least as many draws, found {self.num} of {self.draws}: change one"
            )
        if not 0 <= self.least_match <= 1:
            raise UsageError(f"expected --least-match in [0, 1], found {self.least_match}: pass 0.5, for example")


@dataclass
class Tally:
    """What became of the draws."""

    pictures: int = 0
    drawn: int = 0
    known: int = 0
    """Dropped because the picture has that caption already, or because it was drawn before."""
    unfit: int = 0
    """Dropped by the matching head."""
    spare: int = 0
    """Dropped because enough others fit better."""
    kept: int = 0


def chosen(
    drawn: Sequence[Sequence[str]], known: Sequence[Sequence[str]], fit: Fit, config: Augmentation, tally: Tally
) -> list[list[str]]:
    """Of the captions drawn for some pictures those worth keeping, the best fitting first, at most ``config.num`` each.

    Args:
        drawn: for each picture what was drawn.
        known: the captions that it has.
        fit: judges the new ones.
        config: how many are kept, and which.
        tally: is brought up to date.
    """
    new = [_new(texts, had) for texts, had in zip(drawn, known, strict=True)]
    pairs = [(place, text) for place, texts in enumerate(new) for text in texts]
    chances = iter(fit([place for place, _ in pairs], [text for _, text in pairs]) if pairs else ())
    rows = []
    for texts, before in zip(new, drawn, strict=True):
        judged = sorted(((next(chances), text) for text in texts), key=lambda pair: -pair[0])
        fitting = [text for chance, text in judged if chance >= config.least_match]
        rows.append(fitting[: config.num])
        tally.pictures += 1
        tally.drawn += len(before)
        tally.known += len(before) - len(texts)
        tally.unfit += len(texts) - len(fitting)
        tally.spare += len(fitting) - len(rows[-1])
        tally.kept += len(rows[-1])
    return rows


def _new(texts: Sequence[str], known: Sequence[str]) -> list[str]:
    """Different captions that a picture does not have yet."""
    seen = {tuple(tokenize(text)) for text in known}
    fresh: dict[tuple[str, ...], str] = {}
    for text in texts:
        tokens = tuple(tokenize(text))
        if tokens and tokens not in seen:
            fresh.setdefault(tokens, text)
    return list(fresh.values())


def augment(
    images: Path,
    captions: Path,
    out: Path,
    describer: Describer,
    studio: Studio,
    config: Augmentation = Augmentation(),
    only_new: bool = False,
    progress: Progress = no_progress,
) -> tuple[Tally, dict[Path, str]]:
    """Write a captions file with more captions than the one that is there; pictures that cannot be read get none.

    Args:
        images: the pictures' folder.
        captions: COCO's ``captions_*.json``.
        out: the new file; it is written when all captions are there.
        describer: who writes.
        studio: whose matching head judges.
        config: how many, and which.
        only_new: leave the earlier captions out.
        progress: told how many pictures were read.

    Returns:
        What became of the draws, and the pictures that could not be read, with the reasons.

    Raises:
        UsageError: ``out`` is the file that is read.
        XlxmertError: a file is missing or damaged, or names a picture that is not in the folder.
    """
    if out.resolve() == captions.resolve():
        raise UsageError(
            f"expected another file for the new captions, found {out}, which is read: choose another --out"
        )
    pictures, records = read_captions(captions)
    find = finder(images, pictures, captions)
    known: dict[Id, list[str]] = {picture.id: [] for picture in pictures}
    for record in records:
        known[record.picture_id].append(record.text)
    paths = {find(picture.id): picture.id for picture in pictures}
    reader, tally, decoding = PictureReader(), Tally(), Nucleus(config.top_p, config.temperature)
    new: list[CaptionRecord] = []
    number = 1 + max((int(each.caption_id) for each in records if str(each.caption_id).isdecimal()), default=0)
    stream = reader.read(paths, len(paths), progress)
    while some := list(itertools.islice(stream, TOGETHER)):
        pixels, owners = [each for _, each in some], [paths[path] for path, _ in some]
        drawn = describer.caption(pixels, config.draws, "", decoding, config.seed)
        texts_drawn = [[caption.text for caption in row] for row in drawn]
        rows = chosen(texts_drawn, [known[owner] for owner in owners], _judge(studio, pixels), config, tally)
        for owner, texts in zip(owners, rows, strict=True):
            new += [CaptionRecord(owner, number + len(new) + place, text) for place, text in enumerate(texts)]
    write_captions(out, pictures, [*([] if only_new else records), *new])
    return tally, reader.unreadable


def _judge(studio: Studio, pixels: Sequence[UInt8[np.ndarray, "S S 3"]]) -> Fit:
    """The studio's matching head over some pictures; a sentence that its checkpoint cannot read fits none."""

    def fit(places: Sequence[int], texts: Sequence[str]) -> Sequence[float]:
        read = [number for number, text in enumerate(texts) if _reads(studio, text)]
        sides = [pixels[places[number]] for number in read], [texts[number] for number in read]
        chances = dict(zip(read, studio.fit(*sides).tolist(), strict=True)) if read else {}
        return [chances.get(number, 0.0) for number in range(len(texts))]

    return fit


def _reads(studio: Studio, text: str) -> bool:
    """Whether a studio's checkpoint can read a sentence: it is short enough and has a word that it knows."""
    try:
        read_sentences(studio.bundle.tokenizer, [text], studio.bundle.most_words)
    except UsageError:
        return False
    return True
