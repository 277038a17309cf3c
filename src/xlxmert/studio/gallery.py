"""A gallery: pictures with their captions and answers as one contact sheet and one page that needs nothing else."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.files import write_text
from xlxmert.core.images import contact_sheet
from xlxmert.studio.files import MAKER, save_picture
from xlxmert.studio.results import Answer, Caption

COLUMNS = 6
"""Pictures in a row of the contact sheet."""
MAKER_MARK = f'<meta name="generator" content="{MAKER}">'
"""Tells our pages from others."""
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #667; --paper: #fafafa; --card: #fff; --line: #ddd;
  --bar: #4a7fd6 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8ea; --soft: #9a9aa5; --paper: #17181b; --card: #212327; --line: #34363c; --bar: #5f95ea }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.8rem; margin: 0 0 .25rem } h2 { font-size: 1.25rem; margin: 2.5rem 0 1rem }
.grid { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden }
figure img { display: block; width: 100%; aspect-ratio: 1 }
figcaption { padding: .7rem .9rem .9rem } .title { font-weight: 600; margin: 0 }
.note, .score { color: var(--soft); font-size: .85rem } .captions { margin: .3rem 0 0; padding-left: 1.1rem }
dl { margin: .6rem 0 0; font-size: .92rem } dt { margin-top: .5rem } dd { margin: .1rem 0 0; display: grid;
  grid-template-columns: minmax(4.5rem, auto) 1fr 2.6rem; gap: .5rem; align-items: center }
meter { width: 100%; height: .7rem; accent-color: var(--bar) } .share { color: var(--soft); text-align: right }
dd:first-of-type span:first-child { font-weight: 600 }
table { border-collapse: collapse } th, td { text-align: left; padding: .25rem 1.2rem .25rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
""".strip()


@dataclass(frozen=True)
class Asked:
    """A question about a picture, with its answers."""

    question: str
    answers: tuple[Answer, ...]
    """Most probable first."""
    truth: str = ""
    """The true answer, where it is known."""


@dataclass(frozen=True)
class Entry:
    """A picture of a gallery and what is said about it."""

    picture: UInt8[np.ndarray, "_ _ 3"]
    """RGB pixels."""
    title: str
    """The prompt, or the picture's name."""
    section: str = ""
    """Entries of one section stand together, under its name."""
    note: str = ""
    """A short line in small print, such as the seed."""
    captions: tuple[Caption, ...] = ()
    """What the model says about it."""
    asked: tuple[Asked, ...] = ()
    """Questions and their answers."""


def write_gallery(
    folder: Path,
    entries: Sequence[Entry],
    title: str = "xlxmert",
    scores: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``gallery.png`` and ``index.html``; the page holds its pictures and loads nothing.

    Args:
        folder: where to; made if need be.
        entries: in the order of their appearance, section by section.
        title: the page's heading.
        scores: numbers or texts by name, shown as a table; nested names are joined.
        overwrite: replace files of these names even if xlxmert did not write them.

    Returns:
        the page.

    Raises:
        UsageError: there is nothing to show, or a stranger's file is in the way.
    """
    if not entries:
        raise UsageError("expected at least one picture for a gallery, found none")
    page = Path(folder) / "index.html"
    if page.exists() and not overwrite and MAKER_MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"expected no page at {page}, or one that xlxmert wrote, found another: choose another folder")
    save_picture(page.with_name("gallery.png"), gallery_sheet(entries), overwrite)
    write_text(page, gallery_page(entries, title, scores))
    return page


def gallery_sheet(entries: Sequence[Entry]) -> UInt8[np.ndarray, "height width 3"]:
    """All entries on one contact sheet, section by section, with the title or the best caption under each."""
    rows, titles = [], []
    for section in _sections(entries):
        members = [entry for entry in entries if entry.section == section]
        for start in range(0, len(members), COLUMNS):
            rows.append(members[start : start + COLUMNS])
            titles.append("" if start else section)
    texts = [[entry.captions[0].text if entry.captions else entry.title for entry in row] for row in rows]
    return contact_sheet([[entry.picture for entry in row] for row in rows], texts, titles)


def gallery_page(entries: Sequence[Entry], title: str, scores: Mapping[str, Any] | None = None) -> str:
    """The page as HTML."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in _sections(entries):
        figures = "\n".join(_figure(entry) for entry in entries if entry.section == section)
        parts.append(f'<h2>{html.escape(section)}</h2>\n<div class="grid">\n{figures}\n</div>')
    if scores:
        cells = (f"<td>{html.escape(name)}</td><td>{html.escape(text)}</td>" for name, text in flat(scores))
        parts.append(f"<h2>Scores</h2>\n<table>{''.join(f'<tr>{pair}</tr>' for pair in cells)}</table>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{MAKER_MARK}'
    head += f"<title>{html.escape(title)}</title>"
    body = "\n".join(parts)
    top = f'<!doctype html>\n<html lang="en">\n<head>{head}\n<style>{STYLE}</style></head>'
    return f"{top}\n<body>\n{body}\n</body>\n</html>\n"


def flat(scores: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested scores as lines of joined name and text."""
    lines: list[tuple[str, str]] = []
    for name, value in scores.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{before}{name} · ")
        else:
            lines.append((before + name, f"{value:.3f}" if isinstance(value, float) else str(value)))
    return lines


def _sections(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(entry.section for entry in entries))


def _figure(entry: Entry) -> str:
    """One picture with everything said about it."""
    parts = [f'<p class="title">{html.escape(entry.title)}</p>'] if entry.title else []
    if entry.captions:
        lines = (f"{html.escape(said.text)} <span class=score>{said.score:.2f}</span>" for said in entry.captions)
        parts.append(f'<ul class="captions">{"".join(f"<li>{line}</li>" for line in lines)}</ul>')
    if entry.asked:
        parts.append(f"<dl>{''.join(map(_answers, entry.asked))}</dl>")
    if entry.note:
        parts.append(f'<p class="note">{html.escape(entry.note)}</p>')
    image = f'<img src="{_embedded(entry.picture)}" alt="{html.escape(entry.title, quote=True)}" loading="lazy">'
    return f"<figure>{image}<figcaption>{''.join(parts)}</figcaption></figure>"


def _answers(asked: Asked) -> str:
    """A question with a bar for each answer's confidence; the true answer, where known, is ticked or told."""
    bars = "".join(
        f"<dd><span>{html.escape(answer.text)}{' ✓' if answer.text == asked.truth else ''}</span>"
        f"<meter min=0 max=1 value={answer.confidence:.4f}></meter>"
        f"<span class=share>{answer.confidence:.0%}</span></dd>"
        for answer in asked.answers
    )
    told = bool(asked.truth) and asked.truth not in [answer.text for answer in asked.answers]
    truth = f" <span class=note>(true: {html.escape(asked.truth)})</span>" if told else ""
    return f"<dt>{html.escape(asked.question)}{truth}</dt>{bars}"


def _embedded(picture: UInt8[np.ndarray, "_ _ 3"]) -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
