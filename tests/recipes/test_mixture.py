"""The papers' mixture: from the world's files and from small files in the published formats to one store."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import save_png
from xlxmert.data.clusters import read_centroids
from xlxmert.data.coco import write_captions
from xlxmert.data.features import SeenPicture
from xlxmert.data.gqa import write_gqa
from xlxmert.data.pretraining import ToldPicture, read_pretraining, write_pretraining
from xlxmert.data.records import CaptionRecord, PictureRecord, QuestionRecord, RegionRecord
from xlxmert.data.store import Store
from xlxmert.data.tsv_features import write_tsv_features
from xlxmert.data.visual_genome import write_image_data, write_question_answers, write_regions
from xlxmert.data.vqa import write_vqa
from xlxmert.data.world.write import write_world
from xlxmert.recipes import encoding, mixture, telling
from xlxmert.recipes import gather as gather_module
from xlxmert.recipes.gather import HeldOut, Published, gather
from xlxmert.recipes.mixture import MixtureRecipe, mix
from xlxmert.recipes.picture_sources import PictureSources
from xlxmert.testing.tiny import tiny_pictures, tiny_vocabulary

BOX = (0.0, 0.0, 1.0, 1.0)
COCO = "COCO_train2014_000000000{:03d}"
MINIVAL = "COCO_val2014_000000000042"


def test_the_world_gathers_into_one_record_for_each_picture_and_then_a_store(tmp_path: Path) -> None:
    world = tmp_path / "world"
    write_world(world, 20, sizes={"train": 12, "val": 5, "test": 5}, workers=1)
    splits = ("train", "val")
    vqa, genome = world / "vqa", [world / "visual_genome" / split for split in splits]
    published = Published(
        tuple(world / f"annotations/captions_{each}.json" for each in splits),
        tuple(
            (vqa / f"v2_OpenEnded_mscoco_{s}_questions.json", vqa / f"v2_mscoco_{s}_annotations.json") for s in splits
        ),
        tuple(world / f"gqa/{each}_all_questions.json" for each in splits),
        tuple((folder / "image_data.json", folder / "region_descriptions.json") for folder in genome),
        tuple((folder / "image_data.json", folder / "question_answers.json") for folder in genome),
    )
    held = HeldOut(
        coco_tests=(world / "annotations/captions_val.json",),
        vqa_tests=(world / "vqa/v2_OpenEnded_mscoco_test_questions.json",),
        gqa_tests=(world / "gqa/test_all_questions.json",),
        nlvr2_tests=(world / "nlvr2/dev.json",),
    )
    gathered = gather(published, held)
    summary = gathered.summary()
    assert summary["pictures"] == 12 and summary["mscoco"] == 60 and summary["vqa"] == 96
    assert summary["kept_out"] == {"captions_val.json": 5}
    assert min(summary[source] for source in ("vg", "gqa", "visual7w")) > 0
    told = tmp_path / "train.json"
    write_pretraining(told, gathered.pictures())
    assert {each.picture_id for each in read_pretraining(told)} == {f"{n:012d}" for n in range(12)}

    tiny_vocabulary().save(tmp_path / "vocabulary.safetensors")
    sources = PictureSources(images=world / "images", codebook=tmp_path / "vocabulary.safetensors")
    mixed = mix(tmp_path / "store", (told,), sources, held, MixtureRecipe(size=64, longest=None))
    store = mixed.store
    assert store.size == 12 and sorted(store.facts["pictures"])[0] == "train/000000000000.png"
    assert len(store) == summary["sentences"] == store.facts["mixture"]["sentences"]
    assert len(store.of_kind("caption")) == 60 and len(store.of_kind("region")) == summary["vg"]
    assert (store.soft_answers(store.of_kind("question")).sum(1) > 0).all()
    assert mixed.summary()["codebook"] == store.fingerprint and "mixture" in json.dumps(dict(store.facts))


def test_an_interrupted_mixture_of_pictures_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "PART", 2)
    for number, picture in enumerate(tiny_pictures(5)):
        save_png(tmp_path / "images" / f"{number}.png", picture)
    told = [ToldPicture(str(number), {"mscoco": ("a red car",)}) for number in (*range(5), 9)]
    write_pretraining(tmp_path / "told.json", told)
    tiny_vocabulary().save(tmp_path / "v.safetensors")
    sources = PictureSources(images=tmp_path / "images", codebook=tmp_path / "v.safetensors")
    recipe, files = MixtureRecipe(size=32, missing=True, features=True), (tmp_path / "told.json",)

    class Stopped(BaseException):
        pass

    def stopping(done: int, total: int) -> None:
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        mix(tmp_path / "store", files, sources, recipe=recipe, progress=stopping)
    assert len(list((tmp_path / ".store.encoded").glob("*.safetensors"))) == 1
    starts: list[int] = []
    mixed = mix(tmp_path / "store", files, sources, recipe=recipe, progress=lambda done, _: starts.append(done))
    assert starts[0] == 2 and mixed.tally.missing == 1 and mixed.store.size == 5
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    whole = mix(tmp_path / "whole", files, sources, recipe=recipe).store
    for name in ("pictures.safetensors", "sentences.safetensors", "store.json"):
        assert (whole.folder / name).read_bytes() == (mixed.store.folder / name).read_bytes()


def published_files(folder: Path) -> Published:
    """COCO's pictures 1 and 42 (minival's), of which Visual Genome tells 42 and knows 1 as 500; 501 is its own."""
    coco = [PictureRecord(1, COCO.format(1) + ".jpg", 10, 10), PictureRecord(42, MINIVAL + ".jpg", 10, 10)]
    write_captions(folder / "c.json", coco, [CaptionRecord(each.id, each.id, "a red car") for each in coco])
    asked = [QuestionRecord(each.id, each.id, "What?", {"car": 1.0}, ("car",) * 10) for each in coco]
    write_vqa(folder / "q.json", folder / "a.json", asked, "train2014")
    genome = [
        PictureRecord(500, "VG_100K/500.jpg", 10, 10, coco_id=1), PictureRecord(501, "VG_100K/501.jpg", 10, 10),
        PictureRecord(502, "VG_100K/502.jpg", 10, 10, coco_id=42), PictureRecord(42, "VG_100K_2/42.jpg", 10, 10),
    ]  # fmt: skip
    write_image_data(folder / "i.json", genome)
    write_regions(folder / "r.json", genome, [RegionRecord(each.id, each.id, "a wheel", BOX) for each in genome])
    pairs = [QuestionRecord(each.id, each.id, "Where?", {"here": 1.0}, ("here",)) for each in genome]
    write_question_answers(folder / "qa.json", [each.id for each in genome], pairs)
    reasoned = [
        QuestionRecord(str(number), str(place), "Is it?", {"yes": 1.0}, ("yes",), is_balanced=place != 1)
        for place, number in enumerate((500, 501, 502, 42, 600, 700))
    ]
    write_gqa(folder / "g.json", reasoned)
    return Published(
        (folder / "c.json",), ((folder / "q.json", folder / "a.json"),), (folder / "g.json",),
        ((folder / "i.json", folder / "r.json"),), ((folder / "i.json", folder / "qa.json"),),
    )  # fmt: skip


def test_pictures_of_both_coco_and_visual_genome_are_one_and_minival_stays_out_under_either_name(
    tmp_path: Path,
) -> None:
    published = published_files(tmp_path)
    write_pretraining(tmp_path / "mscoco_minival.json", [ToldPicture(MINIVAL, {"mscoco": ("a red car",)})])
    write_gqa(tmp_path / "testdev.json", [QuestionRecord("700", "9", "Why?")])
    gathered = gather(
        published, HeldOut(minival=(tmp_path / "mscoco_minival.json",), gqa_tests=(tmp_path / "testdev.json",))
    )
    told = {each.picture_id: each for each in gathered.pictures()}
    assert set(told) == {COCO.format(1), "501", "42", "600"}
    assert set(told[COCO.format(1)].sentences) == {"mscoco", "vqa", "vg", "visual7w", "gqa"}
    assert set(told["501"].sentences) == {"vg", "visual7w"}  # its GQA question is not balanced
    assert set(told["42"].sentences) == {"vg", "visual7w", "gqa"}  # Visual Genome's 42 is not COCO's
    assert gathered.kept_out == {"mscoco_minival.json": {MINIVAL, "502"}, "testdev.json": {"700"}}
    assert len({*gather(published).told}) == 6  # without the files, 502 is told as COCO's 42


def test_published_needs_files_that_name_their_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected annotations, found none"):
        Published()
    with pytest.raises(UsageError, match="expected --captions beside --vqa"):
        Published(gqa=(tmp_path,), vqa=((tmp_path, tmp_path),))


TOLD = [
    ToldPicture(
        COCO.format(1),
        {"mscoco": ("A red car.", " "), "vqa": ("What is it?", "How many cars are there?")},
        {"vqa": ({"a car": 1.0, "grey": 0.3}, {"two": 0.9, "2": 0.3})},
    ),
    ToldPicture("2375429", {"vg": ("the wheel of a car", "a " * 30), "gqa": ("Is it red?",)}, {"gqa": ({"no": 1.0},)}),
    ToldPicture(MINIVAL, {"mscoco": ("A secret.",)}),
]
IDS = [each.picture_id for each in TOLD]


@pytest.fixture
def told(tmp_path: Path) -> Path:
    write_pretraining(tmp_path / "mscoco_train.json", TOLD)
    write_pretraining(tmp_path / "mscoco_minival.json", TOLD[2:])
    return tmp_path / "mscoco_train.json"


def held(folder: Path) -> HeldOut:
    return HeldOut(minival=(folder / "mscoco_minival.json",))


def seen(picture_id: str, label: int = 1599) -> SeenPicture:
    rng = np.random.default_rng(len(picture_id))
    boxes = np.array([[0, 0, 0.5, 0.5], [0.1, 0.2, 0.9, 1]], np.float32)
    return SeenPicture(
        picture_id, rng.random((2, 5), np.float32), boxes, np.array([label, 0]), None, np.array([399, 1])
    )


def put_tsv(path: Path, *pictures: SeenPicture) -> Path:
    write_tsv_features(path, ((each, 640, 480) for each in pictures))
    return path


def test_lxmerts_files_become_a_store_of_boxes(tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "TOGETHER", 2)
    # the second file holds a picture of the first once more, and one that nobody speaks of
    first = put_tsv(tmp_path / "train.tsv", seen("other"), seen(IDS[1]))
    second = put_tsv(tmp_path / "vg.tsv", seen(IDS[1]), seen(IDS[0]))
    mixed = mix(tmp_path / "store", (told,), PictureSources(tsv=(first, second)), held(tmp_path))
    store = Store.open(tmp_path / "store", "none")
    assert store.facts["pictures"] == [IDS[1], IDS[0]]
    assert {name: array.shape for name, array in store.pictures.items()} == {
        "features": (2, 2, 5), "boxes": (2, 2, 4), "labels": (2, 2), "attributes": (2, 2),
    }  # fmt: skip
    assert store.count("labels") == 1600 and store.count("attributes") == 400
    assert np.allclose(store.pictures["features"][1], seen(IDS[0]).features, atol=1e-3)
    assert np.allclose(store.pictures["boxes"][0], seen("a").boxes, atol=1e-6)
    assert store.arrays["picture"].tolist() == [1, 1, 1, 0, 0]
    assert set(store.answers) == {"car", "gray", "2", "no"}
    scores = dict(zip(store.answers, store.soft_answers([2])[0].tolist(), strict=True))
    assert scores["2"] == pytest.approx(0.9) and sum(scores.values()) == pytest.approx(0.9)
    summary = mixed.summary()
    assert summary["kept_out"] == {"mscoco_minival.json": 1} and summary["missing"] == 0
    assert (summary["mscoco"], summary["vg"], summary["vqa"], summary["gqa"], summary["visual7w"]) == (1, 1, 2, 1, 0)
    assert (summary["empty"], summary["too_long"], summary["codebook"]) == (1, 1, "none")
    assert store.facts["mixture"]["sentences"] == 5 and store.facts["sources"][0] == "mscoco_train.json"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_x_lxmerts_codes_become_a_store(tmp_path: Path, told: Path) -> None:
    np.save(tmp_path / "c.npy", np.random.default_rng(0).random((20, 5)).astype(np.float32))
    codes = {name: np.arange(4) + place for place, name in enumerate(IDS)}
    (tmp_path / "codes.pkl").write_bytes(pickle.dumps(codes))
    sources = PictureSources(clusters=(tmp_path / "codes.pkl",), centroids=tmp_path / "c.npy")
    mixed = mix(tmp_path / "store", (told,), sources, held(tmp_path))
    assert mixed.store.codes.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]] and mixed.store.count("codes") == 20
    (tmp_path / "codes.pkl").write_bytes(pickle.dumps({IDS[0]: np.full(4, 20)}))
    with pytest.raises(XlxmertError, match="codes must be below 20"):
        mix(tmp_path / "again", (told,), sources, held(tmp_path))


def test_x_lxmerts_features_become_codes_and_are_kept_on_request(tmp_path: Path, told: Path) -> None:
    h5py = pytest.importorskip("h5py")
    np.save(tmp_path / "c.npy", np.random.default_rng(0).random((20, 5)).astype(np.float32))
    centroids = read_centroids(tmp_path / "c.npy")
    with h5py.File(tmp_path / "grid.h5", "w") as file:
        for place, name in enumerate(IDS):
            file.create_group(name)["features"] = centroids[4 * place : 4 * place + 4].reshape(2, 2, 5)
    for sources, features, arrays in (
        (PictureSources(h5=(tmp_path / "grid.h5",), centroids=tmp_path / "c.npy"), False, {"codes"}),
        (PictureSources(h5=(tmp_path / "grid.h5",), centroids=tmp_path / "c.npy"), True, {"codes", "features"}),
        (PictureSources(h5=(tmp_path / "grid.h5",)), False, {"features"}),
    ):
        store = mix(
            tmp_path / "store", (told,), sources, held(tmp_path), MixtureRecipe(features=features), overwrite=True
        ).store
        assert set(store.pictures) == arrays
        if "codes" in arrays:
            places = {name: place for place, name in enumerate(store.facts["pictures"])}
            assert store.codes[places[IDS[1]]].tolist() == [4, 5, 6, 7]


def test_lxmerts_table_of_answers_is_taken(tmp_path: Path, told: Path) -> None:
    (tmp_path / "all_ans.json").write_text('[{"ans": "no", "dsets": ["gqa"]}, {"ans": "2", "dsets": ["vqa"]}]')
    sources = PictureSources(tsv=(put_tsv(tmp_path / "a.tsv", *map(seen, IDS[:2])),))
    recipe = MixtureRecipe(answers=str(tmp_path / "all_ans.json"))
    store = mix(tmp_path / "store", (told,), sources, held(tmp_path), recipe).store
    assert store.answers == ("no", "2")
    assert np.allclose(store.soft_answers(store.of_kind("question")).numpy(), [[0, 0], [0, 0.9], [1, 0]])


def test_missing_pictures_are_an_error_or_counted(tmp_path: Path, told: Path) -> None:
    sources = PictureSources(tsv=(put_tsv(tmp_path / "a.tsv", seen(IDS[1])),))
    with pytest.raises(XlxmertError, match=rf"expected picture '{IDS[0]}' in a\.tsv, found it and 0 more of 2 missing"):
        mix(tmp_path / "store", (told,), sources, held(tmp_path))
    assert not (tmp_path / "store").exists() and not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    mixed = mix(tmp_path / "store", (told,), sources, held(tmp_path), MixtureRecipe(missing=True))
    assert mixed.store.facts["pictures"] == [IDS[1]] and mixed.tally.missing == 1
    none = PictureSources(tsv=(put_tsv(tmp_path / "b.tsv", seen("other")),))
    with pytest.raises(XlxmertError, match="found it and 1 more of 2 missing"):
        mix(tmp_path / "again", (told,), none, held(tmp_path), MixtureRecipe(missing=True))


def test_what_does_not_go_together_is_one_clear_line(tmp_path: Path, told: Path) -> None:
    tsv = put_tsv(tmp_path / "a.tsv", *map(seen, IDS))
    fine = PictureSources(tsv=(tsv,))
    minival, none = tmp_path / "mscoco_minival.json", HeldOut()
    others = PictureSources(tsv=(put_tsv(tmp_path / "b.tsv", seen(IDS[0], 1600)),))
    mixed = PictureSources(tsv=(put_tsv(tmp_path / "c.tsv", seen(IDS[0])), put_one(tmp_path / "d.tsv", IDS[1])))
    wrong: list[tuple[tuple[Path, ...], PictureSources, HeldOut, str]] = [
        ((told, minival), fine, none, f"found '{MINIVAL}' in .*mscoco_train.json and in .*mscoco_minival.json"),
        ((minival,), fine, held(tmp_path), "pictures for training .*found none and 1 that are kept out"),
        ((), fine, none, "expected LXMERT's pre-training files, found none"),
        ((told,), others, none, "labels below 1600 of picture .*found 1600"),
        ((told,), mixed, none, r"expected rows of features float16 \(2, 5\).*float16 \(1, 5\).*after 1 of them"),
    ]
    for files, sources, kept, message in wrong:
        with pytest.raises(XlxmertError, match=message) as caught:
            mix(tmp_path / "store", files, sources, kept)
        assert "\n" not in str(caught.value)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(XlxmertError, match=r"found thesis\.txt"):
        mix(tmp_path / "mine", (told,), fine)


def put_one(path: Path, picture_id: str) -> Path:
    whole = seen(picture_id)
    assert whole.boxes is not None and whole.labels is not None and whole.attributes is not None
    one = SeenPicture(picture_id, whole.features[:1], whole.boxes[:1], whole.labels[:1], None, whole.attributes[:1])
    return put_tsv(path, one)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected one of --images, --tsv, --h5 and --clusters, found none"),
        ({"tsv": (Path("a"),), "h5": (Path("b"),)}, "found --tsv and --h5"),
        ({"images": Path("a")}, "--images and --codebook together"),
        ({"clusters": (Path("a"),)}, "--centroids beside --clusters, found none"),
        ({"tsv": (Path("a"),), "centroids": Path("b")}, "found it beside --tsv"),
    ],
)
def test_one_kind_of_pictures_is_needed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PictureSources(**given)


def test_both_recipes_run_from_the_command_line(
    tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    published_files(folder)
    monkeypatch.setattr("sys.argv", ["gather", "--out", f"{tmp_path}/g.json", "--captions", f"{folder}/c.json"])
    gather_module.main()
    assert json.loads(capsys.readouterr().out)["pictures"] == 2
    tsv = put_tsv(tmp_path / "a.tsv", *map(seen, IDS))
    command = ["mixture", "--out", f"{tmp_path}/store", "--told", str(told), "--tsv", str(tsv)]
    monkeypatch.setattr("sys.argv", command)
    mixture.main()
    assert json.loads(capsys.readouterr().out)["pictures"] == 3
    with pytest.raises(SystemExit, match="error: expected a new folder at"):
        mixture.main()
