"""Words found, swapped and hidden in captions: COCO's lists with their rules, and the world's."""

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.data.coco_words import COCO_WORDS
from xlxmert.data.word_lists import CATEGORIES, Found, Lexicon, swapped, takes_an
from xlxmert.data.world.captions import facts_of_text, make_captions
from xlxmert.data.world.scene import make_scene
from xlxmert.data.world.word_list import WORLD_WORDS


def found(caption: str, category: str, lexicon: Lexicon = COCO_WORDS) -> str | None:
    hit = lexicon.find(caption, category)
    return None if hit is None else caption[hit.start : hit.end]


def word(name: str, category: str) -> tuple[str, ...]:
    return next(each for each in COCO_WORDS.words[category] if each[0] == name)


def swap(caption: str, category: str, other: str) -> str:
    hit = COCO_WORDS.find(caption, category)
    assert isinstance(hit, Found)
    return swapped(caption, hit, word(other, category))


def test_the_lists_have_the_papers_sizes_and_whole_rows() -> None:
    assert [len(COCO_WORDS.words[name]) for name in CATEGORIES] == [80, 64, 10, 10]
    assert [len(WORLD_WORDS.words[name]) for name in CATEGORIES] == [108, 8, 10, 4]
    for name, length in zip(CATEGORIES, (2, 5, 1, 1), strict=True):
        assert {len(each) for each in COCO_WORDS.words[name]} == {length}
        assert len({each[0] for each in COCO_WORDS.words[name]}) == len(COCO_WORDS.words[name])


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("ride", "ride rides riding rode ridden"),
        ("sit", "sit sits sitting sat sat"),
        ("carry", "carry carries carrying carried carried"),
        ("fly", "fly flies flying flew flown"),
        ("play", "play plays playing played played"),
        ("reach", "reach reaches reaching reached reached"),
        ("smile", "smile smiles smiling smiled smiled"),
        ("ski", "ski skis skiing skied skied"),
    ],
)
def test_verbs_are_inflected(base: str, forms: str) -> None:
    assert word(base, "verb") == tuple(forms.split())


@pytest.mark.parametrize(
    ("caption", "nouns", "verbs", "colours", "numbers"),
    [
        ("Three zebras walking in shadowy area with fence and dirt", "zebras", "walking", None, "Three"),
        ("A cat in a bathroom with a tub and a toilet.", "cat", None, None, None),
        ("A hot dog and two teddy bears", "hot dog", None, None, "two"),
        ("A man skis down a hill", None, "skis", None, None),
        ("A man on skis", "skis", None, None, None),
        ("Boys skateboard in the park", None, "skateboard", None, None),
        ("A man is riding a skateboard", "skateboard", "riding", None, None),
        ("People ride horses in the water", "People", "ride", None, None),
        ("A ride on a beach", None, None, None, None),
        ("The dog runs , and plays outside", "dog", "runs", None, None),
        ("He is holding drinks", None, "holding", None, None),
        ("A parking lot with cars parked", "cars", "parked", None, None),
        ("A parking meter on the street", "parking meter", None, None, None),
        ("A train station with trains", "trains", None, None, None),
        ("An orange on a table", "orange", None, None, None),
        ("an orange cat sits on a couch", "cat", "sits", "orange", None),
        ("an orange and white bus", "bus", None, "orange", None),
        ("a bowl of oranges", "bowl", None, None, None),
        ("the one on the left", None, None, None, None),
        ("this one dog", "dog", None, None, None),
        ("one dog and ten birds", "dog", None, None, "one"),
        ("a stop-sign and the dogs' beds", "dogs", None, None, None),
        ("a dog's bed", "bed", None, None, None),
        ("A black and white photo of a cup", "cup", None, None, None),
        ("carton catalog", None, None, None, None),
    ],
)
def test_words_are_found_where_they_mean_themselves(
    caption: str, nouns: str | None, verbs: str | None, colours: str | None, numbers: str | None
) -> None:
    assert [found(caption, name) for name in CATEGORIES] == [nouns, verbs, colours, numbers]


