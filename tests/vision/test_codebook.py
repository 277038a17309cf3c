"""The codebook: nearest centroids as faiss finds them, reproducible fits, no dead codes, loud mismatches."""

import sys

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors, write_tensors
from xlxmert.core.seeds import torch_generator
from xlxmert.vision.codebook import Codebook


def normal(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("codebook test", key))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 20), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.integers(0, 1000))
def test_a_centroids_code_returns_that_centroid(k, width, scale, shift, key):
    codebook = Codebook(normal(k, width, key=key) * scale + shift)
    codes = codebook.assign(codebook.centroids)
    # a scale that single precision cannot tell apart from the shift makes equal centroids
    assert torch.allclose(codebook.features_of(codes), codebook.centroids, atol=2e-3 * scale + 1e-6 * abs(shift))
    if scale > 0.1:
        assert torch.equal(codebook.features_of(codes), codebook.centroids)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 80), st.integers(1, 24), st.integers(0, 1000))
def test_codes_equal_the_exact_search_of_faiss(k, width, key):
    codebook, features = Codebook(normal(k, width, key=key)), normal(200, width, key=key + 1)
    index = faiss.IndexFlatL2(width)
    index.add(codebook.centroids.numpy())
    distances, codes = index.search(features.numpy(), min(k, 2))
    clear = torch.ones(200, dtype=torch.bool) if k == 1 else torch.from_numpy(distances[:, 1] - distances[:, 0] > 1e-4)
    assert torch.equal(codebook.assign(features)[clear], torch.from_numpy(codes[:, 0])[clear])


def test_any_leading_shape_and_large_inputs_are_assigned():
    codebook, features = Codebook(normal(5, 3)), normal(2, 9000, 3)
    codes = codebook.assign(features)
    assert codes.shape == (2, 9000) and codes.dtype == torch.int64
    assert torch.equal(codes[1, 8000:], codebook.assign(features[1, 8000:]))
    assert codebook.assign(features[:0]).shape == (0, 9000)


def test_a_fit_finds_clusters_and_repeats_itself():
    centres = 20 * normal(6, 4)
    features = (centres[:, None] + 0.1 * normal(6, 50, 4, key=1)).flatten(0, 1)
    codebook, again = Codebook.fit(features, 12, seed=3), Codebook.fit(features, 12, seed=3)
    assert codebook.fingerprint == again.fingerprint != Codebook.fit(features, 12, seed=4).fingerprint
    assert float((codebook.features_of(codebook.assign(features)) - features).abs().max()) < 1


def test_every_code_is_used_even_when_most_features_are_equal():
    features = torch.cat([torch.zeros(500, 4), normal(30, 4)])
    codebook = Codebook.fit(features, 25)
    assert torch.bincount(codebook.assign(features), minlength=25).min() > 0


def test_fewer_distinct_features_than_codes_still_fit():
    features = torch.eye(3).repeat(10, 1)
    codebook = Codebook.fit(features, 8)
    assert torch.allclose(codebook.features_of(codebook.assign(features)), features, atol=1e-2)


@pytest.mark.parametrize("features", [torch.zeros(3, 2), torch.full((9, 2), float("nan"))])
def test_too_few_or_broken_features_are_errors(features):
    with pytest.raises(XlxmertError, match="expected"):
        Codebook.fit(features, 4)


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(XlxmertError, match=r"xlxmert\[train\]"):
        Codebook.fit(normal(9, 2), 4)
    assert Codebook(normal(4, 2)).assign(normal(9, 2)).shape == (9,)


@pytest.mark.parametrize(
    "codes", [torch.tensor([[0, 7]]), np.array([7], np.uint16), torch.tensor([7, 1]).to(torch.uint16)]
)
def test_foreign_codes_are_an_error_that_names_the_file(codes):
    with pytest.raises(XlxmertError, match=r"codes must be below 4 \(found 7 in coco_val\).*--codebook"):
        Codebook(normal(4, 2)).check(codes, "coco_val")


def test_good_codes_pass_and_negative_ones_do_not():
    codebook = Codebook(normal(4, 2))
    codebook.check(np.array([0, 3], np.uint16), "x")
    codebook.check(torch.zeros(0, dtype=torch.int64), "x")
    with pytest.raises(XlxmertError, match=r"not be negative \(found -1"):
        codebook.features_of(torch.tensor([-1]))


def test_features_of_another_width_are_an_error():
    with pytest.raises(XlxmertError, match="width 2, found 3"):
        Codebook(normal(4, 2)).assign(normal(5, 3))


def test_a_saved_codebook_is_the_same_and_a_changed_one_is_noticed(tmp_path):
    codebook, path = Codebook(normal(4, 2)), tmp_path / "codebook.safetensors"
    codebook.save(path)
    assert Codebook.load(path).fingerprint == codebook.fingerprint and len(codebook.fingerprint) == 16
    tensors, metadata = read_tensors(path)
    write_tensors(path, {"centroids": tensors["centroids"] + 1}, metadata)
    with pytest.raises(XlxmertError, match="fingerprint"):
        Codebook.load(path)
    write_tensors(path, {"other": tensors["centroids"]})
    with pytest.raises(XlxmertError, match="is this a codebook"):
        Codebook.load(path)


def test_autocast_does_not_change_codes():
    codebook, features = Codebook(normal(500, 16)), normal(300, 16, key=1)
    with torch.autocast("cpu", torch.bfloat16):
        codes = codebook.assign(features)
    assert torch.equal(codes, codebook.assign(features))
