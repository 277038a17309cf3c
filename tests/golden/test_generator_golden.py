"""Generator and discriminator against the reference implementation, at full size.

``data/generator.npz``: the reference's weights (random, old-style spectral norm), two feature grids, and every second
row and column of the pictures that the reference made of them, without noise and with noise drawn from torch's global
generator after ``manual_seed(5)``. ``data/discriminator.npz``: weights without the code head, one picture, its score
and the spatial means of the six block outputs. CPU, float32, evaluation mode. The reference's pictures are themselves
1.2e-5 away from the same network in double precision, so they are met to 2e-5, and to 1e-6 on average.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.generator_layout import discriminator_rows, from_reference, generator_rows, to_reference
from xlxmert.core.errors import XlxmertError
from xlxmert.models.generator import Discriminator, Generator, global_noise
from xlxmert.models.generator.presets import PAPER, PAPER_DISCRIMINATOR

CODE_HEAD = ("emb_proj.weight", "emb_proj.bias", "emb_classifier.weight", "emb_classifier.bias")


@cache
def golden(name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The reference's state, and everything else in the file."""
    with np.load(Path(__file__).parent / "data" / f"{name}.npz") as file:
        whole = {key: torch.from_numpy(file[key]) for key in file.files}
    prefix = f"{name}/"
    state = {key.removeprefix(prefix): tensor for key, tensor in whole.items() if key.startswith(prefix)}
    return state, {key: tensor for key, tensor in whole.items() if not key.startswith(prefix)}


@cache
def generator() -> Generator:
    """The paper's generator with the reference's weights."""
    model = Generator(PAPER).eval()
    model.load_state_dict(from_reference(golden("generator")[0], generator_rows()))
    return model


@pytest.mark.parametrize("folded", [False, True])
def test_pictures_without_noise_equal_the_references(folded: bool) -> None:
    _, data = golden("generator")
    model = generator().folded() if folded else generator()
    with torch.inference_mode():
        picture = model(data["x"])[:, :, ::2, ::2]
    torch.testing.assert_close(picture, data["silent"], atol=2e-5, rtol=0)
    assert (picture - data["silent"]).abs().mean() < 1e-6


def test_pictures_with_noise_equal_the_references() -> None:
    _, data = golden("generator")
    torch.manual_seed(5)
    with torch.inference_mode():
        picture = generator()(data["x"], noise=global_noise)[:, :, ::2, ::2]
    torch.testing.assert_close(picture, data["noisy"], atol=2e-5, rtol=0)
    assert (picture - data["noisy"]).abs().mean() < 1e-6
    assert (data["noisy"] - data["silent"]).abs().max() > 0.01


def test_the_discriminator_equals_the_references() -> None:
    state, data = golden("discriminator")
    model = Discriminator(PAPER_DISCRIMINATOR).eval()
    loaded = model.load_state_dict(from_reference(state, discriminator_rows(), allow=CODE_HEAD), strict=False)
    assert sorted(loaded.missing_keys) == ["centroids", "code_bias", "project.bias", "project.weight"]
    with torch.inference_mode():
        judgement = model(data["picture"])
    torch.testing.assert_close(judgement.real, data["real"], atol=0, rtol=1e-5)
    for i, block in enumerate(judgement.maps):
        torch.testing.assert_close(block.mean((2, 3)), data[f"means{i}"], atol=1e-4, rtol=1e-4)


def test_the_generators_table_is_reversible() -> None:
    state, _ = golden("generator")
    published = {f"module.{name}": tensor for name, tensor in state.items()}
    again = to_reference(from_reference(published, generator_rows()), generator_rows())
    assert len(again) == 150
    assert again.keys() == published.keys()
    assert all(torch.equal(again[name], published[name]) for name in published)
    assert from_reference(published, generator_rows()).keys() == generator().state_dict().keys()


def test_the_discriminators_table_is_reversible() -> None:
    with torch.device("meta"):
        ours = Discriminator(PAPER_DISCRIMINATOR).state_dict()
    theirs = to_reference(ours, discriminator_rows())
    assert len(theirs) == 80
    again = from_reference(theirs, discriminator_rows())
    assert {name: tensor.shape for name, tensor in again.items()} == {n: t.shape for n, t in ours.items()}


def test_incomplete_and_foreign_weights_are_named() -> None:
    state = dict(golden("generator")[0])
    del state["resblocks.3.cbn1.gamma.weight"]
    state["stray"] = torch.zeros(1)
    with pytest.raises(
        XlxmertError, match=r"1 missing \(resblocks\.3\.cbn1\.gamma\.weight\) and 1 unexpected \(stray\)"
    ):
        from_reference(state, generator_rows())
    with pytest.raises(XlxmertError, match="missing"):
        to_reference(generator().folded().state_dict(), generator_rows())
