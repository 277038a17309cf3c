"""Editing: what is known stays as it was, bit for bit; what is not is painted as a function of sentence and seed."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import save_png
from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Guidance,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
    Sampler,
)
from xlxmert.studio import Edited, PaintOptions, Studio
from xlxmert.studio.blanks import blank_ids, read_blanks
from xlxmert.studio.changes import Extension, Region, Variation, WordsAlone
from xlxmert.studio.joint import JointNetwork
from xlxmert.studio.seams import draw_canvas, keep_original
from xlxmert.testing.tiny import tiny_pictures

QUICK = PaintOptions(MaskGIT(steps=3))
SAMPLERS = [
    MaskGIT(steps=3),
    MaskPredict(3),
    Halton(steps=3),
    EntropyBound(gamma=50.0),
    ReMDM(steps=4),
    Moment(steps=3),
    Raster(temperature=1.0),
    RandomOrder(),
    EasyFirst(),
    Revised(MaskGIT(steps=2), 1),
]
PICTURE = tiny_pictures(1, seed=5)[0]
HALVES = (0.0, 0.5, 1.0, 1.0)
HALF = "two ___ cars on the ___"


@st.composite
def regions(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Any rectangle in the picture."""
    sides = [sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True))) for _ in range(2)]
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def known_and_painted(edited: Edited) -> None:
    """The codes outside are those before, and every code is one that the checkpoint has."""
    assert np.array_equal(edited.codes[~edited.unknown], edited.before[~edited.unknown])
    assert edited.codes.min() >= 0 and edited.codes.max() < 20


def covered(region: tuple[float, float, float, float], column: int, row: int) -> float:
    """How far a region reaches into a cell, as a share of its side."""
    x0, y0, x1, y1 = (8 * value for value in region)
    return min(min(x1, column + 1) - max(x0, column), min(y1, row + 1) - max(y0, row))


@settings(max_examples=25)
@given(region=regions(), seed=st.integers(0, 2**40), sampler=st.sampled_from(SAMPLERS[:6]))
def test_codes_outside_any_region_stay_bit_for_bit(
    studio: Studio, region: tuple[float, float, float, float], seed: int, sampler: Sampler
) -> None:
    (edited,) = studio.edit(PICTURE, "a dog", region, seed, options=PaintOptions(sampler))
    known_and_painted(edited)
    assert np.array_equal(edited.before.ravel(), studio.rebuild(PICTURE)[0].codes)
    assert edited.unknown.any() and edited.picture.shape == PICTURE.shape
    for row, column in np.ndindex(8, 8):
        reach = covered(region, column, row)
        assert edited.unknown[row, column] or reach < 0.11
        assert reach > 0 or not edited.unknown[row, column]


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ((0.25, 0.5, 0.5, 1.0), [4, 5, 6, 7], [2, 3]),
        ((0.0, 0.0, 0.38, 0.13), [0], [0, 1, 2]),  # rounded up from 0.375 and 0.125
        ((0.3, 0.3, 0.33, 0.6), [2, 3, 4], [2]),
        ((0.374, 0.99, 0.376, 1.0), [7], [3]),  # in the cracks: the cell in which its middle lies
    ],
)
def test_a_region_hides_every_cell_that_it_reaches_into(
    region: tuple[float, float, float, float], rows: list[int], columns: list[int]
) -> None:
    unknown = Region(*region).plan(torch.zeros(8, 8, dtype=torch.long), [0]).unknown[0]
    expected = torch.zeros(8, 8, dtype=torch.bool)
    for row in rows:
        expected[row, columns] = True
    assert torch.equal(unknown, expected)


def test_to_edit_the_whole_picture_is_to_paint(studio: Studio) -> None:
    (edited,) = studio.edit(PICTURE, "two red cars on the beach", (0, 0, 1, 1), seed=3, options=QUICK)
    (painting,) = studio.paint("two red cars on the beach", seed=3, options=QUICK)
    assert np.array_equal(edited.codes.ravel(), painting.codes)
    assert np.abs(edited.picture.astype(int) - painting.picture.astype(int)).max() <= 1


