"""Tables of names: reversible for any table, and every tensor that does not fit is named once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.convert.table import LoadReport, Row, plain_names, split, translate
from xlxmert.core.errors import XlxmertError

ROWS = [Row("fused", ("query", "key", "value")), Row("out", ("dense",)), Row("count", ("steps",))]


def theirs() -> dict[str, torch.Tensor]:
    return {
        "query": torch.full((2, 3), 1.0),
        "key": torch.full((2, 3), 2.0),
        "value": torch.full((2, 3), 3.0),
        "dense": torch.arange(4.0),
        "steps": torch.tensor(7),
    }


def ours() -> dict[str, torch.Tensor]:
    return translate(theirs(), ROWS)[0]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, 3))
def test_any_table_is_reversible(parts: list[int], rows: int) -> None:
    table = [Row(f"o{i}", tuple(f"t{i}.{j}" for j in range(count))) for i, count in enumerate(parts)]
    state = {name: torch.randn(rows, 2) for row in table for name in row.theirs}
    mine, report = translate(state, table)
    assert [len(mine[row.ours]) for row in table] == [rows * count for count in parts]
    back = split(mine, table)
    assert back.keys() == state.keys() and all(torch.equal(back[name], state[name]) for name in state)
    assert (report.read, report.missing, report.unexpected) == (sum(parts), (), ())


def test_the_report_tells_what_was_read_and_what_was_not() -> None:
    state = {**theirs(), "copy": torch.zeros(1), "stranger": torch.zeros(1), "dense": torch.zeros(5)}
    del state["key"]
    mine, report = translate(state, ROWS, ours(), "tiny", ("key", "dense", "strange*"), ["copy"], "tiny.pth")
    assert report == LoadReport(
        "tiny", "tiny.pth", 5, 3, ("key",), ("stranger",), {"dense": "(5,), not (4,)"}, ("copy",)
    )
    assert torch.equal(mine["fused"], ours()["fused"])  # the part that is missing keeps what was there
    assert torch.equal(mine["out"], ours()["out"])


def test_a_missing_part_keeps_its_own_start_and_the_others_are_read() -> None:
    state, start = theirs(), {name: torch.zeros_like(tensor) for name, tensor in ours().items()}
    del state["key"]
    mine, _ = translate(state, ROWS, start, allow=["key"])
    assert mine["fused"][:, 0].tolist() == [1, 1, 0, 0, 3, 3]


def test_what_is_not_allowed_by_name_is_refused_with_all_names() -> None:
    state = {**theirs(), "stranger": torch.zeros(1), "dense": torch.zeros(5)}
    del state["key"], state["query"]
    with pytest.raises(XlxmertError) as caught:
        translate(state, ROWS, ours(), "tiny", allow=["key"], source="tiny.pth")
    assert "expected 5 tiny weights in tiny.pth, found 1 missing (query) and 1 unexpected (stranger) and " in str(
        caught.value
    )
    assert "1 misshapen (dense is (5,), not (4,))" in str(caught.value)


def test_many_names_are_counted() -> None:
    rows = [Row(f"o{i}", (f"t{i}",)) for i in range(50)]
    with pytest.raises(XlxmertError, match=r"50 missing \(t0, .*, t19 and 30 more\)"):
        translate({}, rows)


def test_ours_must_be_whole_too() -> None:
    state = ours()
    del state["out"]
    with pytest.raises(XlxmertError, match=r"1 missing \(out\)"):
        split(state, ROWS)
    with pytest.raises(XlxmertError, match=r"fused is \(6, 3\), not \(6, 4\)"):
        split(ours(), ROWS, {**ours(), "fused": torch.zeros(6, 4)})


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("module.bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
        ("lxmert.encoder.layer.0.output.LayerNorm.beta", "bert.encoder.layer.0.output.LayerNorm.bias"),
        ("model.module.bert.pooler.dense.bias", "bert.pooler.dense.bias"),
        ("module.model.lxmert.bert.encoder.visn_fc.box_fc.bias", "bert.encoder.visn_fc.box_fc.bias"),
        ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight"),
        ("module.mask_feat", "mask_feat"),
        ("bert.cls.predictions.bias", "cls.predictions.bias"),
        ("module.resblocks.0.cbn1.gamma.weight", "resblocks.0.cbn1.gamma.weight"),
        ("module.learned_init_conv.0.weight_orig", "learned_init_conv.0.weight_orig"),
    ],
)
def test_prefixes_in_any_combination_and_old_norm_names_are_understood(name: str, plain: str) -> None:
    assert list(plain_names({name: torch.zeros(1)})) == [plain]


def test_two_names_that_become_one_are_refused() -> None:
    with pytest.raises(XlxmertError, match=r"expected mask_feat once, found it again as module\.mask_feat"):
        plain_names({"mask_feat": torch.zeros(1), "module.mask_feat": torch.zeros(1)})
