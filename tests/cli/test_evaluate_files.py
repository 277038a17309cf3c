"""``xlxmert evaluate`` on files of the published formats: scores, submissions, and every file that does not fit."""

import json
from pathlib import Path

import pytest

from xlxmert.convert.folder import Bundle
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.gqa import read_gqa
from xlxmert.data.nlvr2 import read_nlvr2
from xlxmert.data.submission import read_gqa_submission, read_nlvr2_submission, read_vqa_submission
from xlxmert.data.vqa import read_vqa
from xlxmert.recipes.finetune import carried
from xlxmert.studio import Studio


@pytest.fixture(scope="module")
def judging(road: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The road's checkpoint with a head for pairs."""
    folder: Path = tmp_path_factory.mktemp("judge") / "checkpoint"
    old = Bundle.from_pretrained(road / "checkpoint")
    model = carried(old.model, AnswerTable(()), None, pairs=True)
    Bundle(model, old.tokenizer, old.vocabulary, old.generator, old.answers).save_pretrained(folder)
    return folder


def files(road: Path, task: str, split: str = "val") -> list[object]:
    world = road / "world"
    words: dict[str, list[object]] = {
        "vqa": [
            "--questions", world / f"vqa/v2_OpenEnded_mscoco_{split}_questions.json",
            "--annotations", world / f"vqa/v2_mscoco_{split}_annotations.json",
        ],
        "gqa": ["--questions", world / f"gqa/{split}_all_questions.json"],
        "nlvr2": ["--statements", world / "nlvr2/dev.json"],
        "retrieval": ["--captions", world / f"annotations/captions_{split}.json"],
    }  # fmt: skip
    return ["--images", world / "images", *words[task]]


def test_questions_of_files_are_answered_as_the_studio_does(run, road: Path, tmp_path: Path) -> None:
    words = ("evaluate", "vqa", *files(road, "vqa"), "--checkpoint", road / "checkpoint", "--json")
    code, out, err = run(*words, "--submission", tmp_path / "r.json", "--out", tmp_path / "scores.json")
    report = json.loads(out)
    assert (code, err) == (0, "") and report == read_json(tmp_path / "scores.json")
    questions, annotations = (Path(str(path)) for path in files(road, "vqa")[3::2])
    records = read_vqa(questions, annotations)
    replies = read_vqa_submission(tmp_path / "r.json", [int(each.question_id) for each in records])
    assert report["examples"] == len(records) == len(replies) == 32
    studio, pictures = Studio.from_pretrained(road / "checkpoint", "cpu"), road / "world/images/val"
    by_hand = studio.reply([pictures / f"{each.picture_id:012d}.png" for each in records], [r.text for r in records])
    assert list(replies.values()) == by_hand
    scores = [min(1.0, 0.3 * list(r.raw_answers).count(a)) for r, a in zip(records, by_hand, strict=True)]
    assert report["scores"]["vqa/overall"] == pytest.approx(sum(scores) / len(scores), abs=0.02)
    assert {"vqa/yes/no", "vqa/other"} <= report["scores"].keys()


def test_one_answer_for_each_question_is_right_or_wrong(run, road: Path, tmp_path: Path) -> None:
    questions, annotations = (Path(str(path)) for path in files(road, "vqa")[3::2])
    records = read_vqa(questions, annotations)
    rows = [[record.text, record.raw_answers[0], record.picture_id] for record in records]
    write_json(tmp_path / "questions.json", rows)
    words = ("--images", road / "world/images", "--easy-vqa", tmp_path, "--checkpoint", road / "checkpoint")
    code, out, err = run("evaluate", "vqa", *words, "--json", "--submission", tmp_path / "answers.json")
    assert (code, err) == (0, "")
    scores = json.loads(out)["scores"]
    replies = read_vqa_submission(tmp_path / "answers.json", list(range(len(rows))))
    right = [reply == row[1] for reply, row in zip(replies.values(), rows, strict=True)]
    assert scores["vqa/overall"] == pytest.approx(sum(right) / len(rows)) and "vqa/has shape" in scores
    assert run("evaluate", "vqa", *words, "--annotations", annotations)[0] == 2


def test_gqa_is_scored_with_what_questions_entail(run, road: Path, tmp_path: Path) -> None:
    source = Path(str(files(road, "gqa")[-1]))
    records = read_gqa(source)
    choices = {str(each.question_id): {"valid": ["yes"], "plausible": ["no"]} for each in records}
    write_json(tmp_path / "choices.json", choices)
    words = ("evaluate", "gqa", *files(road, "gqa"), "--checkpoint", road / "checkpoint")
    more = ("--choices", tmp_path / "choices.json", "--submission", tmp_path / "r.json")
    code, out, _ = run(*words, *more, "--json")
    scores = json.loads(out)["scores"]
    replies = read_gqa_submission(tmp_path / "r.json", [str(each.question_id) for each in records])
    balanced = [each for each in records if each.is_balanced]
    right = [replies[str(each.question_id)] == each.raw_answers[0] for each in balanced]
    assert code == 0 and scores["gqa/accuracy"] == pytest.approx(sum(right) / len(right))
    said_yes = [replies[str(each.question_id)] == "yes" for each in balanced]
    assert scores["gqa/validity"] == pytest.approx(sum(said_yes) / len(said_yes))
    assert "gqa/distribution" in scores and "gqa/structural/verify" in scores
    code, out, _ = run(*words)
    assert code == 0 and "gqa/accuracy" in out and "gqa/validity" not in out
    write_json(tmp_path / "choices.json", {})
    code, out, err = run(*words, "--choices", tmp_path / "choices.json")
    assert (code, out) == (1, "") and "expected choices for question" in err


def test_statements_of_files_are_judged(run, road: Path, judging: Path, tmp_path: Path) -> None:
    words = ("evaluate", "nlvr2", *files(road, "nlvr2"), "--checkpoint", judging, "--json")
    code, out, err = run(*words, "--submission", tmp_path / "dev.csv")
    report = json.loads(out)
    records = read_nlvr2(road / "world/nlvr2/dev.json")
    judged = read_nlvr2_submission(tmp_path / "dev.csv", [each.identifier for each in records])
    right = [judged[each.identifier] == each.label for each in records]
    assert (code, err) == (0, "") and report["scores"]["nlvr2/accuracy"] == pytest.approx(sum(right) / len(right))
    assert 0 <= report["scores"]["nlvr2/consistency"] <= report["scores"]["nlvr2/accuracy"]
    code, out, err = run(*words[:-3], "--checkpoint", road / "checkpoint", "--submission", tmp_path / "none.csv")
    assert (code, out) == (1, "") and "finetune nlvr2" in err and not (tmp_path / "none.csv").exists()


def test_captions_and_pictures_of_files_are_found_both_ways(run, road: Path) -> None:
    code, out, err = run(
        "evaluate", "retrieval", *files(road, "retrieval"), "--checkpoint", road / "checkpoint", "--json"
    )
    report = json.loads(out)
    names = {f"retrieval/{way}/{score}" for way in ("text_to_image", "image_to_text")
             for score in ("R@1", "R@5", "R@10", "median_rank")}  # fmt: skip
    assert (code, err) == (0, "") and report["scores"].keys() == names and report["examples"] == 20
    assert report["scores"]["retrieval/text_to_image/R@10"] == 1.0  # there are four pictures


def test_a_test_set_without_answers_gives_a_submission_and_no_scores(run, road: Path, tmp_path: Path) -> None:
    words = files(road, "vqa")[:-2]
    code, out, err = run("evaluate", "vqa", *words, "--checkpoint", road / "checkpoint")
    assert (code, out) == (2, "") and "expected --annotations to score with, or --submission" in err
    code, out, _ = run(
        "evaluate", "vqa", *words, "--checkpoint", road / "checkpoint", "--submission", tmp_path / "test.json"
    )
    assert code == 0 and str(tmp_path / "test.json") in out and "vqa/overall" not in out
    assert len(read_vqa_submission(tmp_path / "test.json")) == 32
    asked = read_json(Path(str(files(road, "gqa")[-1])))
    bare = {name: {key: each[key] for key in ("imageId", "question", "isBalanced")} for name, each in asked.items()}
    write_json(tmp_path / "bare.json", bare)
    words = ["--images", road / "world/images", "--questions", tmp_path / "bare.json"]
    assert run("evaluate", "gqa", *words, "--checkpoint", road / "checkpoint")[0] == 2
    more = ("--submission", tmp_path / "gqa.json", "--json")
    code, out, _ = run("evaluate", "gqa", *words, "--checkpoint", road / "checkpoint", *more)
    assert (
        code == 0 and json.loads(out)["scores"] == {} and len(read_gqa_submission(tmp_path / "gqa.json")) == len(bare)
    )


def test_bad_files_are_one_clear_line_and_nothing_is_written(run, road: Path, tmp_path: Path) -> None:
    world, out = road / "world", tmp_path / "submission.json"
    questions, annotations = (Path(str(path)) for path in files(road, "vqa")[3::2])
    for source, name in ((annotations, "cut_annotations.json"), (questions, "cut_questions.json")):
        text = source.read_text()
        (tmp_path / name).write_text(text[: len(text) // 2])
    statements = (world / "nlvr2/dev.json").read_text()
    (tmp_path / "cut_dev.json").write_text(statements[: len(statements) - 40])
    write_json(tmp_path / "empty.json", {"questions": []})
    pictures = ("--images", world / "images")
    wrong: list[tuple[tuple[object, ...], int, str]] = [
        (("vqa", "--images", world / "images/train", *files(road, "vqa")[2:]), 1, "expected picture 1000000000 in"),
        (("gqa", "--images", world / "images/train", *files(road, "gqa")[2:]), 1, "asked for by"),
        (("nlvr2", "--images", world / "images/train", *files(road, "nlvr2")[2:]), 1, "dev-0-0-img0"),
        (("vqa", *files(road, "vqa")[:-1], tmp_path / "cut_annotations.json"), 1, "may have been cut short"),
        (("vqa", *pictures, "--questions", tmp_path / "cut_questions.json"), 1, "may have been cut short"),
        (("nlvr2", *pictures, "--statements", tmp_path / "cut_dev.json"), 1, "may have been cut short"),
        (("vqa", *pictures, "--questions", tmp_path / "empty.json"), 1, "expected questions in"),
        (("vqa", *files(road, "vqa", "train")[:-1], annotations), 1, "different splits"),
        (("vqa", *pictures, "--questions", tmp_path / "none.json"), 1, "found nothing"),
        (("vqa", *pictures), 2, "expected --questions or --easy-vqa for vqa on files, found none"),
        (("nlvr2", *files(road, "nlvr2")[2:]), 2, "expected --images for nlvr2"),
        (("vqa", *files(road, "vqa"), "--choices", tmp_path / "x.json"), 2, "expected no --choices for vqa"),
        (("match", *files(road, "vqa")), 2, "expected one of paint, caption, vqa, gqa, nlvr2, retrieval to score"),
        (("vqa", "gqa", *files(road, "vqa")), 2, "expected one task to score on files, found 2"),
        (files_of_no_task(road), 2, "expected one task to score on files, found 0"),
    ]
    for words, code, said in wrong:
        known = [] if "retrieval" in words else ["--submission", out]
        found, printed, err = run("evaluate", *words, *known, "--checkpoint", road / "checkpoint")
        assert (found, printed) == (code, "") and said in err and err.count("\n") == 1, err
    assert not out.exists()


def files_of_no_task(road: Path) -> tuple[object, ...]:
    return tuple(files(road, "vqa"))


def test_a_damaged_picture_stops_before_anything_is_written(run, road: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for source in (road / "world/images/val").iterdir():
        (images / source.name).write_bytes(source.read_bytes())
    last = sorted(images.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:300])
    words = ("--images", images, *files(road, "vqa")[2:], "--submission", tmp_path / "r.json")
    code, out, err = run("evaluate", "vqa", *words, "--checkpoint", road / "checkpoint")
    assert (code, out) == (1, "") and last.name in err and err.count("\n") == 1
    assert not (tmp_path / "r.json").exists()
    code, _, err = run(
        "evaluate", "vqa", *files(road, "vqa"), "--submission", images, "--checkpoint", road / "checkpoint"
    )
    assert code == 2 and "found a folder" in err


def test_answers_outside_the_table_are_wrong_and_nothing_worse(run, road: Path, tmp_path: Path) -> None:
    source = Path(str(files(road, "vqa")[5]))
    content = read_json(source)
    for annotation in content["annotations"]:
        for answer in annotation["answers"]:
            answer["answer"] = "a quokka on a unicycle"
    write_json(tmp_path / "odd.json", content)
    words = (*files(road, "vqa")[:-1], tmp_path / "odd.json", "--checkpoint", road / "checkpoint", "--json")
    code, out, _ = run("evaluate", "vqa", *words)
    assert code == 0 and json.loads(out)["scores"]["vqa/overall"] == 0.0


def test_questions_that_are_too_long_lose_their_last_words(run, road: Path, tmp_path: Path) -> None:
    source = Path(str(files(road, "vqa")[3]))
    content = read_json(source)
    content["questions"][0]["question"] += " dog" * 99
    write_json(tmp_path / "long.json", content)
    words = ["--images", road / "world/images", "--questions", tmp_path / "long.json"]
    more = ("--checkpoint", road / "checkpoint", "--submission", tmp_path / "r.json", "--json")
    code, out, err = run("evaluate", "vqa", *words, *more)
    assert (code, err) == (0, "") and json.loads(out)["shortened"] == 1


def test_the_world_is_scored_on_the_new_tasks(run, judging: Path) -> None:
    words = ("--pictures", 3, "--split", "val", "--checkpoint", judging, "--json")
    code, out, err = run("evaluate", "gqa", "nlvr2", "retrieval", *words)
    assert err == ""
    scores = json.loads(out)["scores"]
    assert code == 0 and scores.keys() >= {
        "gqa/accuracy", "gqa/validity", "gqa/plausibility", "gqa/distribution",
        "nlvr2/accuracy", "nlvr2/consistency", "retrieval/text_to_image/R@1", "retrieval/image_to_text/median_rank",
    }  # fmt: skip
    assert "paint/facts" not in scores and all(0 <= value <= 1 for name, value in scores.items() if "R@" in name)
