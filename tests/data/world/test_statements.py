"""Statements over pairs: half of them true, each rule as its words say, everything a pure function of the key."""

from collections import Counter

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.data.nlvr2 import picture_names
from xlxmert.data.world.lexicon import BY_SPRITE
from xlxmert.data.world.scene import SPLITS, Item, Scene, held_out
from xlxmert.data.world.statements import KINDS, PAIRS, Statement, _candidates, make_pair_set

SETS = [make_pair_set("train", 3, index) for index in range(28)]


def scene(setting: str, *nouns: str, colour: str = "") -> Scene:
    return Scene(setting, 0, tuple(Item(noun, colour, "", "", 2 * place, 4) for place, noun in enumerate(nouns)))


def statement(text: str, topic: str = "car", colour: str = "red", setting: str = "beach") -> Statement:
    return next(each for each in _candidates(BY_SPRITE[topic], colour, setting) if each.text == text)


def test_every_sentence_is_true_of_half_of_its_pairs() -> None:
    for pair_set in SETS:
        labels = Counter((record.sentence, record.label) for record in pair_set.records())
        assert set(labels.values()) == {PAIRS // 2}
        assert len(pair_set.statements) in (1, 2)
        assert len({each.kind for each in pair_set.statements}) == len(pair_set.statements)


def test_kinds_take_turns() -> None:
    assert [pair_set.statements[0].kind for pair_set in SETS[: len(KINDS)]] == list(KINDS)


def test_labels_are_what_the_rules_say_of_the_very_pictures() -> None:
    for pair_set in SETS:
        pictures, rules = pair_set.pictures(), {each.text: each.holds for each in pair_set.statements}
        assert len(pictures) == 2 * PAIRS
        for record in pair_set.records():
            assert rules[record.sentence](pictures[record.left_id], pictures[record.right_id]) == record.label


def test_identifiers_follow_the_published_rule_and_are_unique() -> None:
    records = [record for pair_set in SETS for record in pair_set.records()]
    assert all((r.left_id, r.right_id) == picture_names(r.identifier) for r in records)
    assert len({r.identifier for r in records}) == len(records)
    assert records[0].identifier == "train-0-0-0"
    assert {split: make_pair_set(split, 0, 5).records()[3].identifier for split in SPLITS} == {
        "train": "train-5-3-0", "val": "dev-5-3-0", "test": "test1-5-3-0", "heldout": "heldout-5-3-0"
    }  # fmt: skip


@pytest.mark.parametrize("split", SPLITS)
def test_pictures_keep_to_the_combinations_of_their_split(split: str) -> None:
    for index in range(3):
        for shown in make_pair_set(split, 1, index).pictures().values():
            held = any(held_out(item.noun, item.colour, shown.setting) for item in shown.items)
            assert held == (split == "heldout")


def test_a_set_depends_on_its_key_alone() -> None:
    again = make_pair_set("train", 3, 7)
    assert again.pairs == SETS[7].pairs and again.records() == SETS[7].records()
    assert make_pair_set("train", 4, 7).pairs != again.pairs
    assert make_pair_set("val", 3, 7).pairs != again.pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("both pictures contain a car", [True, False, False, False]),
        ("exactly one picture contains a car", [False, True, True, False]),
        ("at least one picture contains a car", [True, True, True, False]),
        ("neither picture contains a car", [False, False, False, True]),
        ("the left picture contains a car", [True, True, False, False]),
        ("the right picture contains a car", [True, False, True, False]),
        ("there are exactly three cars in total", [True, False, False, False]),
        ("there are at least two cars in total", [True, True, False, False]),
        ("there is exactly one car in total", [False, False, True, False]),
        ("the left picture has more cars than the right picture", [True, True, False, False]),
        ("the right picture has more cars than the left picture", [False, False, True, False]),
        ("the pictures have the same number of cars", [False, False, False, True]),
    ],
)
def test_sentences_about_things_mean_what_they_say(text: str, expected: list[bool]) -> None:
    two, one, none = scene("beach", "car", "car", "dog"), scene("snow", "car"), scene("sea", "boat")
    pairs = [(two, one), (two, none), (none, one), (none, none)]
    assert [statement(text).holds(*pair) for pair in pairs] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("both pictures were taken on the beach", [True, False, False, False]),
        ("the left picture was taken at the beach", [True, True, False, False]),
        ("the right picture was taken on the beach", [True, False, True, False]),
        ("exactly one of the pictures was taken on the beach", [False, True, True, False]),
        ("at least one of the pictures was taken on the beach", [True, True, True, False]),
        ("both pictures show the same place", [True, False, False, True]),
    ],
)
def test_sentences_about_places_mean_what_they_say(text: str, expected: list[bool]) -> None:
    beach, snow = scene("beach", "dog"), scene("snow", "dog")
    pairs = [(beach, beach), (beach, snow), (snow, beach), (snow, snow)]
    assert [statement(text).holds(*pair) for pair in pairs] == expected


def test_colours_and_actions_are_part_of_what_is_counted() -> None:
    red, blue = scene("snow", "car", colour="red"), scene("snow", "car", colour="blue")
    both = statement("both pictures contain a red car")
    assert both.holds(red, red) and not both.holds(red, blue)
    more = statement("the left picture has more red things than the right picture")
    assert more.holds(red, blue) and not more.holds(blue, blue)
    running, walking = (Scene("snow", 0, (Item("man", "", "", action, 0, 0),)) for action in ("running", "walking"))
    runs = statement("the left picture contains a man running", "man-running", "")
    assert runs.holds(running, walking) and not runs.holds(walking, running)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a split of train, val, test, heldout"):
        make_pair_set("minival", 0, 0)
