"""LXMERT: published size, one prompt for many pictures, every choice of its config."""

import dataclasses
import itertools
import json
from typing import Any

import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.models.lxmert import PAPER, PRESETS, TINY, WORLD, Lxmert, LxmertConfig
from xlxmert.nn.heads import CodeHead

N = TINY.cells


def build(seed: int = 0, **changes: Any) -> Lxmert:
    """A tiny model with random centroids, ready to predict."""
    torch.manual_seed(seed)
    model = Lxmert(dataclasses.replace(TINY, **changes)).eval()
    if model.config.codes:
        model.load_centroids(torch.randn(model.config.codes, model.config.feature_width))
    return model


def draw(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch_generator("lxmert", batch)
    words = torch.randint(1, TINY.vocabulary, (batch, 7), generator=generator)
    words[0, 5:] = 0
    codes = torch.randint(0, TINY.codes, (batch, N), generator=generator)
    return words, codes, torch.rand(batch, N, generator=generator) < 0.5


def same(left: Any, right: Any) -> None:
    for field in dataclasses.fields(left):
        torch.testing.assert_close(getattr(left, field.name), getattr(right, field.name), rtol=0, atol=0)


def trainable(config: LxmertConfig) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in Lxmert(config).parameters() if weight.requires_grad)


def test_the_paper_model_has_the_published_number_of_trainable_values() -> None:
    assert trainable(PAPER) == 226_525_800


def test_the_tiny_model_is_tiny_and_every_preset_builds() -> None:
    assert trainable(TINY) < 60_000
    assert all(trainable(config) > 0 for config in PRESETS.values())


def test_the_centroids_are_saved_but_not_trained() -> None:
    model = build()
    assert model.state_dict()["centroids"].shape == (TINY.codes, TINY.feature_width)
    assert "centroids" not in dict(model.named_parameters())
    codes = torch.tensor([[0, 49, 7]])
    assert torch.equal(model.features_of(codes), model.centroids[codes])  # type: ignore[index]


def test_crossing_encoded_sides_is_the_whole_model() -> None:
    model, (words, codes, hidden) = build(), draw()
    same(
        model(words, codes, hidden=hidden),
        model.cross(model.encode_words(words), model.encode_picture(codes, hidden=hidden), words > 0),
    )


def test_a_prompt_is_encoded_once_for_many_pictures() -> None:
    model, (words, codes, hidden) = build(), draw()
    runs = []
    model.language_layers[0].register_forward_hook(lambda *_: runs.append(1))
    language = model.encode_words(words)
    for shift in range(3):
        shifted = (codes + shift) % TINY.codes
        same(
            model.cross(language, model.encode_picture(shifted, hidden=hidden), words > 0),
            model(words, shifted, hidden=hidden),
        )
    assert len(runs) == 1 + 3  # ours once, and once in each whole pass


def test_codes_are_read_as_their_centroids() -> None:
    model, (words, codes, hidden) = build(), draw()
    same(model(words, codes, hidden=hidden), model(words, model.features_of(codes), hidden=hidden))


@pytest.mark.parametrize("code_input", ["centroids", "learned", "both"])
def test_what_is_hidden_cannot_be_seen(code_input: str) -> None:
    model, (words, codes, hidden) = build(code_input=code_input), draw()
    other = torch.where(hidden, (codes + 11) % TINY.codes, codes)
    same(model(words, codes, hidden=hidden), model(words, other, hidden=hidden))
    assert not torch.equal(model(words, codes).vision, model(words, other).vision)


def test_pictures_and_texts_of_a_batch_do_not_mix() -> None:
    model, (words, codes, hidden) = build(), draw(3)
    whole = model(words, codes, hidden=hidden)
    for i in range(3):
        alone = model(words[i : i + 1], codes[i : i + 1], hidden=hidden[i : i + 1])
        torch.testing.assert_close(whole.vision[i : i + 1], alone.vision)
        torch.testing.assert_close(whole.pooled[i : i + 1], alone.pooled)


def test_padding_changes_nothing() -> None:
    model, (words, codes, _) = build(), draw(1)
    padded, short = model(words, codes), model(words[:, :5], codes)
    torch.testing.assert_close(padded.vision, short.vision)
    torch.testing.assert_close(padded.language[:, :5], short.language)


