"""More captions for a training set: which draws are kept, what is counted, and that a file is whole or not there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core import files
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.core.images import save_png
from xlxmert.data.coco import read_captions, write_captions
from xlxmert.data.records import CaptionRecord, Id, PictureRecord
from xlxmert.metrics.caption import tokenize
from xlxmert.recipes import augment as recipe
from xlxmert.recipes.augment import Augmentation, Tally, augment, chosen
from xlxmert.studio import Caption, Describer, Studio
from xlxmert.testing.tiny import tiny_bundle, tiny_captioner, tiny_pictures

ANY = Augmentation(num=3, draws=4, least_match=0.0)


def judge(marks: dict[str, float]) -> recipe.Fit:
    """A matching head that knows its marks by heart."""

    def fit(places: Sequence[int], texts: Sequence[str]) -> list[float]:
        assert len(places) == len(texts)
        return [marks.get(f"{place}: {text}", marks.get(text, 1.0)) for place, text in zip(places, texts, strict=True)]

    return fit


def test_what_a_picture_has_or_what_was_drawn_before_is_dropped_whatever_case_and_marks() -> None:
    drawn = [["A dog, running!", "a Dog running", "a cat", "A CAT .", "... !"], ["a dog running"]]
    tally = Tally()
    kept = chosen(drawn, [["a  dog running."], ["A bird"]], judge({}), ANY, tally)
    assert kept == [["a cat"], ["a dog running"]]  # what another picture has does not matter
    assert (tally.pictures, tally.drawn, tally.known, tally.kept) == (2, 6, 4, 2)


def test_the_best_fitting_come_first_and_no_more_than_asked() -> None:
    marks = {"0: a": 0.6, "0: b": 0.9, "0: c": 0.49, "0: d": 0.7, "1: a": 0.1, "1: b": 0.5}
    tally = Tally()
    drawn = [["a", "b", "c", "d"], ["a", "b"], []]
    kept = chosen(drawn, [[], [], []], judge(marks), Augmentation(num=2, draws=4, least_match=0.5), tally)
    assert kept == [["b", "d"], ["b"], []]
    assert tally == Tally(pictures=3, drawn=6, known=0, unfit=2, spare=1, kept=3)


def test_of_equal_fits_the_earlier_draw_is_kept() -> None:
    assert chosen([["c", "a", "b"]], [[]], judge({}), Augmentation(2, 3), Tally()) == [["c", "a"]]


def test_a_judge_with_nothing_to_judge_is_not_asked() -> None:
    def never(*_: object) -> list[float]:
        raise AssertionError("asked")

    assert chosen([["a dog"], []], [["A dog"], []], never, ANY, Tally()) == [[], []]


def test_tallies_go_on_and_add_up() -> None:
    tally, marks = Tally(), {"b": 0.2, "c": 0.3, "d": 0.9}
    for _ in range(3):
        chosen([["a", "b", "c", "d", "e", "f"]], [["a"]], judge(marks), Augmentation(2, 6), tally)
    assert tally == Tally(pictures=3, drawn=18, known=3, unfit=6, spare=3, kept=6)
    assert tally.drawn == tally.known + tally.unfit + tally.spare + tally.kept


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num": 0}, "found 0 of 6"),
        ({"num": 7}, "found 7 of 6"),
        ({"least_match": 1.1}, r"--least-match in \[0, 1\], found 1\.1"),
        ({"top_p": 0.0}, r"top_p in \(0, 1\]"),
        ({"temperature": -1.0}, "temperature of 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Augmentation(**settings)


@pytest.fixture(scope="module")
def describer() -> Describer:
    return Describer(tiny_captioner(), "cpu")


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(tiny_bundle(), "cpu")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A folder of three pictures beside their captions; the second picture has none."""
    names = ["a.png", "b.png", "c.png"]
    for name, picture in zip(names, tiny_pictures(3), strict=True):
        save_png(tmp_path / "images" / name, picture)
    pictures = [PictureRecord(10 * (place + 1), name, 32, 32) for place, name in enumerate(names)]
    ids: list[Id] = [7, "name", "40", "²"]
    texts = ["a dog", "A cat.", "two red cars", "a bird"]
    captions = [CaptionRecord(picture, *pair) for picture, *pair in zip((10, 10, 30, 30), ids, texts, strict=True)]
    write_captions(tmp_path / "captions.json", pictures, captions)
    return tmp_path


def more(coco: Path, describer: Describer, studio: Studio, **given: Any) -> tuple[Tally, dict[Path, str]]:
    config = given.pop("config", ANY)
    return augment(coco / "images", coco / "captions.json", coco / "more.json", describer, studio, config, **given)


@pytest.mark.parametrize("only_new", [False, True])
def test_new_captions_stand_behind_the_earlier_ones_with_the_next_ids(
    coco: Path, describer: Describer, studio: Studio, only_new: bool
) -> None:
    seen: list[tuple[int, int]] = []
    tally, unreadable = more(coco, describer, studio, only_new=only_new, progress=lambda *at: seen.append(at))
    pictures, records = read_captions(coco / "more.json")
    before = read_captions(coco / "captions.json")
    assert pictures == before[0] and unreadable == {} and seen == [(1, 3), (2, 3), (3, 3)]
    earlier = 0 if only_new else 4
    new = records[earlier:]
    assert records[:earlier] == before[1][:earlier]
    assert [each.caption_id for each in new] == list(range(41, 41 + len(new)))
    assert [each.picture_id for each in new] == [10] * 3 + [20] * 3 + [30] * 3
    assert len({(each.picture_id, *tokenize(each.text)) for each in new}) == 9
    assert tally == Tally(pictures=3, drawn=12, known=tally.known, unfit=0, spare=3 - tally.known, kept=9)


