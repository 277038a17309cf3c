"""GQA: what is written is read again, byte for byte where the published file is concerned."""

import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.gqa import read_choices, read_gqa, semantic_string, write_gqa
from xlxmert.data.records import ProgramStep, QuestionRecord

SAMPLE = """{"02930152": {"semantic": [{"operation": "select", "dependencies": [], "argument": "sea (2486325)"},
{"operation": "verify state", "dependencies": [0], "argument": "calm"}],
"entailed": ["02930160", "02930158"], "equivalent": ["02930152"], "question": "Is the sea calm?", "imageId": "2354786",
"isBalanced": true, "groups": {"global": null, "local": "06-sea_calm"}, "answer": "yes",
"semanticStr": "select: sea (2486325)->verify state: calm [0]",
"annotations": {"answer": {}, "question": {"2": "2486325"}, "fullAnswer": {"2": "2486325"}},
"types": {"detailed": "verifyAttr", "semantic": "attr", "structural": "verify"}, "fullAnswer": "Yes, the sea is calm."},
"07333408": {"semantic": [{"operation": "select", "dependencies": [], "argument": "wall (722332)"},
{"operation": "filter color", "dependencies": [0], "argument": "white"},
{"operation": "relate", "dependencies": [1], "argument": "_,on,s (722335)"},
{"operation": "query", "dependencies": [2], "argument": "name"}],
"entailed": [], "equivalent": ["07333408"], "question": "What hangs on the white wall?", "imageId": "n2375429",
"isBalanced": false, "groups": {"global": "", "local": "14-wall_on,s"}, "answer": "clock",
"semanticStr": "select: wall (722332)->filter color: white [0]->relate: _,on,s (722335) [1]->query: name [2]",
"annotations": {"answer": {"0": "722335"}, "question": {"4:6": "722332"}, "fullAnswer": {"1": "722335", "5": "722332"}},
"types": {"detailed": "relS", "semantic": "rel", "structural": "query"},
"fullAnswer": "The clock hangs on the wall."}}"""


def put(folder: Path, content: object) -> Path:
    path = folder / "questions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_published_question_is_read_in_full(tmp_path: Path) -> None:
    first, second = read_gqa(put(tmp_path, SAMPLE), pictures=[2354786, "n2375429"])
    assert first == QuestionRecord(
        "2354786",
        "02930152",
        "Is the sea calm?",
        {"yes": 1.0},
        ("yes",),
        full_answer="Yes, the sea is calm.",
        structural_type="verify",
        semantic_type="attr",
        detailed_type="verifyAttr",
        entailed=("02930160", "02930158"),
        equivalent=("02930152",),
        group=None,
        local_group="06-sea_calm",
        program=(ProgramStep("select", (), "sea (2486325)"), ProgramStep("verify state", (0,), "calm")),
        annotations={"question": {"2": "2486325"}, "fullAnswer": {"2": "2486325"}},
    )
    assert second.group == "" and not second.is_balanced


def test_a_published_file_is_written_again_member_for_member(tmp_path: Path) -> None:
    write_gqa(tmp_path / "again.json", iter(read_gqa(put(tmp_path, SAMPLE))))
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(SAMPLE)


def test_a_program_with_two_dependencies_reads_as_published() -> None:
    steps = [
        ProgramStep("select", (), "dog (-) "),
        ProgramStep("exist", (0,), "?"),
        ProgramStep("select", (), "birds (-) "),
        ProgramStep("exist", (2,), "?"),
        ProgramStep("or", (1, 3), ""),
    ]
    assert semantic_string(steps) == "select: dog (-) ->exist: ? [0]->select: birds (-) ->exist: ? [2]->or:  [1, 3]"


def test_test_questions_have_no_answers(tmp_path: Path) -> None:
    content = {
        "201971873": {"isBalanced": True, "question": "Is there a lamp to the right of the bed?", "imageId": "n15740"}
    }
    records = read_gqa(put(tmp_path, content))
    assert records == [QuestionRecord("n15740", "201971873", "Is there a lamp to the right of the bed?")]
    write_gqa(tmp_path / "again.json", records)
    assert json.loads((tmp_path / "again.json").read_text()) == content


def test_many_questions_in_a_folder_of_files_are_read_as_one_set(tmp_path: Path) -> None:
    records = [QuestionRecord("7", f"{number:08}", "Why?", {"so": 1.0}, ("so",)) for number in range(2500)]
    write_gqa(tmp_path / "train_all_questions_0.json", records[:2000])
    write_gqa(tmp_path / "train_all_questions_1.json", records[2000:])
    assert read_gqa(tmp_path) == records
    write_gqa(tmp_path / "train_all_questions_2.json", records[:1])
    with pytest.raises(XlxmertError, match=r'new question id in \["00000000"\] of .*_2\.json'):
        read_gqa(tmp_path)


def changed(*path: str, **members: object) -> dict[str, object]:
    content: dict[str, object] = json.loads(SAMPLE)
    entry: Any = content["02930152"]
    for step in path:
        entry = entry[step]
    for name, value in members.items():
        if value is None:
            del entry[name]
        else:
            entry[name] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(question=None), r'"question" in \["02930152"\] of .*questions\.json'),
        (changed(answer=None), 'expected "answer"'),
        (changed(imageId=None), 'expected "imageId"'),
        (changed(imageId="5"), "known picture .*found '5'"),
        (changed(isBalanced="yes"), 'true or false as "isBalanced"'),
        (changed(entailed="02930160"), 'list of strings as "entailed"'),
        (
            changed(semantic=[{"operation": "select", "argument": ""}]),
            r'"dependencies" in \["02930152"\].semantic\[0\]',
        ),
        (changed(semantic=[{"operation": "a", "argument": "", "dependencies": ["0"]}]), "list of whole numbers"),
        (changed("types", structural=3), r'string as "structural" in \["02930152"\].types'),
        (changed(annotations={"question": {"2": 4}}), r'string as "2" in \["02930152"\].annotations.question'),
        (changed(groups=[]), r'object at \["02930152"\].groups'),
        ("[]", "expected an object at the top"),
        ('{"1": 5}', r'object at \["1"\]'),
        (SAMPLE[:-30], "cut short"),
        ('{"1": {}, "2": {}, "1": {}}', "distinct ids in .*found '1' twice"),
        ('{"a":' * 100_000, "cannot be read"),
    ],
)
def test_damaged_questions_are_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_gqa(put(tmp_path, content), pictures=["2354786", "n2375429"])
    assert "\n" not in str(caught.value)


def test_missing_files_and_repeated_ids_are_errors(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="found nothing"):
        read_gqa(tmp_path / "none.json")
    with pytest.raises(XlxmertError, match="expected JSON files of questions"):
        read_gqa(tmp_path)
    with pytest.raises(XlxmertError, match="found '1' twice"):
        write_gqa(tmp_path / "q.json", [QuestionRecord("a", "1", "Why?"), QuestionRecord("a", 1, "Why?")])
    assert not list(tmp_path.iterdir())


def test_choices_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "val_choices.json"
    path.write_text('{"1": {"valid": ["yes", "no"], "plausible": ["yes"]}}')
    assert read_choices(path) == {"1": {"valid": ("yes", "no"), "plausible": ("yes",)}}
    path.write_text('{"1": {"valid": ["yes"]}}')
    with pytest.raises(XlxmertError, match="plausible"):
        read_choices(path)
