"""A tiny X-LXMERT gives the numbers that the reference code gave: outputs, losses and every gradient."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from xlxmert.convert.xlxmert_layout import TIED, from_reference, infer_config, to_reference
from xlxmert.models.lxmert import Lxmert

CLOSE = 1e-5
LOOSE = {"cluster_logits": 4e-5}
"""The reference's own rounding: its code scores, up to 21, lie 1.9e-5 from the same computation in float64."""
ANSWERS = torch.tensor([3, -1, 5])
MATCHED = torch.tensor([1, 0, 1])


def assert_within(found: torch.Tensor, expected: torch.Tensor, tolerance: float, name: str) -> None:
    """Fail, naming the tensor, where a value is off by more than ``tolerance``."""
    assert found.shape == expected.shape, name
    assert (found - expected).abs().max().item() <= tolerance, name


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(Path(__file__).parent / "data" / "tiny_xlxmert.pt", weights_only=True)
    return saved


@pytest.fixture
def model(golden: dict[str, Any]) -> Lxmert:
    config = infer_config(golden["state_dict"], heads=golden["config"]["heads"])
    model = Lxmert(config).eval()
    model.load_state_dict(from_reference(golden["state_dict"], config))
    return model


def test_outputs_and_scores(golden: dict[str, Any], model: Lxmert) -> None:
    with torch.no_grad():
        out = model(golden["ids"], golden["cluster_ids"])
        found = {
            "lang": out.language,
            "vis": out.vision,
            "pooled": out.pooled,
            "lm_logits": model.word_logits(out.language),
            "itm_logits": model.matching_logits(out.pooled),
            "cluster_logits": model.code_logits(out.vision),
            "feat_pred": model.predicted_features(out.vision),
            "qa_logits": model.answer_logits(out.pooled),
        }
    for name, value in found.items():
        assert_within(value, golden[name], LOOSE.get(name, CLOSE), name)


def test_boxes_and_padding_mask_equal_the_defaults(golden: dict[str, Any], model: Lxmert) -> None:
    torch.testing.assert_close(model.cell_boxes.expand(3, 64, 4), golden["pos"])
    assert torch.equal(golden["ids"] > 0, golden["att"])


def losses(golden: dict[str, Any], model: Lxmert, objective: str) -> dict[str, torch.Tensor]:
    """The reference's loss of an objective, plus the question loss that it always adds."""
    words, codes, hidden = golden["ids"], golden["cluster_ids"], golden["vis_mask"]
    out = model(words, codes, hidden=hidden if objective == "vis_mask" else None)
    loss = {"qa_loss": F.cross_entropy(model.answer_logits(out.pooled), ANSWERS, ignore_index=-1)}
    if objective == "vis_mask":
        loss["obj_loss"] = F.cross_entropy(model.code_logits(out.vision[hidden]), codes[hidden])
    elif objective == "word_mask":
        loss["lm_loss"] = F.cross_entropy(
            model.word_logits(out.language[:, 1::2]).flatten(0, 1), words[:, 1::2].flatten()
        )
    else:
        loss["matched_loss"] = F.cross_entropy(model.matching_logits(out.pooled), MATCHED)
    return loss


@pytest.mark.parametrize("objective", ["vis_mask", "word_mask", "matched"])
def test_losses_and_every_gradient(golden: dict[str, Any], model: Lxmert, objective: str) -> None:
    found = losses(golden, model, objective)
    for name, value in found.items():
        assert value.item() == pytest.approx(golden["losses"][objective][name], abs=1e-5, rel=1e-6)
    total = torch.stack(list(found.values())).sum()
    assert total.item() == pytest.approx(golden["losses"][objective]["total"], abs=1e-5, rel=1e-6)
    total.backward()  # type: ignore[no-untyped-call]
    named = dict(model.named_parameters())
    ours = {name: named[name].grad if name in named else None for name in model.state_dict()}
    zeros = {name: torch.zeros_like(model.state_dict()[name]) for name in ours}
    theirs = to_reference({name: zeros[name] if grad is None else grad for name, grad in ours.items()}, model.config)
    expected = golden["grads"][objective]
    assert expected.keys() <= theirs.keys()
    for name in theirs.keys() - {TIED}:
        gradient = expected.get(name, torch.zeros_like(theirs[name]))  # the reference keeps none for unused weights
        assert_within(theirs[name], gradient, CLOSE * max(1.0, gradient.abs().max().item()), name)
