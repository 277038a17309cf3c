"""Webdataset's shards: pictures and captions come out as `xlxmert prepare` reads them, and nothing else does."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.cli.main import main
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.plain_captions import read_plain_captions
from xlxmert.data.shards import expanded, read_shard
from xlxmert.data.store import Store
from xlxmert.data.tables import Columns, open_table
from xlxmert.recipes import unpack as unpacking
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.unpack import unpack, unpack_table
from xlxmert.testing.tiny import tiny_pictures, tiny_tokenizer, tiny_vocabulary


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(tiny_pictures(8)[number]).save(stream, format="PNG")
    return stream.getvalue()


def shard(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def whole(folder: Path) -> tuple[Path, Path]:
    first = shard(
        folder / "a-000.tar",
        ("0.png", picture(0)), ("0.txt", b"a red car\n"), ("0.cls", b"7"),
        ("1.PNG", picture(1)), ("1.json", json.dumps({"caption": ["two cars", " "], "url": "x"}).encode()),
        ("2.txt", b"no picture"), ("3.png", picture(3)), ("sub/4.png", picture(4)), ("sub/4.txt", b"a dog"),
    )  # fmt: skip
    second = shard(folder / "a-001.tar.gz", ("0.png", picture(5)), ("0.json", b'{"text": "a bird"}'))
    return first, second


def test_samples_come_out_with_their_captions(tmp_path: Path) -> None:
    done = unpack(whole(tmp_path), tmp_path / "out")
    assert (done.pictures, done.captions, done.earlier) == (4, 4, 0)
    assert done.left_out == {"a-000.tar/2": "no picture", "a-000.tar/3": "no caption"}
    files = sorted((tmp_path / "out/captions").iterdir())
    told = [caption for path in files for caption in read_plain_captions(path)[1]]
    assert [(caption.picture_id, caption.text) for caption in told] == [
        ("a-000/0.png", "a red car"), ("a-000/1.png", "two cars"), ("a-000/sub_4.png", "a dog"),
        ("a-001/0.png", "a bird"),
    ]  # fmt: skip
    assert (tmp_path / "out/images/a-001/0.png").read_bytes() == picture(5)


def test_prepare_reads_what_came_out(tmp_path: Path) -> None:
    unpack(whole(tmp_path), tmp_path / "out")
    tiny_vocabulary().save(tmp_path / "v.safetensors")
    tiny_tokenizer().save(tmp_path / "tokenizer.json")
    sources = Sources(tmp_path / "out/images", captions=tuple(sorted((tmp_path / "out/captions").iterdir())))
    recipe = PrepareRecipe(size=32, tokenizer=str(tmp_path / "tokenizer.json"))
    summary = prepare(tmp_path / "store", sources, tmp_path / "v.safetensors", recipe).summary()
    assert (summary["pictures"], summary["captions"]) == (4, 4)


def test_folder_shards_and_table_give_the_same_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb, on four pictures of which one is none and one more has no caption."""
    datasets = pytest.importorskip("datasets")
    tiny_vocabulary().save(tmp_path / "v.safetensors")
    tiny_tokenizer().save(tmp_path / "tokenizer.json")
    contents = [picture(0), picture(1), b"no picture", picture(3)]
    texts = [["a red car", "two cars"], ["a dog"], ["a bird"], []]
    (tmp_path / "images").mkdir()
    for number, content in enumerate(contents):
        (tmp_path / f"images/{number}.png").write_bytes(content)
    lines = [{"image": f"{number}.png", "caption": told} for number, told in enumerate(texts)]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number, (content, told) in enumerate(zip(contents, texts, strict=True)):
        members = (f"{number}.png", content), (f"{number}.json", json.dumps({"caption": told}).encode())
        shard(tmp_path / f"s-{number:03d}.tar", *members)
    table = datasets.Dataset.from_dict({"image": contents, "caption": texts})
    table.to_parquet(tmp_path / "t.parquet")
    ways = {
        "folder": ["--images", f"{tmp_path}/images", "--captions", f"{tmp_path}/c.jsonl"],
        "shards": ["--shards", f"{tmp_path}/s-{{000..003}}.tar"],
        "table": ["--table", f"{tmp_path}/t.parquet"],
    }
    common = ["--codebook", f"{tmp_path}/v.safetensors", "--tokenizer", f"{tmp_path}/tokenizer.json", "--size", "32"]
    stores = []
    for way, words in ways.items():
        assert main(["prepare", "--out", f"{tmp_path}/{way}", *words, *common, "--device", "cpu"]) == 0
        said = capsys.readouterr()
        assert "passed over: could not read" in said.err and "unreadable  1" in said.out
        assert way == "folder" or "3 has no caption" in " ".join(said.err.split())
        stores.append(Store.open(tmp_path / way))
    for store in stores[1:]:
        assert store.codes.tolist() == stores[0].codes.tolist() and store.size == 2
        for name, array in store.arrays.items():
            assert np.array_equal(array, stores[0].arrays[name])
    assert (tmp_path / "table-pictures/images/t-000000/00000001.png").read_bytes() == picture(1)


