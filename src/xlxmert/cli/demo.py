"""``xlxmert demo``: everything the bundled checkpoint can do, in one table and one gallery."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.cli.common import Common, print_json, print_table, progress
from xlxmert.core.axes import UInt8
from xlxmert.data.world.captions import facts_of_text
from xlxmert.data.world.questions import make_questions
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import Cut, make_scene
from xlxmert.studio import Studio
from xlxmert.studio.gallery import Asked, Entry, write_gallery

PROMPTS = (
    "two red cars on the beach",
    "three yellow balloons above a house in the mountains",
    "a man surfing at sea",
    "a zebra to the left of a tree in a field",
    "a big elephant in the desert",
    "a blue umbrella to the right of a dog in the snow",
    "a woman riding a bike on a city street",
    "four penguins in the snow",
    "a cat and a purple guitar in a room",
    "a rocket above a castle at night",
    "five pink tulips in the forest",
    "a green truck below an airplane at sunset",
    "two red hearts on the beach",
    "a yellow balloon above a house in a field",
    "three zebras in the desert",
    "a blue car in the snow",
    "a dog to the left of a tree",
    "an elephant at night",
    "a black umbrella and a pizza",
    "four green chairs in a field",
    "a red truck below an airplane",
    "a cat on the beach",
)
"""What is painted: the first of these about the checkpoint's part of the world, in words that it knows."""
PAINTED = 12
"""How many."""
PICTURES = 6
"""How many pictures of the world's test split are captioned and asked about."""
QUESTIONS = 4
"""How many questions about each."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Paint, caption and answer with a checkpoint, and write a gallery.

    With --from-scratch, first walk the whole road in small: world, codebook, training, and only then the demo.
    """

    out: Path = Path("demo")
    """The folder of the gallery."""
    seed: int = 0
    """Of the paintings."""
    from_scratch: bool = False
    """Train a small model first and show that one."""
    overwrite: bool = False
    """Replace a gallery that xlxmert did not write."""


def run(options: Options) -> int:
    """Do everything and say where the gallery lies."""
    studio = _trained(options) if options.from_scratch else options.studio()
    painted = _paint(studio, options.seed)
    seen = _look(studio)
    scores = studio.bundle.facts.get("scores", {})
    page = write_gallery(options.out, [*painted, *seen], "xlxmert demo", scores, options.overwrite)
    if options.json:
        sheet = str(page.with_name("gallery.png"))
        told = {"painted": [entry.title for entry in painted], "seen": [_as_json(entry) for entry in seen]}
        print_json({"gallery": str(page), "sheet": sheet, **told})
        return 0
    print_table(("painted", "seed"), [(entry.title, str(options.seed)) for entry in painted])
    print_table(("picture", "caption"), [(entry.title, caption.text) for entry in seen for caption in entry.captions])
    rows = [(entry.title, asked.question, _short(asked), asked.truth) for entry in seen for asked in entry.asked]
    print_table(("picture", "question", "answers", "true answer"), rows)
    print(f"gallery: {page} and {page.with_name('gallery.png')}")
    return 0


def _trained(options: Options) -> Studio:
    """Train a checkpoint with the small recipe and open it."""
    from xlxmert.recipes import small_world

    return Studio.from_pretrained(small_world.run(options.out / "from-scratch"), options.device)


def _paint(studio: Studio, seed: int) -> list[Entry]:
    """The chosen prompts as pictures."""
    cut = _cut(studio)
    shown = [prompt for prompt in PROMPTS if all(map(cut.shows, facts_of_text(prompt)))]
    known = [prompt for prompt in shown if not studio.bundle.tokenizer.unknown_words(prompt)]
    prompts = (known or PROMPTS)[:PAINTED]
    entries = []
    for painting in progress(studio.paint_each(prompts, seed), len(prompts), "painting"):
        for note in painting.notes:
            print(f"note: {note}", file=sys.stderr)
        entries.append(Entry(painting.picture, painting.prompt, "Painted from words", f"seed {seed}"))
    return entries


def _look(studio: Studio) -> list[Entry]:
    """Pictures that no training saw, with captions and answers beside the true ones."""
    entries = []
    cut = _cut(studio)
    for name, picture, asked in progress((_unseen(index, cut) for index in range(PICTURES)), PICTURES, "looking"):
        asked = [(question, truth) for question, truth in asked if not studio.bundle.tokenizer.unknown_words(question)]
        answers = studio.answer(picture, [question for question, _ in asked])[0] if asked else []
        told = tuple(
            Asked(question, tuple(found), truth) for (question, truth), found in zip(asked, answers, strict=True)
        )
        captions = tuple(studio.caption(picture)[0])
        entries.append(Entry(picture, name, "Captions and answers for unseen pictures", captions=captions, asked=told))
    return entries


def _cut(studio: Studio) -> Cut:
    """The part of the world that the checkpoint was trained on."""
    stored = studio.bundle.facts.get("recipe", {}).get("cut", {})
    fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in stored.items()}
    return Cut(**fields)


def _unseen(index: int, cut: Cut) -> tuple[str, UInt8[np.ndarray, "S S 3"], list[tuple[str, str]]]:
    """A picture of the test split, with questions and their true answers."""
    scene = make_scene("test", 0, index, cut)
    questions = make_questions(scene, "test", 0, index, count=QUESTIONS)
    return f"test picture {index}", render(scene), [(question.text, question.answer) for question in questions]


def _short(asked: Asked) -> str:
    return "   ".join(f"{answer.text} {answer.confidence:.0%}" for answer in asked.answers)


def _as_json(entry: Entry) -> dict[str, object]:
    captions = [{"text": caption.text, "score": round(caption.score, 4)} for caption in entry.captions]
    return {"picture": entry.title, "captions": captions, "asked": [asdict(asked) for asked in entry.asked]}
