"""The papers' tables in miniature: every row of every table takes its steps, is scored and shown beside the paper."""

import dataclasses
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.recipes.tables import lxmert, x_lxmert, xgpt, xgpt_retrieval
from xlxmert.recipes.tables.data import Sizes, make_data
from xlxmert.recipes.tables.rows import Column, Row, file_name, measured, table

TINY = Sizes(pictures=24, pair_sets=3, codes=16, lessons=2, render_steps=2)


def counted(calls: list[int]) -> Row:
    def measure(folder: Path, seed: int) -> dict[str, float]:
        calls.append(seed)
        return {"facts": 0.5 + seed / 10, "minutes": 1.0}

    return Row("X-LXMERT", measure, {"FID": "37.4"})


def test_a_row_is_measured_once_per_seed_and_shown_with_its_spread(tmp_path: Path) -> None:
    calls: list[int] = []
    row, columns = counted(calls), [Column("facts right", "facts"), Column("minutes", "minutes", share=False)]
    for _ in range(2):
        found = measured(tmp_path, [row], range(2), log=lambda text: None)
    assert calls == [0, 1]
    shown = table([row], found, columns, ["FID"]).splitlines()
    assert shown[0] == "| | facts right | minutes | paper: FID |"
    assert shown[2] == "| X-LXMERT | 55.0 ± 7.1 % | 1.0 ± 0.0 | 37.4 |"


def test_a_score_that_a_row_lacks_is_a_dash(tmp_path: Path) -> None:
    row = counted([])
    found = measured(tmp_path, [row], [0], log=lambda text: None)
    assert table([row], found, [Column("nouns", "noun")]).splitlines()[2] == "| X-LXMERT | — |"


def test_folder_names_are_plain() -> None:
    assert file_name("w/o uniform masking") == "w-o-uniform-masking"
    assert file_name("TL→BR") == "tl-br"


def test_without_codes_is_lxmert_s_choice() -> None:
    shape = x_lxmert.without_codes(x_lxmert.LXMERT)
    assert (shape.codes, shape.regress, shape.label_input) == (0, True, "feature")
    before = x_lxmert.before(x_lxmert.X)
    changed = {f.name for f in dataclasses.fields(before) if getattr(before, f.name) != getattr(x_lxmert.X, f.name)}
    assert changed == {"targets", "visual_input", "visual_mask", "code_kinds"}


def test_a_row_s_stages_have_its_objectives_alone_and_all_rows_the_same_steps() -> None:
    budget = xgpt.Budget()
    for two_stages in (False, True):
        plan = xgpt.staged(budget, ("captioning", "ida"), two_stages=two_stages)
        assert sum(steps for _, _, steps in plan.stages) == budget.whole
        chosen = [xgpt.chosen(stage, objectives, {}) for stage, objectives, _ in plan.stages]
        assert chosen[0].chosen == ("captioning", "ida") and chosen[-1].chosen == ("captioning",)
        assert [each.ida for each in chosen] == ([1.0, 0.3, 0.0] if two_stages else [1.0, 0.0])
    rounds = xgpt.staged(budget, xgpt.ALL, two_stages=True, rounds=True)
    assert [steps for _, _, steps in rounds.stages] == [4 * budget.first, 4 * budget.second, budget.tune]
    text = xgpt.staged(budget, ("mass", "mlm"), "text")
    assert xgpt.chosen(text.stages[0][0], text.stages[0][1], {}).chosen == ("mass", "mlm")


@pytest.mark.slow
def test_all_rows_about_captions_walk_in_miniature(tmp_path: Path) -> None:
    budget = xgpt.Budget(outside=6, inside=4, first=2, second=2, tune=1, batch=4, tested=3)
    text = xgpt.run(tmp_path, (2, 3, 6), 1, budget, TINY)
    assert text.count("\n| ") == 3 + 15 + 4 + 2
    assert "120.1" in text and "| Tiny EncDec |" in text and "| IDA, single [MASK] |" in text
    lengths = xgpt_retrieval.Lengths(pretrain=2, tune=2, pictures=3)
    text = xgpt_retrieval.run(tmp_path, 1, lengths, budget, TINY)
    assert text.count("\n| ") == 1 + 2 and "+2.2 / +1.5 / +0.4" in text
    assert (tmp_path / "xgpt-table-2.png").stat().st_size > 10_000
    with pytest.raises(XlxmertError, match="choose another --out"):
        xgpt.make_stores(make_data(tmp_path, TINY), dataclasses.replace(budget, inside=5))


@pytest.mark.slow
def test_all_rows_of_all_tables_walk_in_miniature(tmp_path: Path) -> None:
    budget = x_lxmert.Budget(steps=2, batch=4, pictures=6)
    text = x_lxmert.run(tmp_path, (2, 3, 4), 1, budget, TINY)
    assert text.count("\n| ") == 3 + 4 + 5 + len(x_lxmert.SAMPLERS)
    assert "| X-UNITER |" in text and "316.7" in text and "| Mask-Predict-4 |" in text
    again = x_lxmert.run(tmp_path, (2,), 1, budget, TINY)
    assert again.splitlines()[0] == "## Table 2"
    small = lxmert.Budget(pretrain=2, tune=1, pictures=2)
    text = lxmert.run(tmp_path, (3, 4, 5), 1, small, TINY)
    assert text.count("\n| ") == 3 + 8 + 4 + 4
    assert "| GRU + BUTD |" in text and "| P10+QA10 + FT |" in text and "| No Vision Tasks |" in text
    with pytest.raises(XlxmertError, match="choose another --out"):
        make_data(tmp_path, dataclasses.replace(TINY, codes=17))
