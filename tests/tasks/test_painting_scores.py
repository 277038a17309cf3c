"""Measures of paintings: pictures in any chunks give the same, the truth scores best, and details say who judged."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.data.rivals import Gap, easy_choices, gaps, hard_choices
from xlxmert.data.world.word_list import WORLD_WORDS
from xlxmert.metrics.fidelity import frechet_distance, inception_score
from xlxmert.tasks.painting_scores import AutoHummus, FactJudge, Fidelity, Measure, RPrecision
from xlxmert.tasks.world_scores import Example, examples, true_pictures
from xlxmert.vision.fidelity_networks import Looked

COUNT = 24


class Colours:
    """Features: the mean of each quarter; classes: its channels."""

    name, size, resize = "mean colours", 2, "averaged"

    def __call__(self, pictures: torch.Tensor) -> Looked:
        means = pictures.float().unflatten(1, (2, -1)).unflatten(3, (2, -1)).mean(dim=(2, 4)).flatten(1) / 50
        return Looked(means, means)


@pytest.fixture(scope="module")
def found() -> list[Example]:
    return examples("test", COUNT, seed=5)


@pytest.fixture(scope="module")
def pictures(found: list[Example]) -> torch.Tensor:
    return true_pictures(found)


def shown(measure: Measure, pictures: torch.Tensor, together: int) -> Measure:
    for start in range(0, len(pictures), together):
        places = range(len(pictures))[start : start + together]
        measure.see(places, pictures[start : start + together])
    return measure


def captions(found: Sequence[Example]) -> list[str]:
    return [example.captions[0].text for example in found]


def test_fidelity_is_that_of_the_features(pictures: torch.Tensor) -> None:
    measure = Fidelity(Colours(), seed=4)
    shown(measure, pictures[:13], 5)
    for some in torch.split(pictures[13:], 4):
        measure.see_real(some)
    scores, about = measure.scores(), measure.details()["fidelity"]
    one, other = (Colours()(some).features.double().numpy() for some in (pictures[:13], pictures[13:]))
    assert scores["fidelity/FID"] == pytest.approx(frechet_distance(one, other), rel=1e-6)
    assert scores["fidelity/IS"] == pytest.approx(inception_score(one).mean, rel=1e-6)
    assert (about["network"], about["painted"], about["real"]) == ("mean colours", 13, COUNT - 13)
    assert about["KID"]["value"] == scores["fidelity/KID"] and about["KID"]["seed"] == 4
    assert about["KID"]["size"] == 11 and about["IS"]["splits"] == 10


def test_equal_pictures_are_at_no_distance(pictures: torch.Tensor) -> None:
    measure = Fidelity(Colours())
    shown(measure, pictures, 8)
    measure.see_real(pictures)
    assert measure.scores()["fidelity/FID"] == pytest.approx(0, abs=1e-6)
    assert measure.scores()["fidelity/KID"] <= 0  # unbiased: a picture is not compared with itself on one side alone


def r_precision(found: Sequence[Example], scorer: object = None) -> RPrecision:
    own, pool = captions(found), [(i, c.text) for i, e in enumerate(found) for c in e.captions]
    choices = {"easy": easy_choices(own, pool, range(len(found)))}
    choices |= {f"hard/{name}": hard_choices(own, WORLD_WORDS, name) for name in ("noun", "number")}
    return RPrecision(scorer or FactJudge(), choices, {"words": "world", "seed": 0})  # type: ignore[arg-type]


def test_true_pictures_are_told_from_every_swap(found: list[Example], pictures: torch.Tensor) -> None:
    measure = shown(r_precision(found), pictures, 7)
    scores, about = measure.scores(), measure.details()["r-precision"]
    assert scores["r-precision/hard/noun"] == scores["r-precision/hard/number"] == scores["r-precision/hard"] == 1
    assert scores["r-precision/easy"] > 0.9
    assert about["easy"]["pictures"] == about["hard/noun"]["pictures"] == COUNT
    assert (about["easy"]["captions"], about["hard/noun"]["captions"], about["hard/number"]["captions"]) == (24, 10, 4)
    assert "parser" in about["scorer"] and about["words"] == "world"
    assert about["easy"]["std over 10 folds"] is not None


def test_pictures_of_other_captions_score_like_lots(found: list[Example], pictures: torch.Tensor) -> None:
    scores = shown(r_precision(found), pictures.roll(7, dims=0), 9).scores()
    assert scores["r-precision/easy"] < 0.3 and scores["r-precision/hard/noun"] < 0.5


def test_each_picture_is_scored_once_with_all_its_captions(found: list[Example], pictures: torch.Tensor) -> None:
    asked: list[list[int]] = []

    class Lots:
        name = "lots"

        def __call__(self, some: Sequence[np.ndarray], captions: Sequence[Sequence[str]]) -> list[np.ndarray]:
            asked.append([len(each) for each in captions])
            return [np.zeros(len(each)) for each in captions]

    measure = shown(r_precision(found, Lots()), pictures, 10)
    assert [len(each) for each in asked] == [10, 10, 4]
    assert {number for each in asked for number in each} == {34, 38}  # easy and nouns, and numbers where there is one
    scores = measure.scores()
    assert scores["r-precision/easy"] == pytest.approx(1 / 24)
    assert scores["r-precision/hard/noun"] == pytest.approx(0.1)
    assert scores["r-precision/hard"] == pytest.approx((0.1 + 0.25) / 2)


def test_the_parser_reads_pictures_of_the_worlds_size_only() -> None:
    with pytest.raises(UsageError, match="256 pixels wide for the world's parser, found 32: take another --scorer"):
        FactJudge()([np.zeros((32, 32, 3), np.uint8)], [["a dog"]])


def test_the_parser_gives_nothing_for_words_of_elsewhere(pictures: torch.Tensor) -> None:
    (row,) = FactJudge()([pictures[0].numpy()], [["a keyboard and a fork", "hello"]])
    assert row.tolist() == [0, 0]


def test_auto_hummus_counts_filled_gaps(found: list[Example], pictures: torch.Tensor) -> None:
    some = [gap for name in ("noun", "number") for gap in gaps(captions(found), WORLD_WORDS, name)]
    right = {id(gap): index % 3 > 0 for index, gap in enumerate(some)}

    def fill(seen: Sequence[np.ndarray], asked: Sequence[Gap]) -> list[str]:
        assert all((picture == pictures[gap.place].numpy()).all() for picture, gap in zip(seen, asked, strict=True))
        return [gap.word[-1].upper() if right[id(gap)] else "something" for gap in asked]

    measure = shown(AutoHummus(fill, some, {"filler": "a test"}), pictures, 5)
    scores, about = measure.scores(), measure.details()["auto_hummus"]
    for name in ("noun", "number"):
        share = np.mean([right[id(gap)] for gap in some if gap.category == name])
        assert scores[f"auto_hummus/{name}"] == pytest.approx(share)
        assert about["gaps"][name] == sum(gap.category == name for gap in some)
    assert about["filler"] == "a test"
