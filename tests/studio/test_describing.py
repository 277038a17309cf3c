"""Captions by a captioner: the same alone and among others, with a cache and without, best first; who writes when."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.looking import SIZE
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.models.xgpt import Xgpt
from xlxmert.sampling import Beam, Decoding, DiverseBeam, Greedy, Hypothesis, Nucleus, Raster
from xlxmert.studio import Caption, Describer, Studio, describer
from xlxmert.testing.tiny import tiny_bundle, tiny_captioner, tiny_pictures

PICTURES = tiny_pictures(3)
WAYS = {
    "default": None,
    "greedy": Greedy(),
    "beam": Beam(3, length_penalty=0.5, early_stopping=False, no_repeat_ngram=2),
    "diverse": DiverseBeam(6, 3),
    "nucleus": Nucleus(0.9),
}
ALL = pytest.mark.parametrize("decoding", WAYS.values(), ids=WAYS)


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return tiny_captioner()


@pytest.fixture(scope="module")
def writer(captioner: Captioner) -> Describer:
    return Describer(captioner, "cpu")


def count_of(decoding: Decoding | None) -> int:
    return 1 if isinstance(decoding, Greedy) else 3


def told(rows: list[list[Caption]]) -> list[list[str]]:
    return [[caption.text for caption in row] for row in rows]


def check_same(one: list[list[Caption]], other: list[list[Caption]]) -> None:
    assert told(one) == told(other)
    for mine, theirs in zip(itertools.chain(*one), itertools.chain(*other), strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-4)


@ALL
def test_a_caption_does_not_depend_on_the_pictures_beside_it(
    writer: Describer, decoding: Decoding | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, count = writer.seen(torch.from_numpy(PICTURES)), count_of(decoding)
    together = writer.write(seen, count, decoding=decoding)
    assert len({row[0].text for row in together}) == 3, "captions that are all alike prove nothing"
    monkeypatch.setattr(describer, "TOGETHER", 1)
    check_same(together, writer.write(seen, count, decoding=decoding))


@pytest.mark.parametrize("codes", [False, True], ids=["features", "codes"])
def test_a_picture_alone_and_several_are_captioned_alike(codes: bool) -> None:
    writer = Describer(tiny_captioner(codes=codes), "cpu")
    seen = writer.seen(torch.from_numpy(PICTURES))
    assert seen.is_floating_point() == (not codes)
    together = writer.caption(PICTURES)
    assert len({row[0].text for row in together}) > 1
    check_same(together, [writer.caption(picture)[0] for picture in PICTURES])


@ALL
def test_a_cache_changes_no_caption(
    captioner: Captioner, writer: Describer, decoding: Decoding | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Describer(captioner, "cpu", cached=False)
    words = (writer.seen(torch.from_numpy(PICTURES)), count_of(decoding), "two red", decoding)
    found = writer.write(*words)
    monkeypatch.setattr(Xgpt, "cache", lambda *_: pytest.fail("a cache was made"))
    check_same(found, plain.write(*words))


@ALL
def test_captions_differ_begin_with_the_prefix_and_come_best_first(
    writer: Describer, decoding: Decoding | None
) -> None:
    count = count_of(decoding)
    for row in writer.write(writer.seen(torch.from_numpy(PICTURES)), count, " Two red ", decoding):
        assert len({caption.text for caption in row}) == len(row) == count
        assert all(caption.text.startswith("two red") and len(caption.text) > 7 for caption in row)
        if not isinstance(decoding, Beam):  # whose scores here are no means
            assert [caption.score for caption in row] == sorted((caption.score for caption in row), reverse=True)


class Recorded:
    """A decoding that keeps what it wrote."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding, self.found = decoding, list[list[Hypothesis]]()

    def write(self, *given: Any) -> list[list[Hypothesis]]:
        self.found += (rows := self.decoding.write(*given))
        return rows


