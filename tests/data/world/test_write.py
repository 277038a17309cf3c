"""The written world: the formats' readers understand it, its facts are true, nothing else is overwritten."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import numpy_generator
from xlxmert.data import coco, gqa, nlvr2, visual_genome, vqa
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.records import QuestionRecord
from xlxmert.data.world import write
from xlxmert.data.world.annotations import PER_SPLIT, item_box, picture_id, question_type
from xlxmert.data.world.captions import make_captions, noun_phrase
from xlxmert.data.world.questions import annotate, make_questions
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import SPLITS, make_scene
from xlxmert.data.world.settings import draw_setting
from xlxmert.data.world.write import pair_sets, split_sizes, write_world

SIZES = {"train": 5, "val": 2, "test": 2, "heldout": 2}
SEED = 11


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "world"
    write_world(folder, 5, SEED, SIZES, workers=1)
    return folder


def place_of(record: QuestionRecord) -> tuple[int, int]:
    """A question's picture by index, and its place among that picture's questions."""
    return int(record.picture_id) % PER_SPLIT, int(record.question_id) % 1000


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "again", 5, SEED, SIZES, workers=1)
    assert digests(tmp_path / "again") == digests(world)
    write_world(tmp_path / "other", 1, SEED + 1, {"train": 1}, workers=1)
    assert (
        digests(tmp_path / "other")["images/train/000000000000.png"] != digests(world)["images/train/000000000000.png"]
    )


@pytest.mark.slow
def test_workers_give_the_bytes_of_one_process(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "SMALL", 0)
    write_world(tmp_path / "shared", 5, SEED, SIZES, workers=2)
    assert digests(tmp_path / "shared") == digests(world)


def test_a_larger_world_begins_with_the_smaller_one(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "larger", 7, SEED, {"train": 7}, workers=1)
    small, large = digests(world), digests(tmp_path / "larger")
    pictures = [name for name in small if name.startswith(("images/train/", "images/nlvr2/train/"))]
    assert len(pictures) == 5 + 8 and all(large[name] == small[name] for name in pictures)


def test_any_picture_can_be_made_again_alone(world: Path) -> None:
    for split, size in SIZES.items():
        file = world / "images" / split / f"{picture_id(split, size - 1):012d}.png"
        assert np.array_equal(np.asarray(Image.open(file)), render(make_scene(split, SEED, size - 1)))
    assert (world / "images" / "train" / "000000000004.png").is_file()


@pytest.mark.parametrize("split", SPLITS)
def test_captions_are_those_of_the_scenes_and_their_pictures_are_there(world: Path, split: str) -> None:
    pictures, captions = coco.read_captions(world / "annotations" / f"captions_{split}.json")
    folder = PictureFolder(world / "images" / split, pictures)
    assert len(folder) == len(pictures) == SIZES[split] and all(picture.id in folder for picture in pictures)
    texts = [c.text for i in range(SIZES[split]) for c in make_captions(make_scene(split, SEED, i), split, SEED, i)]
    assert [caption.text for caption in captions] == texts and len(texts) == 5 * SIZES[split]


def test_instances_carry_their_attributes_and_boxes_around_their_sprites(world: Path) -> None:
    _, instances = coco.read_instances(world / "annotations" / "instances_train.json")
    scenes = [make_scene("train", SEED, index) for index in range(5)]
    items = [(index, item) for index, scene in enumerate(scenes) for item in scene.items]
    assert len(instances) == len(items)
    for instance, (index, item) in zip(instances, items, strict=True):
        assert (instance.picture_id, instance.category) == (index, item.noun)
        assert set(instance.attributes) == {item.colour, item.size, item.action} - {""}
        assert instance.box == pytest.approx(item_box(item))
        assert all(low - 1e-9 <= a for low, a in zip(item.box[:2], instance.box[:2], strict=True))
        assert all(a <= high + 1e-9 for high, a in zip(item.box[2:], instance.box[2:], strict=True))


def test_boxes_hold_all_that_differs_from_the_setting() -> None:
    for index in range(8):
        scene = make_scene("train", SEED, index)
        background = np.asarray(draw_setting(scene.setting, scene.variant)).astype(int)
        differs = np.abs(render(scene).astype(int) - background).max(-1) > 60
        for box in map(item_box, scene.items):
            x0, y0, x1, y1 = (round(side * 256) for side in box)
            assert differs[y0:y1, x0:x1].any()
            differs[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = False
        assert not differs.any()


@pytest.mark.parametrize("split", SPLITS)
def test_questions_have_ten_answers_with_soft_scores(world: Path, split: str) -> None:
    stem = world / "vqa"
    records = vqa.read_vqa(
        stem / f"v2_OpenEnded_mscoco_{split}_questions.json", stem / f"v2_mscoco_{split}_annotations.json"
    )
    asked = [q for i in range(SIZES[split]) for q in make_questions(make_scene(split, SEED, i), split, SEED, i)]
    assert [record.text for record in records] == [question.text for question in asked]
    for record, question in zip(records, asked, strict=True):
        assert len(record.raw_answers) == 10 and record.answers[question.answer] == 1.0
        assert record.raw_answers == annotate(question, numpy_generator("people", split, SEED, *place_of(record)))
        assert record.answer_type == question.answer_type and record.question_type == question_type(record.text)


def test_question_types_are_their_first_words() -> None:
    assert question_type("what color are the cars ?") == "what color are the"
    assert question_type("is there an owl ?") == "is there an"
    assert question_type("is this at night ?") == "is this"
    assert question_type("why ?") == "none of the above"


def test_gqa_questions_entail_questions_of_the_same_picture(world: Path) -> None:
    records = gqa.read_gqa(world / "gqa" / "train_all_questions.json", range(5))
    by_id = {record.question_id: record for record in records}
    assert sum(record.is_balanced for record in records) == 5 * 8
    assert any(record.entailed for record in records)
    for record in records:
        assert record.equivalent == (record.question_id,) and record.question_id not in record.entailed
        assert all(by_id[other].picture_id == record.picture_id for other in record.entailed)
        assert record.structural_type in ("query", "verify", "choose", "logical") and record.full_answer
    entailed = {other for record in records for other in record.entailed}
    assert {record.question_id for record in records if not record.is_balanced} <= entailed


def test_entailed_answers_follow_from_the_scene(world: Path) -> None:
    for record in gqa.read_gqa(world / "gqa" / "train_all_questions.json"):
        scene = make_scene("train", SEED, int(record.picture_id))
        if record.detailed_type == "exist":
            noun = record.text.removeprefix("is there ").removesuffix(" ?").split(" ", 1)[1]
            assert record.answers == {"yes" if scene.group(noun) else "no": 1.0}


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("val", "dev"), ("test", "test1"), ("heldout",) * 2])
def test_statements_have_their_two_pictures(world: Path, split: str, name: str) -> None:
    stems = {path.stem for path in (world / "images" / "nlvr2" / name).iterdir()}
    records = nlvr2.read_nlvr2(world / "nlvr2" / f"{name}.json", stems)
    assert len(stems) == 8 * pair_sets(SIZES[split])
    assert sum(record.label for record in records) * 2 == len(records) > 0


def test_visual_genome_files_name_regions_within_their_pictures(world: Path) -> None:
    folder = world / "visual_genome" / "val"
    pictures = visual_genome.read_image_data(folder / "image_data.json")
    regions = visual_genome.read_regions(folder / "region_descriptions.json", pictures, slack=0.0)
    questions = visual_genome.read_question_answers(folder / "question_answers.json", [p.id for p in pictures])
    assert {region.picture_id for region in regions} == {picture.id for picture in pictures}
    for index in range(2):
        scene = make_scene("val", SEED, index)
        mine = [region for region in regions if region.picture_id == picture_id("val", index)]
        phrases = [noun_phrase(group).text for group in scene.groups]
        assert [region.phrase for region in mine[: len(phrases)]] == phrases
        assert len(mine) >= len(scene.groups) and all(x1 > x0 and y1 > y0 for x0, y0, x1, y1 in (r.box for r in mine))
    assert len(questions) == 2 * 4


def test_world_json_tells_how_it_was_made(world: Path) -> None:
    facts = json.loads((world / "world.json").read_text())
    assert (facts["seed"], facts["pictures"], facts["version"]) == (SEED, SIZES, write.VERSION)
    assert "heldout" in facts["held_out"]


def test_the_other_splits_are_a_tenth_within_bounds() -> None:
    assert split_sizes(50) == {"train": 50, "val": 20, "test": 20, "heldout": 20}
    assert split_sizes(3000)["test"] == 300 and split_sizes(10**6)["heldout"] == 1000
    with pytest.raises(UsageError, match="found 0: pass --images"):
        split_sizes(0)


def test_progress_runs_from_nothing_to_everything(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_world(tmp_path / "w", 1, sizes={"val": 2}, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] and seen == sorted(seen)


def test_a_folder_with_other_files_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    for overwrite in (False, True):
        with pytest.raises(
            XlxmertError, match=r"expected a new or an empty folder .* found holiday.txt: choose another"
        ):
            write_world(tmp_path, 1, sizes={"val": 1}, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_world_is_replaced_only_when_asked_and_only_when_alone(tmp_path: Path) -> None:
    out = tmp_path / "w"
    write_world(out, 1, sizes={"val": 2}, workers=1)
    before = digests(out)
    with pytest.raises(XlxmertError, match="pass --overwrite"):
        write_world(out, 1, sizes={"val": 1}, workers=1)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(XlxmertError, match=r"found notes.txt beside it"):
        write_world(out, 1, sizes={"val": 1}, workers=1, overwrite=True)
    (out / "notes.txt").unlink()
    assert digests(out) == before
    write_world(out, 1, sizes={"val": 1}, workers=1, overwrite=True)
    assert json.loads((out / "world.json").read_text())["pictures"] == {"val": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_a_json_file_that_only_looks_like_ours_protects_its_folder(tmp_path: Path) -> None:
    for content in ('{"written_by": "someone"}', "[1]", "{"):
        (tmp_path / "world.json").write_text(content)
        with pytest.raises(XlxmertError, match="expected a new or an empty folder"):
            write_world(tmp_path, 1, sizes={"val": 1}, overwrite=True)


def test_an_interrupted_run_leaves_the_earlier_world_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "w"
    write_world(out, 1, sizes={"val": 1}, workers=1)
    before = digests(out)

    def full(path: Path, scene: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_save", full)
    with pytest.raises(XlxmertError, match="No space left on device; what was there before is unharmed"):
        write_world(out, 1, sizes={"val": 2}, workers=1, overwrite=True)

    def interrupted(path: Path, scene: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_world(out, 1, sizes={"val": 2}, workers=1, overwrite=True)
    assert digests(out) == before and [path.name for path in tmp_path.iterdir()] == ["w"]


def test_wrong_targets_and_splits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(XlxmertError, match="found a file"):
        write_world(tmp_path / "file", 1, sizes={"val": 1})
    with pytest.raises(UsageError, match="found minival"):
        write_world(tmp_path / "w", 1, sizes={"minival": 1})
