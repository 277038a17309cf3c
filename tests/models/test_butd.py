"""Bottom-up top-down attention: the papers' formulas, what may and may not matter, and that it learns where to look."""

import copy
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from xlxmert.core.errors import XlxmertError
from xlxmert.models.butd import PAPER, PRESETS, TINY, Butd, ButdConfig
from xlxmert.models.outputs import Encoded, HasPooled

N, D = TINY.cells, TINY.width
WORDS = torch.tensor([[2, 7, 9, 11, 3, 0, 0], [2, 8, 10, 12, 13, 14, 3]])
KINDS = [
    {"attention": attention, "nonlinearity": nonlinearity}
    for attention, nonlinearity in itertools.product(("multiply", "concatenate"), ("relu", "gated_tanh"))
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))


def made(**changes: Any) -> Butd:
    torch.manual_seed(0)
    model = Butd(dataclasses.replace(TINY, **changes)).eval()
    if model.config.codes:
        model.load_centroids(torch.randn(model.config.codes, model.config.feature_width))
    return model


def regions(batch: int = 2, count: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, count, TINY.feature_width), torch.rand(batch, count, 4)


def trainable(config: ButdConfig) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in Butd(config).parameters())


def test_the_paper_model_has_the_layers_of_the_reimplementation() -> None:
    def normed(width: int, out: int) -> int:
        return width * out + out + 1  # directions, biases, one length

    words, gru = 30522 * 300, 3 * 1024 * (300 + 1024) + 6 * 1024
    attention = normed(2048, 1024) + normed(1024, 1024) + 1024 + 1  # no bias: a softmax would not see it
    joint, answers = normed(1024, 1024) + normed(2048, 1024), normed(1024, 2048) + normed(2048, 3129)
    assert trainable(PAPER) == words + gru + attention + joint + answers == 28_037_176


def test_every_preset_builds_has_its_size_and_survives_json() -> None:
    assert {name: trainable(config) for name, config in PRESETS.items()} == {
        "paper": 28_037_176,
        "world": 1_084_935,
        "tiny": 15_480,
    }
    for config in PRESETS.values():
        assert ButdConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@every_kind
def test_shapes_are_those_of_a_transformer(kind: dict[str, Any]) -> None:
    model = made(**kind, pairs=True)
    grid = model(WORDS, torch.arange(2 * N).view(2, N) % TINY.codes)
    boxed = model(WORDS, *regions())
    assert grid.pooled.shape == boxed.pooled.shape == (2, D)
    assert (grid.attention.shape, boxed.attention.shape) == ((2, N), (2, 5))
    assert model.answer_logits(grid.pooled).shape == (2, TINY.answers)
    assert model.pair_logits(grid.pooled, boxed.pooled).shape == (2, 2)
    assert isinstance(grid, HasPooled)
    assert isinstance(Encoded(torch.zeros(1, 2, 3), torch.zeros(1, 4, 3), torch.zeros(1, 3)), HasPooled)


