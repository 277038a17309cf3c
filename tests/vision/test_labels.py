"""What labels teach: things that look almost alike come to lie far apart, and a file keeps it."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.labels import CellLabels, LabelEmbedding, teach
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary


def cells(count: int = 600):
    """Features of much noise and one faint direction that tells two things, a second that tells an attribute."""
    torch.set_num_threads(1)
    x = torch.randn(count, 12, generator=torch_generator("cells"))
    things = (torch.arange(count) % 3).long()
    attribute = torch.arange(count) % 2 == 0
    x[:, 0], x[:, 1] = 0.2 * things, 0.2 * attribute
    parts = torch.where(things > 0, things - 1, torch.full_like(things, -1))
    return x, CellLabels(things, attribute[:, None] & (things > 0)[:, None], parts)


def spread(vectors, groups):
    """Variance between groups as a share of all variance."""
    means = torch.stack([vectors[groups == group].mean(0) for group in groups.unique()])
    return float(
        (means - vectors.mean(0)).square().sum(-1).mean() / (vectors - vectors.mean(0)).square().sum(-1).mean()
    )


def test_taught_vectors_tell_things_apart_where_features_hardly_do():
    features, labels = cells()
    net = teach(features, labels, embedded=8, plain_weight=0.5, steps=150)
    assert spread(features, labels.things) < 0.02
    assert spread(net.embed(features), labels.things) > 0.8
    there = labels.things > 0
    kinds = labels.things[there] * 2 + labels.attributes[there, 0]
    assert spread(net.embed(features[there]), kinds) > 0.8


def test_teaching_works_within_a_callers_autocast():
    features, labels = cells()
    with torch.autocast("cpu", torch.bfloat16):
        net = teach(features, labels, embedded=8, plain_weight=0.5, steps=150)
    assert spread(net.embed(features), labels.things) > 0.8


def test_lengths_are_as_asked_and_the_plain_feature_is_kept():
    features, labels = cells()
    net = teach(features, labels, embedded=8, plain_weight=0.5, steps=2)
    taught, plain = net(features).split([8, 12], dim=1)
    assert torch.allclose(taught.norm(dim=1), torch.full((600,), 8**0.5), atol=1e-4)
    assert float(plain.square().sum(1).mean().sqrt()) == pytest.approx(0.5 * 8**0.5, rel=1e-4)
    assert torch.allclose(plain / plain.norm(), features / features.norm(), atol=1e-6)


def test_teaching_is_a_function_of_its_seed():
    features, labels = cells()
    one, two, other = (teach(features, labels, 8, 0.5, steps=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one(features), two(features)) and not torch.equal(one(features), other(features))


def test_labels_of_other_cells_and_of_nothing_are_errors():
    features, labels = cells()
    with pytest.raises(XlxmertError, match="expected labels for 599 cells, found 600"):
        teach(features[1:], labels, 8, 0.5, 2)
    nothing = dataclasses.replace(labels, things=torch.zeros(600, dtype=torch.long))
    with pytest.raises(XlxmertError, match="expected things in some of the 600 cells"):
        teach(features, nothing, 8, 0.5, 2)


@pytest.fixture(scope="module")
def taught():
    torch.set_num_threads(1)
    blots = torch.rand(12, 3, 8, 8, generator=torch_generator("labels test"))
    pixels = F.interpolate(blots, size=64, mode="bicubic").clamp(0, 1)
    pictures = (pixels * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    spec = FeatureSpec(4, (Depth(4, 2),), colour_parts=2, kept=16, embedded=8, plain_weight=0.2)
    extractor = FeatureExtractor.fit(load_backbone(deepest=4), spec, pictures)
    things = (pictures.view(12, 4, 16, 4, 16, 3).float().mean((2, 4))[..., 0] > 128).long().flatten()  # reddish cells
    labels = CellLabels(things, torch.zeros(192, 0, dtype=torch.bool), torch.full((192,), -1))
    return (
        pictures,
        things,
        labels,
        fit_vocabulary(extractor, pictures, 12, iterations=5, labels=lambda: labels, lessons=150),
    )


def test_codes_of_a_taught_vocabulary_are_of_one_thing(taught):
    pictures, things, _, vocabulary = taught
    codes = vocabulary.encode(pictures).flatten()
    assert vocabulary.width == 24 == vocabulary.decode(codes[None]).shape[-1]
    commonest = torch.stack([things[codes == code].mode().values for code in codes])
    assert float((commonest == things).float().mean()) > 0.95


def test_a_file_keeps_what_was_taught(taught, tmp_path):
    pictures, _, _, vocabulary = taught
    vocabulary.save(tmp_path / "vocabulary.safetensors")
    loaded = VisualVocabulary.load(tmp_path / "vocabulary.safetensors")
    assert isinstance(loaded.embedding, LabelEmbedding) and loaded.spec == vocabulary.spec
    assert torch.equal(loaded.features(pictures), vocabulary.features(pictures))


def test_labels_need_a_width_and_every_cell(taught):
    pictures, _, labels, vocabulary = taught
    plain = FeatureExtractor(
        vocabulary.backbone, dataclasses.replace(vocabulary.spec, embedded=0), vocabulary.statistics
    )
    with pytest.raises(XlxmertError, match="embedded=0"):
        fit_vocabulary(plain, pictures, 12, labels=lambda: labels, lessons=2)
    with pytest.raises(XlxmertError, match="found cells=3"):
        fit_vocabulary(plain, pictures, 12, cells=3, labels=lambda: labels)
    with pytest.raises(UsageError, match="plain_weight"):
        dataclasses.replace(vocabulary.spec, plain_weight=-1.0)
