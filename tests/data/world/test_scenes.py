"""Scenes: pure functions of (split, seed, index), one to five sprites apart from each other, splits that keep apart."""

import functools
from itertools import combinations

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.data.world.captions import make_captions
from xlxmert.data.world.lexicon import BY_SPRITE, COLOURS, NOUNS, RELATIONS, SETTINGS, VARIANTS
from xlxmert.data.world.scene import GRID, SPLITS, Cut, Item, Scene, held_out, make_scene

COUNTS = {"train": 200, "val": 100, "test": 100, "heldout": 24}
"""Scenes per split; a held-out scene takes many tries, which the type checker makes slow."""
DOG, CAR, BIG_CAR = (
    Item(*row) for row in [("dog", "", "", "", 4, 0), ("car", "red", "", "", 0, 2), ("car", "red", "big", "", 0, 4)]
)
SMALL_SCENE = Scene("beach", 0, (CAR, BIG_CAR, DOG))


@functools.cache
def scenes(split: str) -> list[Scene]:
    return [make_scene(split, 0, index) for index in range(COUNTS[split])]


def all_scenes() -> list[Scene]:
    return [scene for split in SPLITS for scene in scenes(split)]


@pytest.mark.parametrize("split", SPLITS)
def test_a_scene_is_the_same_every_time_and_alone(split: str) -> None:
    assert all(make_scene(split, 0, index) == scenes(split)[index] for index in range(19, -1, -4))


@pytest.mark.parametrize("key", [("val", 0, 7), ("train", 1, 7), ("train", 0, 8)])
def test_split_seed_and_index_each_change_the_scene(key: tuple[str, int, int]) -> None:
    assert make_scene(*key) != make_scene("train", 0, 7)


@pytest.mark.parametrize("split", SPLITS)
def test_one_to_five_items_stand_inside_and_apart(split: str) -> None:
    for scene in scenes(split):
        assert 1 <= len(scene.items) <= 5
        assert 1 <= len(scene.groups) <= 3
        assert all(0 <= edge <= 1 for item in scene.items for edge in item.box)
        assert not any(one.cells & two.cells for one, two in combinations(scene.items, 2))
        assert all(0 <= x < GRID and 0 <= y < GRID for item in scene.items for x, y in item.cells)


def test_items_of_a_group_are_alike_and_of_the_lexicon() -> None:
    for scene in all_scenes():
        assert scene.setting in SETTINGS and 0 <= scene.variant < VARIANTS
        for group in scene.groups:
            assert len({(item.noun, item.colour, item.size, item.action) for item in group}) == 1
            assert BY_SPRITE[group[0].sprite].tinted == bool(group[0].colour)


def test_held_out_combinations_are_in_every_heldout_scene_and_in_no_other() -> None:
    for split in SPLITS:
        for scene in scenes(split):
            kept_away = [held_out(item.noun, item.colour, scene.setting) for item in scene.items]
            assert any(kept_away) == (split == "heldout")


def test_about_one_combination_in_ten_is_held_out() -> None:
    tinted = [
        (noun.name, colour, setting) for noun in NOUNS if noun.tinted for colour in COLOURS for setting in SETTINGS
    ]
    assert 0.08 < sum(held_out(*combination) for combination in tinted) / len(tinted) < 0.12
    assert not any(held_out(noun.name, "", setting) for noun in NOUNS for setting in SETTINGS)


def test_every_setting_variant_and_number_of_items_occurs() -> None:
    assert {(scene.setting, scene.variant) for scene in all_scenes()} == {
        (s, v) for s in SETTINGS for v in range(VARIANTS)
    }
    assert {len(scene.items) for scene in all_scenes()} == {1, 2, 3, 4, 5}
    assert {len(scene.groups) for scene in all_scenes()} == {1, 2, 3}


@pytest.mark.parametrize(
    ("fact", "truth"),
    [
        (("noun", "dog"), True),
        (("noun", "cat"), False),
        (("count", "car", "2"), True),
        (("count", "car", "1"), False),
        (("count", "cat", "0"), True),
        (("colour", "car", "red"), True),
        (("colour", "dog", "red"), False),
        (("size", "car", "big"), True),
        (("size", "car", "small"), False),
        (("action", "dog", "running"), False),
        (("relation", "car", "left of", "dog"), True),
        (("relation", "dog", "right of", "car"), True),
        (("relation", "dog", "above", "car"), True),
        (("relation", "car", "above", "dog"), False),
        (("setting", "beach"), True),
        (("setting", "night"), False),
    ],
)
def test_facts_of_a_known_scene(fact: tuple[str, ...], truth: bool) -> None:
    assert SMALL_SCENE.holds(fact) is truth
    assert SMALL_SCENE.right([fact]) == {fact: truth}


def test_a_relation_and_its_reverse_never_both_hold() -> None:
    reverse = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for scene in all_scenes():
        for one, two in combinations([group[0].noun for group in scene.groups], 2):
            for relation in RELATIONS:
                held = scene.relation_holds(one, relation, two)
                assert held == scene.relation_holds(two, reverse[relation], one)
                assert not (held and scene.relation_holds(one, reverse[relation], two))


def test_unknown_splits_and_facts_are_refused() -> None:
    with pytest.raises(UsageError, match="expected a split of train, val, test, heldout, found 'dev'"):
        make_scene("dev", 0, 0)
    with pytest.raises(ValueError, match="expected a fact of the kinds"):
        SMALL_SCENE.holds(("smell", "dog"))


def test_a_cut_knows_what_its_scenes_can_show() -> None:
    cut = Cut(nouns=("car", "dog"), colours=("red",), settings=("beach",), sizes=False)
    stated = [c.facts for i in range(20) for c in make_captions(make_scene("train", 0, i, cut), "train", 0, i)]
    assert all(cut.shows(fact) for facts in stated for fact in facts)
    for fact in (
        ("noun", "cat"),
        ("colour", "car", "blue"),
        ("count", "cat", "2"),
        ("size", "car", "big"),
        ("relation", "car", "above", "cat"),
        ("setting", "snow"),
    ):
        assert not cut.shows(fact) and Cut().shows(fact)


def test_a_cut_without_such_scenes_is_refused_and_not_searched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlxmert.data.world.scene.TRIES", 20)
    with pytest.raises(UsageError, match=r"split 'heldout' in Cut.*found none in 20 tries"):
        make_scene("heldout", 0, 0, Cut(nouns=("dog",)))  # a dog has one colour: nothing of it is held out
    for wrong in ({"nouns": ("unicorn",)}, {"colours": ()}, {"settings": ("moon",)}):
        with pytest.raises(UsageError, match=f"expected {next(iter(wrong))} of .*: change it"):
            Cut(**wrong)
