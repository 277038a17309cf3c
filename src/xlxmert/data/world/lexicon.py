"""The words of the built-in world: nouns with their emoji, colours, sizes, actions, settings and relations.

Every other file of the world reads its words from here, so that a picture, its captions, its questions and its parse
agree.
"""

from dataclasses import dataclass

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 44),
    "orange": (250, 130, 20),
    "yellow": (252, 212, 30),
    "green": (48, 170, 60),
    "blue": (36, 100, 230),
    "purple": (138, 58, 200),
    "pink": (252, 132, 186),
    "brown": (128, 78, 40),
    "black": (44, 44, 50),
    "white": (240, 240, 244),
}
"""The ten colours that a sprite can be tinted with, as mid-tone RGB."""

SIZES: dict[str, int] = {"small": 44, "": 64, "big": 96}
"""Side of a drawn sprite in pixels of a 256-pixel picture, by size word; no word is the common size."""

RELATIONS = ("left of", "right of", "above", "below")
"""Relations between two groups; ``a left of b`` compares the centres of the two groups."""

NUMBERS = ("no", "one", "two", "three", "four", "five")
"""Number words, by number."""


@dataclass(frozen=True)
class Noun:
    """A kind of thing: its name, its sprite and what can be said of it."""

    name: str
    emoji: str
    kind: str
    """``animal``, ``vehicle``, ``food``, ``plant``, ``thing``, ``building`` or ``person``."""
    plural: str = ""
    tinted: bool = False
    """Whether the sprite can carry the ten colours."""
    flies: bool = False
    """Whether it is mostly found in the upper half of a picture."""
    action: str = ""
    """What a person does, as a present participle; empty for everything else."""

    @property
    def sprite(self) -> str:
        """File stem of the sprite, for example ``car`` or ``man-riding-a-bike``."""
        return f"{self.name} {self.action}".strip().replace(" ", "-")

    @property
    def many(self) -> str:
        """The plural."""
        return self.plural or f"{self.name}s"


def _nouns(kind: str, table: str, tinted: bool = False, flies: bool = False) -> list[Noun]:
    """The nouns of a table ``name:emoji[:plural]; …``."""
    rows = ([part.strip() for part in row.split(":")] for row in table.split(";"))
    return [Noun(name, emoji, kind, plural, tinted, flies) for name, emoji, plural in ([*row, ""][:3] for row in rows)]


PEOPLE: dict[str, dict[str, str]] = {
    "man": {
        "walking": "🚶‍♂️", "running": "🏃‍♂️", "dancing": "🕺", "surfing": "🏄‍♂️", "swimming": "🏊‍♂️",
        "riding a bike": "🚴‍♂️", "lifting weights": "🏋️‍♂️", "golfing": "🏌️‍♂️",
    },
    "woman": {
        "walking": "🚶‍♀️", "running": "🏃‍♀️", "dancing": "💃", "surfing": "🏄‍♀️", "swimming": "🏊‍♀️",
        "riding a bike": "🚴‍♀️", "lifting weights": "🏋️‍♀️", "golfing": "🏌️‍♀️",
    },
}  # fmt: skip
"""People by what they do."""

ACTIONS = tuple(PEOPLE["man"])
"""What a person can be doing."""

NOUNS: tuple[Noun, ...] = (
    *_nouns("animal", """cat:🐈; dog:🐕; horse:🐎; cow:🐄; sheep:🐑:sheep; elephant:🐘; bear:🐻; zebra:🦓; giraffe:🦒;
        pig:🐖; rabbit:🐇; mouse:🐁:mice; monkey:🐒; lion:🦁; tiger:🐅; fox:🦊:foxes; frog:🐸; penguin:🐧;
        chicken:🐔; snake:🐍; turtle:🐢; octopus:🐙:octopuses; whale:🐳; dolphin:🐬; crab:🦀; snail:🐌; panda:🐼;
        koala:🐨; camel:🐫; kangaroo:🦘"""),
    *_nouns("animal", "bird:🐦; butterfly:🦋:butterflies; bee:🐝; owl:🦉; parrot:🦜", flies=True),
    *_nouns("animal", "fish:🐟:fish", tinted=True),
    *_nouns("vehicle", "car:🚗; truck:🚚; bicycle:🚲; motorcycle:🏍️", tinted=True),
    *_nouns("vehicle", "bus:🚌:buses; train:🚂; boat:⛵"),
    *_nouns("vehicle", "airplane:✈️; rocket:🚀; helicopter:🚁", flies=True),
    *_nouns("food", """banana:🍌; pizza:🍕; cake:🎂; donut:🍩; sandwich:🥪:sandwiches; hot dog:🌭; carrot:🥕;
        strawberry:🍓:strawberries; watermelon:🍉; croissant:🥐; egg:🥚; pretzel:🥨; cookie:🍪; pineapple:🍍; lemon:🍋;
        burger:🍔; taco:🌮; cherry:🍒:cherries"""),
    *_nouns("food", "apple:🍎", tinted=True),
    *_nouns("plant", "tree:🌳; cactus:🌵:cacti; mushroom:🍄; sunflower:🌻; palm tree:🌴"),
    *_nouns("plant", "tulip:🌷", tinted=True),
    *_nouns("building", "house:🏠; castle:🏰; tent:⛺"),
    *_nouns("thing", """teddy bear:🧸; clock:🕰️; toilet:🚽; laptop:💻; tv:📺; toothbrush:🪥:toothbrushes;
        wine glass:🍷:wine glasses; traffic light:🚦; camera:📷; drum:🥁; snowman:⛄:snowmen; robot:🤖; shoe:👟;
        skateboard:🛹; soccer ball:⚽; basketball:🏀"""),
    *_nouns("thing", """umbrella:☂️; chair:🪑; book:📕; backpack:🎒; handbag:👜; shirt:👕; dress:👗:dresses;
        cap:🧢; heart:❤️; star:⭐; bell:🔔; guitar:🎸; key:🔑; bed:🛏️; crown:👑""", tinted=True),
    *_nouns("thing", "balloon:🎈", tinted=True, flies=True),
    *(Noun(who, emoji, "person", "men" if who == "man" else "women", action=action)
      for who, actions in PEOPLE.items() for action, emoji in actions.items()),
)  # fmt: skip
"""Every sprite of the world: a thing, or a person doing something."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "field": ("in a field", "on the grass"),
    "beach": ("on the beach", "at the beach"),
    "snow": ("in the snow", "on a snowy day"),
    "night": ("at night", "under a night sky"),
    "sea": ("at sea", "on the water"),
    "desert": ("in the desert", "on the desert sand"),
    "street": ("on the street", "on a city street"),
    "room": ("in a room", "inside a room"),
    "forest": ("in the forest", "among the trees of a forest"),
    "sunset": ("at sunset", "under a sunset sky"),
    "mountains": ("in the mountains", "in front of mountains"),
    "space": ("in space", "in outer space"),
}
"""Settings and the phrases that say where."""

VARIANTS = 4
"""Procedural drawings of each setting."""

THINGS: tuple[str, ...] = tuple(dict.fromkeys(noun.name for noun in NOUNS))
"""Noun names, people once each."""

BY_SPRITE: dict[str, Noun] = {noun.sprite: noun for noun in NOUNS}
"""Nouns by sprite."""

PLURALS: dict[str, str] = {noun.name: noun.many for noun in NOUNS}
"""Plural of every noun name."""


def article(phrase: str) -> str:
    """The phrase with ``a`` or ``an``."""
    return f"{'an' if phrase[0] in 'aeiou' and not phrase.startswith(('uni', 'one')) else 'a'} {phrase}"
