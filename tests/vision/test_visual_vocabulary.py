"""The visual vocabulary: streaming equals at once, files keep everything, mismatches are errors."""

import pytest
import torch
import torch.nn.functional as F

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary, stacked

SPEC = FeatureSpec(4, (Depth(4, 2, 1.0, 6), Depth(8, 1, 1.0)), colour_parts=2)


@pytest.fixture(scope="module")
def pictures():
    blots = torch.rand(10, 3, 8, 8, generator=torch_generator("vocabulary test"))
    pixels = F.interpolate(blots, size=64, mode="bicubic").clamp(0, 1)
    return (pixels * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


@pytest.fixture(scope="module")
def vocabulary(pictures):
    torch.set_num_threads(1)
    extractor = FeatureExtractor.fit(load_backbone(deepest=8), SPEC, pictures[:6])
    return fit_vocabulary(extractor, pictures, codes=20, iterations=5)


def test_shapes_ranges_and_the_round_trip_of_codes(vocabulary, pictures):
    codes = vocabulary.encode(pictures)
    assert codes.shape == (10, 16) and codes.dtype == torch.int64 and 0 <= int(codes.min()) <= int(codes.max()) < 20
    assert vocabulary.decode(codes).shape == (10, 16, vocabulary.width) == vocabulary.features(pictures).shape
    assert torch.equal(vocabulary.codebook.assign(vocabulary.decode(codes)), codes)


def test_codes_explain_most_of_the_features(vocabulary, pictures):
    features = vocabulary.features(pictures)
    error = (vocabulary.decode(vocabulary.encode(pictures)) - features).square().mean()
    assert float(error / features.flatten(0, 1).var(0).mean()) < 0.8


def test_streaming_gives_what_one_call_gives(vocabulary, pictures):
    parts = list(vocabulary.extract((picture.numpy() for picture in pictures), batch=3))
    assert [len(codes) for _, codes in parts] == [3, 3, 3, 1]
    assert torch.allclose(torch.cat([features for features, _ in parts]), vocabulary.features(pictures), atol=1e-4)
    assert torch.equal(torch.cat([codes for _, codes in parts]), vocabulary.encode(pictures))


def test_a_cell_row_lies_where_its_box_says(vocabulary, pictures):
    changed = pictures[:1].clone()
    changed[:, :16, 48:] = 0  # the cell in row 0, column 3
    moved = (vocabulary.features(changed) - vocabulary.features(pictures[:1])).norm(dim=-1)[0]
    assert int(moved.argmax()) == 3 and float(moved[12]) < 1e-3


def test_a_file_keeps_everything(vocabulary, pictures, tmp_path):
    vocabulary.save(tmp_path / "codebook.safetensors")
    loaded = VisualVocabulary.load(tmp_path / "codebook.safetensors")
    assert loaded.spec == SPEC and loaded.codebook.fingerprint == vocabulary.codebook.fingerprint
    assert torch.equal(loaded.features(pictures), vocabulary.features(pictures))
    assert len(Codebook.load(tmp_path / "codebook.safetensors")) == 20


def test_bare_centroids_are_no_vocabulary(vocabulary, tmp_path):
    vocabulary.codebook.save(tmp_path / "bare.safetensors")
    with pytest.raises(XlxmertError, match="bare centroids"):
        VisualVocabulary.load(tmp_path / "bare.safetensors")


def test_centroids_of_another_spec_are_an_error(vocabulary):
    with pytest.raises(XlxmertError, match="belongs to another spec"):
        VisualVocabulary(vocabulary.backbone, SPEC, vocabulary.statistics, Codebook(torch.zeros(4, 5)))


def test_a_sample_of_cells_is_enough_and_no_pictures_are_an_error(vocabulary, pictures):
    assert len(fit_vocabulary(vocabulary, pictures, codes=20, iterations=1, cells=3).codebook) == 20
    with pytest.raises(XlxmertError, match="found none"):
        fit_vocabulary(vocabulary, [], codes=20)


def test_pictures_of_different_sizes_are_an_error(pictures):
    with pytest.raises(XlxmertError, match="one size"):
        list(stacked([pictures[0], pictures[0, :32]], 2))
