"""``xlxmert match``: how well sentences fit pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xlxmert.cli.common import Common, PictureFiles, listed, print_json, print_table, progress


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Say how probable it is that each sentence belongs to each picture.

    xlxmert match album/ --text "a dog on the beach" "a red car"
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """Picture files, or folders of them."""
    text: tuple[str, ...]
    """Sentences, each in quotes."""


def run(options: Options) -> int:
    """Print the matrix: pictures down, sentences across; pictures that cannot be read are named at the end."""
    files = listed(options.pictures)
    studio = options.studio()
    reader = PictureFiles(files, studio.size)
    found = [
        (path, row.tolist())
        for paths, pictures in progress(reader.chunks(), reader.rounds, "matching")
        for path, row in zip(paths, studio.match(pictures, options.text), strict=True)
    ]
    if options.json:
        matches = [[round(value, 4) for value in row] for _, row in found]
        print_json({"pictures": [str(path) for path, _ in found], "texts": list(options.text), "match": matches})
    elif found:
        rows = [(str(path), *(f"{value:.3f}" for value in row)) for path, row in found]
        print_table(("picture", *options.text), rows)
    return reader.report()
