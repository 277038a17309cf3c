"""Our LXMERT is `transformers`' LXMERT: with the same random weights every output, loss and gradient is the same."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
import transformers
from counterparts import as_ours, counterparts

from xlxmert.core.seeds import torch_generator
from xlxmert.models.lxmert import LXMERT, Lxmert, LxmertConfig
from xlxmert.models.outputs import Encoded

SMALL = dataclasses.replace(
    LXMERT,
    vocabulary=90,
    width=48,
    heads=4,
    feed_forward=80,
    max_text=32,
    feature_width=40,
    language_layers=3,
    relation_layers=2,
    cross_layers=2,
    answers=13,
    labels=11,
    attributes=7,
)
"""Small, and no two sizes alike, so that no two weights can stand for each other."""
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-12}
"""How far values may be apart: float32 rounds, float64 shows that the formulas are the same."""
WEIGHT = 6.67
"""`visual_loss_normalizer` of their config."""
Theirs = transformers.LxmertForPreTraining


def their_config(config: LxmertConfig) -> transformers.LxmertConfig:
    return transformers.LxmertConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward,
        max_position_embeddings=config.max_text,
        l_layers=config.language_layers,
        r_layers=config.relation_layers,
        x_layers=config.cross_layers,
        visual_feat_dim=config.feature_width,
        num_qa_labels=config.answers,
        num_object_labels=config.labels,
        num_attr_labels=config.attributes,
    )


def build(config: LxmertConfig, spread: float | None, dtype: torch.dtype) -> tuple[Lxmert, Theirs]:
    """Both models with the same weights: theirs as they start, or drawn with ``spread``, biases and norms too."""
    torch.manual_seed(0)
    theirs = Theirs(their_config(config)).eval().to(dtype)
    if spread is not None:
        with torch.no_grad():
            for name, weight in theirs.named_parameters():
                weight.normal_(std=spread).add_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
    ours = Lxmert(config).eval().to(dtype)
    ours.load_state_dict(as_ours(theirs.state_dict(), config))
    return ours, theirs


@dataclass(frozen=True)
class Data:
    """A batch with everything that the five objectives ask."""

    words: torch.Tensor
    features: torch.Tensor
    boxes: torch.Tensor
    word_labels: torch.Tensor
    matched: torch.Tensor
    answers: torch.Tensor
    labels: torch.Tensor
    attributes: torch.Tensor
    confidence: torch.Tensor


def draw(config: LxmertConfig, dtype: torch.dtype, batch: int = 3, words: int = 9, regions: int = 6) -> Data:
    generator = torch_generator("parity", config.width)

    def whole(most: int, *shape: int) -> torch.Tensor:
        return torch.randint(1, most, shape, generator=generator)

    ids = whole(config.vocabulary, batch, words)
    ids[0, words - 3 :] = 0  # padding
    asked = torch.rand(batch, words, generator=generator) < 0.5
    hidden = torch.rand(batch, regions, generator=generator) < 0.5
    return Data(
        words=ids,
        features=torch.randn(batch, regions, config.feature_width, generator=generator, dtype=dtype),
        boxes=torch.rand(batch, regions, 4, generator=generator, dtype=dtype),
        word_labels=torch.where(asked, whole(config.vocabulary, batch, words), -100),
        matched=torch.arange(batch) % 2,
        answers=whole(config.answers, batch),
        labels=whole(config.labels, batch, regions),
        attributes=whole(config.attributes, batch, regions),
        confidence=hidden * torch.rand(batch, regions, generator=generator, dtype=dtype),
    )


def our_scores(model: Lxmert, out: Encoded) -> dict[str, torch.Tensor]:
    return {
        "language": out.language,
        "vision": out.vision,
        "pooled": out.pooled,
        "words": model.word_logits(out.language),
        "matching": model.matching_logits(out.pooled),
        "answers": model.answer_logits(out.pooled),
        "labels": model.label_logits(out.vision),
        "attributes": model.attribute_logits(out.vision),
        "features": model.predicted_features(out.vision),
    }


def inputs(data: Data) -> dict[str, torch.Tensor]:
    attended = (data.words > 0).to(data.features.dtype)
    return {
        "input_ids": data.words,
        "visual_feats": data.features,
        "visual_pos": data.boxes,
        "attention_mask": attended,
    }


def their_scores(model: Theirs, data: Data) -> dict[str, torch.Tensor]:
    """Their heads return no visual predictions (only the loss), so the head is asked by itself."""
    out, heads = model.lxmert(**inputs(data)), model(**inputs(data))
    visual = model.obj_predict_head(out.vision_output)
    return {
        "language": out.language_output,
        "vision": out.vision_output,
        "pooled": out.pooled_output,
        "words": heads.prediction_logits,
        "matching": heads.cross_relationship_score,
        "answers": heads.question_answering_score,
        "labels": visual["obj"],
        "attributes": visual["attr"],
        "features": visual["feat"],
    }


def our_loss(model: Lxmert, data: Data) -> torch.Tensor:
    """The sum of all objectives, with the word head on asked positions only."""
    out, asked = model(data.words, data.features, data.boxes), data.word_labels >= 0
    weights = data.confidence.flatten()

    def weighed(losses: torch.Tensor) -> torch.Tensor:
        return (losses * weights).mean() * WEIGHT

    labels = F.cross_entropy(model.label_logits(out.vision).flatten(0, 1), data.labels.flatten(), reduction="none")
    attributes = model.attribute_logits(out.vision).flatten(0, 1)
    features = F.smooth_l1_loss(model.predicted_features(out.vision), data.features, reduction="none")
    return (
        F.cross_entropy(model.word_logits(out.language[asked]), data.word_labels[asked])
        + F.cross_entropy(model.matching_logits(out.pooled), data.matched)
        + F.cross_entropy(model.answer_logits(out.pooled), data.answers)
        + weighed(labels)
        + weighed(F.cross_entropy(attributes, data.attributes.flatten(), reduction="none"))
        + weighed(features.mean(-1).flatten())
    )


def their_loss(model: Theirs, data: Data) -> torch.Tensor:
    visual = {"obj": data.labels, "attr": data.attributes, "feat": data.features}
    loss: torch.Tensor = model(
        **inputs(data),
        labels=data.word_labels,
        matched_label=data.matched,
        ans=data.answers,
        obj_labels={name: (labels, data.confidence) for name, labels in visual.items()},
    ).loss
    return loss


def furthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference and where it is."""
    assert ours.keys() == theirs.keys()
    assert all(ours[name].shape == theirs[name].shape for name in ours)
    return max(((ours[name] - theirs[name]).abs().max().item(), name) for name in ours)