@pytest.mark.parametrize(
    ("code_head", "code_input", "grid_position"),
    list(itertools.product(["centroids", "learned", "both"], ["centroids", "learned", "both"], ["box", "learned"])),
)
def test_every_choice_trains_every_weight(code_head: str, code_input: str, grid_position: str) -> None:
    choice: dict[str, Any] = {"code_head": code_head, "code_input": code_input, "grid_position": grid_position}
    model, (words, codes, hidden) = build(**choice, mask_start="normal").train(), draw()
    out = model(words, codes, hidden=hidden)
    heads = (model.word_logits(out.language), model.code_logits(out.vision[hidden]))
    pairs = (model.matching_logits(out.pooled), model.answer_logits(out.pooled))
    assert heads[1].shape == (int(hidden.sum()), TINY.codes)
    sum(logits.logsumexp(-1).mean() for logits in (*heads, *pairs)).backward()  # type: ignore[union-attr]
    untrained = [
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.isfinite().all()
    ]
    assert untrained == []


def test_cells_without_boxes_are_those_of_the_grid() -> None:
    model, (words, codes, _) = build(), draw()
    same(model(words, codes), model(words, codes, boxes=model.cell_boxes.expand(2, N, 4)))


def test_regions_with_boxes_of_any_number_are_read_without_codes() -> None:
    model, (words, _, _) = build(codes=0, answers=0), draw()
    out = model(words, torch.randn(2, 5, TINY.feature_width), torch.rand(2, 5, 4))
    assert out.vision.shape == (2, 5, TINY.width)


def test_the_cpu_computes_in_bfloat16_under_autocast() -> None:
    model, (words, codes, hidden) = build(), draw()
    with torch.no_grad():
        exact = model(words, codes, hidden=hidden)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(words, codes, hidden=hidden)
    assert rough.vision.dtype == torch.bfloat16
    torch.testing.assert_close(rough.vision.float(), exact.vision, rtol=0, atol=0.1)


def test_requests_that_the_model_cannot_serve_say_why() -> None:
    words, codes, _ = draw()
    features = torch.randn(2, N, TINY.feature_width)
    with pytest.raises(XlxmertError, match=r"reads pictures as codes.*'learned'"):
        build(code_input="learned")(words, features)
    with pytest.raises(XlxmertError, match="codes=0"):
        build(codes=0)(words, codes)
    with pytest.raises(XlxmertError, match="answers=0"):
        build(answers=0).answer_logits(torch.zeros(1, TINY.width))
    with pytest.raises(XlxmertError, match="must be 32 wide"):
        build()(words, features[..., :9])
    with pytest.raises(XlxmertError, match=r"64 cells, a grid of 8 x 8 \(found 9\)"):
        build()(words, codes[:, :9])
    with pytest.raises(XlxmertError, match=r"must be \(50, 32\) \(found \(49, 32\)\)"):
        build().load_centroids(torch.zeros(49, 32))
    with pytest.raises(XlxmertError, match="code_head='centroids'"):
        build(code_head="learned").predicted_features(torch.zeros(1, TINY.width))


def test_a_config_survives_json() -> None:
    for config in (PAPER, TINY, WORLD):
        assert LxmertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 33}, "heads must divide"),
        ({"vocabulary": 0}, "vocabulary must be a whole number of at least 1"),
        ({"codes": -1}, "codes must be a whole number of at least 0"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"codes": 0, "code_head": "learned"}, "codes must be above 0"),
        ({"colour": 3}, "found colour"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        LxmertConfig.from_dict({**TINY.to_dict(), **fields})


@pytest.mark.parametrize(("field", "value"), [("width", 32.0), ("code_input", "pixels"), ("mask_start", 1)])
def test_a_config_refuses_values_of_another_kind(field: str, value: Any) -> None:
    with pytest.raises((XlxmertError, TypeError), match=field):  # TypeError where the suite checks types at run time
        LxmertConfig.from_dict({**TINY.to_dict(), field: value})


def test_a_head_of_both_kinds_is_the_sum_of_both() -> None:
    model = build(code_head="both").eval()
    model.load_centroids(torch.randn(TINY.codes, TINY.feature_width))
    states, head = torch.randn(3, TINY.width), model.code_head
    assert isinstance(head, CodeHead) and head.feature is not None
    inner = head.transform(states)
    expected = head.linear(inner) + head.feature(inner) @ model.centroids.T  # type: ignore[union-attr]
    torch.testing.assert_close(model.code_logits(states), expected)
