"""``xlxmert convert``: published checkpoints to our folder, and back."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlxmert.cli.common import print_json, print_table
from xlxmert.convert.folder import Bundle
from xlxmert.convert.published import Layout, Source, read_published, write_published
from xlxmert.convert.table import LoadReport
from xlxmert.core.errors import UsageError, XlxmertError

SOURCES: tuple[Literal["xlxmert", "lxmert", "transformers"], ...] = ("xlxmert", "lxmert", "transformers")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn published checkpoints into a checkpoint's folder, or a folder into published ones.

    xlxmert convert --xlxmert Epoch20_LXRT.pth --generator G_60.pth --vocab vocab.txt --answers all_ans.json --out my
    """

    out: Path
    """The folder to write; with --to a file, or a folder for the transformers library."""
    xlxmert: Path | None = None
    """The authors' X-LXMERT, such as Epoch20_LXRT.pth."""
    generator: Path | None = None
    """Beside --xlxmert: the authors' image generator, such as G_60.pth."""
    lxmert: Path | None = None
    """The authors' LXMERT, such as model_LXRT.pth."""
    transformers: Path | None = None
    """A folder in which the transformers library keeps an LXMERT."""
    vocab: Path | None = None
    """BERT's vocab.txt; a folder of the transformers library has its own."""
    answers: Path | None = None
    """The answers of the question head in their order: LXMERT's all_ans.json, or a JSON list."""
    drop_answers: bool = False
    """Leave the question head out."""
    allow: tuple[str, ...] = ()
    """Weights that may be missing, unexpected or misshapen: names, or patterns such as 'cls.*' in quotes."""
    heads: int | None = None
    """Attention heads; by default one per 64 values of width, as in BERT, or what the folder says."""
    grid: int = 8
    """Cells per side of the grid."""
    checkpoint: Path | None = None
    """The way back: the checkpoint's folder to read."""
    to: Layout | None = None
    """The way back: the published layout to write."""
    half: bool = False
    """Round the weights to 16 bits, which halves the folder and cannot be undone."""
    overwrite: bool = False
    """Replace what was converted to the same place earlier."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Convert and report."""
    given = [name for name in (*SOURCES, "checkpoint") if getattr(options, name) is not None]
    if len(given) != 1:
        expected = "exactly one of --xlxmert, --lxmert, --transformers and --checkpoint"
        raise UsageError(f"expected {expected}, found {' and '.join(f'--{name}' for name in given) or 'none'}")
    _check_way(options)
    _check_free(options)
    return _write_back(options) if options.checkpoint is not None else _read(options)


def _read(options: Options) -> int:
    """From published files to a folder."""
    layout = next(name for name in SOURCES if getattr(options, name) is not None)
    source = Source(
        layout=layout,
        path=getattr(options, layout),
        generator=options.generator,
        vocabulary=options.vocab,
        answers=options.answers,
        drop_answers=options.drop_answers,
        heads=options.heads,
        grid=options.grid,
        allow=options.allow,
    )
    bundle, reports = read_published(source)
    bundle.save_pretrained(options.out, half=options.half, fold=False)
    if options.json:
        print_json({"out": str(options.out), "read": [dataclasses.asdict(report) for report in reports]})
    else:
        _print(reports)
        print(options.out)
    return 0


def _write_back(options: Options) -> int:
    """From a folder to a published file."""
    assert options.checkpoint is not None and options.to is not None
    tensors = write_published(Bundle.from_pretrained(options.checkpoint), options.to, options.out)
    if options.json:
        print_json({"out": str(options.out), "layout": options.to, "tensors": tensors})
    else:
        print_table(("file", "layout", "tensors"), [(str(options.out), options.to, str(tensors))])
    return 0


def _check_way(options: Options) -> None:
    """Complain about options of the one way that came with the other."""
    if (options.checkpoint is None) != (options.to is None):
        raise UsageError("expected --checkpoint and --to together, found one of them: name both, or neither")
    if options.checkpoint is None:
        return
    usual = {field.name: field.default for field in dataclasses.fields(Options)}
    names = ("generator", "vocab", "answers", "drop_answers", "allow", "heads", "grid", "half")
    extra = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) != usual[name]]
    if extra:
        raise UsageError(f"expected no {', '.join(extra)} beside --checkpoint: it is for reading published files")


def _check_free(options: Options) -> None:
    """Complain, before any work, about something at the place to write to."""
    out = options.out
    there = any(out.iterdir()) if out.is_dir() else out.exists()
    if there and not options.overwrite:
        raise XlxmertError(f"expected a new place at {out}, found files: pass --overwrite to replace what is there")
    if out.is_dir() and options.to not in (None, "transformers"):
        raise XlxmertError(f"expected a file to write at {out}, found a folder: name a file in it")


def _print(reports: Sequence[LoadReport]) -> None:
    """The load reports as a table, and the names of whatever did not fit."""
    columns = ("file", "weights", "read", "missing", "unexpected", "misshapen", "ignored")
    kinds = columns[3:]
    rows = [
        (
            report.source,
            report.layout,
            f"{report.read} of {report.expected}",
            *(str(len(getattr(report, kind))) for kind in kinds),
        )
        for report in reports
    ]
    print_table(columns, rows)
    for report in reports:
        for kind in kinds:
            for name in getattr(report, kind):
                print(f"{kind}: {name}{f' is {report.misshapen[name]}' if kind == 'misshapen' else ''}")
