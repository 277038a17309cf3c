"""Captions, answers and matches: the same for a picture alone and among others, best first, bad input refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import save_png
from xlxmert.sampling import MaskPredict, RandomOrder, Raster, Sampler
from xlxmert.sampling.words import WordIds, pseudo_log_likelihood
from xlxmert.studio import Caption, Studio
from xlxmert.studio.networks import WritingNetwork
from xlxmert.studio.teller import best_captions
from xlxmert.testing.tiny import ANSWERS, tiny_pictures

PICTURES = tiny_pictures(3)
QUESTIONS = ["what color is the car ?", "how many dogs are there ?"]


@pytest.mark.parametrize("sampler", [Raster(), RandomOrder(sweeps=1.5), MaskPredict(3)], ids=lambda s: type(s).__name__)
def test_a_caption_does_not_depend_on_the_pictures_beside_it(studio: Studio, sampler: Sampler) -> None:
    together = studio.caption(PICTURES, sampler=sampler)
    for picture, (caption,) in zip(PICTURES, together, strict=True):
        ((alone,),) = studio.caption(picture, sampler=sampler)
        assert alone.text == caption.text and alone.text.strip()
        assert alone.score == pytest.approx(caption.score, abs=1e-4)


def test_captions_are_different_and_best_first(studio: Studio) -> None:
    for captions in studio.caption(PICTURES, count=3, sampler=RandomOrder(temperature=1.0)):
        scores = [caption.score for caption in captions]
        assert len({caption.text for caption in captions}) == len(captions) == 3, captions
        assert scores == sorted(scores, reverse=True) and scores[0] <= 0


def test_the_chosen_length_is_the_likeliest(studio: Studio) -> None:
    """The score that is told is the pseudo-log-likelihood, and no length alone finds a better sentence."""
    best = studio.caption(PICTURES[0])[0][0]
    bundle = studio.bundle
    for length in (3, 4, 5, 6):
        facts = {"caption_words": [length, length]}
        one = Bundle(bundle.model, bundle.tokenizer, bundle.vocabulary, bundle.generator, bundle.answers, "", facts)
        assert Studio(one, "cpu").caption(PICTURES[0])[0][0].score <= best.score + 1e-5


def test_a_score_is_the_pseudo_log_likelihood_of_the_words(studio: Studio) -> None:
    bundle, tokenizer = studio.bundle, studio.bundle.tokenizer
    caption = studio.caption(PICTURES[0])[0][0]
    never = (tokenizer.unknown, tokenizer.engine.token_to_id("?"))  # a caption asks nothing
    ids = WordIds(tokenizer.start, tokenizer.end, tokenizer.mask, tokenizer.pad, never)
    assert bundle.vocabulary is not None
    with torch.inference_mode():
        vision = bundle.model.encode_picture(bundle.vocabulary.encode(torch.from_numpy(PICTURES[:1])))
        words = tokenizer.encode([caption.text], 32)
        score = pseudo_log_likelihood(WritingNetwork(bundle.model, vision), words, ids)
    assert tokenizer.decode(words[0]) == caption.text
    assert float(score) == pytest.approx(caption.score, abs=1e-4)


def test_every_caption_begins_with_the_prefix(studio: Studio) -> None:
    for captions in studio.caption(PICTURES, count=2, prefix="two red cars on the beach"):
        assert all(caption.text.startswith("two red cars on the beach ") for caption in captions)


def test_of_equal_texts_the_best_score_is_kept() -> None:
    found = [("a", -2.0), ("b", -1.0), ("a", -0.5), ("c", -3.0)]
    assert best_captions(found, 2) == [Caption("a", -0.5), Caption("b", -1.0)]


def test_answers_are_probabilities_of_known_answers_best_first(studio: Studio) -> None:
    found = studio.answer(PICTURES, QUESTIONS, top=99)
    assert [len(by_question) for by_question in found] == [2, 2, 2]
    for answers in (answers for by_question in found for answers in by_question):
        confidences = [answer.confidence for answer in answers]
        assert sorted(answer.text for answer in answers) == sorted(ANSWERS)
        assert confidences == sorted(confidences, reverse=True) and sum(confidences) == pytest.approx(1, abs=1e-5)


def test_an_answer_and_a_match_are_the_same_alone_and_among_others(studio: Studio) -> None:
    answers, matches = studio.answer(PICTURES, QUESTIONS), studio.match(PICTURES, QUESTIONS)
    assert matches.shape == (3, 2) and ((matches >= 0) & (matches <= 1)).all()
    for row, picture in enumerate(PICTURES):
        for column, question in enumerate(QUESTIONS):
            ((alone,),) = studio.answer(picture, question)
            assert [a.text for a in alone] == [a.text for a in answers[row][column]]
            assert studio.match(picture, question)[0, 0] == pytest.approx(matches[row, column], abs=1e-5)


def test_one_question_per_picture_gives_the_diagonal(studio: Studio) -> None:
    questions = [QUESTIONS[0], QUESTIONS[1], QUESTIONS[0]]
    answers = studio.answer(PICTURES, QUESTIONS, top=1)
    expected = [answers[0][0][0].text, answers[1][1][0].text, answers[2][0][0].text]
    assert studio.reply(PICTURES, questions) == expected
    matches = studio.match(PICTURES, QUESTIONS)
    assert np.allclose(studio.fit(PICTURES, questions), [matches[0, 0], matches[1, 1], matches[2, 0]], atol=1e-5)
    with pytest.raises(UsageError, match="one per picture"):
        studio.reply(PICTURES, QUESTIONS)


def test_files_arrays_tensors_and_paintings_are_all_pictures(studio: Studio, tmp_path: Path) -> None:
    (painting,) = studio.paint("a dog", sampler=MaskPredict(1))
    save_png(tmp_path / "dog.png", painting.picture)
    file, pixels = tmp_path / "dog.png", painting.picture
    rows = studio.match([file, str(file), pixels, torch.from_numpy(pixels), painting], "a dog")
    assert np.allclose(rows, rows[0], atol=1e-6)
    assert studio.match(np.zeros((50, 70, 3), np.uint8), "a dog").shape == (1, 1)


def test_bad_pictures_are_refused(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found none"):
        studio.caption([])
    with pytest.raises(UsageError, match="as float64"):
        studio.caption([np.zeros((32, 32, 3))])
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(XlxmertError, match=r"bad\.png"):
        studio.caption(tmp_path / "bad.png")


def test_bad_requests_are_refused(studio: Studio) -> None:
    with pytest.raises(UsageError, match="at least one question, found none"):
        studio.answer(PICTURES, [])
    with pytest.raises(UsageError, match="expected a question, found an empty one"):
        studio.answer(PICTURES, [""])
    with pytest.raises(UsageError, match="at most 30 tokens"):
        studio.match(PICTURES, ["dog " * 10_000])
    with pytest.raises(UsageError, match="prefix with at least one word"):
        studio.caption(PICTURES, prefix="🚗")
    with pytest.raises(UsageError, match="at least 1 caption"):
        studio.caption(PICTURES, count=0)
    with pytest.raises(UsageError, match="at least 1 answer"):
        studio.answer(PICTURES, QUESTIONS, top=0)


def test_a_checkpoint_that_cannot_look_says_so(studio: Studio) -> None:
    parts = studio.bundle
    blind = Studio(Bundle(parts.model, parts.tokenizer, None, parts.generator, parts.answers), "cpu")
    with pytest.raises(XlxmertError, match="visual vocabulary"):
        blind.caption(PICTURES)
