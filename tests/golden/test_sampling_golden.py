"""A tiny X-LXMERT paints, code for code, what the reference samplers painted with the same weights and words."""

from pathlib import Path

import pytest
import torch

from xlxmert.convert.xlxmert_layout import from_reference, infer_config
from xlxmert.models.lxmert import Lxmert
from xlxmert.sampling import EasyFirst, MaskPredict, RandomOrder, Raster, last, paint
from xlxmert.studio.networks import PaintingNetwork, blank_picture

DATA = Path(__file__).parent / "data"
SAMPLERS = {
    "mask_predict_1": MaskPredict(1),
    "mask_predict_2": MaskPredict(2),
    "mask_predict_4": MaskPredict(4),
    "mask_predict_10": MaskPredict(10),
    "tlbr": Raster(),
    "random_seed7": RandomOrder(),
    "random140_seed7": RandomOrder.of_steps(140),
    "random200_seed7": RandomOrder.of_steps(200),
    "easy_first": EasyFirst(),
}


@pytest.fixture(scope="module", params=["plain", "studio"])
def network(request):
    """The model without any memory, and as the studio paints with it: everything that stays the same computed once."""
    saved = torch.load(DATA / "tiny_xlxmert.pt", weights_only=True)
    config = infer_config(saved["state_dict"], heads=saved["config"]["heads"])
    model = Lxmert(config).eval()
    model.load_state_dict(from_reference(saved["state_dict"], config))
    words = saved["ids"]
    with torch.no_grad():
        if request.param == "studio":
            return PaintingNetwork(model, words, blank_picture(model, "cpu"), model.folded_code_head())
    return lambda codes, hidden: model.code_logits(model(words, codes, hidden=hidden).vision)


@pytest.fixture(scope="module")
def golden():
    return torch.load(DATA / "tiny_sampling.pt", weights_only=True)["samples"]


def test_every_reference_sampler_is_covered(golden):
    assert set(golden) == set(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_codes_equal_the_references(network, golden, name):
    codes = torch.zeros_like(golden[name])
    everywhere = torch.ones_like(codes, dtype=torch.bool)
    final = last(paint(network, codes, everywhere, SAMPLERS[name], seeds=[7, 7, 7]))
    assert torch.equal(final.codes, golden[name])
