"""The built-in world's words by category, for hard R-precision and HUMMUS: each is one that its models know."""

from xlxmert.data.word_lists import Lexicon
from xlxmert.data.world.lexicon import ACTIONS, COLOURS, NUMBERS, PLURALS, SETTINGS

WORLD_WORDS = Lexicon(
    "world",
    {
        "noun": tuple(PLURALS.items()),
        "verb": tuple(tuple(dict.fromkeys((action, action.split()[0]))) for action in ACTIONS),
        "colour": tuple((colour,) for colour in COLOURS),
        "number": tuple((number,) for number in NUMBERS[2:]),
    },
    passed=tuple(phrase for phrases in SETTINGS.values() for phrase in phrases),
)
"""108 nouns, 8 actions (``riding`` will do for ``riding a bike``), 10 colours and the numbers two to five: what stands
once has an article, no number."""
