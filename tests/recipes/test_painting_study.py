"""The painting study in miniature: rows are scored and timed once, and table, plot and sheet come out."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from xlxmert.recipes import painting_study
from xlxmert.recipes.painting_study import ROWS, SHEET, Budget, run
from xlxmert.sampling import Guidance, MaskPredict
from xlxmert.studio import PaintOptions

TWO: Mapping[str, PaintOptions] = {
    SHEET[0]: ROWS[SHEET[0]],
    "one step": PaintOptions(MaskPredict(1), Guidance(0.0)),
}


def test_every_sampler_of_the_sheet_is_a_row_and_every_row_is_checked() -> None:
    assert set(SHEET) <= ROWS.keys()
    assert {type(ROWS[name].sampler) for name in SHEET} == {type(options.sampler) for options in ROWS.values()}


def test_two_rows_walk_and_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget, said = Budget(pictures=3, timed=1), list[str]()
    text = run(tmp_path, network="efficientnet-lite0", budget=budget, rows=TWO, log=said.append)
    assert said == [f"{name}, seed 0" for name in [*TWO, *TWO]]  # quality, then time
    lines = text.splitlines()
    assert lines[0].startswith("3 captions of each split; FID and KID by EfficientNet-Lite0")
    assert [line.split(" | ")[0] for line in lines[4:6]] == [f"| {name}" for name in TWO]
    assert lines[4].count("|") == len(painting_study.COLUMNS) + 2 and "—" not in lines[4]
    for name in ("study.png", "samplers.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200
    said.clear()
    assert run(tmp_path, network="efficientnet-lite0", budget=budget, rows=TWO, log=said.append) == text
    assert said == []