@ALL
def test_a_score_is_the_mean_log_p_of_what_was_written_and_the_end(
    writer: Describer, captioner: Captioner, decoding: Decoding | None
) -> None:
    model, tokenizer, kept = captioner.model, captioner.tokenizer, Recorded(decoding or describer.DECODING)
    seen = writer.seen(torch.from_numpy(PICTURES[:2]))
    rows = writer.write(seen, count_of(decoding), "a dog", kept)
    for row, sentences, picture in zip(rows, kept.found, seen, strict=True):
        memory = model.encode(model.embed_picture(picture[None]))
        for caption, sentence in zip(row, sentences, strict=True):
            ids = [tokenizer.start, *sentence.words, tokenizer.end]
            log_p = model.word_logits(model.decode(torch.tensor([ids[:-1]]), memory))[0].log_softmax(-1).tolist()
            written = [log_p[place][ids[place + 1]] for place in range(2, len(ids) - 1)]
            assert caption.text == tokenizer.decode(sentence.words) and caption.text.startswith("a dog")
            assert caption.score == pytest.approx(sum(written) / len(written), abs=1e-4) and caption.score <= 0


def test_captions_are_no_longer_than_those_of_the_training(writer: Describer, captioner: Captioner) -> None:
    kept, seen = Recorded(Beam(3, early_stopping=False)), writer.seen(torch.from_numpy(PICTURES))
    writer.write(seen, 3, decoding=kept)
    writer.write(seen, 2, "a dog and a cat in the", decoding=kept)  # seven words: one more, or none
    lengths = {len(sentence.words) for row in kept.found for sentence in row}
    assert captioner.most_words == max(lengths) == 8


def test_more_captions_than_beams_widen_the_default(writer: Describer) -> None:
    for row in writer.caption(PICTURES[:2], 7):
        assert len({caption.text for caption in row}) == 7
    with pytest.raises(UsageError, match=r"at most 3 sentences per picture.*raise size"):
        writer.caption(PICTURES[0], 7, decoding=Beam(3))


def test_a_text_is_given_once_though_other_words_spell_it_too(writer: Describer) -> None:
    for row in writer.caption(PICTURES, 40, "a dog and a cat in the", Beam(40)):
        assert len({caption.text for caption in row}) == len(row) <= 40