def compare_gradients(ours: Lxmert, theirs: Theirs, data: Data) -> tuple[float, str]:
    loss, expected = our_loss(ours, data), their_loss(theirs, data)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    found = {name: weight.grad for name, weight in ours.named_parameters()}
    wanted = {name: weight.grad for name, weight in theirs.named_parameters()}
    assert all(grad is not None for grad in (*found.values(), *wanted.values()))
    return furthest(found, as_ours(wanted, ours.config))  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [SMALL, LXMERT], ids=["small", "full"])
def test_every_weight_has_its_counterpart(config: LxmertConfig) -> None:
    with torch.device("meta"):
        ours, theirs = dict(Lxmert(config).named_parameters()), dict(Theirs(their_config(config)).named_parameters())
    names = counterparts(config)
    assert names.keys() == ours.keys()
    assert sorted(each for old in names.values() for each in old) == sorted(theirs)
    for name, weight in as_ours(theirs, config).items():
        assert weight.shape == ours[name].shape, name
    assert sum(w.numel() for w in ours.values()) == sum(w.numel() for w in theirs.values())


def test_their_defaults_are_our_preset() -> None:
    defaults, preset = transformers.LxmertConfig().to_dict(), their_config(LXMERT).to_dict()
    assert preset == defaults
    assert (LXMERT.dropout, LXMERT.attention_dropout) == (
        defaults["hidden_dropout_prob"],
        defaults["attention_probs_dropout_prob"],
    )
    assert defaults["visual_loss_normalizer"] == WEIGHT


@pytest.mark.parametrize("dtype", CLOSE, ids=["float32", "float64"])
@pytest.mark.parametrize("spread", [None, 0.1, 0.2])
def test_outputs_and_scores_are_the_same(spread: float | None, dtype: torch.dtype) -> None:
    (ours, theirs), data = build(SMALL, spread, dtype), draw(SMALL, dtype)
    with torch.no_grad():
        found = our_scores(ours, ours(data.words, data.features, data.boxes))
        assert furthest(found, their_scores(theirs, data)) < (CLOSE[dtype],)


@pytest.mark.parametrize("dtype", CLOSE, ids=["float32", "float64"])
@pytest.mark.parametrize("spread", [None, 0.1, 0.2])
def test_the_losses_and_every_gradient_are_the_same(spread: float | None, dtype: torch.dtype) -> None:
    (ours, theirs), data = build(SMALL, spread, dtype), draw(SMALL, dtype)
    assert compare_gradients(ours, theirs, data) < (CLOSE[dtype],)


def test_hidden_regions_are_zeros_to_them() -> None:
    (ours, theirs), data = build(SMALL, 0.1, torch.float32), draw(SMALL, torch.float32)
    hidden = data.confidence > 0
    zeroed = dataclasses.replace(data, features=data.features.masked_fill(hidden[..., None], 0))
    with torch.no_grad():
        found = our_scores(ours, ours(data.words, data.features, data.boxes, hidden))
        assert furthest(found, their_scores(theirs, zeroed)) < (CLOSE[torch.float32],)


@pytest.mark.slow
def test_the_published_size_is_the_same() -> None:
    (ours, theirs), data = build(LXMERT, None, torch.float32), draw(LXMERT, torch.float32, 2, 20, 36)
    with torch.no_grad():
        found = our_scores(ours, ours(data.words, data.features, data.boxes))
        assert furthest(found, their_scores(theirs, data)) < (CLOSE[torch.float32],)
    assert compare_gradients(ours, theirs, data) < (CLOSE[torch.float32],)
