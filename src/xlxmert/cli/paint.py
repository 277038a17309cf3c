"""``xlxmert paint``: pictures from words."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xlxmert.cli.common import print_json, print_picture, progress
from xlxmert.cli.painted import ACROSS, PaintingOptions, Row, print_done, save_sheet, tell_notes
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.studio import Painting, PaintOptions, Studio
from xlxmert.studio.files import check_free, save_gif, save_painting


@dataclass(frozen=True, kw_only=True)
class Options(PaintingOptions):
    """Paint pictures from words.

    xlxmert paint "two red cars on the beach" --count 3 --sheet
    """

    prompts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PROMPT")] = ()
    """What to paint, each prompt in quotes."""
    file: Annotated[Path | None, tyro.conf.arg(name="prompts")] = None
    """A text file of further prompts, one per line."""


def run(options: Options) -> int:
    """Paint and save; one line per picture."""
    wanted = [(prompt, seed) for prompt in _prompts(options) for seed in options.seeds]
    how, paths = options.how(), options.places(wanted)
    studio = options.studio()
    paintings = studio.paint_each(
        [prompt for prompt, _ in wanted],
        seeds=[seed for _, seed in wanted],
        options=how,
    )
    rows, done = [], []
    for painting, path in zip(progress(paintings, len(wanted), "painting"), paths, strict=True):
        save_painting(path, painting, options.overwrite)
        gif = _gif(studio, painting, path, how, options.overwrite) if options.steps_gif else None
        rows.append(_row(painting, path, gif))
        if options.sheet:
            done.append(painting)
        if options.show and not options.json:
            print_picture(painting.picture)
    tell_notes(rows)
    sheet = _sheet(done, options, paths[0].parent) if options.sheet else None
    if options.json:
        print_json({"paintings": rows, "sheet": sheet})
    else:
        print_done(("prompt", "seed", "file"), rows, sheet)
    return 0


def _prompts(options: Options) -> list[str]:
    """All prompts, from the command line and from the file."""
    prompts = list(options.prompts)
    if options.file is not None:
        try:
            lines = options.file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise XlxmertError(f"could not read the prompts in {options.file}: {error}") from error
        prompts += [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise UsageError('expected at least one prompt, found none: xlxmert paint "two red cars on the beach"')
    return prompts


def _gif(studio: Studio, painting: Painting, path: Path, how: PaintOptions, overwrite: bool) -> Path:
    """The steps of a painting as a GIF beside it."""
    target = path.with_suffix(".gif")
    check_free(target, overwrite)
    frames = studio.paint_steps(painting.prompt, painting.seed, dataclasses.replace(how, best_of=1))
    save_gif(target, [frame.picture for frame in frames], overwrite)
    return target


def _sheet(paintings: Sequence[Painting], options: Options, folder: Path) -> str:
    """All pictures on one sheet, one row per prompt."""
    width = options.count if options.count > 1 else ACROSS
    texts = [f"{painting.prompt} ({painting.seed})" for painting in paintings]
    return save_sheet(folder, [painting.picture for painting in paintings], texts, width, options.overwrite)


def _row(painting: Painting, path: Path, gif: Path | None) -> Row:
    row: Row = {"prompt": painting.prompt, "seed": painting.seed, "file": str(path), "notes": list(painting.notes)}
    row |= {} if painting.score is None else {"score": painting.score}
    return row if gif is None else {**row, "gif": str(gif)}
