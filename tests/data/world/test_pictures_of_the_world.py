"""Pictures of the world: sprites, tints, settings, and the parser that reads true renders back."""

import functools
import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.data.world.lexicon import BY_SPRITE, COLOURS, NOUNS, SETTINGS, VARIANTS
from xlxmert.data.world.parser import agreement, facts_of_scene, parse_picture
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import Item, Scene, make_scene
from xlxmert.data.world.settings import draw_setting
from xlxmert.data.world.sprites import draw_sprite, load_sprite, tint


@functools.cache
def scenes() -> list[Scene]:
    return [make_scene("heldout" if index % 10 == 0 else "test", 3, index) for index in range(60)]


def compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_picture_is_the_same_every_time_and_of_the_right_kind() -> None:
    for scene in scenes()[:10]:
        picture = render(scene)
        assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
        assert np.array_equal(picture, render(scene))


def test_an_item_changes_pixels_in_its_box_only() -> None:
    empty = render(Scene("field", 0, ()))
    item = Item("car", "red", "big", "", 2, 4)
    changed = np.argwhere((render(Scene("field", 0, (item,))) != empty).any(-1)) / 256
    x0, y0, x1, y1 = item.box
    assert len(changed) > 1000
    assert y0 <= changed[:, 0].min() and changed[:, 0].max() < y1
    assert x0 <= changed[:, 1].min() and changed[:, 1].max() < x1


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.sprite)
def test_every_noun_has_a_sprite_with_alpha(noun: object) -> None:
    assert noun in BY_SPRITE.values()
    sprite = load_sprite(noun.sprite)  # type: ignore[attr-defined]
    alpha = np.asarray(sprite)[..., 3]
    assert sprite.size == (128, 128)
    assert (alpha == 0).any() and (alpha > 200).mean() > 0.1


def test_an_unknown_sprite_is_refused() -> None:
    with pytest.raises(XlxmertError, match="found 'unicorn'"):
        load_sprite("unicorn")


def test_tinting_keeps_alpha_and_size() -> None:
    for noun in (noun for noun in NOUNS if noun.tinted):
        sprite = load_sprite(noun.sprite)
        for colour in ("red", "black", "white"):
            tinted = tint(sprite, COLOURS[colour])
            assert np.array_equal(np.asarray(tinted)[..., 3], np.asarray(sprite)[..., 3])


def test_the_ten_tints_of_a_sprite_look_different() -> None:
    for noun in (noun for noun in NOUNS if noun.tinted):
        drawn = {colour: np.asarray(draw_sprite(noun.sprite, colour, 64), dtype=np.float32) for colour in COLOURS}
        for one, two in combinations(drawn, 2):
            assert np.abs(drawn[one] - drawn[two])[..., :3].mean() > 2, (noun.name, one, two)


def test_settings_and_their_variants_differ() -> None:
    drawn = {
        (name, v): np.asarray(draw_setting(name, v), dtype=np.float32) for name in SETTINGS for v in range(VARIANTS)
    }
    for one, two in combinations(drawn, 2):
        assert np.abs(drawn[one] - drawn[two]).mean() > (1 if one[0] == two[0] else 10), (one, two)


@pytest.mark.parametrize("quality", [None, 90])
def test_the_parser_reads_true_renders(quality: int | None) -> None:
    pictures = [render(scene) for scene in scenes()]
    if quality:
        pictures = [compressed(picture, quality) for picture in pictures]
    assert agreement(scenes(), [parse_picture(picture) for picture in pictures]) >= 0.99


def test_the_parser_finds_nothing_in_an_empty_setting() -> None:
    for setting in SETTINGS:
        assert parse_picture(render(Scene(setting, 1, ()))) == Scene(setting, 1, ())


def test_the_parser_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match=r"256x256 pixels, found \(128, 128\)"):
        parse_picture(np.zeros((128, 128, 3), dtype=np.uint8))


def test_agreement_counts_what_is_missed_and_what_is_invented() -> None:
    dog, cat = Item("dog", "", "", "", 0, 0), Item("cat", "", "", "", 4, 4)
    one, both = Scene("room", 0, (dog,)), Scene("room", 0, (dog, cat))
    assert facts_of_scene(one) == {("setting", "room"), ("noun", "dog"), ("count", "dog", "1")}
    assert agreement([one], [one]) == 1
    assert agreement([both], [one]) == agreement([one], [both]) == 3 / 5
