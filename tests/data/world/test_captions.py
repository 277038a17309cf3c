"""Captions: what they state is true, and reading them back gives exactly that."""

import functools

import pytest

from xlxmert.data.world.captions import Caption, facts_of_text, make_captions, noun_phrase, relations_of
from xlxmert.data.world.scene import Fact, Item, Scene, make_scene

HOT_DOG = (("noun", "hot dog"), ("count", "hot dog", "1"))
TEDDY = (("noun", "teddy bear"), ("count", "teddy bear", "1"))
KEYS = [("heldout" if index % 20 == 0 else "test", index) for index in range(300)]


@functools.cache
def captioned() -> list[tuple[Scene, list[Caption]]]:
    scenes = [make_scene(split, 1, index) for split, index in KEYS]
    return [(scene, make_captions(scene, split, 1, index)) for scene, (split, index) in zip(scenes, KEYS, strict=True)]


def test_there_are_five_captions_and_they_are_the_same_every_time() -> None:
    for (split, index), (scene, captions) in list(zip(KEYS, captioned(), strict=True))[::10]:
        assert len(captions) == 5
        assert captions == make_captions(scene, split, 1, index)


def test_stated_facts_are_true() -> None:
    for scene, captions in captioned():
        for caption in captions:
            assert all(scene.right(caption.facts).values()), (caption, scene)


def test_reading_a_caption_gives_exactly_the_facts_it_states() -> None:
    for _, captions in captioned():
        for caption in captions:
            assert set(facts_of_text(caption.text)) == set(caption.facts), caption
            assert len(set(caption.facts)) == len(caption.facts)


def test_every_caption_names_and_counts_every_group() -> None:
    for scene, captions in captioned():
        wanted: set[Fact] = {("noun", group[0].noun) for group in scene.groups}
        wanted |= {("count", group[0].noun, str(len(group))) for group in scene.groups}
        assert all(wanted <= set(caption.facts) for caption in captions)


def test_colour_size_relation_and_setting_are_said_mostly_but_not_always() -> None:
    said = {kind: [0, 0] for kind in ("colour", "size", "relation", "setting", "action")}
    for scene, captions in captioned():
        there = {
            "colour": any(item.colour for item in scene.items),
            "size": any(item.size for item in scene.items),
            "action": any(item.action for item in scene.items),
            "relation": bool(relations_of(scene)),
            "setting": True,
        }
        for caption in captions:
            for kind, present in there.items():
                said[kind][0] += present and any(fact[0] == kind for fact in caption.facts)
                said[kind][1] += present
    assert said["action"][0] == said["action"][1] > 0
    assert all(0.6 < said[kind][0] / said[kind][1] < 1 for kind in ("colour", "size", "relation", "setting"))


def test_captions_of_a_scene_vary() -> None:
    assert sum(len({caption.text for caption in captions}) for _, captions in captioned()) > 4 * len(captioned())


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            "big red cars on the beach",
            {("noun", "car"), ("size", "car", "big"), ("colour", "car", "red"), ("setting", "beach")},
        ),
        ("A hot dog, under a teddy bear.", {*HOT_DOG, *TEDDY}),
        ("a hot dog under a teddy bear", {*HOT_DOG, *TEDDY, ("relation", "hot dog", "below", "teddy bear")}),
        ("men riding a bike at sunset", {("noun", "man"), ("action", "man", "riding a bike"), ("setting", "sunset")}),
        (
            "among the trees of a forest there is a tree",
            {("noun", "tree"), ("count", "tree", "1"), ("setting", "forest")},
        ),
        ("a quick brown idea", set()),
        ("", set()),
    ],
)
def test_free_text_is_read_as_far_as_it_is_understood(text: str, facts: set[Fact]) -> None:
    assert set(facts_of_text(text)) == facts


def test_a_noun_phrase_uses_article_number_and_plural() -> None:
    apple = Item("apple", "orange", "", "", 0, 0)
    assert noun_phrase([apple]).text == "an orange apple"
    assert noun_phrase([apple], colour=False).facts == (("noun", "apple"), ("count", "apple", "1"))
    woman = Item("woman", "", "small", "running", 0, 0)
    assert noun_phrase([woman] * 3).text == "three small women running"
