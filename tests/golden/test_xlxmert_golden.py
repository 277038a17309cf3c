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


def test_every_number_of_the_file_is_compared(golden: dict[str, Any]) -> None:
    inputs = {"config", "state_dict", "ids", "att", "pos", "cluster_ids", "vis_mask"}
    outputs = {"lang", "vis", "pooled", "lm_logits", "itm_logits", "cluster_logits", "feat_pred", "qa_logits"}
    assert golden.keys() == inputs | outputs | {"losses", "grads"}
    beside = {"qa_pred", "total"}
    assert {name: values.keys() - beside for name, values in golden["losses"].items()} == {
        "vis_mask": {"obj_loss", "vis_loss", "qa_loss"},  # the second is the first: no other visual loss is on
        "word_mask": {"lm_loss", "qa_loss"},
        "matched": {"matched_loss", "qa_loss"},
    }


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
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_losses_and_every_gradient(golden: dict[str, Any], model: Lxmert, objective: str, dtype: torch.dtype) -> None:
    """In float64 only the reference rounds; in float32 both do, in proportion to the gradient's size."""
    model.to(dtype)
    expected = golden["losses"][objective]
    found = losses(golden, model, objective)
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name], abs=1e-5, rel=1e-6)
    assert expected.get("vis_loss") == expected.get("obj_loss")
    total = torch.stack(list(found.values())).sum()
    assert total.item() == pytest.approx(expected["total"], abs=1e-5, rel=1e-6)
    total.backward()  # type: ignore[no-untyped-call]
    theirs = gradients(model)
    gradients_expected = golden["grads"][objective]
    assert gradients_expected.keys() <= theirs.keys()
    for name in theirs.keys() - {TIED}:
        gradient = gradients_expected.get(name, torch.zeros_like(theirs[name]))  # it keeps none for unused weights
        size = max(1.0, gradient.abs().max().item()) if dtype == torch.float32 else 1.0
        assert_within(theirs[name], gradient, CLOSE * size, name)


def gradients(model: Lxmert) -> dict[str, torch.Tensor]:
    """Every gradient under the reference's names; zeros where there is none."""
    named = dict(model.named_parameters())
    ours = {name: named[name].grad if name in named else None for name in model.state_dict()}
    zeros = {name: torch.zeros_like(weight) for name, weight in model.state_dict().items()}
    filled = {name: zeros[name] if gradient is None else gradient for name, gradient in ours.items()}
    return to_reference(filled, model.config)


@pytest.mark.parametrize("objective", ["vis_mask", "word_mask", "matched"])
def test_the_likeliest_answers(golden: dict[str, Any], model: Lxmert, objective: str) -> None:
    hidden = golden["vis_mask"] if objective == "vis_mask" else None
    with torch.no_grad():
        out = model(golden["ids"], golden["cluster_ids"], hidden=hidden)
    assert torch.equal(model.answer_logits(out.pooled).argmax(-1), golden["losses"][objective]["qa_pred"])
