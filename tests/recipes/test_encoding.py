"""Encoding in parts: an interruption at any picture costs a part at most and changes no byte of the store."""

import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import locked, write_json
from xlxmert.core.images import save_png
from xlxmert.recipes import encoding
from xlxmert.recipes.parts import parts_folder
from xlxmert.recipes.prepare import Prepared, PrepareRecipe, prepare
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.sources import Sources
from xlxmert.testing.tiny import tiny_pictures, tiny_tokenizer, tiny_vocabulary

COUNT = 11
RECIPE = PrepareRecipe(size=32, features=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eleven pictures with captions, a visual vocabulary and a tokenizer; parts have four pictures."""
    torch.set_num_threads(1)
    monkeypatch.setattr(encoding, "PART", 4)
    made(tmp_path, COUNT)
    return tmp_path


def made(folder: Path, count: int) -> None:
    for number, picture in enumerate(tiny_pictures(count)):
        save_png(folder / "images" / f"{number:03d}.png", picture)
    captions(folder, sorted(path.name for path in (folder / "images").iterdir()))
    tiny_vocabulary().save(folder / "vocabulary.safetensors")
    tiny_tokenizer().save(folder / "tokenizer.json")


def captions(folder: Path, names: list[str]) -> None:
    pictures = [{"id": i, "file_name": name, "width": 32, "height": 32} for i, name in enumerate(names)]
    told = [{"id": i, "image_id": i, "caption": f"a red car {i % 3}"} for i in range(len(names))]
    write_json(folder / "captions.json", {"images": pictures, "annotations": told})


def run(folder: Path, out: str, recipe: PrepareRecipe = RECIPE, progress: Progress = no_progress) -> Prepared:
    sources = Sources(folder / "images", captions=(folder / "captions.json",))
    return prepare(folder / out, sources, folder / "vocabulary.safetensors", recipe, progress=progress)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stopped(BaseException):
    """As Ctrl-C."""


def stopping(at: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == at:
            raise Stopped

    return progress


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the pictures that are read within."""
    names: list[str] = []
    attempt = PictureReader._attempt

    def noted(self: PictureReader, path: Path) -> object:
        names.append(path.name)
        return attempt(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(PictureReader, "_attempt", noted)
        yield names


def test_stopped_at_every_picture_the_store_is_the_same(folder: Path) -> None:
    run(folder, "whole")
    for at in range(1, COUNT + 1):
        with pytest.raises(Stopped):
            run(folder, "other", progress=stopping(at))
        assert not (folder / "other").exists()
    run(folder, "other")
    assert content(folder / "other") == content(folder / "whole")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_whole_parts_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        run(folder, "store", progress=stopping(9))
    told: list[tuple[int, int]] = []
    with counted(monkeypatch) as names:
        run(folder, "store", progress=lambda done, total: told.append((done, total)))
    assert sorted(names) == ["008.png", "009.png", "010.png"]
    assert told == [(8, 11), (9, 11), (10, 11), (11, 11)]


def test_only_the_part_of_a_changed_picture_is_encoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "images/005.png").write_bytes(b"cut")
    with pytest.raises(Stopped):
        run(folder, "store", progress=stopping(9))
    save_png(folder / "images/005.png", tiny_pictures(COUNT)[5])
    with counted(monkeypatch) as names:
        assert not run(folder, "store").unreadable
    assert sorted(names) == [f"{number:03d}.png" for number in range(4, COUNT)]
    run(folder, "whole")
    assert content(folder / "store") == content(folder / "whole")


@pytest.mark.parametrize("other", [{"size": 16}, {"crop": True}, {"features": False}])
def test_parts_of_other_settings_are_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, int]
) -> None:
    with pytest.raises(Stopped):
        run(folder, "store", progress=stopping(9))
    with counted(monkeypatch) as names:
        run(folder, "store", PrepareRecipe(**{"size": 32, "features": True} | other))
    assert len(names) == COUNT


def test_parts_of_another_codebook_are_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        run(folder, "store", progress=stopping(9))
    tiny_vocabulary(seed=1).save(folder / "vocabulary.safetensors")
    with counted(monkeypatch) as names:
        store = run(folder, "store").store
    assert len(names) == COUNT and store.fingerprint == tiny_vocabulary(seed=1).codebook.fingerprint


def test_two_runs_into_one_store_are_one_too_many(folder: Path) -> None:
    with locked(parts_folder(folder / "store")), pytest.raises(XlxmertError, match="another process"):
        run(folder, "store")


