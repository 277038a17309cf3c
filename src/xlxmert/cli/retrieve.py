"""``xlxmert retrieve``: the pictures that fit a sentence best, and the sentences that fit a picture best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from xlxmert.cli.common import Common, PictureFiles, listed, print_json, print_table, progress
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.studio import Hit
from xlxmert.studio.results import ranked


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Find the pictures that fit each sentence best; with --reverse, the sentences that fit each picture best.

    xlxmert retrieve album/ --text "a dog on the beach" --top 5
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """Picture files, or folders of them."""
    text: tuple[str, ...] = ()
    """Sentences, each in quotes."""
    texts: Path | None = None
    """A text file of further sentences, one per line."""
    top: int = 5
    """Finds for each sentence or picture."""
    reverse: bool = False
    """For each picture its sentences, instead of for each sentence its pictures."""


def run(options: Options) -> int:
    """Search and print the finds, best first; pictures that cannot be read are named at the end."""
    files, sentences = listed(options.pictures), _sentences(options)
    if options.top < 1:
        raise UsageError(f"expected --top of at least 1, found {options.top}: ask for 1 or more")
    studio = options.studio()
    reader = PictureFiles(files, studio.size)
    paths: list[str] = []
    odds: list[np.ndarray] = []
    for some, pictures in progress(reader.chunks(), reader.rounds, "searching"):
        paths += map(str, some)
        odds.append(studio.retrieve(pictures, sentences).odds)
    if paths:
        finds = ranked(np.concatenate(odds), options.top)
        if options.reverse:
            _tell(options, ("picture", paths), ("sentence", sentences), finds.sentences)
        else:
            _tell(options, ("sentence", sentences), ("picture", paths), finds.pictures)
    return reader.report()


def _sentences(options: Options) -> list[str]:
    """All sentences, from the command line and from the file."""
    sentences = list(options.text)
    if options.texts is not None:
        try:
            lines = options.texts.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise XlxmertError(f"could not read the sentences in {options.texts}: {error}") from error
        sentences += [line.strip() for line in lines if line.strip()]
    if not sentences:
        raise UsageError("expected at least one sentence, found none: pass --text or --texts")
    return sentences


def _tell(
    options: Options,
    asked: tuple[str, Sequence[str]],
    searched: tuple[str, Sequence[str]],
    finds: Sequence[Sequence[Hit]],
) -> None:
    """Print what was found for each of those that were asked for."""
    (what, names), (which, candidates) = asked, searched
    if options.json:
        print_json(
            [
                {what: name, f"{which}s": [{which: candidates[hit.place], "match": round(hit.confidence, 4)}
                                           for hit in hits]}
                for name, hits in zip(names, finds, strict=True)
            ]
        )  # fmt: skip
    else:
        rows = [
            (name if rank == 1 else "", str(rank), candidates[hit.place], f"{hit.confidence:.3f}")
            for name, hits in zip(names, finds, strict=True)
            for rank, hit in enumerate(hits, start=1)
        ]
        print_table((what, "rank", which, "match"), rows)
