"""One tiny checkpoint for all tests of this folder, and a way to run the command line."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from xlxmert.cli.main import main
from xlxmert.core.images import save_png
from xlxmert.data.world.write import write_world
from xlxmert.models.lxmert import TINY
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.train_store import Prepared
from xlxmert.testing.tiny import tiny_bundle, tiny_pictures, tiny_vocabulary

torch.set_num_threads(1)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tiny_bundle().save_pretrained(folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command line in this process: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    yield call


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / "album"
    for index, picture in enumerate(tiny_pictures(3)):
        save_png(folder / f"{index}.png", picture)
    return folder


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world as files, a random checkpoint that knows its words (``checkpoint``), and stores prepared for it."""
    folder = tmp_path_factory.mktemp("walked")
    sizes = {"train": 6, "val": 4}
    write_world(folder / "world", 6, sizes=sizes, workers=1)
    vocabulary = tiny_vocabulary()
    vocabulary.save(folder / "vocabulary.safetensors")
    sources, words = all_sources(folder), PrepareRecipe(size=32)
    store = prepare(folder / "words", sources, folder / "vocabulary.safetensors", words).store
    prepared = Prepared(store, vocabulary)
    model = prepared.model(dataclasses.replace(TINY, max_text=64), seed=0)
    generator = tiny_bundle().generator
    prepared.bundle(model, generator, {"guidance": 0.0, "most_words": 62}).save_pretrained(folder / "checkpoint")
    given = PrepareRecipe(size=32, tokenizer=str(folder / "checkpoint"))
    prepare(folder / "store", sources, folder / "checkpoint" / "codebook.safetensors", given)
    return folder


def all_sources(folder: Path) -> Sources:
    world = folder / "world"
    vqa = world / "vqa" / "v2_OpenEnded_mscoco_train_questions.json", world / "vqa" / "v2_mscoco_train_annotations.json"
    return Sources(
        world / "images",
        captions=(world / "annotations" / "captions_train.json",),
        vqa=(vqa,),
        nlvr2=(world / "nlvr2" / "train.json",),
    )