def test_seeds_decide_the_draws_and_nothing_else(writer: Describer) -> None:
    first, again, other = (told(writer.caption(PICTURES, 2, "", Nucleus(), seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert told(writer.caption(PICTURES, 2, seed=0)) == told(writer.caption(PICTURES, 2, seed=1))


def test_pictures_that_were_looked_at_before_may_have_boxes_of_their_own(writer: Describer) -> None:
    features = writer.seen(torch.from_numpy(PICTURES))
    cells = writer.captioner.model.cell_boxes.expand(3, -1, -1)
    check_same(writer.write(features), writer.write(features, boxes=cells))
    assert told(writer.write(features)) != told(writer.write(features, boxes=cells.flip(1)))
    few = writer.write(features[:, :5], boxes=cells[:, :5])
    check_same(few, [writer.write(features[i : i + 1, :5], boxes=cells[i : i + 1, :5])[0] for i in range(3)])


def test_no_pictures_and_bad_counts_are_refused(writer: Describer) -> None:
    with pytest.raises(UsageError, match="at least one picture, found none"):
        writer.caption([])
    assert writer.write(writer.seen(torch.from_numpy(PICTURES))[:0]) == []
    for count in (0, -1):
        with pytest.raises(UsageError, match=f"at least 1 caption, found {count}"):
            writer.caption(PICTURES, count)


def test_prefixes_that_cannot_be_used_are_refused(writer: Describer) -> None:
    with pytest.raises(UsageError, match=r"expected at most 7 tokens, found 10 in 'dog dog"):
        writer.caption(PICTURES, prefix="dog " * 10)
    with pytest.raises(UsageError, match=r"a prefix with at least one word that the model knows, found none in '🚗'"):
        writer.caption(PICTURES, prefix="🚗")
    with pytest.raises(UsageError, match=r"a prefix of words that the model knows: .*never seen the word '🚗'"):
        writer.caption(PICTURES, prefix="a 🚗")
    with pytest.raises(UsageError, match=r"found none in 'dogg'; the nearest it knows: dog"):
        writer.caption(PICTURES, prefix="dogg")


def test_a_captioner_that_cannot_look_says_so_but_reads_features(captioner: Captioner, writer: Describer) -> None:
    blind = Describer(Captioner(captioner.model, captioner.tokenizer, facts=captioner.facts), "cpu")
    with pytest.raises(XlxmertError, match=r"a captioner with a visual vocabulary .*--model"):
        blind.caption(PICTURES)
    seen = writer.seen(torch.from_numpy(PICTURES))
    check_same(blind.write(seen), writer.write(seen))


def test_a_device_that_is_not_there_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="found 'tpu'"):
        Describer.from_pretrained("./nowhere", "tpu")


def test_describer_and_studio_open_folders(tmp_path: Path, writer: Describer, captioner: Captioner) -> None:
    captioner.save_pretrained(tmp_path / "captioner", half=False)
    expected = told(writer.caption(PICTURES))
    assert told(Describer.from_pretrained(tmp_path / "captioner", "cpu").caption(PICTURES)) == expected
    tiny_bundle().save_pretrained(tmp_path / "checkpoint")
    folders = str(tmp_path / "checkpoint"), "cpu"
    both = Studio.from_pretrained(*folders, captioner=tmp_path / "captioner", decoding=Greedy())
    pixels = torch.from_numpy(PICTURES).repeat_interleave(SIZE // 32, 1).repeat_interleave(SIZE // 32, 2)
    assert told(both.caption(pixels)) == told(writer.caption(pixels, decoding=Greedy()))
    for alone in ("auto", None):  # beside a checkpoint of one's own nobody captions in its place
        assert Studio.from_pretrained(*folders, captioner=alone).describer is None


def test_a_studio_lets_its_captioner_write(studio: Studio, captioner: Captioner, writer: Describer) -> None:
    asked: list[str] = []
    both = Studio(studio.bundle, "cpu", lambda: asked.append("loaded") or captioner, Beam(2))
    assert not asked
    check_same(both.caption(PICTURES, 2, "two red"), writer.caption(PICTURES, 2, "two red", Beam(2)))
    check_same(both.caption(PICTURES, decoding=Greedy()), writer.caption(PICTURES, decoding=Greedy()))
    check_same(both.caption(PICTURES, 2, "", None, 5, Nucleus()), writer.caption(PICTURES, 2, "", Nucleus(), 5))
    assert asked == ["loaded"]


def test_a_sampler_keeps_the_masked_writing(studio: Studio) -> None:
    def never() -> Captioner:
        raise AssertionError("the captioner was asked")

    both = Studio(studio.bundle, "cpu", never)
    check_same(both.caption(PICTURES, 2, sampler=Raster()), studio.caption(PICTURES, 2, sampler=Raster()))
    check_same(studio.caption(PICTURES), studio.caption(PICTURES, sampler=Raster()))


@pytest.mark.parametrize("who", ["no captioner", "a sampler beside it"])
def test_a_decoding_needs_a_captioner_that_writes(studio: Studio, captioner: Captioner, who: str) -> None:
    alone: Callable[[], object] = lambda: studio.caption(PICTURES, decoding=Greedy())  # noqa: E731
    sampled: Callable[[], object] = lambda: Studio(studio.bundle, "cpu", captioner).caption(  # noqa: E731
        PICTURES, sampler=Raster(), decoding=Greedy()
    )
    with pytest.raises(UsageError, match="expected a captioner for this decoding"):
        (alone if who == "no captioner" else sampled)()
