"""Captions beside their rivals, and gaps: the papers' numbers, and draws that depend on the caption's place alone."""

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.data.coco_words import COCO_WORDS
from xlxmert.data.rivals import easy_choices, gaps, hard_choices
from xlxmert.data.world.word_list import WORLD_WORDS

POOL = [(picture, f"caption {kind} of picture {picture}") for picture in range(150) for kind in "abc"]
OWN = [f"caption a of picture {picture}" for picture in range(150)]


def test_easy_rivals_are_99_captions_of_99_other_pictures() -> None:
    choices = easy_choices(OWN, POOL, range(150))
    assert [choice.place for choice in choices] == list(range(150))
    for choice in choices:
        own, *others = choice.captions
        pictures = {text.rpartition(" ")[2] for text in others}
        assert own == OWN[choice.place] and len(others) == 99 == len(pictures)
        assert str(choice.place) not in pictures
    assert easy_choices(OWN, POOL, range(150)) == choices != easy_choices(OWN, POOL, range(150), seed=1)
    assert easy_choices(OWN[:3], POOL, range(3)) == choices[:3]


def test_few_pictures_have_fewer_rivals_and_one_has_none() -> None:
    few = easy_choices(OWN[:4], POOL[:12], range(4))
    assert {len(choice.captions) for choice in few} == {4}
    with pytest.raises(UsageError, match="at least 2 pictures"):
        easy_choices(OWN[:1], POOL[:3], [0])


def test_the_same_words_about_another_picture_are_no_rival_where_it_has_others() -> None:
    pool = [(0, "a dog"), (1, "a dog"), (1, "a cat"), (2, "a dog")]
    (choice,) = easy_choices(["a dog"], pool, [0])
    assert sorted(choice.captions[1:]) == ["a cat", "a dog"]


def test_hard_rivals_are_nine_and_captions_are_drawn() -> None:
    captions = ["nothing here", "a red dog", "a red and blue dog", *["a green bus"] * 40]
    every = hard_choices(captions, COCO_WORDS, "colour")
    assert [choice.place for choice in every] == [1, *range(3, 43)]
    assert {len(choice.captions) for choice in every} == {10}
    some = hard_choices(captions, COCO_WORDS, "colour", most=7)
    assert len(some) == 7 and set(some) <= set(every) and [c.place for c in some] != [c.place for c in every[:7]]
    assert {len(choice.captions) for choice in hard_choices(["two dogs"], WORLD_WORDS, "number")} == {4}


def test_a_gap_is_what_was_written_and_its_sides() -> None:
    (gap,) = gaps(["Two men riding horses", "a bus"], COCO_WORDS, "verb")
    assert (gap.place, gap.before, gap.written, gap.after) == (0, "Two men ", "riding", " horses")
    assert gap.before + gap.written + gap.after == "Two men riding horses" and gap.word[0] == "ride"
    assert len(gaps(["a bus"] * 20, COCO_WORDS, "noun", most=6)) == 6
