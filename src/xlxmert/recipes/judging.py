"""What painted pictures are measured with: feature networks, scorers of captions, word lists, and the studio as both.

The measures themselves are in `xlxmert.tasks.painting_scores`; here they get their networks.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from xlxmert.core.axes import Float
from xlxmert.core.errors import UsageError
from xlxmert.data.coco_words import COCO_WORDS
from xlxmert.data.rivals import HIDDEN, Gap, easy_choices, gaps, hard_choices
from xlxmert.data.word_lists import CATEGORIES, Lexicon
from xlxmert.data.world.word_list import WORLD_WORDS
from xlxmert.studio import Studio
from xlxmert.studio.gap_filler import GapFiller
from xlxmert.tasks.painting_scores import AutoHummus, FactJudge, Fidelity, Measure, Pixels, RPrecision, Scorer
from xlxmert.vision.clip import DEFAULT as CLIP
from xlxmert.vision.clip import open_clip
from xlxmert.vision.fidelity_networks import open_network

TASKS = ("fidelity", "r-precision", "hummus")
"""What can be measured of any painted pictures."""
LEXICONS = {lexicon.name: lexicon for lexicon in (COCO_WORDS, WORLD_WORDS)}
"""Word lists by name."""
SCORERS = "own, world, clip or clip:MODEL/WEIGHTS"


@dataclass(frozen=True)
class Judging:
    """How painted pictures are judged."""

    network: str = "auto"
    """Whose features FID and KID compare."""
    scorer: str = "own"
    """Who says which caption fits: the checkpoint's own head, the world's parser, or CLIP."""
    words: str = "coco"
    """Whose words are swapped and hidden."""

    def __post_init__(self) -> None:
        """Refuse unknown word lists."""
        if self.words not in LEXICONS:
            raise UsageError(f"expected words of {', '.join(LEXICONS)}, found '{self.words}': choose one of them")


ON_WORLD = Judging(scorer="world", words="world")
"""What suits the built-in world."""


@dataclass(frozen=True)
class Asked:
    """The captions that pictures were painted from, and those that may be their rivals."""

    captions: Sequence[str]
    owners: Sequence[Hashable]
    """The real picture of each caption."""
    pool: Sequence[tuple[Hashable, str]]
    """All captions with their pictures."""


@dataclass(frozen=True)
class OwnHead:
    """A checkpoint's own matching head as a scorer; where its probabilities are all 1, their log-odds still differ."""

    studio: Studio
    name: str = "the checkpoint's own matching head, log-odds"

    def __call__(self, pictures: Sequence[Pixels], captions: Sequence[Sequence[str]]) -> list[Float[np.ndarray, " C"]]:
        """Log-odds of each picture's captions."""
        return [
            self.studio.retrieve([picture], readable(self.studio, texts)[0]).odds[0]
            for picture, texts in zip(pictures, captions, strict=True)
        ]


def measures_of(tasks: Sequence[str], asked: Asked, studio: Studio, judging: Judging, seed: int) -> list[Measure]:
    """The measures of some of `TASKS`, their networks opened.

    Raises:
        UsageError: a name is unknown, or there are too few captions.
        XlxmertError: an optional package or its weights are missing.
    """
    makers: dict[str, Callable[[Asked, Studio, Judging, int], Measure]] = {
        "fidelity": _fidelity,
        "r-precision": _r_precision,
        "hummus": _auto_hummus,
    }
    return [makers[task](asked, studio, judging, seed) for task in TASKS if task in tasks]


def open_scorer(name: str, studio: Studio) -> Scorer:
    """A scorer by name.

    Raises:
        UsageError: the name is unknown.
        XlxmertError: CLIP's package or weights are missing.
    """
    if name == "own":
        return OwnHead(studio)
    if name == "world":
        return FactJudge()
    kind, _, weights = name.partition(":")
    if kind != "clip":
        raise UsageError(f"expected a scorer of {SCORERS}, found '{name}': choose one of them")
    return open_clip(weights or CLIP, studio.device)


def readable(studio: Studio, texts: Sequence[str]) -> tuple[list[str], int]:
    """The texts without the last words of those that are too long for the model; and how many these are."""
    tokenizer, most = studio.bundle.tokenizer, studio.bundle.most_words
    kept = []
    for text in texts:
        while len(tokenizer.ids(text)) - 2 > most and " " in text.strip():
            text = text.strip().rpartition(" ")[0]
        kept.append(text)
    return kept, sum(short != text for short, text in zip(kept, texts, strict=True))


def _fidelity(asked: Asked, studio: Studio, judging: Judging, seed: int) -> Fidelity:
    return Fidelity(open_network(judging.network, studio.device), seed)


def _r_precision(asked: Asked, studio: Studio, judging: Judging, seed: int) -> RPrecision:
    lexicon = LEXICONS[judging.words]
    choices = {"easy": easy_choices(asked.captions, asked.pool, asked.owners, seed)}
    choices |= {f"hard/{name}": hard_choices(asked.captions, lexicon, name, seed) for name in CATEGORIES}
    return RPrecision(open_scorer(judging.scorer, studio), choices, {"words": lexicon.name, "seed": seed})


def _auto_hummus(asked: Asked, studio: Studio, judging: Judging, seed: int) -> AutoHummus:
    lexicon = LEXICONS[judging.words]
    found = [gap for name in HIDDEN for gap in _short_gaps(asked.captions, lexicon, name, studio, seed)]
    if not found:
        raise UsageError(
            f"expected captions with words of the list '{lexicon.name}', found none in {len(asked.captions)}: "
            "pass --words"
        )
    filler = GapFiller(studio.bundle, studio.device)

    def fill(pictures: Sequence[Pixels], some: Sequence[Gap]) -> list[str]:
        return filler.fill(pictures, [(g.before, g.after) for g in some], [g.written for g in some])

    return AutoHummus(fill, found, {"filler": filler.name, "words": lexicon.name, "seed": seed})


def _short_gaps(captions: Sequence[str], lexicon: Lexicon, category: str, studio: Studio, seed: int) -> list[Gap]:
    """Captions with a hidden word; one that the model cannot read whole hides none."""
    whole = ["" if readable(studio, [text])[1] else text for text in captions]
    return gaps(whole, lexicon, category, seed)