def test_captions_are_those_that_the_studio_finds_fitting(
    coco: Path, describer: Describer, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, fits = {}, []
    for owner, name in ((10, "a.png"), (20, "b.png"), (30, "c.png")):
        file = coco / "images" / name
        texts = [caption.text for caption in describer.caption(file, 6, "", recipe.Nucleus(0.9), 1)[0]]
        judged = studio.fit([file] * len(texts), texts).tolist()
        expected[owner] = [text for _, text in sorted(zip(judged, texts, strict=True), reverse=True)]
        fits.append(sorted(judged, reverse=True))
    least = (fits[0][2] + fits[0][3]) / 2  # three of the first picture's pass, and one of them is to spare
    passed = [sum(fit >= least for fit in row) for row in fits]
    monkeypatch.setattr(recipe, "TOGETHER", 2)
    tally, _ = more(coco, describer, studio, config=Augmentation(2, 6, least_match=least, seed=1))
    _, records = read_captions(coco / "more.json")
    for (owner, texts), count in zip(expected.items(), passed, strict=True):
        assert [each.text for each in records[4:] if each.picture_id == owner] == texts[: min(count, 2)]
    kept = sum(min(count, 2) for count in passed)
    assert tally == Tally(3, 18, 0, unfit=18 - sum(passed), spare=sum(passed) - kept, kept=kept)
    assert tally.unfit >= 3 and tally.spare >= 1


def test_the_same_seed_gives_the_same_file_and_another_another(
    coco: Path, describer: Describer, studio: Studio
) -> None:
    written = []
    for seed in (0, 0, 1):
        more(coco, describer, studio, config=Augmentation(1, 2, least_match=0.0, seed=seed))
        written.append((coco / "more.json").read_bytes())
    assert written[0] == written[1] != written[2]


def test_captions_that_the_judge_cannot_read_fit_no_picture(
    coco: Path, describer: Describer, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A captioner of one's own knows other words and longer sentences than the checkpoint."""
    row = [Caption(text, -1.0) for text in ("🚗 🚗", "a dog " * 40, "a blue car")]
    monkeypatch.setattr(describer, "caption", lambda pictures, *_: [row] * len(pictures))
    tally, _ = more(coco, describer, studio, config=Augmentation(3, 3, least_match=1e-9))
    _, records = read_captions(coco / "more.json")
    assert [each.text for each in records[4:]] == ["a blue car"] * 3
    assert (tally.known, tally.unfit, tally.kept) == (0, 6, 3)


def test_pictures_that_cannot_be_read_get_no_captions_and_are_named(
    coco: Path, describer: Describer, studio: Studio
) -> None:
    bad = coco / "images" / "b.png"
    bad.write_bytes(bad.read_bytes()[:40])
    tally, unreadable = more(coco, describer, studio)
    pictures, records = read_captions(coco / "more.json")
    assert list(unreadable) == [bad] and "b.png" in unreadable[bad] and tally.pictures == 2
    assert len(pictures) == 3 and {each.picture_id for each in records[4:]} == {10, 30}


def test_nothing_is_written_where_something_is_wrong(
    coco: Path, describer: Describer, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left() -> list[str]:
        return sorted(path.name for path in coco.iterdir())

    before, expected = (coco / "captions.json").read_bytes(), ["captions.json", "images"]
    for out in (coco / "captions.json", coco / "images" / ".." / "captions.json"):
        with pytest.raises(UsageError, match="expected another file for the new captions"):
            augment(coco / "images", coco / "captions.json", out, describer, studio)
    assert (coco / "captions.json").read_bytes() == before
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", _full)
        with pytest.raises(XlxmertError, match=r"could not write .*more\.json: No space left"):
            more(coco, describer, studio)
    assert left() == expected
    with monkeypatch.context() as patched:
        patched.setattr(studio, "fit", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            more(coco, describer, studio)
    assert left() == expected
    for path in sorted((coco / "images").iterdir())[:2]:
        path.write_text("no picture")
    (coco / "images" / "c.png").unlink()
    with pytest.raises(XlxmertError, match=r"picture 30 \(c\.png\).*asked for by .*captions\.json"):
        more(coco, describer, studio)
    (coco / "images" / "c.png").write_text("no picture")
    with pytest.raises(XlxmertError, match="expected pictures that can be read, found none among 3"):
        more(coco, describer, studio)
    (coco / "captions.json").write_bytes(before[:50])
    with pytest.raises(XlxmertError, match=r"captions\.json"):
        more(coco, describer, studio)
    assert left() == expected


def _full(handle: int) -> None:
    raise OSError(28, "No space left on device")


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_file_is_cocos(coco: Path, describer: Describer, studio: Studio) -> None:
    more(coco, describer, studio)
    content = read_json(coco / "more.json")
    assert content.keys() == read_json(coco / "captions.json").keys()
    assert content["annotations"][4].keys() == {"image_id", "id", "caption"}
