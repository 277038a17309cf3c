"""The best of several drafts, and negative prompts: what is kept is a plain painting of some seed, chosen by score."""

import dataclasses

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.sampling import Guidance, MaskGIT
from xlxmert.studio import PaintOptions, Studio
from xlxmert.studio.painter import draft_seed
from xlxmert.studio.rerank import agreement
from xlxmert.studio.sentences import word_ids

QUICK = PaintOptions(MaskGIT(steps=3))
PROMPTS = ["a dog", "two red cars on the beach", "a house"]


@pytest.mark.parametrize("likelihood", [0.0, 0.5])
def test_the_draft_of_highest_score_is_kept_and_its_seed_paints_it_again(studio: Studio, likelihood: float) -> None:
    model, ids = studio.bundle.model, word_ids(studio.bundle.tokenizer)
    kept = studio.paint(PROMPTS, seed=5, best_of=4, likelihood=likelihood, options=QUICK)
    for prompt, painting in zip(PROMPTS, kept, strict=True):
        seeds = [draft_seed(5, draft) for draft in range(4)]
        drafts = studio.paint([prompt] * 4, seeds=seeds, options=QUICK)
        codes = torch.from_numpy(np.stack([draft.codes for draft in drafts]))
        words = studio.bundle.tokenizer.encode([prompt] * 4, 30)
        with torch.inference_mode():
            scores = agreement(model, words, codes, ids, likelihood)
        best = int(scores.argmax())
        assert painting.seed == seeds[best]
        assert np.array_equal(painting.codes, drafts[best].codes)
        assert painting.score == pytest.approx(float(scores[best]), abs=1e-3)
        assert np.array_equal(painting.picture, drafts[best].picture)


def test_one_draft_is_plain_painting_and_its_first_draft_has_the_own_seed(studio: Studio) -> None:
    (plain,) = studio.paint("a dog", seed=3, options=QUICK)
    (one,) = studio.paint("a dog", seed=3, best_of=1, options=QUICK)
    assert np.array_equal(plain.codes, one.codes) and one.score is None
    assert draft_seed(3, 0) == 3 and len({draft_seed(3, draft) for draft in range(64)}) == 64


def test_the_best_is_the_same_alone_and_among_others(studio: Studio) -> None:
    together = studio.paint(PROMPTS, seeds=[1, 2, 3], best_of=3, options=QUICK)
    for seed, prompt, painting in zip([1, 2, 3], PROMPTS, together, strict=True):
        (alone,) = studio.paint(prompt, seed=seed, best_of=3, options=QUICK)
        assert np.array_equal(alone.codes, painting.codes)


def test_frames_show_the_best_draft(studio: Studio) -> None:
    options = dataclasses.replace(QUICK, best_of=3)
    *_, frame = studio.paint_steps("a dog", 4, options)
    assert np.array_equal(frame.picture, studio.paint("a dog", 4, options=options)[0].picture)


def test_the_matching_head_s_odds_are_what_is_compared(studio: Studio) -> None:
    codes = torch.arange(2 * 64).view(2, 64) % 20
    words = studio.bundle.tokenizer.encode(["a dog", "a house"], 30)
    model = studio.bundle.model
    with torch.inference_mode():
        logits = model.matching_logits(model(words, codes).pooled)
        found = agreement(model, words, codes, word_ids(studio.bundle.tokenizer))
    torch.testing.assert_close(found, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-4)


def test_a_negative_prompt_takes_the_place_of_silence(studio: Studio) -> None:
    strong = QUICK.with_changes(guidance=2.0)
    plain = studio.paint("a dog", options=strong)[0]
    away = studio.paint("a dog", negative="a house in the snow", options=strong)[0]
    assert not np.array_equal(plain.codes, away.codes)
    itself = studio.paint("a dog", negative="a dog", options=strong)[0]  # told - untold is nothing
    assert np.array_equal(itself.codes, studio.paint("a dog", guidance=0.0, options=QUICK)[0].codes)


def test_guidance_in_an_interval_that_is_never_met_is_none(studio: Studio) -> None:
    late = QUICK.with_changes(guidance=Guidance(3.0, start=0.999))
    plain = QUICK.with_changes(guidance=0.0)
    assert np.array_equal(studio.paint("a dog", options=late)[0].codes, studio.paint("a dog", options=plain)[0].codes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"best_of": 0}, "best of 1 to 64, found 0"),
        ({"best_of": 65}, "best of 1 to 64, found 65"),
        ({"likelihood": -1.0}, "at least 0, found -1"),
        ({"negative": "a dog", "guidance": 0.0}, "guidance beside a negative prompt"),
    ],
)
def test_choices_out_of_range_are_refused(studio: Studio, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        studio.paint("a cat", **changes)  # type: ignore[arg-type]


def test_a_negative_prompt_needs_the_checkpoint_s_or_the_caller_s_guidance(studio: Studio) -> None:
    assert "guidance" not in studio.bundle.facts
    with pytest.raises(UsageError, match="the checkpoint brings none"):
        studio.paint("a cat", negative="a dog")


@pytest.mark.parametrize("interval", [(0.5, 0.5), (-0.1, 1.0), (0.0, 1.5)])
def test_an_impossible_interval_of_guidance_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match=r"two shares of settled cells in \[0, 1\]"):
        Guidance(1.0, False, *interval)
