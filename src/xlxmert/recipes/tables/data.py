"""What all rows of all tables share: pictures, words, codes, features and labels, one image generator, and the tests.

Everything comes from the part of the built-in world that ``xlxmert demo --from-scratch`` uses; each stage is made once
in ``OUT/data`` and found there by every later table.
"""

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.records import QuestionRecord
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.annotations import captions_of, genome_questions_of, gqa_of, instances_of, regions_of, vqa_of
from xlxmert.data.world.render import render as render_scene
from xlxmert.data.world.scene import Scene, make_scene
from xlxmert.data.world.statements import PairSet, make_pair_set
from xlxmert.models.generator import Generator
from xlxmert.models.generator.presets import WORLD as WORLD_GENERATOR
from xlxmert.recipes import train_store, world
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.prepare import labelled
from xlxmert.recipes.small_world import SMALL, SMALL_CUT
from xlxmert.recipes.train_store import WARM_START, Prepared, render_loop
from xlxmert.recipes.world_nlvr2 import statement_store
from xlxmert.vision.vocabulary import VisualVocabulary

CUT = SMALL_CUT
"""The part of the world that the tables are made on."""
SEED = 0
"""Of the world; rows have seeds of their own."""


@dataclass(frozen=True)
class Sizes:
    """How much data there is."""

    pictures: int = 3000
    """Training pictures."""
    pair_sets: int = 500
    """Sets of four pairs of pictures for NLVR2's statements."""
    codes: int = 512
    """K, the visual vocabulary."""
    lessons: int = SMALL.lessons
    """Steps in which the features are taught to tell things apart."""
    render_steps: int = 700
    """Steps of the image generator."""


SIZES = Sizes()


@dataclass(frozen=True)
class Data:
    """The shared parts."""

    folder: Path
    sizes: Sizes
    vocabulary: VisualVocabulary

    @property
    def pretraining(self) -> Prepared:
        """Captions, region phrases and the questions of all three sources, with features and labels."""
        return self._prepared("pretraining")

    @property
    def vqa(self) -> Prepared:
        """VQA's questions alone."""
        return self._prepared("vqa")

    @property
    def gqa(self) -> Prepared:
        """GQA's questions alone, the balanced ones."""
        return self._prepared("gqa")

    @property
    def nlvr2(self) -> Prepared:
        """Statements about pairs of pictures of their own."""
        return self._prepared("nlvr2")

    def generator(self) -> Generator:
        """The image generator: features alone decide what it paints, so that it paints regressed ones too."""
        shape = dataclasses.replace(WORLD_GENERATOR, codes=0)
        loop = render_loop(self.folder / "render", steps=self.sizes.render_steps, quiet=True)
        return train_store.render(self.pretraining, picture, shape, WARM_START, loop)

    def _prepared(self, name: str) -> Prepared:
        return Prepared(Store.open(self.folder / name, self.vocabulary.codebook.fingerprint), self.vocabulary)


def make_data(out: Path, sizes: Sizes = SIZES) -> Data:
    """Make what is not there yet, and open all of it.

    Raises:
        XlxmertError: ``out`` was begun with other sizes.
    """
    folder = out / "data"
    begun_with(folder / "sizes.json", dataclasses.asdict(sizes))
    recipe = dataclasses.replace(SMALL, pictures=sizes.pictures, codes=sizes.codes, lessons=sizes.lessons, seed=SEED)
    data = Data(folder, sizes, world.visual_vocabulary(folder, recipe))
    if not (folder / "pretraining/store.json").exists():
        _write_pictures(data)
    if not (folder / "nlvr2/store.json").exists():
        tokenizer = data.pretraining.store.tokenizer
        statement_store(folder / "nlvr2", data.vocabulary, tokenizer, sizes.pair_sets, SEED, CUT, features=True)
    return data


def begun_with(path: Path, facts: dict[str, int]) -> None:
    """Remember the sizes that a folder's data are made with.

    Raises:
        XlxmertError: it was begun with others.
    """
    if path.exists() and (found := read_json(path)) != facts:
        raise XlxmertError(f"expected data of the sizes {facts} in {path.parent}, found {found}: choose another --out")
    write_json(path, facts)


def picture(index: int) -> np.ndarray:
    """A training picture."""
    return np.array(render_scene(scene_of(index)))


def scene_of(index: int, split: str = "train") -> Scene:
    """A scene of the tables' part of the world."""
    return make_scene(split, SEED, index, CUT)


def _write_pictures(data: Data) -> None:
    """The stores about single pictures: the two for fine-tuning first, the one that tells the end last."""
    count = data.sizes.pictures
    visual = encoded(data.vocabulary, map(picture, range(count)), keep_features=True)
    things = [instances_of(scene_of(index), "train", index) for index in range(count)]
    labels, facts = labelled(things, data.vocabulary.spec.grid)
    visual |= labels
    vqa = [s for index in range(count) for s in _asked(vqa_of(scene_of(index), "train", SEED, index), index)]
    gqa = [
        s
        for index in range(count)
        for s in _asked((q for q in gqa_of(scene_of(index), "train", SEED, index) if q.is_balanced), index)
    ]
    more = [s for index in range(count) for s in _told(index)]
    tokenizer = Tokenizer.train([s.text for s in [*more, *vqa, *gqa]] + _statements(data), 4000)
    for name, sentences in (("vqa", vqa), ("gqa", gqa), ("pretraining", [*more, *vqa, *gqa])):
        answers = AnswerTable(sorted({answer for s in sentences for answer in s.answers or {}}))
        _write(data, name, visual, facts, sentences, tokenizer, answers)


def _told(index: int) -> list[Sentence]:
    """What is said of a picture, and Visual Genome's questions about it."""
    scene = scene_of(index)
    said = [Sentence(each.text, index) for each in captions_of(scene, "train", SEED, index)]
    said += [Sentence(each.phrase, index, "region") for each in regions_of(scene, "train", index)]
    return said + _asked(genome_questions_of(scene, "train", SEED, index), index)


def _asked(questions: Iterable[QuestionRecord], index: int) -> list[Sentence]:
    return [Sentence(each.text, index, "question", each.answers) for each in questions]


@functools.cache
def pair_set(split: str, index: int) -> PairSet:
    """A set of statements of the tables' part of the world."""
    return make_pair_set(split, SEED, index, CUT)


def _statements(data: Data) -> list[str]:
    return [s.text for index in range(data.sizes.pair_sets) for s in pair_set("train", index).statements]


def _write(
    data: Data,
    name: str,
    visual: dict[str, np.ndarray],
    facts: dict[str, int],
    sentences: list[Sentence],
    tokenizer: Tokenizer,
    answers: AnswerTable,
) -> None:
    names = [str(index) for index in range(len(visual["codes"]))]
    codebook = data.vocabulary.codebook
    write_store(
        data.folder / name, visual, names, sentences, tokenizer, answers, codebook.fingerprint, len(codebook), facts
    )
