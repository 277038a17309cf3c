"""``xlxmert paint``: pictures from words."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from xlxmert.cli.common import Common, print_json, print_picture, print_table, progress
from xlxmert.cli.samplers import SamplerOptions
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.sampling import Guidance
from xlxmert.studio import Painting, Studio
from xlxmert.studio.files import check_free, file_names, save_gif, save_painting, save_picture
from xlxmert.studio.options import PaintOptions

SUFFIX = ".png"


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Paint pictures from words.

    xlxmert paint "two red cars on the beach" --count 3 --sheet
    """

    prompts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PROMPT")] = ()
    """What to paint, each prompt in quotes."""
    file: Annotated[Path | None, tyro.conf.arg(name="prompts")] = None
    """A text file of further prompts, one per line."""
    out: Path = Path(".")
    """A folder for <prompt>-<seed>.png, or a file name that ends in .png for a single picture."""
    count: int = 1
    """Pictures per prompt, with seeds seed, seed + 1, …"""
    seed: int = 0
    """The same seed and prompt give the same picture, alone or among others."""
    sampling: tyro.conf.OmitArgPrefixes[SamplerOptions] = field(default_factory=SamplerOptions)
    """How codes are chosen. What is not given keeps the sampler's default; each sampler has some of the options."""
    guidance: float | None = None
    """How much stronger than learned the words speak: 0 not at all, 1 much; by default what suits the checkpoint."""
    guidance_ramp: bool = False
    """Let the guidance grow while the picture fills, from nothing to --guidance."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Guide only while the share of settled cells lies between these two."""
    negative: str = ""
    """What the pictures should not show; needs guidance."""
    best_of: int = 1
    """Paint this many drafts of each picture and keep the one that fits its prompt best, as the model judges."""
    likelihood: float = 0.0
    """Weight of the prompt's likelihood beside the matching head when drafts are judged."""
    steps_gif: bool = False
    """Also write a GIF of every step."""
    sheet: bool = False
    """Also write sheet.png with all pictures side by side."""
    show: bool = False
    """Show the pictures in the terminal."""
    overwrite: bool = False
    """Replace files that xlxmert did not paint."""


def run(options: Options) -> int:
    """Paint and save; one line per picture."""
    prompts = _prompts(options)
    wanted = [(prompt, options.seed + extra) for prompt in prompts for extra in range(options.count)]
    how = _how(options)
    paths = _paths(options, wanted)
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
    _tell_notes(rows)
    sheet = _sheet(done, options, paths[0].parent) if options.sheet else None
    if options.json:
        print_json({"paintings": rows, "sheet": sheet})
    else:
        _print(rows, sheet)
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
    if options.count < 1:
        raise UsageError(f"expected a --count of at least 1, found {options.count}")
    return prompts


def _paths(options: Options, wanted: Sequence[tuple[str, int]]) -> list[Path]:
    """Where each picture goes; whatever is in the way is told before anything is painted."""
    if options.out.suffix.lower() == SUFFIX:
        if len(wanted) > 1:
            raise UsageError(f"expected a folder for {len(wanted)} pictures, found --out {options.out}: name a folder")
        paths = [options.out]
    elif options.out.exists() and not options.out.is_dir():
        raise UsageError(f"expected a folder or a .png file, found --out {options.out}, a file: choose another name")
    else:
        paths = [options.out / f"{name}{SUFFIX}" for name in file_names(wanted)]
    for path in paths:
        check_free(path, options.overwrite)
    return paths


def _how(options: Options) -> PaintOptions:
    """The choices of painting, checked before anything is opened."""
    sampler = options.sampling.build()
    shaped = options.guidance_ramp or options.guidance_interval != (0.0, 1.0)
    if shaped and options.guidance is None:
        raise UsageError("expected --guidance beside --guidance-ramp and --guidance-interval, found none: try 1")
    strength = options.guidance or 0.0
    guidance = (
        None if options.guidance is None else Guidance(strength, options.guidance_ramp, *options.guidance_interval)
    )
    return PaintOptions(sampler, guidance, options.negative, options.best_of, options.likelihood)


def _gif(studio: Studio, painting: Painting, path: Path, how: PaintOptions, overwrite: bool) -> Path:
    """The steps of a painting as a GIF beside it."""
    target = path.with_suffix(".gif")
    check_free(target, overwrite)
    frames = studio.paint_steps(painting.prompt, painting.seed, dataclasses.replace(how, best_of=1))
    save_gif(target, [frame.picture for frame in frames], overwrite)
    return target


def _sheet(paintings: Sequence[Painting], options: Options, folder: Path) -> str:
    """All pictures on one sheet, one row per prompt."""
    from xlxmert.core.images import contact_sheet

    width = options.count if options.count > 1 else 6
    rows = [paintings[start : start + width] for start in range(0, len(paintings), width)]
    texts = [[f"{painting.prompt} ({painting.seed})" for painting in row] for row in rows]
    path = folder / "sheet.png"
    sheet = contact_sheet([[painting.picture for painting in row] for row in rows], texts)
    save_picture(path, sheet, options.overwrite)
    return str(path)


def _row(painting: Painting, path: Path, gif: Path | None) -> dict[str, object]:
    row = {"prompt": painting.prompt, "seed": painting.seed, "file": str(path), "notes": list(painting.notes)}
    row |= {} if painting.score is None else {"score": painting.score}
    return row if gif is None else {**row, "gif": str(gif)}


def _tell_notes(rows: Sequence[dict[str, object]]) -> None:
    """Say each note once, on standard error."""
    for note in dict.fromkeys(note for row in rows for note in row["notes"]):  # type: ignore[attr-defined]
        print(f"note: {note}", file=sys.stderr)


def _print(rows: Sequence[dict[str, object]], sheet: str | None) -> None:
    """A line for one picture, a table for more."""
    if len(rows) == 1:
        print(rows[0]["file"])
    else:
        print_table(("prompt", "seed", "file"), [[str(row[key]) for key in ("prompt", "seed", "file")] for row in rows])
    if sheet:
        print(sheet)