def test_every_result_is_the_same_alone_and_among_others(studio: Studio) -> None:
    doors = {
        "edit": lambda **seeds: studio.edit(PICTURE, "a dog", (0.1, 0.1, 0.6, 0.9), options=QUICK, **seeds),
        "extend": lambda **seeds: studio.extend(PICTURE, "a dog", "left", times=2, options=QUICK, **seeds),
        "vary": lambda **seeds: studio.vary(PICTURE, "a dog", 0.4, options=QUICK, **seeds),
        "complete": lambda **seeds: studio.complete(PICTURE, HALF, HALVES, options=QUICK, **seeds),
    }
    for name, door in doors.items():
        together = door(seed=4, count=3)
        (alone,) = door(seed=5)
        assert [one.seed for one in together] == [4, 5, 6], name
        assert np.array_equal(alone.codes, together[1].codes) and alone.prompt == together[1].prompt, name
        assert np.array_equal(alone.unknown, together[1].unknown), name
        assert np.abs(alone.picture.astype(int) - together[1].picture.astype(int)).max() <= 1, name
        assert any(not np.array_equal(alone.codes, other.codes) for other in together), name


def test_a_picture_of_another_shape_keeps_its_size_and_its_own_pixels(studio: Studio, tmp_path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (50, 83, 3), dtype=np.uint8)
    save_png(tmp_path / "large.png", large)
    for picture in (large, tmp_path / "large.png", torch.from_numpy(large)):
        (edited,) = studio.edit(picture, "a dog", (0.25, 0.5, 0.75, 1.0), options=QUICK)
        assert edited.picture.shape == large.shape
        inside = np.zeros((50, 83), dtype=bool)
        inside[25:, 21:62] = True  # rows from 4/8 of 50, columns from 2/8 to 6/8 of 83, by their middles
        assert np.array_equal(edited.picture[~inside], large[~inside])
        assert np.abs(edited.picture[inside].astype(int) - large[inside]).mean() > 5
    (repainted,) = studio.edit(large, "a dog", (0.25, 0.5, 0.75, 1.0), options=QUICK, repaint=True)
    assert repainted.picture.shape == (32, 32, 3) and np.array_equal(repainted.codes, edited.codes)


def test_hidden_pixels_never_show_and_colours_meet_at_the_edge() -> None:
    original = np.full((64, 64, 3), 100, np.uint8)
    original[16:48, 16:48] = 255  # what is to go
    unknown = np.zeros((4, 4), dtype=bool)
    unknown[1:3, 1:3] = True
    painted = np.full((64, 64, 3), 60, np.uint8)  # a drawing that is too dark
    kept = keep_original(original, painted, unknown, (0, 0), 4)
    assert np.array_equal(kept[original[..., 0] == 100], original[original[..., 0] == 100])
    assert kept[16:48, 16:48].max() == 100  # brighter at the edge, by what is wrong just outside
    assert np.array_equal(np.unique(kept[31:33, 31:33]), [60])
    steps = kept[32, 16:32, 0].astype(int)
    assert steps[0] == 100 and (np.diff(steps) <= 0).all()


def test_windows_of_one_colour_each_are_blended_without_a_step() -> None:
    def render(codes: torch.Tensor) -> list[np.ndarray]:
        return [np.full((16, 16, 3), int(row.max()), np.uint8) for row in codes]

    codes = torch.zeros(4, 8, dtype=torch.long)
    codes[:, 6:] = 200
    drawn = draw_canvas(render, codes, [(0, 0), (0, 2), (0, 4)], 4)
    assert drawn.shape == (16, 32, 3) and (drawn[:, :8] == 0).all() and (drawn[:, 24:] == 200).all()
    assert np.abs(np.diff(drawn[8, :, 0].astype(int))).max() <= 26


