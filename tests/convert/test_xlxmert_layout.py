"""The authors' layouts: reversible, tolerant of wrappers, loud about everything else."""

import dataclasses

import pytest
import torch

from xlxmert.convert.xlxmert_layout import TIED, from_reference, infer_config, layout_of, table, to_reference
from xlxmert.core.errors import XlxmertError
from xlxmert.models import uniter
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.lxmert import TINY

XLXMERT = dataclasses.replace(TINY, language_layers=2, cross_layers=2)
LXMERT = dataclasses.replace(XLXMERT, codes=0, mask_start="fixed", regress=True, labels=9, attributes=4)
LABELLED = dataclasses.replace(XLXMERT, codes=0, regress=True, labels=9, label_input="feature")
"""LXMERT as the authors of X-LXMERT built it again."""
X_UNITER = dataclasses.replace(uniter.TINY, norm="after", code_head="centroids", code_input="centroids")
X_UNITER = dataclasses.replace(X_UNITER, grid_position="box", mask_start="zeros", dropout=0.1, attention_dropout=0.1)
ALL = {"x-lxmert": XLXMERT, "lxmert": LXMERT, "labelled": LABELLED, "x-uniter": X_UNITER}
EACH = pytest.mark.parametrize("config", ALL.values(), ids=ALL)


def random_state(config: ModelConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(weight) for name, weight in build(config).state_dict().items()}


@pytest.fixture
def reference() -> dict[str, torch.Tensor]:
    return to_reference(random_state(XLXMERT), XLXMERT)


@EACH
def test_ours_to_theirs_and_back_is_the_same(config: ModelConfig) -> None:
    ours = random_state(config)
    back = from_reference(to_reference(ours, config), config)
    assert list(back) == [row.ours for row in table(config)]
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


@EACH
def test_theirs_to_ours_and_back_is_the_same(config: ModelConfig) -> None:
    reference = to_reference(random_state(config), config)
    again = to_reference(from_reference(reference, config), config)
    assert again.keys() == reference.keys()
    assert all(torch.equal(again[name], reference[name]) for name in reference)


@EACH
def test_sizes_and_choices_are_read_from_names_and_shapes(config: ModelConfig) -> None:
    reference = to_reference(random_state(config), config)
    assert infer_config(reference, heads=config.heads) == config
    assert infer_config(reference).heads == 1


@EACH
def test_every_tensor_that_is_taken_away_is_named(config: ModelConfig) -> None:
    reference = to_reference(random_state(config), config)
    for name in (
        "bert.encoder.visn_fc.box_fc.bias",
        "cls.seq_relationship.weight",
        "obj_predict_head.transform.dense.bias",
    ):
        rest = {other: tensor for other, tensor in reference.items() if other != name}
        with pytest.raises(XlxmertError, match=rf"1 missing \({name}\) and 0 unexpected"):
            from_reference(rest, dataclasses.replace(config))


@EACH
@pytest.mark.parametrize("wrap", ["module.", "model.", "module.model."])
def test_wrappers_and_old_norm_names_are_understood(config: ModelConfig, wrap: str) -> None:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, weight in to_reference(random_state(config), config).items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[wrap + name.replace("bert.", "lxmert.", 1)] = weight
    back = from_reference(renamed, config)
    assert all(torch.equal(back[name], weight) for name, weight in random_state(config).items())


def test_layouts_know_whose_they_are() -> None:
    assert [layout_of(config) for config in ALL.values()] == ["xlxmert", "lxmert", "xlxmert", "xlxmert"]


def test_a_checkpoint_without_answer_head_or_tied_copy_is_read(reference: dict[str, torch.Tensor]) -> None:
    kept = {name: weight for name, weight in reference.items() if not name.startswith("answer_head") and name != TIED}
    kept["bert.embeddings.position_ids"] = torch.arange(32)[None]
    ours = from_reference(kept)
    build(dataclasses.replace(XLXMERT, answers=0)).load_state_dict(ours)


def test_missing_and_unexpected_weights_are_both_named(reference: dict[str, torch.Tensor]) -> None:
    del reference["bert.pooler.dense.bias"]
    reference["bert.encoder.layer.9.novelty"] = torch.zeros(1)
    with pytest.raises(XlxmertError, match=r"1 missing \(bert.pooler.dense.bias\) and 1 unexpected .*layer.9.novelty"):
        from_reference(reference, XLXMERT)


def test_misshapen_weights_are_named(reference: dict[str, torch.Tensor]) -> None:
    reference["mask_feat"] = torch.zeros(5)
    reference["bert.encoder.layer.0.attention.self.key.bias"] = torch.zeros(3)
    with pytest.raises(XlxmertError) as caught:
        from_reference(reference, XLXMERT)
    assert "2 misshapen (mask_feat is (5,), not (32,), " in str(caught.value)
    assert "bert.encoder.layer.0.attention.self.key.bias is (3,), not (32,)" in str(caught.value)


def test_a_missing_mask_feature_is_missed_and_not_taken_for_lxmert_s(reference: dict[str, torch.Tensor]) -> None:
    del reference["mask_feat"]
    with pytest.raises(XlxmertError, match=r"1 missing \(mask_feat\)"):
        from_reference(reference)


def test_a_word_head_that_is_not_tied_is_refused(reference: dict[str, torch.Tensor]) -> None:
    reference[TIED] = reference[TIED] + 1
    with pytest.raises(XlxmertError, match="tied"):
        from_reference(reference, XLXMERT)


def test_a_name_that_comes_twice_is_refused(reference: dict[str, torch.Tensor]) -> None:
    with pytest.raises(XlxmertError, match="mask_feat once"):
        from_reference({**reference, "module.mask_feat": reference["mask_feat"]}, XLXMERT)


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(XlxmertError, match="is it one of the authors'"):
        from_reference({"conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"code_head": "learned"}, "code_head='learned'"),
        ({"norm": "before"}, "norm='before'"),
        ({"pairs": True}, "pairs=True"),
        ({"mask_start": "fixed"}, "mask_start='fixed' in an X-LXMERT"),
        ({"labels": 3}, "labels beside codes"),
        ({"codes": 0, "labels": 3}, "label_input='state' with mask_start='zeros'"),
    ],
)
def test_choices_beyond_the_papers_cannot_be_written(changes: dict[str, object], told: str) -> None:
    config = dataclasses.replace(XLXMERT, **changes)  # type: ignore[arg-type]
    with pytest.raises(XlxmertError, match=told):
        to_reference(random_state(config), config)
