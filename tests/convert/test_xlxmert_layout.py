"""The reference layout: reversible, tolerant of wrappers, loud about everything else."""

import dataclasses

import pytest
import torch

from xlxmert.convert.xlxmert_layout import TIED, from_reference, infer_config, table, to_reference
from xlxmert.core.errors import XlxmertError
from xlxmert.models.lxmert import PAPER, TINY, Lxmert, LxmertConfig

CONFIG = dataclasses.replace(TINY, language_layers=2, cross_layers=2)


def random_state(config: LxmertConfig = CONFIG) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(weight) for name, weight in Lxmert(config).state_dict().items()}


@pytest.fixture
def reference() -> dict[str, torch.Tensor]:
    return to_reference(random_state(), CONFIG)


def test_ours_to_theirs_and_back_is_the_same(reference: dict[str, torch.Tensor]) -> None:
    ours, back = random_state(), from_reference(reference, CONFIG)
    assert list(back) == [row.ours for row in table(CONFIG)]
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_theirs_to_ours_and_back_is_the_same(reference: dict[str, torch.Tensor]) -> None:
    again = to_reference(from_reference(reference, CONFIG), CONFIG)
    assert again.keys() == reference.keys()
    assert all(torch.equal(again[name], reference[name]) for name in reference)


def test_the_paper_model_has_the_released_file_s_weights() -> None:
    with torch.device("meta"):
        theirs = to_reference(Lxmert(PAPER).state_dict(), PAPER)
    assert len(theirs) == 472
    assert theirs["obj_predict_head.out_cluster.weight"].shape == (10000, 2048)
    assert theirs["bert.encoder.x_layers.4.visual_attention.att.value.weight"].shape == (768, 768)
    assert theirs["answer_head.logit_fc.3.weight"].shape == (9500, 1536)


def test_sizes_are_read_from_the_shapes(reference: dict[str, torch.Tensor]) -> None:
    inferred = infer_config(reference, heads=CONFIG.heads)
    assert inferred == CONFIG
    assert infer_config(reference).heads == 1
    with torch.device("meta"):
        assert infer_config(to_reference(Lxmert(PAPER).state_dict(), PAPER)) == PAPER


@pytest.mark.parametrize("wrap", ["module.", "model.", "module.model."])
def test_wrappers_and_old_norm_names_are_understood(reference: dict[str, torch.Tensor], wrap: str) -> None:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, weight in reference.items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[wrap + name.replace("bert.", "lxmert.", 1)] = weight
    back = from_reference(renamed, CONFIG)
    assert all(torch.equal(back[name], weight) for name, weight in random_state().items())


def test_a_checkpoint_without_answer_head_or_tied_copy_is_read(reference: dict[str, torch.Tensor]) -> None:
    kept = {name: weight for name, weight in reference.items() if not name.startswith("answer_head") and name != TIED}
    ours = from_reference(kept)
    Lxmert(dataclasses.replace(CONFIG, answers=0)).load_state_dict(ours)


def test_missing_and_unexpected_weights_are_both_named(reference: dict[str, torch.Tensor]) -> None:
    del reference["bert.pooler.dense.bias"]
    reference["bert.encoder.layer.9.novelty"] = torch.zeros(1)
    with pytest.raises(XlxmertError, match=r"missing 1 \(bert.pooler.dense.bias\); unexpected 1 .*layer.9.novelty"):
        from_reference(reference, CONFIG)


def test_misshapen_weights_are_named(reference: dict[str, torch.Tensor]) -> None:
    reference["mask_feat"] = torch.zeros(5)
    with pytest.raises(XlxmertError, match=r"picture.features.mask is \(5,\), not \(32,\)"):
        from_reference(reference, CONFIG)
    reference["bert.encoder.layer.0.attention.self.key.bias"] = torch.zeros(3)
    with pytest.raises(XlxmertError, match=r"layer.0.attention.self.query.bias.* must have one shape"):
        from_reference(reference, CONFIG)


def test_a_word_head_that_is_not_tied_is_refused(reference: dict[str, torch.Tensor]) -> None:
    reference[TIED] = reference[TIED] + 1
    with pytest.raises(XlxmertError, match="tied"):
        from_reference(reference, CONFIG)


def test_a_name_that_comes_twice_is_refused(reference: dict[str, torch.Tensor]) -> None:
    with pytest.raises(XlxmertError, match="mask_feat once"):
        from_reference({**reference, "module.mask_feat": reference["mask_feat"]}, CONFIG)


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(XlxmertError, match="is it an X-LXMERT"):
        from_reference({"conv1.weight": torch.zeros(1)})


def test_choices_beyond_the_paper_cannot_be_written() -> None:
    config = dataclasses.replace(CONFIG, code_head="learned")
    with pytest.raises(XlxmertError, match="code_head='learned'"):
        to_reference(random_state(config), config)
