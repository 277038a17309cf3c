"""Webdataset's shards: pictures and captions come out as `xlxmert prepare` reads them, and nothing else does."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.data.plain_captions import read_plain_captions
from xlxmert.data.shards import read_shard
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.unpack import unpack
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