def test_a_table_in_pieces_goes_on_and_is_told_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(unpacking, "PIECE", 2)
    rows = {"image": [picture(n) for n in range(5)], "caption": ["a", "b", "c", "", "e"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "t")
    table = open_table(str(tmp_path / "t"))
    done = unpack_table(table, tmp_path / "out")
    assert (done.pictures, done.earlier, len(done.files)) == (4, 0, 3)
    assert list(done.left_out.values()) == ["no caption"]
    (tmp_path / "out/captions/t-000002.jsonl").unlink()
    (tmp_path / "out/images/t-000002/00000004.png").write_bytes(b"half")
    again = unpack_table(table, tmp_path / "out")
    assert (again.pictures, again.earlier, again.files) == (1, 2, done.files)
    assert (tmp_path / "out/images/t-000002/00000004.png").read_bytes() == picture(4)
    assert unpack_table(table, tmp_path / "out").files == done.files
    other = dataclasses.replace(table, columns=Columns(split="val"))
    with pytest.raises(
        XlxmertError, match=r"expected pictures of .* found those of another table, .*another folder \(--pict"
    ):
        unpack_table(other, tmp_path / "out")


def test_ranges_of_shards_are_spelled_out() -> None:
    assert expanded("a-{08..11}.tar") == [Path(f"a-{n:02d}.tar") for n in range(8, 12)]
    assert expanded("{0..1}/{0..1}.tar") == [Path(f"{a}/{b}.tar") for a in range(2) for b in range(2)]
    assert expanded("a{b}.tar") == [Path("a{b}.tar")]
    for wrong in ("{3..1}.tar", "{0..99999999}.tar"):
        with pytest.raises(UsageError, match="expected a range of at most"):
            expanded(wrong)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--shards", "a.tar", "--table", "b"],
            2,
            "expected one of --images, --shards and --table, found --shards and",
        ),
        (["--images", "x", "--shards", "a.tar"], 2, "found --images and --shards"),
        (["--shards", "none.tar"], 1, "expected a shard at none.tar, found nothing"),
        (["--table", "none.parquet"], 1, "expected a table in none.parquet"),
    ],
)
def test_wrong_ways_in_are_one_line(
    tmp_path: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    assert main(["prepare", "--out", f"{tmp_path}/store", *words]) == code
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said


def test_shards_that_are_done_are_not_read_again_and_half_ones_are(tmp_path: Path) -> None:
    first, second = whole(tmp_path)
    content = second.read_bytes()
    second.write_bytes(content[:40])
    with pytest.raises(XlxmertError, match=r"could not read .*a-001\.tar\.gz"):
        unpack((first, second), tmp_path / "out")
    second.write_bytes(content)
    (tmp_path / "out/images/a-001").mkdir()
    (tmp_path / "out/images/a-001/0.png").write_bytes(b"half")
    done = unpack((first, second), tmp_path / "out")
    assert (done.pictures, done.earlier) == (1, 1)
    assert (tmp_path / "out/images/a-001/0.png").read_bytes() == picture(5)


def test_names_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    evil = shard(
        tmp_path / "a.tar", ("../../x.png", picture(0)), ("../../x.txt", b"out"), ("/etc/y.png", picture(1)),
        ("/etc/y.txt", b"up"),
    )  # fmt: skip
    unpack((evil,), tmp_path / "data/out")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert files == ["data/out/images/a/etc_y.png", "data/out/images/a/x.png"]


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected a shard at .*none\.tar, found nothing"):
        list(read_shard(tmp_path / "none.tar"))
    (tmp_path / "text.tar").write_text("no tar file " * 100)
    with pytest.raises(XlxmertError, match=r"could not read .*text\.tar"):
        list(read_shard(tmp_path / "text.tar"))
    damaged = shard(tmp_path / "b.tar", ("0.png", picture(0)), ("0.json", b"{"), ("1.json", b'{"text": null}'))
    assert [sample.lacks for sample in read_shard(damaged)] == ["no caption", "no picture"]
    twice = shard(tmp_path / "c.tar", *[("0.png", picture(0)), ("0.txt", b"a"), ("1.txt", b"b")] * 2)
    with pytest.raises(XlxmertError, match="found 0 again in"):
        unpack((twice,), tmp_path / "out")
    with pytest.raises(XlxmertError, match="found b more than once"):
        unpack((damaged, tmp_path / "other/b.tar"), tmp_path / "out")
