"""Pages on which people rate pictures: HUMMUS, and which of two systems they prefer (X-LXMERT, Sec. 6.1, App. E.2).

A page is one HTML file with everything in it, to be opened in a browser or put on a server; people download their
answers as a file and send it back. The key, which holds the truth, stays at home.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from xlxmert.core.errors import UsageError
from xlxmert.core.files import write_json, write_text
from xlxmert.core.images import load_picture
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.rivals import HIDDEN, gaps
from xlxmert.data.word_lists import Lexicon
from xlxmert.recipes.shown import Shown

Question = Literal["semantics", "fidelity"]
"""Which picture fits the caption better; which looks more real."""
SIDE = 256
"""Pixels of a picture on a page."""
PAGE, KEY = "page.html", "key.json"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    page: Path
    """For people."""
    key: Path
    """The truth."""
    items: int
    """Questions on the page."""


def export_hummus(
    shown: Sequence[Shown], lexicon: Lexicon, out: Path, count: int = 100, seed: int = 0, source: str = ""
) -> Exported:
    """A page of captions with a hidden word, ``count`` of each category or all that there are, in random order.

    Raises:
        UsageError: no caption has a word of the lists.
        XlxmertError: a picture cannot be read, or the files cannot be written.
    """
    if count < 1:
        raise UsageError(f"expected at least one blank of each category, found {count}: pass --count 100, for example")
    captions = [each.caption for each in shown]
    found = [gap for category in HIDDEN for gap in gaps(captions, lexicon, category, seed, count)]
    if not found:
        raise UsageError(
            f"expected captions with words of the list '{lexicon.name}', found none in {len(captions)}: pass --words"
        )
    items, truth = [], {}
    for number, place in enumerate(numpy_generator("rating order", seed).permutation(len(found)).tolist()):
        gap, name = found[place], f"{number:05d}"
        about = {"id": name, "before": gap.before, "after": gap.after, "category": gap.category}
        items.append(about | {"picture": _embedded(shown[gap.place].path)})
        truth[name] = {
            "category": gap.category,
            "forms": list(gap.word),
            "caption": captions[gap.place],
            "picture": str(shown[gap.place].id),
        }
    about = {"words": lexicon.name, "seed": seed, "pictures": source}
    return _write(out, "hummus", items, truth, about)


def export_pairs(
    question: Question,
    pairs: Sequence[tuple[Shown, Shown]],
    systems: tuple[str, str],
    out: Path,
    count: int = 100,
    seed: int = 0,
) -> Exported:
    """A page of pictures side by side, ``count`` drawn pairs or all, the sides of each drawn too.

    Args:
        question: with the caption (``semantics``) or without it (``fidelity``).
        pairs: a picture of each of two systems, painted from the same caption.
        systems: their names, for the report.
        out: the folder to write to.
        count: how many pairs, at most.
        seed: of both draws.

    Raises:
        UsageError: there is no pair.
        XlxmertError: a picture cannot be read, or the files cannot be written.
    """
    if not pairs or count < 1:
        raise UsageError(f"expected pairs of pictures to compare, found {len(pairs)}, and {count} wanted: add some")
    rng = numpy_generator("rating pairs", seed)
    items, truth = [], {}
    for number, place in enumerate(rng.permutation(len(pairs))[:count].tolist()):
        name, turned = f"{number:05d}", bool(rng.integers(2))
        left, right = reversed(pairs[place]) if turned else pairs[place]
        item = {"id": name, "left": _embedded(left.path), "right": _embedded(right.path)}
        caption = pairs[place][0].caption
        items.append(item | ({"caption": caption} if question == "semantics" else {}))
        truth[name] = {
            "left": "other" if turned else "one",
            "caption": caption,
            "picture": str(pairs[place][0].id),
        }
    about = {"systems": {"one": systems[0], "other": systems[1]}, "seed": seed}
    return _write(out, question, items, truth, about)


def _write(
    out: Path, kind: str, items: Sequence[dict[str, Any]], truth: dict[str, Any], about: dict[str, Any]
) -> Exported:
    """The page and its key; both carry the fingerprint of what is asked, so that answers find their key."""
    if any((out / name).exists() for name in (PAGE, KEY)):
        raise UsageError(f"expected no rating page in {out}, found one: name another folder, answers belong to one key")
    asked = json.dumps([kind, items], ensure_ascii=False)
    page = hashlib.blake2b(asked.encode(), digest_size=6).hexdigest()
    data = json.dumps({"page": page, "kind": kind, "items": items}, ensure_ascii=False).replace("</", "<\\/")
    template = (resources.files("xlxmert.recipes") / "rating_page.html").read_text(encoding="utf-8")
    write_json(out / KEY, {"page": page, "kind": kind, **about, "items": truth})
    write_text(out / PAGE, template.replace("__DATA__", data))
    return Exported(out / PAGE, out / KEY, len(items))


def _embedded(path: Path) -> str:
    """A picture as a data address, without loss."""
    with io.BytesIO() as stream:
        Image.fromarray(load_picture(path, SIDE)).save(stream, format="WEBP", lossless=True)
        return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
