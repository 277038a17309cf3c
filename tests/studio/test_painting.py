"""Painting: a picture is a function of its prompt, its seed and its sampler, and bad prompts are refused politely."""

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.models.lxmert import Lxmert
from xlxmert.sampling import EasyFirst, Guidance, MaskGIT, MaskPredict, RandomOrder, Raster, Sampler
from xlxmert.studio import Studio
from xlxmert.studio.networks import GuidedPaintingNetwork, PaintingNetwork, blank_picture
from xlxmert.studio.options import PaintOptions
from xlxmert.studio.painter import CHUNK
from xlxmert.testing.tiny import tiny_bundle

PROMPTS = ["a dog", "two red cars on the beach", "a cat in the snow and three green apples above a blue car", "a house"]
QUICK = [MaskGIT(steps=6), MaskPredict(4)]
SLOW = [Raster(temperature=1.0), RandomOrder(), EasyFirst()]


@pytest.mark.parametrize(
    "sampler",
    [*QUICK, *(pytest.param(sampler, marks=pytest.mark.slow) for sampler in SLOW)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_picture_is_the_same_alone_and_in_a_batch_of_longer_prompts(studio: Studio, sampler: Sampler) -> None:
    together = studio.paint(PROMPTS, seeds=[3, 4, 5, 6], sampler=sampler)
    for seed, prompt, painting in zip([3, 4, 5, 6], PROMPTS, together, strict=True):
        (alone,) = studio.paint(prompt, seed=seed, sampler=sampler)
        assert np.array_equal(alone.codes, painting.codes)
        assert np.abs(alone.picture.astype(int) - painting.picture.astype(int)).max() <= 1
        assert (painting.prompt, painting.seed) == (prompt, seed)


def test_padding_does_not_change_the_logits(studio: Studio) -> None:
    model, tokenizer = studio.bundle.model, studio.bundle.tokenizer
    words = tokenizer.encode(["a dog"], 30)
    padded = torch.nn.functional.pad(words, (0, 9))
    codes, hidden = torch.arange(64)[None] % 20, torch.arange(64)[None] % 3 == 0
    with torch.inference_mode():
        blank = blank_picture(model, "cpu")
        plain, wide = (PaintingNetwork(model, ids, blank)(codes, hidden) for ids in (words, padded))
    torch.testing.assert_close(plain, wide, rtol=0, atol=1e-5)


def test_the_network_of_a_prompt_gives_what_the_whole_model_gives(studio: Studio) -> None:
    model = studio.bundle.model
    words = studio.bundle.tokenizer.encode([PROMPTS[1], PROMPTS[0], PROMPTS[1]], 30)
    codes = torch.arange(3 * 64).view(3, 64) % 20
    for hidden in (torch.ones_like(codes, dtype=torch.bool), codes > 9):
        with torch.inference_mode():
            expected = model.code_logits(model(words, codes, hidden=hidden).vision)
            found = PaintingNetwork(model, words, blank_picture(model, "cpu"))(codes, hidden)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_guidance_strengthens_what_the_words_change(studio: Studio) -> None:
    model, tokenizer = studio.bundle.model, studio.bundle.tokenizer
    words, silence = tokenizer.encode(["a dog"], 30), torch.tensor([[tokenizer.start, tokenizer.end]])
    codes, hidden = torch.arange(64)[None] % 20, torch.arange(64)[None] % 3 == 0
    with torch.inference_mode():
        blank = blank_picture(model, "cpu")
        told, untold = (PaintingNetwork(model, ids, blank) for ids in (words, silence))
        unknown, head = torch.ones_like(hidden), model.folded_code_head()
        rows = [told(codes, hidden), untold(codes, hidden)]
        for guidance, strength in (
            (Guidance(2.0), 2.0),
            (Guidance(2.0, ramp=True), 2.0 * float((~hidden).float().mean())),
            (Guidance(2.0, start=0.9), 0.0),
            (Guidance(2.0, end=0.5), 0.0),
        ):
            network = GuidedPaintingNetwork(model, words, silence, guidance, unknown, blank, head)
            expected = rows[0] + strength * (rows[0] - rows[1])
            torch.testing.assert_close(network(codes, hidden), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="guidance of at least 0, found -1"):
        studio.paint("a dog", guidance=-1.0)


def test_a_checkpoint_brings_its_guidance_and_the_caller_may_choose_another(studio: Studio) -> None:
    own = studio.bundle
    facts = {**own.facts, "guidance": 3.0}
    guided_bundle = Bundle(own.model, own.tokenizer, own.vocabulary, own.generator, own.answers, "", facts)
    other, sampler = Studio(guided_bundle, "cpu"), MaskPredict(2)
    plain, strong = studio.paint("a dog", sampler=sampler)[0], studio.paint("a dog", sampler=sampler, guidance=3.0)[0]
    assert not np.array_equal(plain.codes, strong.codes)
    assert np.array_equal(other.paint("a dog", sampler=sampler)[0].codes, strong.codes)
    assert np.array_equal(other.paint("a dog", sampler=sampler, guidance=0.0)[0].codes, plain.codes)
    together = studio.paint(PROMPTS, sampler=sampler, guidance=3.0)
    assert np.array_equal(together[0].codes, strong.codes)


def test_a_prompt_is_encoded_once_and_the_blank_picture_too(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"encode_words": 0, "encode_picture": 0}

    def counting(name: str) -> None:
        original = getattr(Lxmert, name)

        def call(self: Lxmert, *arguments: object, **named: object) -> object:
            calls[name] += 1
            return original(self, *arguments, **named)

        monkeypatch.setattr(Lxmert, name, call)

    counting("encode_words")
    counting("encode_picture")
    fresh = Studio(studio.bundle, "cpu")
    fresh.paint("a dog", sampler=MaskPredict(4))
    assert calls == {"encode_words": 1, "encode_picture": 4}  # the blank one, and the three steps after the first
    fresh.paint("a dog", sampler=MaskPredict(4))
    assert calls == {"encode_words": 2, "encode_picture": 7}


def test_seeds_and_prompts_make_different_pictures(studio: Studio) -> None:
    one, two, three = studio.paint(["a dog", "a dog", "a blue car"], seeds=[1, 2, 1], sampler=MaskGIT(steps=4))
    assert not np.array_equal(one.codes, two.codes) and not np.array_equal(one.codes, three.codes)
    assert one.picture.shape == (32, 32, 3) and one.picture.dtype == np.uint8


def test_many_prompts_are_painted_in_chunks_and_come_in_order(studio: Studio) -> None:
    prompts = [PROMPTS[index % 4] for index in range(CHUNK + 3)]
    found = studio.paint(prompts, seeds=list(range(len(prompts))), sampler=MaskPredict(1))
    assert [(painting.prompt, painting.seed) for painting in found] == list(zip(prompts, range(CHUNK + 3), strict=True))


def test_the_last_frame_is_the_picture(studio: Studio) -> None:
    frames = list(studio.paint_steps("a dog", 7, PaintOptions(MaskGIT(steps=5))))
    (painting,) = studio.paint("a dog", 7, sampler=MaskGIT(steps=5))
    assert len(frames) == 5 and not frames[-1].step.hidden.any()
    assert np.array_equal(frames[-1].picture, painting.picture)
    assert all(frame.picture.shape == (32, 32, 3) for frame in frames)


def test_a_picture_rebuilt_from_a_painting_s_codes_has_the_size_of_a_painting(studio: Studio) -> None:
    painted = studio.paint(["a dog", "a car"], sampler=MaskPredict(1))
    rebuilt = studio.rebuild(painted)
    assert len(rebuilt) == 2 and rebuilt[0].picture.shape == painted[0].picture.shape
    assert studio.bundle.vocabulary is not None
    codes = studio.bundle.vocabulary.encode(torch.from_numpy(painted[0].picture)[None])
    assert np.array_equal(rebuilt[0].codes, codes[0].numpy())


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_an_empty_prompt_is_refused(studio: Studio, prompt: str) -> None:
    with pytest.raises(UsageError, match="found an empty one"):
        studio.paint(["a dog", prompt])


def test_a_prompt_of_ten_thousand_words_is_refused_with_both_numbers(studio: Studio) -> None:
    with pytest.raises(UsageError, match="at most 30 tokens, found 10000"):
        studio.paint("dog " * 10_000)
    with pytest.raises(UsageError, match="at most 30 tokens"):
        studio.paint(" ".join(f"unseen{index}" for index in range(10_000)))


def test_the_trained_length_limits_prompts_too() -> None:
    bundle = tiny_bundle()
    bundle.facts["most_words"] = 4
    with pytest.raises(UsageError, match="at most 4 tokens, found 5"):
        Studio(bundle, "cpu").paint("a dog and a cat")


@pytest.mark.parametrize("prompt", ["🚗🚗🏖", "两辆红色汽车在海滩上", "qwfpgj", "!!!"])
def test_a_prompt_without_any_known_word_is_refused(studio: Studio, prompt: str) -> None:
    with pytest.raises(UsageError, match="at least one word that the model knows"):
        studio.paint(prompt)


def test_an_unknown_word_is_said_aloud_with_the_nearest_known_ones(studio: Studio) -> None:
    known, unknown = studio.paint(["a red car", "a red carr and a 🚗"], sampler=MaskPredict(1))
    assert known.notes == ()
    assert "'carr'" in unknown.notes[0] and "car" in unknown.notes[0].split("nearest")[1]
    assert "'🚗'" in unknown.notes[1]


def test_punctuation_that_the_model_never_saw_changes_nothing(studio: Studio) -> None:
    plain, marked = studio.paint(["a dog and a cat", "A dog, and a cat!"], seed=5, sampler=MaskPredict(2))
    assert np.array_equal(plain.codes, marked.codes) and marked.notes == ()


@pytest.mark.parametrize("seeds", [[1], [-1, 2], [2**63, 1]])
def test_bad_seeds_are_refused(studio: Studio, seeds: list[int]) -> None:
    with pytest.raises(UsageError, match="seed"):
        studio.paint(["a dog", "a cat"], seeds=seeds)


def test_a_checkpoint_without_a_generator_cannot_paint(studio: Studio) -> None:
    parts = studio.bundle
    blind = Bundle(parts.model, parts.tokenizer, None, None, parts.answers)
    with pytest.raises(XlxmertError, match="a checkpoint with a generator"):
        Studio(blind, "cpu").paint("a dog")


def test_an_unknown_device_is_refused(studio: Studio) -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        Studio(studio.bundle, "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="found none on this machine"):
            Studio(studio.bundle, "cuda")
