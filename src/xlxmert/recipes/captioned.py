"""Pictures with people's captions, as captioning, retrieval and painting are scored on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xlxmert.core.errors import UsageError
from xlxmert.data.karpathy import read_karpathy
from xlxmert.data.pictures import Named
from xlxmert.data.plain_captions import read_any_captions
from xlxmert.data.records import CaptionRecord


@dataclass(frozen=True)
class Part:
    """Which of a file's pictures are scored, and how many together."""

    split: str = "test"
    """Of a Karpathy file."""
    folds: int = 1
    """retrieval: into how many parts the pictures are cut, in the file's order; scores are the mean of the parts'."""

    def __post_init__(self) -> None:
        """Refuse to cut pictures into nothing."""
        if self.folds < 1:
            raise UsageError(f"expected --folds of at least 1, found {self.folds}: pass 5 for COCO's five of 1,000")


WHOLE = Part()
"""All pictures together."""


@dataclass(frozen=True)
class Captioned:
    """The pictures and captions of one file."""

    images: Path
    """The folder of the pictures."""
    source: Path
    pictures: Sequence[Named]
    captions: Sequence[CaptionRecord]
    """Those that hold a word."""
    empty: int
    """How many hold none."""


def read_captioned(images: Path, source: Path, split: str | None = None) -> Captioned:
    """The captions of a file, empty ones left out and counted.

    Args:
        images: the folder of pictures.
        source: COCO's ``captions_*.json``, one's own file, or with a split Karpathy's ``dataset_*.json``.
        split: one of `xlxmert.data.karpathy.SPLITS`.

    Raises:
        UsageError: there is no split of this name.
        XlxmertError: the file is missing, damaged or of another format, or has no picture of the split.
    """
    pictures: Sequence[Named]
    captions: Sequence[CaptionRecord]
    if split is not None:
        chosen = read_karpathy(source).of(split)
        pictures, captions = chosen.pictures, chosen.captions
    else:
        pictures, captions = read_any_captions(source)
    worded = [caption for caption in captions if caption.has_word]
    return Captioned(images, source, pictures, worded, len(captions) - len(worded))