@pytest.mark.parametrize("side", ["left", "right", "up", "down"])
@pytest.mark.parametrize(("cells", "times"), [(None, 1), (3, 2)])
def test_an_extension_keeps_the_old_cells_and_pixels(studio: Studio, side: str, cells: int | None, times: int) -> None:
    (extended,) = studio.extend(PICTURE, "a dog", side, cells, times, seed=1, options=QUICK)
    added = (cells or 4) * times
    across, first = side in ("left", "right"), side in ("left", "up")
    assert extended.codes.shape == ((8, 8 + added) if across else (8 + added, 8))
    assert extended.picture.shape[:2] == ((32, 32 + 4 * added) if across else (32 + 4 * added, 32))
    start = added if first else 0
    old = (slice(None), slice(start, start + 8)) if across else (slice(start, start + 8), slice(None))
    pixels = tuple(slice(None) if part == slice(None) else slice(4 * part.start, 4 * part.stop) for part in old)
    known_and_painted(extended)
    assert not extended.unknown[old].any() and extended.unknown.sum() == 8 * added
    assert np.array_equal(extended.codes[old].ravel(), studio.rebuild(PICTURE)[0].codes)
    assert np.array_equal(extended.picture[pixels], PICTURE)


def test_a_longer_extension_begins_as_a_shorter_one_and_goes_on_from_what_it_painted(studio: Studio) -> None:
    (once,) = studio.extend(PICTURE, "a dog", "right", 3, 1, seed=2, options=QUICK)
    (thrice,) = studio.extend(PICTURE, "a dog", "right", 3, 3, seed=2, options=QUICK)
    assert np.array_equal(thrice.codes[:, :11], once.codes)
    window = torch.from_numpy(thrice.codes[:, 3:11]).reshape(1, 64)
    unknown = torch.from_numpy(np.arange(8) >= 5).expand(8, 8).reshape(1, 64)
    words, _ = studio._painter.read(["a dog"])
    again, _, _ = studio._painter.fill(words, [2], QUICK, window, unknown)
    (alone,) = studio.extend(PICTURE, "a dog", "right", 3, 1, seed=2, options=QUICK)
    assert np.array_equal(alone.codes, once.codes)
    assert np.array_equal(again.numpy().reshape(8, 8)[:, :5], thrice.codes[:, 3:8])


