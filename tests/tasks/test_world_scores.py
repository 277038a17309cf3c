"""Scores on the world: the truth scores 1, and each mistake costs what it should."""

import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.data.world.scene import Item, Scene
from xlxmert.tasks.world_scores import Example, Predictors, examples, fact_scores, score_world, true_pictures


@pytest.fixture(scope="module")
def found() -> list[Example]:
    return examples("test", 12, seed=3)


def test_the_truth_scores_one(found: list[Example]) -> None:
    pictures = true_pictures(found)
    by_picture = {picture.numpy().tobytes(): example for picture, example in zip(pictures, found, strict=True)}
    by_prompt = {example.captions[0].text: picture for example, picture in zip(found, pictures, strict=True)}

    def of(picture: torch.Tensor) -> Example:
        return by_picture[picture.numpy().tobytes()]

    scores = score_world(
        found,
        Predictors(
            paint=lambda prompts: torch.stack([by_prompt[prompt] for prompt in prompts]),
            rebuild=lambda given: given,
            caption=lambda given: [of(picture).captions[1].text for picture in given],
            answer=lambda given, asked: [
                next(q.answer for q in of(p).questions if q.text == text) for p, text in zip(given, asked, strict=True)
            ],
            match=lambda given, told: torch.tensor(
                [float(text in [c.text for c in of(p).captions]) for p, text in zip(given, told, strict=True)]
            ),
        ),
    )
    for name in ("paint/facts", "rebuild/every", "caption/facts", "caption/things_named", "match/accuracy"):
        assert scores[name] == 1.0, name
    assert scores["vqa/overall"] == 1.0  # at most three of ten annotators err
    assert scores["caption/CIDEr-D"] > 100


def test_mistakes_are_counted_by_kind() -> None:
    scene = Scene(
        "beach", 0, (Item("car", "red", "", "", 0, 0), Item("car", "red", "", "", 2, 0), Item("dog", "", "", "", 4, 0))
    )
    right = (("noun", "car"), ("count", "car", "2"), ("colour", "car", "red"), ("relation", "car", "left of", "dog"))
    wrong = (("noun", "cat"), ("count", "car", "3"), ("setting", "night"), ("noun", "dog"))
    scores = dict(fact_scores([right, wrong], [scene, scene]))
    assert scores["facts"] == 5 / 8 and scores["every"] == 0.5
    assert scores["noun"] == 2 / 3 and scores["count"] == 0.5 and scores["setting"] == 0.0
    assert "action" not in scores and "every_one_object" not in scores


def test_one_object_captions_are_told_apart() -> None:
    scene = Scene("beach", 0, (Item("car", "red", "", "", 0, 0),))
    one = (("noun", "car"), ("count", "car", "1"), ("colour", "car", "blue"))
    scores = dict(fact_scores([one, (("noun", "car"), ("noun", "dog"))], [scene, scene]))
    assert scores["every_one_object"] == 0.0 and scores["every"] == 0.0


def test_examples_are_the_same_alone_and_among_others() -> None:
    assert examples("heldout", 3)[2] == examples("heldout", 5)[2]
    with pytest.raises(UsageError, match="at least one picture"):
        examples("test", 0)
    with pytest.raises(UsageError, match="expected a split"):
        examples("training", 1)
    assert tuple(true_pictures(examples("test", 2)).shape) == (2, 256, 256, 3)
