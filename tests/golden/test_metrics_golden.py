"""FID, KID, Inception Score and caption scores equal the numbers of others' implementations; see data/README.md."""

import gzip
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from xlxmert.core.files import read_json
from xlxmert.metrics.caption import caption_scores
from xlxmert.metrics.fidelity import frechet_distance, inception_score, kernel_distance

DATA = Path(__file__).parent / "data"
SCRIPT = Path(__file__).parents[2] / "scripts" / "golden_metrics.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that made the numbers: it has the features' formula."""
    spec = importlib.util.spec_from_file_location("golden_metrics", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "exact"), [("tall", 1e-10), ("flat", 1e-6)])
def test_fid_and_kid_equal_those_of_scipy_and_torch_fidelity(script: ModuleType, name: str, exact: float) -> None:
    expected = read_json(DATA / "fidelity.json")[name]
    many, others, width = script.SETS[name]
    one, other = script.features(1, many, width), script.features(2, others, width)
    for who in ("scipy", "torch-fidelity"):
        assert frechet_distance(one, other) == pytest.approx(expected[f"FID by {who}"], rel=exact)
    count = min(many, others)
    kid = kernel_distance(one[:count], other[:count])
    assert kid.mean == pytest.approx(expected["KID of the first ones of both"], rel=1e-10)


def test_inception_score_equals_that_of_torch_fidelity(script: ModuleType) -> None:
    expected = read_json(DATA / "fidelity.json")["classes"]
    score = inception_score(3 * script.features(3, 305, 40))
    assert score.mean == pytest.approx(expected["IS"], rel=1e-12)
    assert score.std == pytest.approx(expected["IS std"], rel=1e-10)


@pytest.fixture(scope="module")
def captions() -> dict[str, object]:
    content: dict[str, object] = json.loads(gzip.decompress((DATA / "captions.json.gz").read_bytes()))
    return content


def test_caption_scores_equal_those_of_the_common_implementation(captions: dict[str, dict[str, float]]) -> None:
    assert len(captions["candidates"]) == 1200
    scores = caption_scores(captions["candidates"], captions["references"])  # type: ignore[arg-type]
    for name, value in scores.items():
        assert value == pytest.approx(captions["scores"][name], abs=1e-6), name
    assert len(scores) == 6


@pytest.mark.slow
def test_meteor_equals_that_of_the_common_implementation(captions: dict[str, dict[str, float]]) -> None:
    pytest.importorskip("pycocoevalcap.meteor.meteor")
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    scores = caption_scores(captions["candidates"], captions["references"], ("METEOR",))  # type: ignore[arg-type]
    assert scores["METEOR"] == pytest.approx(captions["scores"]["METEOR"], abs=1e-6)
