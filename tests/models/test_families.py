"""All families: published sizes, one interface, and the heads that a config asks for."""

import dataclasses
from typing import Any

import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.models import lxmert, uniter
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import PRESETS, build, config_of

SHAPES: list[ModelConfig] = [lxmert.TINY, uniter.TINY]
N, F = lxmert.TINY.cells, lxmert.TINY.feature_width


def made(shape: ModelConfig, **changes: Any) -> Transformer:
    torch.manual_seed(0)
    model = build(dataclasses.replace(shape, **changes)).eval()
    if model.config.codes:
        model.load_centroids(torch.randn(model.config.codes, F))
    return model


def trainable(shape: ModelConfig) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in build(shape).parameters() if weight.requires_grad)


WORDS = torch.tensor([[2, 7, 9, 11, 3, 0, 0], [2, 8, 10, 12, 13, 14, 3]])


def test_both_published_sizes_are_met() -> None:
    assert trainable(PRESETS["x-lxmert"]) == 226_525_800
    assert trainable(PRESETS["lxmert"]) == 228_051_752


def test_every_preset_builds_and_survives_json() -> None:
    for shape in PRESETS.values():
        assert trainable(shape) > 0
        assert config_of(shape.family, shape.to_dict()) == shape


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.family)
@pytest.mark.parametrize("norm", ["after", "before"])
def test_padding_changes_nothing(shape: ModelConfig, norm: str) -> None:
    model, codes = made(shape, norm=norm), torch.arange(2 * N).view(2, N) % shape.codes
    padded, short = model(WORDS[:1], codes[:1]), model(WORDS[:1, :5], codes[:1])
    torch.testing.assert_close(padded.vision, short.vision)
    torch.testing.assert_close(padded.pooled, short.pooled)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.family)
def test_the_three_steps_are_the_whole(shape: ModelConfig) -> None:
    model, codes = made(shape), torch.arange(2 * N).view(2, N) % shape.codes
    hidden = torch.rand(2, N) < 0.5
    whole = model(WORDS, codes, hidden=hidden)
    parts = model.cross(model.encode_words(WORDS), model.encode_picture(codes, hidden=hidden), WORDS > 0)
    assert torch.equal(whole.vision, parts.vision)
    assert torch.equal(whole.language, parts.language)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.family)
@pytest.mark.parametrize("mask_start", ["zeros", "normal", "fixed"])
def test_hidden_regions_cannot_be_seen(shape: ModelConfig, mask_start: str) -> None:
    model = made(shape, codes=0, regress=True, mask_start=mask_start)
    features, boxes = torch.randn(2, 5, F), torch.rand(2, 5, 4)
    hidden = torch.tensor([[True, False, True, False, False]] * 2)
    other = torch.where(hidden[..., None], torch.randn(2, 5, F), features)
    assert torch.equal(model(WORDS, features, boxes, hidden).vision, model(WORDS, other, boxes, hidden).vision)
    assert not torch.equal(model(WORDS, features, boxes).vision, model(WORDS, other, boxes).vision)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.family)
@pytest.mark.parametrize("label_input", ["state", "feature"])
def test_all_heads_train_and_have_their_shapes(shape: ModelConfig, label_input: str) -> None:
    heads = {"codes": 0, "regress": True, "labels": 7, "attributes": 3, "label_input": label_input, "pairs": True}
    model = made(shape, **heads, mask_start="normal").train()
    out = model(WORDS, torch.randn(2, N, F), hidden=torch.rand(2, N) < 0.5)
    found = {
        "features": model.predicted_features(out.vision),
        "labels": model.label_logits(out.vision),
        "attributes": model.attribute_logits(out.vision),
        "pairs": model.pair_logits(out.pooled, out.pooled.flip(0)),
        "answers": model.answer_logits(out.pooled),
        "match": model.matching_logits(out.pooled),
        "words": model.word_logits(out.language),
    }
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes["features"] == (2, N, F)
    assert shapes["labels"] == (2, N, 7)
    assert shapes["attributes"] == (2, N, 3)
    assert shapes["pairs"] == (2, 2)
    torch.stack([value.square().mean() for value in found.values()]).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_a_fixed_mask_is_zeros_in_feature_space() -> None:
    model, features = made(lxmert.TINY, codes=0, mask_start="fixed"), torch.randn(1, N, F)
    hidden = torch.zeros(1, N, dtype=torch.bool)
    hidden[0, 3] = True
    zeroed = features.masked_fill(hidden[..., None], 0)
    torch.testing.assert_close(model(WORDS[:1], features, hidden=hidden).vision, model(WORDS[:1], zeroed).vision)


def test_missing_heads_and_unknown_families_say_so() -> None:
    model = made(lxmert.TINY)
    with pytest.raises(XlxmertError, match="labels=0"):
        model.label_logits(torch.zeros(1, 32))
    with pytest.raises(XlxmertError, match="finetune nlvr2"):
        model.pair_logits(torch.zeros(1, 32), torch.zeros(1, 32))
    with pytest.raises(XlxmertError, match="found 'gpt'"):
        config_of("gpt", {})
    with pytest.raises(XlxmertError, match="needs regress=True"):
        dataclasses.replace(lxmert.TINY, labels=3, label_input="feature")
