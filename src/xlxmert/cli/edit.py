"""``xlxmert edit``: pictures changed in part, extended and varied, and sentences completed beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from xlxmert.cli.common import print_json, print_picture, progress
from xlxmert.cli.painted import ACROSS, PaintingOptions, Row, print_done, save_sheet, tell_notes
from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.images import load_whole
from xlxmert.studio import Edited, PaintOptions, Studio
from xlxmert.studio.blanks import has_blanks
from xlxmert.studio.changes import Change, Extension, Region, Variation, WordsAlone
from xlxmert.studio.files import check_free, save_gif, save_painting

LARGEST_FRAME = 768
"""Width and height of a GIF, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Options(PaintingOptions):
    """Paint a part of a picture anew, or more beside it; the rest stays as it is.

    xlxmert edit cars.png "two red cars in the snow" --region 0,0.5,1,1
    """

    picture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """A picture file."""
    sentence: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SENTENCE")] = ""
    """What the whole picture shows afterwards, in quotes; each ___ in it is a word to be found."""
    region: str | None = None
    """Paint every cell that this rectangle touches: x0,y0,x1,y1 as shares of width and height."""
    extend: str | None = None
    """Paint what lies beyond this edge: left, right, up or down."""
    by: int | None = None
    """Cells by which the picture is extended at a time; by default half the grid."""
    times: int = 1
    """How often it is extended."""
    vary: float | None = None
    """Paint this share of the cells anew, other cells for every seed: 0.2 changes little, 1 everything."""
    repaint: bool = False
    """Draw the whole picture from its codes, in the studio's size; by default it keeps its own pixels and size."""


def run(options: Options) -> int:
    """Change the picture and save the results; one line per result."""
    change, how = _change(options), options.how()
    if isinstance(change, WordsAlone):
        return _complete(options, change, how)
    paths = options.places([(_name(options, change), seed) for seed in options.seeds])
    studio = options.studio()
    edits = studio.change(options.picture, options.sentence, change, options.seeds, how, options.repaint)
    rows, done = [], []
    for edited, path in zip(progress(edits, len(paths), "editing"), paths, strict=True):
        save_painting(path, edited, options.overwrite)
        gif = _gif(studio, edited, change, path, how, options) if options.steps_gif else None
        rows.append(_row(edited, options) | {"file": str(path)} | ({} if gif is None else {"gif": gif}))
        done.append(edited)
        if options.show and not options.json:
            print_picture(edited.picture)
    tell_notes(rows)
    sheet = _sheet(done, options, paths[0].parent) if options.sheet else None
    if options.json:
        print_json({"edits": rows, "sheet": sheet})
        return 0
    if len(rows) == 1 and has_blanks(options.sentence):
        print(rows[0]["prompt"])
    print_done(("prompt", "seed", "file"), rows, sheet)
    return 0


def _complete(options: Options, change: WordsAlone, how: PaintOptions) -> int:
    """Fill the blanks of the sentence; the picture stays as it is, so no file is written."""
    edits = options.studio().change(options.picture, options.sentence, change, options.seeds, how)
    rows = [_row(edited, options) for edited in progress(edits, options.count, "writing")]
    tell_notes(rows)
    if options.json:
        print_json({"edits": rows, "sheet": None})
    else:
        print_done(("seed", "prompt"), rows, None)
    return 0


def _change(options: Options) -> Change:
    """The one change that is asked for.

    Raises:
        UsageError: there is none, or more than one, or it is out of range.
    """
    asked = {"--region": options.region, "--extend": options.extend, "--vary": options.vary}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1 or (not given and not has_blanks(options.sentence)):
        found = " and ".join(given) or "none"
        raise UsageError(
            f"expected one of {', '.join(asked)}, or a sentence with a blank ___, found {found}: choose one change"
        )
    if options.extend is None and (options.by is not None or options.times != 1):
        raise UsageError("expected --extend beside --by and --times, found none: name a side, or leave them out")
    if options.region is not None:
        return Region.of(_numbers(options.region))
    if options.extend is not None:
        return Extension(options.extend, options.by, options.times)
    return WordsAlone() if options.vary is None else Variation(options.vary)


def _numbers(text: str) -> list[float]:
    """Numbers with commas or spaces between them."""
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise UsageError(
            f"expected a --region of four numbers x0,y0,x1,y1, found '{text}': write them as in 0,0.5,1,1"
        ) from error


def _name(options: Options, change: Region | Extension | Variation) -> str:
    """What the files are named after."""
    side = f" {change.side}" if isinstance(change, Extension) else ""
    kinds = {Region: "region", Extension: "extended", Variation: "varied"}
    return f"{options.picture.stem} {kinds[type(change)]}{side} {options.sentence}"


def _row(edited: Edited, options: Options) -> Row:
    row: Row = {"picture": str(options.picture), "prompt": edited.prompt, "seed": edited.seed}
    row |= {"cells": int(edited.unknown.sum()), "notes": list(edited.notes)}
    return row if edited.score is None else {**row, "score": edited.score}


def _gif(studio: Studio, edited: Edited, change: Change, path: Path, how: PaintOptions, options: Options) -> str:
    """The steps of a change as a GIF beside the picture."""
    target = path.with_suffix(".gif")
    check_free(target, options.overwrite)
    sentence = options.sentence or edited.prompt  # a caption need not be found twice
    frames = studio.change_steps(options.picture, sentence, change, edited.seed, how, options.repaint)
    save_gif(target, [_small(frame.picture) for frame in frames], options.overwrite)
    return str(target)


def _small(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """A photograph as a frame that is not too large for a GIF."""
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST_FRAME, LARGEST_FRAME))
    return np.array(image)


def _sheet(done: Sequence[Edited], options: Options, folder: Path) -> str:
    """The picture as it was, then all results."""
    pictures: list[UInt8[np.ndarray, "_ _ 3"]] = [load_whole(options.picture), *(edited.picture for edited in done)]
    texts = [options.picture.name, *(f"{edited.prompt} ({edited.seed})" for edited in done)]
    return save_sheet(folder, pictures, texts, ACROSS, options.overwrite)
