"""Scenes of the built-in world: the graphs that pictures, captions and questions are made from, and what holds in them.

A scene is a pure function of (split, seed, index), so any picture can be made again alone. Sprites stand on a lattice
of 2x2 cells of the 8x8 grid (big ones take 3x3 cells), never overlap, and a picture holds one to five in one to three
groups.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator, seed_of
from xlxmert.data.world.lexicon import COLOURS, NOUNS, SETTINGS, VARIANTS, Noun

SPLITS = ("train", "val", "test", "heldout")
"""``heldout`` has combinations of noun, colour and setting that the other splits never show."""

TRIES = 10_000
"""How often a scene is drawn anew before a cut is said to have none."""
GRID = 8
SPAN = {"small": 2, "": 2, "big": 3}
"""Cells per side that a sprite takes, by size word."""

Fact = tuple[str, ...]
"""A statement about a picture: ``("noun", car)``, ``("colour", car, red)``, ``("count", car, "2")``,
``("size", car, big)``, ``("action", man, running)``, ``("relation", car, "left of", dog)``, ``("setting", beach)``."""

FACT_KINDS = ("noun", "colour", "count", "size", "action", "relation", "setting")
"""The kinds of facts, as they are scored."""


@dataclass(frozen=True)
class Item:
    """One sprite in a picture: what it is and where it stands, as the top-left cell of its square."""

    noun: str
    colour: str
    size: str
    action: str
    x: int
    y: int

    @property
    def sprite(self) -> str:
        """The sprite's file stem."""
        return f"{self.noun} {self.action}".strip().replace(" ", "-")

    @property
    def span(self) -> int:
        """Cells per side."""
        return SPAN[self.size]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre in cells."""
        return self.x + self.span / 2, self.y + self.span / 2

    @property
    def box(self) -> tuple[float, float, float, float]:
        """``x0 y0 x1 y1`` in [0, 1]."""
        return self.x / GRID, self.y / GRID, (self.x + self.span) / GRID, (self.y + self.span) / GRID

    @property
    def cells(self) -> frozenset[tuple[int, int]]:
        """The cells it covers, as (x, y)."""
        return frozenset((self.x + i, self.y + j) for i in range(self.span) for j in range(self.span))


@dataclass(frozen=True)
class Scene:
    """A setting and the items in it; items of one group (same noun) follow each other."""

    setting: str
    variant: int
    items: tuple[Item, ...]

    @property
    def groups(self) -> tuple[tuple[Item, ...], ...]:
        """The items by noun, in order of first appearance."""
        nouns = dict.fromkeys(item.noun for item in self.items)
        return tuple(tuple(item for item in self.items if item.noun == noun) for noun in nouns)

    def group(self, noun: str) -> tuple[Item, ...]:
        """All items of a noun."""
        return tuple(item for item in self.items if item.noun == noun)

    def relation_holds(self, first: str, relation: str, second: str) -> bool:
        """Whether every centre of one noun lies on the named side of every centre of the other."""
        a, b = self.group(first), self.group(second)
        if not a or not b or first == second:
            return False
        axis = 0 if relation in ("left of", "right of") else 1
        low, high = (a, b) if relation in ("left of", "above") else (b, a)
        return max(item.centre[axis] for item in low) < min(item.centre[axis] for item in high)

    def holds(self, fact: Fact) -> bool:
        """Whether a fact is true of this scene.

        Raises:
            ValueError: the fact is of no known kind.
        """
        match fact:
            case ("noun", noun):
                return bool(self.group(noun))
            case ("colour", noun, colour):
                return any(item.colour == colour for item in self.group(noun))
            case ("count", noun, count):
                return len(self.group(noun)) == int(count)
            case ("size", noun, size):
                return any(item.size == size for item in self.group(noun))
            case ("action", noun, action):
                return any(item.action == action for item in self.group(noun))
            case ("relation", first, relation, second):
                return self.relation_holds(first, relation, second)
            case ("setting", setting):
                return self.setting == setting
        raise ValueError(f"expected a fact of the kinds {FACT_KINDS}, found {fact}")

    def right(self, facts: Iterable[Fact]) -> dict[Fact, bool]:
        """Every fact with its truth in this scene."""
        return {fact: self.holds(fact) for fact in facts}


@dataclass(frozen=True)
class Cut:
    """A part of the world: which nouns, colours and settings scenes are made of."""

    nouns: tuple[str, ...] = tuple(dict.fromkeys(noun.name for noun in NOUNS))
    """Names of the nouns."""
    colours: tuple[str, ...] = tuple(COLOURS)
    """Colours of tinted nouns."""
    settings: tuple[str, ...] = tuple(SETTINGS)
    """Settings."""
    variants: int = VARIANTS
    """Drawings of each setting."""
    sizes: bool = True
    """Whether there are small and big things."""

    def __post_init__(self) -> None:
        """Refuse words that the world does not have, and a part without nouns, colours or settings."""
        every = {"nouns": {noun.name for noun in NOUNS}, "colours": set(COLOURS), "settings": set(SETTINGS)}
        for field, known in every.items():
            found = getattr(self, field)
            if not found or not known.issuperset(found):
                raise UsageError(f"expected {field} of {', '.join(sorted(known))}, found {found or 'none'}: change it")

    def shows(self, fact: Fact) -> bool:
        """Whether scenes of this part can be about what the fact is about."""
        kind, *words = fact
        if kind == "setting":
            return words[0] in self.settings
        things = words[::2] if kind == "relation" else words[:1]
        known = kind != "colour" or words[1] in self.colours
        return known and (kind != "size" or self.sizes) and all(thing in self.nouns for thing in things)


WORLD = Cut()
"""The whole world."""


def held_out(noun: str, colour: str, setting: str) -> bool:
    """Whether a combination is kept away from the train, val and test splits (about one in ten)."""
    return bool(colour) and seed_of("held out", noun, colour, setting) % 10 == 0


def make_scene(split: str, seed: int, index: int, cut: Cut = WORLD) -> Scene:
    """The scene of (split, seed, index), made of the words of ``cut``.

    Raises:
        UsageError: there is no such split, or the cut has no scene of it.
    """
    if split not in SPLITS:
        raise UsageError(f"expected a split of {', '.join(SPLITS)}, found '{split}'")
    rng = numpy_generator("scene", split, seed, index)
    for _ in range(TRIES):
        scene = _draw(rng, split == "heldout", cut)
        if scene is not None:
            return scene
    raise UsageError(f"expected scenes of the split '{split}' in {cut}, found none in {TRIES} tries: add words")


def _draw(rng: np.random.Generator, want_held_out: bool, cut: Cut) -> Scene | None:
    """One try at a scene: None when the sprites did not fit, or the combinations are of the other split."""
    setting = str(rng.choice(list(cut.settings)))
    groups = min(int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15])), len(set(cut.nouns)))
    nouns = _choose_nouns(rng, groups, cut)
    left, relation = 5, str(rng.choice(["", "left of", "right of", "above", "below"], p=[0.28, 0.18, 0.18, 0.18, 0.18]))
    items: list[Item] = []
    free = {(x, y) for x in range(GRID) for y in range(GRID)}
    for place, noun in enumerate(nouns):
        most = left - (len(nouns) - place - 1)
        size = str(rng.choice(["", "small", "big"], p=[0.76, 0.12, 0.12])) if cut.sizes else ""
        count = min(most, 2 if size == "big" else 5, int(rng.choice([1, 2, 3, 4, 5], p=[0.58, 0.2, 0.12, 0.06, 0.04])))
        colour = str(rng.choice(list(cut.colours))) if noun.tinted else ""
        side = _side(relation, place) if len(nouns) > 1 else ""
        for _ in range(count):
            item = _place(rng, noun, colour, size, free, side)
            if item is None:
                return None
            items.append(item)
            free -= item.cells
        left -= count
    scene = Scene(setting, int(rng.integers(cut.variants)), tuple(items))
    if any(held_out(item.noun, item.colour, setting) for item in items) != want_held_out:
        return None
    if relation and len(nouns) > 1 and not scene.relation_holds(nouns[0].name, relation, nouns[1].name):
        return None
    return scene


def _choose_nouns(rng: np.random.Generator, count: int, cut: Cut) -> list[Noun]:
    """Sprites of different nouns: two in five tinted, about a fifth people, so that colours and actions are common."""
    tinted, people, others = _pools(cut.nouns)
    chosen: dict[str, Noun] = {}
    while len(chosen) < count:
        pool = (tinted, people, others)[int(rng.choice(3, p=[0.4, 0.18, 0.42]))]
        if not pool:
            continue
        noun = pool[int(rng.integers(len(pool)))]
        chosen.setdefault(noun.name, noun)
    return list(chosen.values())


@functools.cache
def _pools(names: tuple[str, ...]) -> tuple[list[Noun], list[Noun], list[Noun]]:
    """Tinted things, people, and everything else among the nouns of these names."""
    nouns = [noun for noun in NOUNS if noun.name in names]
    return (
        [noun for noun in nouns if noun.tinted],
        [noun for noun in nouns if noun.kind == "person"],
        [noun for noun in nouns if not noun.tinted and noun.kind != "person"],
    )


def _side(relation: str, place: int) -> str:
    """Where a group has to stand for the first to be ``relation`` of the second."""
    if not relation or place > 1:
        return ""
    sides = {
        "left of": ("left", "right"),
        "right of": ("right", "left"),
        "above": ("top", "bottom"),
        "below": ("bottom", "top"),
    }
    return sides[relation][place]


def _place(
    rng: np.random.Generator, noun: Noun, colour: str, size: str, free: set[tuple[int, int]], side: str
) -> Item | None:
    """An item on a free place of the lattice, or None when there is none; fliers like the sky and others the ground."""
    last = GRID - SPAN[size]
    spots = [(x, y) for x in range(0, last + 1, 2) for y in range(0, last + 1, 2)]
    items = [Item(noun.name, colour, size, noun.action, x, y) for x, y in spots]
    items = [item for item in items if item.cells <= free and _on_side(item, side)]
    if not items:
        return None
    high = np.array([item.centre[1] < GRID / 2 for item in items])
    weights = np.where(high == noun.flies, 3.0, 1.0)
    return items[int(rng.choice(len(items), p=weights / weights.sum()))]


def _on_side(item: Item, side: str) -> bool:
    x, y = item.centre
    half = GRID / 2
    return {"": True, "left": x <= half, "right": x >= half, "top": y <= half, "bottom": y >= half}[side]