def by_hand(model: Butd, words: list[int], features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Attention, joint vector and answers of one question about one picture, from the papers' formulas alone."""
    weights = model.state_dict()

    def linear(name: str, x: Tensor) -> Tensor:
        bias = weights.get(f"{name}.bias", torch.zeros(()))
        if f"{name}.weight" in weights:
            return x @ weights[f"{name}.weight"].T + bias
        length, direction = (weights[f"{name}.parametrizations.weight.original{i}"] for i in (0, 1))
        return x @ (length * direction / direction.square().sum().sqrt()).T + bias

    def layer(name: str, x: Tensor) -> Tensor:
        if model.config.nonlinearity == "relu":
            return linear(f"{name}.linear", x).clamp(min=0)
        return linear(f"{name}.linear", x).tanh() * linear(f"{name}.gate", x).sigmoid()

    question = torch.zeros(D)
    for word in words:
        x = weights["question.word.weight"][word]
        read = weights["question.gru.weight_ih_l0"] @ x + weights["question.gru.bias_ih_l0"]
        kept = weights["question.gru.weight_hh_l0"] @ question + weights["question.gru.bias_hh_l0"]
        reset, update = (read[:D] + kept[:D]).sigmoid(), (read[D : 2 * D] + kept[D : 2 * D]).sigmoid()
        question = (1 - update) * (read[2 * D :] + reset * kept[2 * D :]).tanh() + update * question
    if model.config.attention == "multiply":
        both = layer("scores.region", features) * layer("scores.question", question)
    else:
        both = layer("scores.both", torch.stack([torch.cat([region, question]) for region in features]))
    odds = linear("scores.score", both)[:, 0].exp()
    attention = odds / odds.sum()
    seen = torch.stack([share * region for share, region in zip(attention, features, strict=True)]).sum(0)
    joint = layer("joint_question", question) * layer("joint_picture", seen)
    return attention, joint, linear("answer_head.linear", layer("answer_head.inner", joint))


@every_kind
def test_the_model_is_the_papers_formulas(kind: dict[str, Any]) -> None:
    model, (features, boxes) = made(**kind), regions()
    with torch.no_grad():
        out = model(WORDS, features, boxes)
        answers = model.answer_logits(out.pooled)
        for row, words in enumerate(([2, 7, 9, 11, 3], [2, 8, 10, 12, 13, 14, 3])):
            found = (out.attention[row], out.pooled[row], answers[row])
            for mine, theirs in zip(found, by_hand(model, words, features[row]), strict=True):
                torch.testing.assert_close(mine, theirs)


@every_kind
def test_padding_changes_nothing(kind: dict[str, Any]) -> None:
    model, (features, boxes) = made(**kind), regions()
    padded, short = model(WORDS[:1], features[:1], boxes[:1]), model(WORDS[:1, :5], features[:1], boxes[:1])
    torch.testing.assert_close(padded.pooled, short.pooled)
    torch.testing.assert_close(model(WORDS, features, boxes).pooled[:1], short.pooled)
    assert not torch.allclose(model(WORDS[:1, :4], features[:1], boxes[:1]).pooled, short.pooled)


def test_words_that_may_not_be_seen_change_nothing_wherever_they_stand() -> None:
    model, (features, boxes) = made(), regions(1)
    mask = torch.tensor([[True, True, False, False, True, False]])
    masked = model(torch.tensor([[2, 7, 9, 11, 3, 8]]), features, boxes, word_mask=mask)
    without = model(torch.tensor([[2, 7, 3]]), features, boxes)
    torch.testing.assert_close(masked.pooled, without.pooled)
    nothing = model(WORDS[:1], features, boxes, word_mask=torch.zeros(1, 7, dtype=torch.bool))
    assert nothing.pooled.isfinite().all()


@every_kind
def test_the_order_of_regions_changes_the_order_of_attention_alone(kind: dict[str, Any]) -> None:
    model, (features, boxes), order = made(**kind), regions(), torch.tensor([3, 0, 4, 1, 2])
    there, here = model(WORDS, features, boxes), model(WORDS, features[:, order], boxes[:, order])
    torch.testing.assert_close(here.pooled, there.pooled)
    torch.testing.assert_close(here.attention, there.attention[:, order])
    assert not torch.allclose(here.attention, there.attention)


@every_kind
def test_attention_sums_to_one_and_follows_the_question(kind: dict[str, Any]) -> None:
    model, (features, boxes) = made(**kind), regions()
    attention = model(WORDS, 3 * features, boxes).attention
    assert (attention > 0).all()
    torch.testing.assert_close(attention.sum(1), torch.ones(2))
    same = model(WORDS, features[:1].expand(2, -1, -1), boxes).attention
    assert not torch.allclose(same[0], same[1])


def test_hidden_regions_get_no_attention_and_cannot_be_seen() -> None:
    model, (features, boxes) = made(), regions()
    hidden = torch.tensor([[True, False, True, False, False], [False] * 5])
    out = model(WORDS, features, boxes, hidden)
    assert torch.equal(out.attention[hidden], torch.zeros(2))
    torch.testing.assert_close(out.attention.sum(1), torch.ones(2))
    other = torch.where(hidden[..., None], torch.randn_like(features), features)
    torch.testing.assert_close(model(WORDS, other, boxes, hidden).pooled, out.pooled)
    fewer = model(WORDS[:1], features[:1, [1, 3, 4]], boxes[:1, [1, 3, 4]])
    torch.testing.assert_close(fewer.pooled, out.pooled[:1])


def test_a_picture_that_is_hidden_whole_gives_zeros_and_finite_gradients() -> None:
    model, (features, boxes) = made(), regions()
    out = model(WORDS, features, boxes, torch.ones(2, 5, dtype=torch.bool))
    assert torch.equal(out.attention, torch.zeros(2, 5))
    model.answer_logits(out.pooled).square().sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


def test_boxes_are_not_read_and_codes_are_read_as_their_centroids() -> None:
    model, codes = made(), torch.arange(2 * N).view(2, N) % TINY.codes
    assert model.centroids is not None
    as_codes, as_features = model(WORDS, codes), model(WORDS, model.centroids[codes], torch.rand(2, N, 4))
    assert torch.equal(as_codes.pooled, as_features.pooled)
    assert torch.equal(model.features_of(codes), model.centroids[codes])
    assert "centroids" in model.state_dict() and "centroids" not in dict(model.named_parameters())


@every_kind
def test_gradients_reach_every_weight(kind: dict[str, Any]) -> None:
    model = made(**kind, pairs=True)
    left, right = model(WORDS, *regions()).pooled, model(WORDS, *regions()).pooled
    answers = F.cross_entropy(model.answer_logits(left), torch.tensor([1, 4]))
    (answers + F.cross_entropy(model.pair_logits(left, right), torch.tensor([0, 1]))).backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []
    assert not model.question.word.weight.grad[0].any()  # type: ignore[index]  # padding


def test_mixed_precision_keeps_attention_whole() -> None:
    model, (features, boxes) = made(), regions()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(WORDS, features, boxes)
        model.answer_logits(out.pooled).float().sum().backward()
    assert out.attention.dtype == torch.float32
    torch.testing.assert_close(out.attention.sum(1), torch.ones(2))
    torch.testing.assert_close(out.pooled.float(), model(WORDS, features, boxes).pooled, rtol=0.1, atol=0.02)


def test_a_copy_and_a_saved_model_give_the_same(tmp_path: Path) -> None:
    model, picture = made(), regions()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    read, expected = Butd(TINY).eval(), model(WORDS, *picture).pooled
    read.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(read(WORDS, *picture).pooled, expected)
    assert torch.equal(copy.deepcopy(model)(WORDS, *picture).pooled, expected)


def test_words_start_from_given_vectors_and_padding_stays_zero() -> None:
    model, vectors = made(), torch.randn(TINY.vocabulary, TINY.word_width)
    model.load_words(vectors)
    assert torch.equal(model.question.word.weight[1:], vectors[1:])
    assert not model.question.word.weight[0].any()
    assert model.question.word.weight.requires_grad
    with pytest.raises(XlxmertError, match=r"word vectors must be \(200, 16\) \(found \(200, 300\)\)"):
        model.load_words(torch.zeros(200, 300))


def marked(batch: int, marks: int = 5, colours: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures of regions that each carry another mark and some colour; a question names a mark and wants the colour.

    Gives words, features, the region that is asked for, and its colour.
    """
    mark, colour = torch.rand(batch, marks).argsort(1), torch.randint(colours, (batch, marks))
    where, rows = torch.randint(marks, (batch,)), torch.arange(batch)
    words = torch.tensor([2, 0, 3]).repeat(batch, 1)
    words[:, 1] = 5 + mark[rows, where]
    features = torch.cat([F.one_hot(mark, marks), F.one_hot(colour, colours)], -1).float()
    return words, features, where, colour[rows, where]


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]], ids=lambda kind: "-".join(kind.values()))
def test_it_learns_to_look_at_the_region_that_is_asked_for(kind: dict[str, Any]) -> None:
    model = made(**kind, vocabulary=10, answers=4, feature_width=9, codes=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0)
    boxes = torch.zeros(128, 5, 4)
    for _ in range(250):
        words, features, _, colour = marked(128)
        loss = F.cross_entropy(model.answer_logits(model(words, features, boxes).pooled), colour)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    words, features, where, colour = marked(128)
    out = model.eval()(words, features, boxes)
    assert (model.answer_logits(out.pooled).argmax(1) == colour).float().mean() > 0.97
    assert (out.attention.argmax(1) == where).float().mean() > 0.97


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"width must be a whole number of at least 1 \(found 0 in the butd config\)"),
        ({"vocabulary": True}, "vocabulary must be a whole number"),
        ({"codes": -1}, "codes must be a whole number of at least 0"),
        ({"grid": 0}, "grid must be a whole number of at least 1"),
        ({"max_text": 0}, "max_text must be a whole number of at least 1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"attention_dropout": -0.1}, r"attention_dropout must be in \[0, 1\)"),
    ],
)
def test_a_config_checks_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("word_width", 1.5, r"word_width must be a whole number of at least 1 \(found 1.5"),
        ("attention", "add", r"attention must be one of concatenate, multiply \(found 'add'"),
        ("nonlinearity", "gelu", r"nonlinearity must be one of gated_tanh, relu \(found 'gelu'"),
    ],
)
def test_a_config_refuses_values_of_another_kind(field: str, value: Any, message: str) -> None:
    config = copy.copy(TINY)
    object.__setattr__(config, field, value)  # past the suite's own check of types, which would speak first
    with pytest.raises(XlxmertError, match=message):
        config.__post_init__()


def test_a_config_of_another_family_is_refused() -> None:
    with pytest.raises(XlxmertError, match=r"config of butd must hold known fields \(found heads\)"):
        ButdConfig.from_dict({"heads": 2})


def test_what_the_model_lacks_or_cannot_read_says_so() -> None:
    model, bare = made(), made(codes=0, answers=0)
    features, boxes = regions()
    with pytest.raises(XlxmertError, match=r"must have 64 cells, a grid of 8 x 8 \(found 5\)"):
        model(WORDS, features)
    with pytest.raises(XlxmertError, match="must be 32 wide"):
        model(WORDS, features[..., :7], boxes)
    with pytest.raises(XlxmertError, match=r"at most 32 tokens \(found 33\)"):
        model(torch.ones(2, 33, dtype=torch.long), features, boxes)
    with pytest.raises(XlxmertError, match="found codes=0"):
        bare(WORDS, torch.zeros(2, N, dtype=torch.long))
    with pytest.raises(XlxmertError, match="found codes=0"):
        bare.load_centroids(torch.zeros(1, 32))
    with pytest.raises(XlxmertError, match=r"codebook must be \(50, 32\) \(found \(20, 12\)\)"):
        model.load_centroids(torch.zeros(20, 12))
    with pytest.raises(XlxmertError, match="found answers=0"):
        bare.answer_logits(torch.zeros(1, D))
    with pytest.raises(XlxmertError, match="found pairs=False"):
        model.pair_logits(torch.zeros(1, D), torch.zeros(1, D))