@settings(max_examples=20)
@given(seed=st.integers(0, 2**40), shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
def test_a_stronger_variation_hides_what_a_weaker_one_hides(seed: int, shares: tuple[float, float]) -> None:
    codes = torch.zeros(8, 8, dtype=torch.long)
    weak, strong = (Variation(share).plan(codes, [seed]).unknown[0] for share in sorted(shares))
    assert weak.any() and bool((strong | ~weak).all())
    assert abs(float(weak.float().mean()) - min(shares)) <= 0.5 / 16 or int(weak.sum()) == 4
    assert torch.equal(weak, weak[::2, ::2].repeat_interleave(2, 0).repeat_interleave(2, 1))  # in blocks


def test_a_variation_without_a_sentence_takes_the_studios_own(studio: Studio) -> None:
    own = studio.caption(PICTURE)[0][0].text
    (silent,) = studio.vary(PICTURE, strength=0.5, seed=3, options=QUICK)
    (told,) = studio.vary(PICTURE, own, 0.5, seed=3, options=QUICK)
    assert np.array_equal(silent.codes, told.codes) and silent.prompt == own
    assert silent.notes[0] == f"no sentence was given; the picture is taken for '{own}'"
    known_and_painted(silent)
    (open_,) = studio.edit(PICTURE, "", HALVES, options=QUICK)
    assert open_.prompt == "" and open_.notes == ()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_every_sampler_fills_words_and_cells_together(studio: Studio, sampler: Sampler) -> None:
    tokenizer = studio.bundle.tokenizer
    for done in studio.complete(PICTURE, HALF, HALVES, seed=7, count=2, options=PaintOptions(sampler)):
        known_and_painted(done)
        assert done.unknown.sum() == 32
        words = done.prompt.split()
        assert len(words) == 6 and [words[place] for place in (0, 2, 3, 4)] == ["two", "cars", "on", "the"]
        for word in (words[1], words[5]):
            assert len(tokenizer.ids(word)) == 3 and not tokenizer.unknown_words(word)
            assert tokenizer.ids(word)[1] not in blank_ids(tokenizer).banned()


def test_blanks_without_a_region_leave_the_picture_alone(studio: Studio) -> None:
    (done,) = studio.complete(PICTURE, HALF, seed=1, options=QUICK)
    assert np.array_equal(done.picture, PICTURE) and not done.unknown.any()
    assert np.array_equal(done.codes, done.before) and "_" not in done.prompt
    (whole,) = studio.complete(PICTURE, "____ __ _", options=QUICK)
    assert len(whole.prompt.split()) == 3 and whole.notes == ()


def test_without_blanks_completing_is_editing(studio: Studio) -> None:
    (done,) = studio.complete(PICTURE, "a dog", HALVES, seed=2, options=QUICK)
    (edited,) = studio.edit(PICTURE, "a dog", HALVES, seed=2, options=QUICK)
    assert np.array_equal(done.codes, edited.codes) and np.array_equal(done.picture, edited.picture)


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_the_joint_network_gives_what_the_model_gives_each_side(studio: Studio, strength: float) -> None:
    model, tokenizer = studio.bundle.model, studio.bundle.tokenizer
    sentence = read_blanks(tokenizer, HALF, 30)
    ids, silence = blank_ids(tokenizer), torch.tensor([[tokenizer.start, tokenizer.end]])
    codes, hidden = torch.arange(64)[None] % 20, torch.arange(64)[None] % 3 == 0
    tokens, dark = torch.cat([sentence.words, codes], 1), torch.cat([sentence.blanks, hidden], 1)
    guidance, width = Guidance(strength), sentence.words.shape[1]
    with torch.inference_mode():
        network = JointNetwork(model, dark, width, ids, model.folded_code_head(), guidance, silence)
        found = network(tokens, dark)
        told = model(sentence.words, codes, hidden=hidden)
        untold = model.code_logits(model(silence, codes, hidden=hidden).vision)
        cells, words = model.code_logits(told.vision), model.word_logits(told.language)
    may = [word for word in range(tokenizer.size) if word not in ids.banned()]
    may = [word for word in may if word not in sentence.words[0].tolist()]  # neighbours may not be said twice
    torch.testing.assert_close(found[:, :width, may], words[..., may], rtol=1e-4, atol=1e-4)
    expected = cells + strength * (cells - untold)
    torch.testing.assert_close(found[:, width:, :20], expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (1, width + 64, tokenizer.size) and found[:, width:, 20:].isneginf().all()
    assert found[:, :width, ids.banned()].isneginf().all()


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        ("a dog", Region(*HALVES)),
        ("a dog", Extension("up", 5, 2)),
        ("a dog", Variation(0.5)),
        (HALF, Region(*HALVES)),
        (HALF, WordsAlone()),
    ],
    ids=["region", "extension", "variation", "joint", "words"],
)
@pytest.mark.parametrize("best_of", [1, 3])
def test_the_last_frame_is_the_result(studio: Studio, sentence: str, change, best_of: int) -> None:
    options = dataclasses.replace(QUICK, best_of=best_of)
    (edited,) = studio.change(PICTURE, sentence, change, [6], options)
    frames = list(studio.change_steps(PICTURE, sentence, change, 6, options))
    assert np.array_equal(frames[-1].picture, edited.picture) and not frames[-1].step.hidden.any()
    assert (edited.score is None) == (best_of == 1)
    known_and_painted(edited)


