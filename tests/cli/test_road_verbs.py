"""The verbs world, codebook and prepare: a tiny walk to a store, and every wrong input as one clear line."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro

from xlxmert.cli import codebook, prepare, world
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.cells import label_cells
from xlxmert.data.nlvr2 import read_nlvr2
from xlxmert.data.store import Store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.captions import make_captions
from xlxmert.data.world.questions import make_questions
from xlxmert.data.world.scene import make_scene
from xlxmert.data.world.write import write_world
from xlxmert.recipes import codebook as recipe_codebook
from xlxmert.recipes.codebook import CodebookRecipe, fit_codebook, parse_depths
from xlxmert.recipes.given import frequent
from xlxmert.recipes.prepare import PrepareRecipe
from xlxmert.recipes.telling import Line, survey
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.vocabulary import VisualVocabulary

COLOURS = FeatureSpec(4, (), colour_parts=2)
PICTURES = 8


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of eight pictures and a codebook of twelve codes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("road")
    write_world(folder / "world", PICTURES, sizes={"train": PICTURES, "val": 2}, workers=1)
    assert codebook.run(colours_only(folder)) == 0
    return folder


def colours_only(folder: Path, **changes: Any) -> codebook.Options:
    given: dict[str, Any] = {"images": folder / "world/images/train", "out": folder / "vocabulary.safetensors"}
    small: dict[str, Any] = {"codes": 12, "iterations": 4, "device": "cpu"}
    plain: dict[str, Any] = {"grid": 4, "depths": (), "colour_parts": 2, "kept": 0, "whiten": 0.0}
    return codebook.Options(**given | small | plain | changes)


def options(road: Path, out: Path, split: str = "train", **changes: Any) -> prepare.Options:
    vqa = (road / f"world/vqa/v2_OpenEnded_mscoco_{split}_questions.json",
           road / f"world/vqa/v2_mscoco_{split}_annotations.json")  # fmt: skip
    given: dict[str, Any] = {
        "images": road / "world/images" / split,
        "codebook": road / "vocabulary.safetensors",
        "out": out,
        "captions": (road / f"world/annotations/captions_{split}.json",),
        "vqa": (vqa,),
        "device": "cpu",
    }
    names = {field.name for field in dataclasses.fields(PrepareRecipe)}
    recipe = PrepareRecipe(**{name: value for name, value in changes.items() if name in names})
    rest = {name: value for name, value in changes.items() if name not in names}
    return prepare.Options(**given | rest, recipe=recipe)


def genome(road: Path, name: str) -> tuple[tuple[Path, Path], ...]:
    folder = road / "world/visual_genome/train"
    return ((folder / "image_data.json", folder / name),)


@pytest.mark.parametrize("verb", [world, codebook, prepare])
def test_help_says_what_every_option_is_for(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tyro.cli(verb.Options, args=["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    names = {field.name for field in dataclasses.fields(verb.Options)}
    if "recipe" in names:
        names = names - {"recipe"} | {field.name for field in dataclasses.fields(PrepareRecipe)}
    for name in names:
        assert f"--{name.replace('_', '-')}" in printed, name


def test_options_are_read_from_the_command_line() -> None:
    line = "--images i --codebook c --out o --captions a.json b.json --vqa q.json n.json q2.json n2.json --least 9"
    read = tyro.cli(prepare.Options, args=line.split())
    assert read.captions == (Path("a.json"), Path("b.json")) and read.recipe.least == 9
    assert read.vqa == ((Path("q.json"), Path("n.json")), (Path("q2.json"), Path("n2.json")))
    line = "--images i --out o --depths 8:2 16:1:0.5"
    assert tyro.cli(codebook.Options, args=line.split()).depths == ("8:2", "16:1:0.5")
    assert tyro.cli(world.Options, args=["--out", "o", "--images", "30"]) == world.Options(Path("o"), 30)


def test_world_reports_its_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xlxmert.data.world.write.split_sizes", lambda images: {"train": images})
    assert world.run(world.Options(tmp_path / "w", 2, workers=1, json=True)) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pictures"] == {"train": 2} and facts == json.loads((tmp_path / "w/world.json").read_text())
    assert world.run(world.Options(tmp_path / "w", 1, seed=5, workers=1, overwrite=True)) == 0
    assert "train   1 pictures, 4 pairs" in capsys.readouterr().out


def test_the_codebook_is_a_whole_vocabulary_and_the_same_each_time(
    road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert codebook.run(colours_only(road, out=tmp_path / "again.safetensors", json=True)) == 0
    facts = json.loads(capsys.readouterr().out)
    vocabulary = VisualVocabulary.load(tmp_path / "again.safetensors")
    assert vocabulary.spec == COLOURS and len(vocabulary.codebook) == facts["codes"] == 12
    assert facts["pictures"] == PICTURES and facts["width"] == vocabulary.width == 12
    assert Codebook.load(road / "vocabulary.safetensors").fingerprint == facts["fingerprint"]


def test_the_codebook_looks_at_no_more_pictures_than_it_may(road: Path) -> None:
    recipe = CodebookRecipe(4, 2, features=COLOURS, pictures=3)
    seen: list[tuple[int, int]] = []
    fitted = fit_codebook(road / "world/images", recipe, progress=lambda done, total: seen.append((done, total)))
    assert fitted.pictures == 3 and seen == [(done, 6) for done in range(1, 7)]


def test_instances_teach_the_codebook_and_unreadable_pictures_do_not_shift_their_labels(
    road: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instances = road / "world/annotations/instances_train.json"
    taught = {"instances": instances, "embedded": 8, "lessons": 5, "json": True}
    asked: list[torch.Tensor] = []
    numbered = recipe_codebook.cell_labels
    monkeypatch.setattr(
        recipe_codebook, "cell_labels", lambda cells: asked.append(torch.from_numpy(cells.things)) or numbered(cells)
    )
    monkeypatch.setattr(recipe_codebook, "label_cells", functools.partial(label_cells, least=1))
    assert codebook.run(colours_only(road, out=tmp_path / "v", **taught)) == 0
    assert json.loads(capsys.readouterr().out)["width"] == 20 == VisualVocabulary.load(tmp_path / "v").width
    images = tmp_path / "images"
    shutil.copytree(road / "world/images/train", images)
    (images / "000000000003.png").write_bytes(b"")
    assert codebook.run(colours_only(road, images=images, out=tmp_path / "w", **taught)) == 0
    shown = [sorted((row > 0).sum(1).tolist()) for row in asked]
    assert len(shown[0]) == PICTURES and len(shown[1]) == PICTURES - 1
    by_picture = [tuple((row > 0).tolist()) for row in asked[0]]
    assert all(tuple((row > 0).tolist()) in by_picture for row in asked[1])


def test_instances_must_fit_the_pictures_and_the_options(road: Path, tmp_path: Path) -> None:
    instances = road / "world/annotations/instances_train.json"
    with pytest.raises(UsageError, match=r"boxes are of whole pictures \(found crop"):
        codebook.run(colours_only(road, out=tmp_path / "v", instances=instances, crop=True))
    with pytest.raises(UsageError, match=r"embedded > 0, or neither"):
        codebook.run(colours_only(road, out=tmp_path / "v", instances=instances, embedded=0))
    with pytest.raises(XlxmertError, match=r"found none of 8: check both"):
        codebook.run(colours_only(road, images=road / "world/images/val", out=tmp_path / "v", instances=instances))
    with pytest.raises(XlxmertError, match="captions_train"):
        broken = road / "world/annotations/captions_train.json"
        codebook.run(colours_only(road, out=tmp_path / "v", instances=broken))
    assert not (tmp_path / "v").exists()


def test_depths_are_read_from_text() -> None:
    assert parse_depths(("8:2", "16:1:0.5")) == (Depth(8, 2), Depth(16, 1, 0.5))
    for text in ("8", "8:", "a:2", "8:2:1:1", "8:2:-1", ""):
        with pytest.raises(UsageError, match=r"such as 8:2, found"):
            parse_depths((text,))
    with pytest.raises(UsageError, match="expected stride 2, 4, 8, 16 or 32"):
        parse_depths(("7:2",))


def test_a_codebook_needs_pictures_enough_cells_and_a_free_file(road: Path, tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected a folder at .*nowhere, found nothing"):
        codebook.run(colours_only(road, images=tmp_path / "nowhere", out=tmp_path / "v"))
    with pytest.raises(XlxmertError, match=r"expected pictures .* found 0 other files"):
        codebook.run(colours_only(road, images=tmp_path, out=tmp_path / "v"))
    with pytest.raises(XlxmertError, match=r"at least 129 cells for 129 codes, found 128 in 8 .* smaller"):
        codebook.run(colours_only(road, codes=129, out=tmp_path / "v"))
    with pytest.raises(UsageError, match="found 0: pass --codes"):
        codebook.run(colours_only(road, codes=0, out=tmp_path / "v"))
    before = (road / "vocabulary.safetensors").read_bytes()
    with pytest.raises(XlxmertError, match=r"expected a new file at .* pass --overwrite"):
        codebook.run(colours_only(road))
    assert (road / "vocabulary.safetensors").read_bytes() == before


def test_unreadable_pictures_are_named_and_passed_over(
    road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    shutil.copytree(road / "world/images/train", images)
    (images / "000000000003.png").write_bytes((images / "000000000003.png").read_bytes()[:400])
    (images / "000000000005.png").write_bytes(b"")
    assert codebook.run(colours_only(road, images=images, out=tmp_path / "v", json=True)) == 0
    seen = capsys.readouterr()
    assert json.loads(seen.out)["unreadable"] == 2 and seen.err.count("passed over: could not read the picture") == 2
    assert prepare.run(options(road, tmp_path / "store", images=images, json=True)) == 0
    seen = capsys.readouterr()
    report = json.loads(seen.out)
    assert [Path(name).name for name in report["unreadable_files"]] == ["000000000003.png", "000000000005.png"]
    assert (report["pictures"], report["captions"], report["questions"]) == (6, 30, 48)
    store = Store.open(tmp_path / "store")
    assert "000000000003.png" not in store.facts["pictures"] and set(store.arrays["picture"]) == set(range(6))


def test_the_same_pixels_twice_are_named_and_kept(
    road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    shutil.copytree(road / "world/images/train", images)
    shutil.copy(images / "000000000003.png", images / "000000000006.png")
    assert prepare.run(options(road, tmp_path / "store", images=images, json=True)) == 0
    seen = capsys.readouterr()
    report = json.loads(seen.out)
    assert (report["pictures"], report["duplicates"]) == (PICTURES, 1)
    assert [[Path(name).name for name in files] for files in report["duplicate_files"]] == [
        ["000000000003.png", "000000000006.png"]
    ]
    assert "the same picture: " in seen.err and "000000000006.png" in seen.err


def test_a_folder_of_only_unreadable_pictures_is_an_error(road: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index in range(PICTURES):
        (tmp_path / "images" / f"{index:012d}.png").write_text("no picture")
    with pytest.raises(XlxmertError, match="found none among 8; the first: could not read the picture"):
        codebook.run(colours_only(road, images=tmp_path / "images", out=tmp_path / "v"))
    with pytest.raises(XlxmertError, match="found none among 8; the first: could not read the picture"):
        prepare.run(options(road, tmp_path / "store", images=tmp_path / "images"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_the_store_holds_the_codes_the_words_and_the_answers(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "store")) == 0
    vocabulary = VisualVocabulary.load(road / "vocabulary.safetensors")
    store = Store.open(tmp_path / "store", vocabulary.codebook.fingerprint)
    assert store.codes.shape == (PICTURES, 16) and store.facts["pictures"][0] == "000000000000.png"
    assert len(store.of_kind("caption")) == 5 * PICTURES and len(store.of_kind("question")) == 8 * PICTURES
    captions = [c.text for i in range(PICTURES) for c in make_captions(make_scene("train", 0, i), "train", 0, i)]
    read = [store.tokenizer.decode(store.words(int(i)).tolist()) for i in store.of_kind("caption")]
    assert read == [text.replace(" ,", ",") for text in captions]
    assert [int(store.arrays["picture"][i]) for i in store.of_kind("caption")] == [i // 5 for i in range(5 * PICTURES)]
    asked = [q for i in range(PICTURES) for q in make_questions(make_scene("train", 0, i), "train", 0, i)]
    best = store.soft_answers(store.of_kind("question")).argmax(1)
    agreed = [store.answers[int(place)] == question.answer for place, question in zip(best, asked, strict=True)]
    assert sum(agreed) > 0.9 * len(agreed)


def test_all_formats_go_into_one_store(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more: dict[str, Any] = {
        "gqa": (road / "world/gqa/train_all_questions.json",),
        "regions": genome(road, "region_descriptions.json"),
        "genome_questions": genome(road, "question_answers.json"),
    }
    assert prepare.run(options(road, tmp_path / "store", json=True, **more)) == 0
    report = json.loads(capsys.readouterr().out)
    asked = len(json.loads((road / "world/gqa/train_all_questions.json").read_text()))
    assert report["pictures"] == PICTURES and report["questions"] == (8 + 4) * PICTURES + asked
    assert report["regions"] >= PICTURES and report["unreadable"] == report["empty"] == 0
    assert Store.open(tmp_path / "store").facts["sources"][0] == "captions_train.json"


def test_the_same_sources_and_words_give_the_same_bytes(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "words")) == 0
    for name in ("one", "two"):
        assert prepare.run(options(road, tmp_path / name, tokenizer=str(tmp_path / "words"))) == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_another_split_takes_the_first_ones_words_and_answers(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "train")) == 0
    for words in (tmp_path / "train", tmp_path / "train/tokenizer.json"):
        out = tmp_path / f"val-{words.suffix}"
        given = options(road, out, "val", tokenizer=str(words), answers=str(tmp_path / "train"))
        assert prepare.run(given) == 0
        store, first = Store.open(out), Store.open(tmp_path / "train")
        assert store.answers == first.answers and store.tokenizer.size == first.tokenizer.size
        assert store.facts["pictures"] == ["001000000000.png", "001000000001.png"]


def test_berts_vocabulary_and_the_published_answers_are_read(road: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture"]))
    write_json(tmp_path / "all_ans.json", [{"ans": "yes", "dsets": ["vqa"]}, {"ans": "no", "dsets": ["vqa", "gqa"]}])
    words, answers = str(tmp_path / "vocab.txt"), str(tmp_path / "all_ans.json")
    assert prepare.run(options(road, tmp_path / "store", tokenizer=words, answers=answers)) == 0
    store = Store.open(tmp_path / "store")
    assert store.tokenizer.size == 7 and store.answers == AnswerTable(["yes", "no"])


def test_rare_answers_can_be_left_out() -> None:
    lines = [Line("?", Path("a"), "question", {"yes": 1.0, "no": 0.3}), Line("?", Path("a"), "question", {"no": 1.0})]
    answers = survey(lines, Tokenizer.train(["?"], least=1), None).answers
    assert frequent(answers, 1) == ("no", "yes") and frequent(answers, 2) == ("no",)


def test_sentences_without_a_word_are_left_out(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((road / "world/annotations/captions_train.json").read_text())
    content["annotations"][0]["caption"] = " \n"
    write_json(tmp_path / "captions.json", content)
    given = options(road, tmp_path / "store", captions=(tmp_path / "captions.json",), vqa=(), json=True)
    assert prepare.run(given) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["empty"] == 1 and report["captions"] == 5 * PICTURES - 1


def test_pictures_that_the_folder_lacks_are_named_with_the_file_that_asks(road: Path, tmp_path: Path) -> None:
    wrong = options(road, tmp_path / "store", images=road / "world/images/val")
    with pytest.raises(XlxmertError, match=r"expected picture 0 \(0+.png\) in .*val, .*asked for by .*captions"):
        prepare.run(wrong)
    with pytest.raises(XlxmertError, match=r"expected picture 0 in .*val.*asked for by .*train_questions.json"):
        prepare.run(options(road, tmp_path / "store", images=road / "world/images/val", captions=()))
    assert not list(tmp_path.iterdir())


def test_missing_and_damaged_files_are_named(road: Path, tmp_path: Path) -> None:
    whole = (road / "world/annotations/captions_train.json").read_text()
    (tmp_path / "cut.json").write_text(whole[: len(whole) // 2])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"captions": (tmp_path / "cut.json",)}, "expected JSON in .*cut.json.*may have been cut short"),
        ({"captions": (tmp_path / "none.json",)}, "expected a JSON file at .*none.json, found nothing"),
        ({"images": tmp_path / "none"}, "expected a folder at .*none, found nothing"),
        ({"codebook": tmp_path / "none"}, "expected weights at .*none, found nothing"),
        ({"codebook": tmp_path / "cut.json"}, "could not read .*cut.json"),
        ({"tokenizer": str(tmp_path / "none.json")}, "expected a tokenizer at .*none.json, found nothing"),
        ({"tokenizer": str(tmp_path / "cut.json")}, "expected a tokenizer in .*cut.json"),
        ({"answers": str(tmp_path / "none.json")}, "expected a JSON file at .*none.json"),
        ({"captions": (), "vqa": ()}, "expected annotations, found none: pass --captions"),
        ({"words": 3}, "expected words between 6 and 65536"),
        ({"captions": (road / "world/vqa/v2_mscoco_train_annotations.json",)}, 'expected "images" in .*.json'),
    ]
    for changes, message in wrong:
        with pytest.raises(XlxmertError, match=message):
            prepare.run(options(road, tmp_path / "store", **changes))
    assert [path.name for path in tmp_path.iterdir()] == ["cut.json"]


def test_bare_centroids_are_no_vocabulary(road: Path, tmp_path: Path) -> None:
    Codebook(torch.zeros(4, 12)).save(tmp_path / "bare.safetensors")
    with pytest.raises(XlxmertError, match="found bare centroids: run `xlxmert codebook`"):
        prepare.run(options(road, tmp_path / "store", codebook=tmp_path / "bare.safetensors"))


def test_a_store_of_another_codebook_is_neither_replaced_unasked_nor_opened(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "store")) == 0
    assert codebook.run(colours_only(road, codes=9, out=tmp_path / "other.safetensors")) == 0
    files = road / "vocabulary.safetensors", tmp_path / "other.safetensors"
    ours, other = (Codebook.load(file).fingerprint for file in files)
    again = options(road, tmp_path / "store", codebook=tmp_path / "other.safetensors")
    with pytest.raises(XlxmertError, match=rf"found a store \(codebook {ours}\): pass --overwrite"):
        prepare.run(again)
    with pytest.raises(XlxmertError, match=f"expected codes of the codebook {other} .* found {ours}"):
        Store.open(tmp_path / "store", other)
    assert prepare.run(options(road, tmp_path / "store", codebook=tmp_path / "other.safetensors", overwrite=True)) == 0
    assert int(np.max(Store.open(tmp_path / "store", other).codes)) < 9


def test_a_folder_in_use_is_never_touched(road: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    for overwrite in (False, True):
        with pytest.raises(XlxmertError, match=r"expected a new or an empty folder .* found holiday.txt"):
            prepare.run(options(road, tmp_path, overwrite=overwrite))
    with pytest.raises(XlxmertError, match="found a file"):
        prepare.run(options(road, tmp_path / "holiday.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_trained_tokenizer_knows_every_word_of_its_sentences(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "store")) == 0
    tokenizer = Tokenizer.load(tmp_path / "store/tokenizer.json")
    store = Store.open(tmp_path / "store")
    assert not any(tokenizer.unknown in store.words(sentence) for sentence in range(len(store)))


def test_features_labels_and_statements_are_kept_when_asked(road: Path, tmp_path: Path) -> None:
    instances = road / "world/annotations/instances_train.json"
    given = options(road, tmp_path / "store", features=True, instances=instances)
    assert prepare.run(given) == 0
    store = Store.open(tmp_path / "store")
    assert store.rows("features", [0, 1]).shape == (2, 16, store.feature_width)
    labels, attributes = store.picture_array("labels"), store.picture_array("attributes")
    assert labels.shape == attributes.shape == store.codes.shape
    assert 0 <= int(labels.max()) < store.count("labels") and int(attributes.max()) < store.count("attributes")
    pairs = options(
        road, tmp_path / "pairs", images=road / "world/images/nlvr2", captions=(), vqa=(), gqa=(),
        nlvr2=(road / "world/nlvr2/train.json",), tokenizer=str(tmp_path / "store"), answers=str(tmp_path / "store"),
    )  # fmt: skip
    assert prepare.run(pairs) == 0
    read = Store.open(tmp_path / "pairs", store.fingerprint)
    records = read_nlvr2(road / "world/nlvr2/train.json")
    names = read.facts["pictures"]
    assert len(read) == len(records) == len(read.of_kind("statement"))
    for place, record in enumerate(records):
        left, right = (Path(names[int(read.arrays[key][place])]).stem for key in ("picture", "second"))
        assert (left, right) == (record.left_id, record.right_id)
        assert bool(read.arrays["truth"][place]) == record.label


def test_a_store_can_take_codes_and_words_from_the_bundled_checkpoint(road: Path, tmp_path: Path) -> None:
    assert prepare.run(options(road, tmp_path / "store", codebook=None)) == 0
    store, bundle = Store.open(tmp_path / "store"), Bundle.from_pretrained()
    assert bundle.vocabulary is not None and store.fingerprint == bundle.vocabulary.codebook.fingerprint
    assert store.tokenizer.engine.get_vocab() == bundle.tokenizer.engine.get_vocab()
    with pytest.raises(UsageError, match="found both"):
        prepare.run(options(road, tmp_path / "other", checkpoint="somewhere"))
    with pytest.raises(UsageError, match=r"expected a checkpoint's folder at .*nowhere"):
        prepare.run(options(road, tmp_path / "other", codebook=None, checkpoint=str(tmp_path / "nowhere")))
