"""Pictures that no training may see are known under any of their names."""

import json
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.gqa import write_gqa
from xlxmert.data.kept_out import KeptOut, names_of
from xlxmert.data.nlvr2 import write_nlvr2
from xlxmert.data.pretraining import ToldPicture, write_pretraining
from xlxmert.data.records import Id, PairRecord, QuestionRecord
from xlxmert.data.vqa import write_vqa


@pytest.mark.parametrize(
    ("picture_id", "names"),
    [
        ("COCO_val2014_000000391895", {391895}),
        ("COCO_test2015_000000000001", {1}),
        (391895, {391895}),
        ("000000391895", {391895, "391895"}),
        ("2375429", {"2375429"}),
        ("391895", {"391895"}),
        ("n161313", {"n161313"}),
        ("test1-0-0-img0", {"test1-0-0-img0"}),
    ],
)
def test_a_picture_has_these_names(picture_id: Id, names: set[Id]) -> None:
    assert names_of(picture_id) == names


def test_files_of_every_format_keep_their_pictures_out(tmp_path: Path) -> None:
    minival, coco, vqa, gqa, nlvr2 = (tmp_path / name for name in ("minival", "coco", "vqa", "gqa", "test1.json"))
    write_pretraining(minival, [ToldPicture("COCO_val2014_000000000007", {"mscoco": ("a dog",)})])
    image = {"id": 8, "file_name": "COCO_test2014_000000000008.jpg", "width": 5, "height": 5}
    coco.write_text(json.dumps({"images": [image]}))
    write_vqa(vqa, None, [QuestionRecord(9, 90, "Why?"), QuestionRecord(9, 91, "Who?")], "test2015")
    write_gqa(gqa, [QuestionRecord("10", "1", "Why?"), QuestionRecord("n11", "2", "Who?")])
    write_nlvr2(nlvr2, [PairRecord("test1-0-1-img0", "test1-0-1-img1", "test1-0-1-0", "Two dogs.", True)])
    held = KeptOut.read([minival], [coco], [vqa], [gqa], [nlvr2])
    assert len(held) == 7
    assert held.why("COCO_train2014_000000000007") == held.why("000000000007") == "minival"
    assert held.why("COCO_test2015_000000000008") == "coco" and held.why("COCO_train2014_000000000009") == "vqa"
    assert held.why("10") == held.why("n11") == "gqa" and held.why("test1-0-1-img1") == "test1.json"
    assert held.why("2375429", 7) == "minival" and held.why("2375429", None) is None
    # Visual Genome's numbers and COCO's are not the same
    assert held.why("7") is None and held.why("COCO_train2014_000000000010") is None


def test_a_file_that_would_keep_nothing_out_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "minival.json"
    path.write_text("[]")
    with pytest.raises(XlxmertError, match=r"pictures to keep out in .*minival\.json, found none"):
        KeptOut.read([path])
    assert len(KeptOut.read()) == 0
