"""Words of everyday pictures by category, for hard R-precision and HUMMUS on COCO and captions like COCO's.

COCO's 80 object names, 64 verbs, 10 colours and 10 numbers, as many as X-LXMERT used (Sec. 6.1). The paper's own verbs,
colours and numbers were never published; these are common in captions, and no two of the verbs mean the same.

Without a part-of-speech tagger, rules on the neighbours tell ``a man skis`` from ``a man on skis`` and ``an orange``
from ``an orange cat``; in doubt a word is passed over.
"""

from dataclasses import replace

from xlxmert.data.word_lists import Context, Lexicon, Word

_OBJECTS = """
    person:people bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign
    parking_meter bench bird cat dog horse sheep:sheep cow elephant bear zebra giraffe backpack umbrella handbag tie
    suitcase frisbee pair_of_skis:skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard
    tennis_racket bottle wine_glass cup fork knife:knives spoon bowl banana apple sandwich orange broccoli:broccoli
    carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet tv laptop mouse:mice remote
    keyboard cell_phone microwave oven toaster sink refrigerator book clock vase pair_of_scissors:scissors
    teddy_bear hair_drier toothbrush
"""
"""COCO's object names; an irregular plural stands behind a colon."""

_VERBS = """
    bite:bit:bitten brush carry catch:caught:caught chase climb cook cross cut:cut:cut dance drink:drank:drunk
    drive:drove:driven eat:ate:eaten feed:fed:fed fill float fly:flew:flown graze hang:hung:hung hit:hit:hit
    hold:held:held jump kick kneel:knelt:knelt land lay:laid:laid lean lick look open park pet play pose prepare pull
    push reach read:read:read rest ride:rode:ridden row run:ran:run sail serve sit:sat:sat skateboard ski
    sleep:slept:slept smile snowboard stand:stood:stood surf swim:swam:swum swing:swung:swung talk throw:threw:thrown
    touch travel use wait walk watch wear:wore:worn
"""
"""Verbs; irregular past and participle stand behind colons."""

_COLOURS = "red orange yellow green blue purple pink brown black white"
_NUMBERS = "one two three four five six seven eight nine ten"
_DOUBLED = ("cut", "hit", "pet", "run", "sit", "swim")
"""Verbs that double their last letter before ``-ing`` and ``-ed``."""

_PASSED = """
    parking_lot parking_lots parking_meter parking_meters parking_space parking_spaces parking_garage
    swimming_pool dining_room living_room cutting_board cutting_boards washing_machine sitting_room
    running_shoes drinking_fountain running_water remote_control remote_controls train_station
    train_stations train_track train_tracks bus_stop bus_stops bus_station fire_truck fire_trucks
    cooking_pot frying_pan black_and_white
"""
"""Phrases in which a word of the lists means something else."""

_DETERMINERS = """a an the this that these those his her its their my your our some any no every each another other
    several many few both all"""
_SINGULAR = "a an one the this that his her its their each every another"
_PREPOSITIONS = """of in on at by for from with without into onto over under above below near beside behind between
    through across along around against inside outside off up down to as and or"""
_LINKS = "is are was were be been being looks look"
_SUBJECTS = "people men women children they we you who that which to"
_ENDS = f"{_PREPOSITIONS} {_LINKS} . , ; ! ? ) next sitting lying laying cut sliced that which"
"""What an ``orange`` that is a thing may be followed by."""


def _rows(table: str) -> list[list[str]]:
    return [entry.replace("_", " ").split(":") for entry in table.split()]


def _noun(name: str, plural: str = "") -> Word:
    if plural:
        return name, plural
    if name.endswith(("s", "sh", "ch", "x")):
        return name, f"{name}es"
    return name, f"{name}s"


def _verb(base: str, past: str = "", participle: str = "") -> Word:
    """Base, third person, -ing, past, participle."""
    stem = base + base[-1] if base in _DOUBLED else base[:-1] if base.endswith("e") else base
    third = f"{base[:-1]}ies" if base.endswith(("ry", "fly")) else _noun(base)[1]
    regular = f"{base[:-1]}ied" if base.endswith("ry") else f"{stem}ed"
    return base, third, f"{stem}ing", past or regular, participle or past or regular


NOUNS = tuple(_noun(*row) for row in _rows(_OBJECTS))
VERBS = tuple(_verb(*row) for row in _rows(_VERBS))


def _among(word: str, *lists: str) -> bool:
    return any(word in words.split() for words in lists)


def _allowed(context: Context) -> bool:
    """Whether the neighbours are those of a word of this category."""
    return {"noun": _is_noun, "verb": _is_verb, "colour": _is_colour, "number": _is_number}[context.category](context)


def _is_noun(context: Context) -> bool:
    """No colour (``orange``), no verb (``a man skis``); ``sheep`` has the number that the words before it tell."""
    if context.found == "orange" and not _is_fruit(context):
        return False
    if any(_is_verb(replace(context, form=form)) for form in _VERB_FORMS.get(context.found, ())):
        return False
    if context.found in _SAME_PLURAL:
        return (context.form == 0) == any(_among(word, _SINGULAR) for word in context.before[-3:])
    return True


def _is_fruit(context: Context) -> bool:
    """An ``orange`` that is counted or owned and describes nothing behind it."""
    before, after = context.before[-1:], context.after
    counted = bool(before) and _among(before[0], _DETERMINERS, _NUMBERS)
    colours = len(after) > 1 and after[0] == "and" and _among(after[1], _COLOURS)
    return counted and not colours and (not after or _among(after[0], _ENDS))


def _is_colour(context: Context) -> bool:
    return context.found != "orange" or not _is_fruit(context)


def _is_number(context: Context) -> bool:
    """``one`` only where it counts something: not ``this one``, ``one of them``."""
    if context.found != "one":
        return True
    pronoun = bool(context.before) and _among(context.before[-1], _DETERMINERS)
    return not pronoun and bool(context.after) and not _among(context.after[0], _ENDS)


def _is_verb(context: Context) -> bool:
    """By form: -ing and participles always, ``skis`` after a subject, ``ski`` after several; a past as a participle."""
    last = context.before[-1] if context.before else ""
    listed = _among(last, _DETERMINERS, _PREPOSITIONS, _COLOURS, _NUMBERS)
    match context.form:
        case 0:
            return _among(last, _SUBJECTS) or (_is_plural(last) and not listed)
        case 1:
            return last.isalpha() and not listed and not last.endswith("ing")
        case 3:
            return context.found not in _PARTICIPLES
        case _:
            return True


def _is_plural(word: str) -> bool:
    return word in _PLURALS or (len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")))


_SAME_PLURAL = frozenset(noun[0] for noun in NOUNS if noun[0] == noun[1])
_PLURALS = frozenset(noun[1] for noun in NOUNS)
_PARTICIPLES = frozenset(verb[4] for verb in VERBS)
_VERB_FORMS = {form: [place for place in (0, 1) if verb[place] == form] for verb in VERBS for form in verb[:2]}

COCO_WORDS = Lexicon(
    "coco",
    {
        "noun": NOUNS,
        "verb": VERBS,
        "colour": tuple((word,) for word in _COLOURS.split()),
        "number": tuple((word,) for word in _NUMBERS.split()),
    },
    tuple(phrase.replace("_", " ") for phrase in _PASSED.split()),
    _allowed,
)
"""80 nouns, 64 verbs, 10 colours, 10 numbers."""