def test_what_no_window_has_reached_is_white(studio: Studio) -> None:
    frames = [frame.picture for frame in studio.change_steps(PICTURE, "a dog", Extension("right", 4, 3), 0, QUICK)]
    assert len(frames) == 9 and {frame.shape for frame in frames} == {(32, 80, 3)}
    for number, frame in enumerate(frames):
        there = 48 + 16 * (number // 3)
        assert (frame[:, there:] == 255).all() and not (frame[:, :there] == 255).all(-1).all(0).any()
        assert np.array_equal(frame[:, :32], PICTURE)


def test_the_best_of_several_drafts_fits_at_least_as_well(studio: Studio) -> None:
    for sentence, options in (("a dog", QUICK), (HALF, QUICK)):
        found = [
            studio.complete(PICTURE, sentence, HALVES, options=dataclasses.replace(options, best_of=count))[0].score
            for count in (2, 4)
        ]
        assert found[0] is not None and found[1] is not None and found[1] >= found[0] - 1e-4


def test_a_negative_prompt_changes_what_is_painted(studio: Studio) -> None:
    options = dataclasses.replace(QUICK, guidance=Guidance(3.0))
    against = dataclasses.replace(options, negative="a blue car")
    for sentence in ("a dog", "", HALF):
        (plain,) = studio.complete(PICTURE, sentence, HALVES, options=options)
        (other,) = studio.complete(PICTURE, sentence, HALVES, options=against)
        assert not np.array_equal(plain.codes, other.codes)
        known_and_painted(other)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: s.edit(PICTURE, "a dog", (0, 0, 128, 128)), "divide pixels by the picture's size"),
        (lambda s: s.edit(PICTURE, "a dog", (-0.1, 0, 1, 1)), r"in \[0, 1\], found -0.1,0,1,1"),
        (lambda s: s.edit(PICTURE, "a dog", (float("nan"), 0, 1, 1)), "found nan,0,1,1"),
        (lambda s: s.edit(PICTURE, "a dog", (0.5, 0, 0.5, 1)), "it would be empty"),
        (lambda s: s.edit(PICTURE, "a dog", (0.5, 0, 1)), "four numbers x0,y0,x1,y1, found 3"),
        (lambda s: s.edit(PICTURE, "a dog", (0, 0, 1, 1), seed=-1), "a seed from 0"),
        (lambda s: s.edit(PICTURE[..., 0], "a dog", (0, 0, 1, 1)), "expected RGB pixels"),
        (lambda s: s.extend(PICTURE, "a dog", "north"), "left, right, up, down, found 'north'"),
        (lambda s: s.extend(PICTURE, "a dog", "up", 8), "by 1 to 7 cells at a time, found 8"),
        (lambda s: s.extend(PICTURE, "a dog", "up", times=0), "1 to 64 times, found 0"),
        (lambda s: s.extend(PICTURE, HALF, "up"), "found them beside another change"),
        (lambda s: s.vary(PICTURE, HALF, 0.5), "found them beside another change"),
        (lambda s: s.vary(PICTURE, "a dog", 0.0), "above 0 and at most 1, found 0"),
        (lambda s: s.vary(PICTURE, "a dog", 30), "above 0 and at most 1, found 30"),
        (lambda s: s.complete(PICTURE, "a dog"), "found none"),
        (lambda s: s.complete(PICTURE, "zorp ___"), "at least one word that the model knows"),
        (lambda s: s.complete(PICTURE, "___ " * 31), "at most 30 tokens, blanks included, found 31"),
        (lambda s: s.edit(PICTURE, "a dog " * 20, HALVES), "at most 30 tokens, found 40"),
    ],
)
def test_what_cannot_be_done_is_refused(studio: Studio, ask, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ask(studio)


def test_a_picture_that_is_not_there_is_named(studio: Studio, tmp_path) -> None:
    with pytest.raises(XlxmertError, match=r"found nothing: check the path"):
        studio.edit(tmp_path / "nowhere.png", "a dog", HALVES)


def test_blanks_are_read_as_words_and_filled_in_place(studio: Studio) -> None:
    tokenizer = studio.bundle.tokenizer
    sentence = read_blanks(tokenizer, "Two ___ cars, on the _!", 30)
    assert sentence.blanks.sum() == 2 and (sentence.words[sentence.blanks] == tokenizer.mask).all()
    assert sentence.filled(["red", "beach"]) == "Two red cars, on the beach!"
    assert read_blanks(tokenizer, "a ___ zorp", 30).notes[0].startswith("the model has never seen the word 'zorp'")