def test_features_are_those_of_one_run_over_all(folder: Path) -> None:
    store = run(folder, "store").store
    vocabulary, pictures = tiny_vocabulary(), torch.from_numpy(tiny_pictures(COUNT))
    assert np.array_equal(store.codes, vocabulary.encode(pictures).numpy())
    assert torch.allclose(store.rows("features", range(COUNT)), vocabulary.features(pictures), atol=2e-3)


def test_pictures_of_every_kind_go_in_and_what_cannot_is_named(folder: Path) -> None:
    images = folder / "images"
    shutil.rmtree(images)
    images.mkdir()
    plain = Image.fromarray(tiny_pictures(1)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    plain.convert("CMYK").save(images / "cmyk.jpg")
    plain.convert("P").save(images / "palette.gif")
    plain.convert("RGBA").save(images / "alpha.png")
    plain.resize((50, 20)).save(images / "wide.png")
    plain.save(images / "turned.jpg", exif=exif)
    plain.save(images / "film.gif", save_all=True, append_images=[plain.rotate(90)])
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60).save(images / "deep.png")
    save_png(images / "twin.png", tiny_pictures(1)[0])
    shutil.copy(images / "twin.png", images / "again.png")
    (images / "text.png").write_text("no picture")
    (images / "empty.jpg").write_bytes(b"")
    (images / "cut.jpg").write_bytes((images / "cmyk.jpg").read_bytes()[:200])
    (images / "bomb.png").write_bytes(bomb(30_000))
    names = sorted(path.name for path in images.iterdir())
    captions(folder, names)
    prepared = run(folder, "store")
    assert [path.name for path in prepared.unreadable] == ["bomb.png", "cut.jpg", "empty.jpg", "text.png"]
    assert all(name in reason for name, reason in prepared.store.facts["left_out"].items())
    assert prepared.store.facts["duplicates"] == [["again.png", "alpha.png", "film.gif", "twin.png"]]
    summary = prepared.summary()
    assert (summary["pictures"], summary["unreadable"], summary["duplicates"]) == (len(names) - 4, 4, 3)
    assert summary["captions"] == len(names) - 4


def bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("most", [500, 7000])
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """No file may grow beyond ``most`` bytes: less than a part, or than the store's pictures."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(XlxmertError, match=r"could not write .*: File too large.*free some space"):
            run(folder, "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (folder / "store").exists()
    with counted(monkeypatch) as names:
        run(folder, "store")
    assert len(names) == (COUNT if most == 500 else 0)
    run(folder, "whole")
    assert content(folder / "store") == content(folder / "whole")


def stamp(parts: Path) -> int:
    """When the folder was taken last."""
    return (parts / ".lock").stat().st_mtime_ns if (parts / ".lock").exists() else 0


@pytest.mark.slow
def test_killed_ten_times_the_store_is_the_same(tmp_path: Path) -> None:
    made(tmp_path, 8000)
    line = [sys.executable, "-m", "xlxmert", "prepare", "--images", "images", "--captions", "captions.json"]
    line += ["--codebook", "vocabulary.safetensors", "--features", "--size", "64", "--workers", "1", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*line, "--out", "whole"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    draw, parts = random.Random(0), parts_folder(tmp_path / "store")
    begun = []
    for _ in range(10):
        earlier = stamp(parts)
        process = subprocess.Popen([*line, "--out", "store"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        while stamp(parts) == earlier and process.poll() is None:  # until it begins to encode
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        begun.append(len(list(parts.glob("*.safetensors"))))
        assert not (tmp_path / "store").exists(), "the machine was too fast: take more pictures"
    done = subprocess.run([*line, "--out", "store"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    print(f"parts after each kill: {begun}")
    assert max(begun) > 1 and json.loads(done.stdout)["pictures"] == 8000
    assert content(tmp_path / "store") == content(tmp_path / "whole") and not parts.exists()


def test_what_a_kill_leaves_beside_a_finished_store_is_swept_and_an_interrupted_run_stays(folder: Path) -> None:
    run(folder, "store")
    left, store = parts_folder(folder / "store"), folder / "store/store.json"
    for part, age in (("old.safetensors", -1), ("new.safetensors", 1)):
        left.mkdir()
        (left / part).write_bytes(b"part")
        when = store.stat().st_mtime_ns + age * 10**9
        os.utime(left / part, ns=(when, when))
        with pytest.raises(XlxmertError, match=r"found a store .*pass --overwrite"):
            run(folder, "store")
        assert left.exists() == (age > 0)
    os.utime(left / "new.safetensors", ns=(0, 0))
    with locked(left), pytest.raises(XlxmertError, match="found a store"):  # somebody is at work there
        os.utime(left / ".lock", ns=(0, 0))
        run(folder, "store")
    assert left.exists()
