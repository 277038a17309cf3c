"""``xlxmert rate``: pages on which people rate pictures, and the scores of their answers."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xlxmert.cli.common import print_json, print_table
from xlxmert.core.errors import UsageError
from xlxmert.core.files import write_json
from xlxmert.recipes.judging import LEXICONS
from xlxmert.recipes.rate import Exported, export_hummus, export_pairs
from xlxmert.recipes.ratings import score_ratings
from xlxmert.recipes.shown import paired, read_collection


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a page for people: one HTML file with all pictures in it, and the key with the truth.

    xlxmert rate export hummus --pictures painted --out rating

    xlxmert rate export semantics --pictures painted --against others --out rating
    """

    question: Annotated[Literal["hummus", "semantics", "fidelity"], tyro.conf.Positional]
    """hummus: which word is missing in the caption; semantics: which of two pictures fits it better; fidelity: which
    looks more real."""
    pictures: Path
    """Pictures of a system: a folder that xlxmert evaluate --keep painted, or any pictures beside --captions."""
    out: Path
    """The folder to write page.html and key.json to."""
    against: Path | None = None
    """semantics and fidelity: the other system's pictures of the same captions, found by the same ids."""
    captions: Path | None = None
    """COCO's captions_*.json, for pictures that no list of paintings names; one caption of each is drawn."""
    names: tuple[str, ...] = ()
    """semantics and fidelity: what the two systems are called; by default after their folders."""
    words: Literal["coco", "world"] | None = None
    """hummus: whose words are hidden; by default what suits the paintings, else COCO's."""
    count: int = 100
    """Blanks of each category, or pairs."""
    seed: int = 0
    """Of all draws and orders."""
    json: bool = False
    """Report as JSON."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score the answers that people sent back.

    xlxmert rate score rating/key.json answers/*.json
    """

    key: Annotated[Path, tyro.conf.Positional]
    """The key that was written with the page."""
    answers: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of answers, JSON or CSV."""
    out: Path | None = None
    """Also write the scores to this JSON file."""
    json: bool = False
    """Print JSON instead of a table."""


Options = Annotated[Export, tyro.conf.subcommand("export")] | Annotated[Score, tyro.conf.subcommand("score")]
"""Export or score."""


def run(options: Export | Score) -> int:
    """Write a page, or score its answers."""
    return _export(options) if isinstance(options, Export) else _score(options)


def _export(options: Export) -> int:
    found = _hummus(options) if options.question == "hummus" else _pairs(options, options.question)
    if options.json:
        print_json({"page": str(found.page), "key": str(found.key), "items": found.items})
    else:
        print_table(("for people", "for you", "questions"), [(str(found.page), str(found.key), str(found.items))])
    return 0


def _hummus(options: Export) -> Exported:
    if options.against is not None or options.names:
        raise UsageError("expected no --against and no --names for hummus, found some: it looks at one system")
    collection = read_collection(options.pictures, options.captions, options.seed)
    lexicon = LEXICONS[options.words or collection.words or "coco"]
    return export_hummus(collection.pictures, lexicon, options.out, options.count, options.seed, str(options.pictures))


def _pairs(options: Export, question: Literal["semantics", "fidelity"]) -> Exported:
    if options.against is None:
        raise UsageError(f"expected --against for {question}, found none: pass the other system's pictures")
    names = options.names or tuple(folder.resolve().name for folder in (options.pictures, options.against))
    if len(names) != 2 or len(set(names)) != 2:
        raise UsageError(f"expected two different names of systems, found {', '.join(names)}: pass --names ONE OTHER")
    pairs = paired(read_collection(options.pictures, options.captions, options.seed), options.against)
    return export_pairs(question, pairs, (names[0], names[1]), options.out, options.count, options.seed)


def _score(options: Score) -> int:
    found = score_ratings(options.key, options.answers)
    report = asdict(found)
    if options.out is not None:
        write_json(options.out, report)
    if options.json:
        print_json(report)
        return 0
    answered = f"{found.answered} of {found.items} questions"
    print(f"{found.kind}: {found.answers} answers of {found.raters} people to {answered}")
    rows = [(name, f"{value:.2g}" if name == "p" else f"{value:.3f}") for name, value in found.scores.items()]
    print_table(("score", "value"), rows)
    return 0
