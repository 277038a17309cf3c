"""METEOR and SPICE: refusals in one line, and the real METEOR where package and Java are."""

import shutil
import sys
import types

import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.metrics.caption import caption_scores
from xlxmert.metrics.caption_java import java_scores


def stand_in(monkeypatch: pytest.MonkeyPatch, compute: object) -> None:
    """A package pycocoevalcap whose METEOR is a Python function, and a Java."""
    module = types.ModuleType("pycocoevalcap.meteor.meteor")
    module.Meteor = type("Meteor", (), {"compute_score": compute})  # type: ignore[attr-defined]
    for name in ("pycocoevalcap", "pycocoevalcap.meteor"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


def test_a_score_comes_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def compute(self: object, references: object, candidates: object) -> tuple[float, list[float]]:
        given.update(references=references, candidates=candidates)
        print("chatter")
        return 0.25, [0.25]

    stand_in(monkeypatch, compute)
    scores = caption_scores(["A dog (small)."], [["The dog.", "a cat"]], java=("METEOR",))
    assert scores["METEOR"] == 25 and "CIDEr-D" in scores
    assert given == {"references": {0: ["the dog", "a cat"]}, "candidates": {0: ["a dog -lrb- small -rrb-"]}}


def test_chatter_goes_to_the_error_stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, lambda self, references, candidates: (print("chatter"), [])[:1] and (0.5, []))
    assert java_scores([["a"]], [[["a"]]], ("METEOR",)) == {"METEOR": 0.5}
    assert capsys.readouterr() == ("", "chatter\n")


def test_without_java_or_package_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(XlxmertError, match="expected Java for SPICE, found no program 'java'"):
        java_scores([["a"]], [[["a"]]], ("SPICE",))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(XlxmertError, match="pip install pycocoevalcap, or leave METEOR out"):
        java_scores([["a"]], [[["a"]]], ("METEOR",))


def test_a_program_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(self: object, references: object, candidates: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    stand_in(monkeypatch, compute)
    with pytest.raises(XlxmertError, match=r"METEOR did not come to its end \(BrokenPipeError.*java -version"):
        java_scores([["a"]], [[["a"]]], ("METEOR",))
    with pytest.raises(UsageError, match="found 0 candidates"):
        java_scores([], [], ("METEOR",))


@pytest.mark.slow
def test_the_real_meteor_tells_good_from_bad() -> None:
    pytest.importorskip("pycocoevalcap.meteor.meteor")
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    references = [[["two", "red", "cars", "on", "the", "beach"]]] * 2
    found = java_scores([["two", "red", "cars", "on", "the", "beach"], []], references, ("METEOR",))["METEOR"]
    paraphrased = java_scores([["a", "pair", "of", "red", "automobiles"], ["a"]], references, ("METEOR",))["METEOR"]
    assert 0.4 < found < 1 and 0 < paraphrased < found