def test_inflection_case_and_article_are_kept_and_mended() -> None:
    assert swap("Two dogs on a bed", "noun", "mouse") == "Two mice on a bed"
    assert swap("A dog on a bed", "noun", "elephant") == "An elephant on a bed"
    assert swap("there is an  apple", "noun", "car") == "there is a  car"
    assert swap("an orange bus", "colour", "red") == "a red bus"
    assert swap("Dogs sleep", "noun", "person") == "People sleep"
    assert swap("two sheep grazing", "noun", "person") == "two people grazing"
    assert swap("a sheep grazing", "noun", "person") == "a person grazing"
    assert swap("a pair of scissors", "noun", "knife") == "a knife"
    assert swap("a cat", "noun", "pair of skis") == "a pair of skis"
    assert swap("the horse was ridden", "verb", "eat") == "the horse was eaten"
    assert swap("a boat and a dog and a boat", "noun", "car") == "a car and a dog and a boat"  # the first only


@pytest.mark.parametrize(("text", "an"), [("apple", True), ("Umbrella", True), ("unicorn", False), ("one", False)])
def test_articles(text: str, an: bool) -> None:
    assert takes_an(text) == an


def test_rivals_are_other_words_that_the_caption_does_not_hold() -> None:
    caption = "A dog and two cats near a hot dog"
    swaps = COCO_WORDS.swaps(caption, "noun", 9, 0)
    assert swaps is not None and len(set(swaps)) == 9
    for text in swaps:
        assert text.endswith(" and two cats near a hot dog")
        assert text.split(" and ")[0].split(" ", 1)[1] not in ("dog", "cat", "hot dog")
    assert swaps == COCO_WORDS.swaps(caption, "noun", 9, 0) != COCO_WORDS.swaps(caption, "noun", 9, 1)
    assert COCO_WORDS.swaps("a red bus and a blue car", "colour", 9, 0) is None  # eight are left
    assert len(COCO_WORDS.swaps("a red bus", "colour", 9, 0) or ()) == 9
    assert COCO_WORDS.swaps("a bus", "colour", 9, 0) is None


def test_letters_that_grow_do_not_shift_the_place() -> None:
    assert "İ".lower() != "İ" and len("İ".lower()) == 2
    assert found("İ dog", "noun") == "dog"


def test_an_unknown_category_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a category of noun, verb"):
        COCO_WORDS.find("a dog", "adverb")


def test_the_worlds_words_are_found_in_its_captions_and_every_swap_states_other_facts() -> None:
    kinds = {"noun": "noun", "verb": "action", "colour": "colour", "number": "count"}
    seen = dict.fromkeys(kinds, 0)
    for index in range(80):
        for caption in make_captions(make_scene("test", 0, index), "test", 0, index):
            for category, kind in kinds.items():
                stated = {fact for fact in caption.facts if fact[0] == kind and fact[-1] != "1"}
                hit = WORLD_WORDS.find(caption.text, category)
                assert (hit is not None) == bool(stated), caption.text
                swaps = WORLD_WORDS.swaps(caption.text, category, 3, index) or []
                seen[category] += len(swaps)
                for text in swaps:
                    assert len(facts_of_text(text)) >= len(facts_of_text(caption.text)) - 1
                    assert set(facts_of_text(text)) != set(facts_of_text(caption.text))
    assert min(seen.values()) > 50


def test_a_setting_is_no_noun() -> None:
    caption = "a dog among the trees of a forest"
    assert found(caption, "noun", WORLD_WORDS) == "dog"
    assert found("among the trees of a forest there is a dog", "noun", WORLD_WORDS) == "dog"
    assert found("two trees in the forest", "noun", WORLD_WORDS) == "trees"


def test_a_wordy_action_is_answered_by_its_first_word() -> None:
    hit = WORLD_WORDS.find("a man riding a bike at sea", "verb")
    assert hit is not None and hit.word == ("riding a bike", "riding")
