"""GQA, NLVR2 and retrieval on the built-in world: the truth scores everything, and a mistake what it should."""

import pytest
import torch

from xlxmert.core.errors import UsageError
from xlxmert.data.records import PairRecord, QuestionRecord
from xlxmert.data.world.annotations import gqa_of
from xlxmert.data.world.lexicon import THINGS
from xlxmert.data.world.scene import make_scene
from xlxmert.data.world.statements import make_pair_set
from xlxmert.tasks.scoring import score_gqa, score_nlvr2, score_retrieval, score_vqa
from xlxmert.tasks.world_reasoning import choices_of, gqa_on_world, nlvr2_on_world, picture_of, retrieval_on_world
from xlxmert.tasks.world_scores import Predictors, examples, score_world

SCENES = [make_scene("test", 0, index) for index in range(12)]


def test_the_truth_scores_everything_on_gqa() -> None:
    truth = {
        (picture_of(scene).numpy().tobytes(), record.text): record.raw_answers[0]
        for index, scene in enumerate(SCENES)
        for record in gqa_of(scene, "test", 0, index)
    }
    seen: set[int] = set()

    def answer(pictures, questions):
        seen.update(map(id, pictures))
        return [truth[picture.numpy().tobytes(), text] for picture, text in zip(pictures, questions, strict=True)]

    scores = gqa_on_world(SCENES, "test", 0, answer)
    for name in ("accuracy", "open", "binary", "consistency", "validity", "plausibility"):
        assert scores[f"gqa/{name}"] == 1.0, name
    assert scores["gqa/distribution"] == 0.0 and "gqa/structural/verify" in scores
    assert len(seen) == len(SCENES), "a picture that is asked about again is the same object"


def test_saying_yes_to_everything_is_sometimes_right_and_seldom_valid() -> None:
    scores = gqa_on_world(SCENES, "test", 0, lambda pictures, questions: ["yes"] * len(questions))
    assert scores["gqa/open"] == 0.0 < scores["gqa/binary"] < 1.0
    assert 0 < scores["gqa/validity"] == scores["gqa/plausibility"] < 1.0 and scores["gqa/distribution"] > 0


def test_every_true_answer_is_a_plausible_choice() -> None:
    kinds = set()
    for split, seed in (("test", 0), ("heldout", 3)):
        for index in range(60):
            for record in gqa_of(make_scene(split, seed, index), split, seed, index):
                choices = choices_of(record)
                assert record.raw_answers[0] in choices["plausible"], record.text
                assert set(choices["plausible"]) <= set(choices["valid"])
                kinds.add(record.detailed_type)
    assert {"color", "place", "count", "relO", "chooseAttr", "existAnd", "activity"} <= kinds


def test_what_is_asked_about_is_a_valid_and_no_plausible_answer() -> None:
    record = QuestionRecord(1, "1", "what is above the foxes ?", detailed_type="relO", structural_type="query")
    choices = choices_of(record)
    assert set(choices["valid"]) == set(THINGS) and set(THINGS) - set(choices["plausible"]) == {"fox"}
    record = QuestionRecord(1, "1", "is the car red or blue ?", detailed_type="chooseAttr", structural_type="choose")
    assert choices_of(record)["valid"] == ("red", "blue")


@pytest.mark.parametrize(("count", "sets"), [(1, 1), (8, 1), (25, 3)])
def test_statements_take_as_many_pictures_as_are_asked_for(count: int, sets: int) -> None:
    chosen = [make_pair_set("val", 2, index) for index in range(sets)]
    scenes = {picture_of(s).numpy().tobytes(): s for each in chosen for s in each.pictures().values()}
    held = {statement.text: statement for each in chosen for statement in each.statements}
    seen = []

    def verify(left, right, statements):
        seen.extend([*left, *right])
        sides = ([scenes[picture.numpy().tobytes()] for picture in side] for side in (left, right))
        truth = [held[text].holds(*pair) for text, pair in zip(statements, zip(*sides, strict=True), strict=True)]
        return torch.tensor(truth).float()

    scores = nlvr2_on_world(count, "val", 2, verify)
    assert scores == {"nlvr2/accuracy": 1.0, "nlvr2/consistency": 1.0}
    assert len(set(map(id, seen))) == 8 * sets
    wrong = nlvr2_on_world(count, "val", 2, lambda left, right, statements: torch.zeros(len(statements)))
    assert wrong == {"nlvr2/accuracy": 0.5, "nlvr2/consistency": 0.0}


def test_retrieval_knows_whose_caption_is_whose() -> None:
    captions = [f"caption {place}" for place in range(len(SCENES))]
    scores = retrieval_on_world(SCENES, captions, lambda pictures, told: torch.eye(len(pictures)))
    assert scores["retrieval/text_to_image/R@1"] == scores["retrieval/image_to_text/R@1"] == 1.0
    scores = retrieval_on_world(SCENES, captions, lambda pictures, told: -torch.eye(len(pictures)))
    assert scores["retrieval/text_to_image/R@10"] == 0.0 and scores["retrieval/image_to_text/median_rank"] == 12.0


def test_the_examples_bring_split_seed_and_cut_along() -> None:
    found = examples("val", 9, seed=5)
    chosen = make_pair_set("val", 5, 0)
    asked: list[str] = []

    def verify(left, right, statements):
        asked.extend(statements)
        return torch.ones(len(statements))

    scores = score_world(found, Predictors(verify=verify))
    assert scores == {"nlvr2/accuracy": 0.5, "nlvr2/consistency": 0.0}
    assert asked == [record.sentence for record in chosen.records()]


def test_scores_of_files_are_shares_with_full_names() -> None:
    asked = [
        QuestionRecord(1, 1, "is it ?", {"yes": 1.0}, ("yes",) * 10, "is it", "yes/no"),
        QuestionRecord(1, 2, "what ?", {"dog": 1.0}, ("dog",) * 10, "what", "other"),
    ]
    assert score_vqa(asked, ["Yes", "cat"]) == {
        "vqa/overall": 0.5, "vqa/yes/no": 1.0, "vqa/is it": 1.0, "vqa/other": 0.0, "vqa/what": 0.0,
    }  # fmt: skip
    with pytest.raises(UsageError, match="pass the annotations"):
        score_vqa([QuestionRecord(1, 1, "is it ?")], ["yes"])
    pairs = [PairRecord("a", "b", f"dev-0-{place}-0", "it is", place < 2) for place in range(4)]
    assert score_nlvr2(pairs, [True, True, False, True]) == {"nlvr2/accuracy": 0.75, "nlvr2/consistency": 0.0}
    found = score_retrieval(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), [0, 1])
    assert found["retrieval/text_to_image/R@1"] == 1.0 and found["retrieval/image_to_text/median_rank"] == 1.0


def test_consistency_is_counted_only_where_all_that_follows_was_asked() -> None:
    first = QuestionRecord(1, "1", "what ?", {"dog": 1.0}, ("dog",), structural_type="query", entailed=("2",))
    second = QuestionRecord(1, "2", "is it ?", {"yes": 1.0}, ("yes",), structural_type="verify", is_balanced=False)
    assert score_gqa([first, second], ["dog", "no"])["gqa/consistency"] == 0.0
    assert score_gqa([first, second], ["dog", "yes"])["gqa/consistency"] == 1.0
    assert "gqa/consistency" not in score_gqa([first], ["dog"])
