"""The sentences of a data set, from annotation files in the published formats, each with the file of its picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.coco import read_instances
from xlxmert.data.conceptual import read_conceptual
from xlxmert.data.easy_vqa import read_easy_vqa
from xlxmert.data.flickr import read_flickr
from xlxmert.data.gqa import read_gqa
from xlxmert.data.karpathy import read_karpathy
from xlxmert.data.nlvr2 import read_nlvr2
from xlxmert.data.pictures import Named, PictureFolder
from xlxmert.data.plain_captions import read_any_captions
from xlxmert.data.records import CaptionRecord, Id, InstanceRecord, PairRecord, QuestionRecord
from xlxmert.data.tuning import is_pairs, read_tuning, read_tuning_pairs
from xlxmert.data.visual_genome import read_image_data, read_question_answers, read_regions
from xlxmert.data.vqa import read_vqa
from xlxmert.recipes.telling import Line, Picture

TRAIN = "train"
"""The split of a Karpathy file that is read unless another is asked for."""


@dataclass(frozen=True)
class Sources:
    """Where pictures and sentences come from."""

    images: Path | None = None
    """The folder of pictures; folders within are searched too. None where others published what they saw, which is then
    found by the pictures' names."""
    captions: tuple[Path, ...] = ()
    """COCO's ``captions_*.json``, or one's own files: see `xlxmert.data.plain_captions`."""
    vqa: tuple[tuple[Path, Path], ...] = ()
    """VQA v2's questions and annotations, in pairs."""
    gqa: tuple[Path, ...] = ()
    """GQA's ``*_questions.json``, files or folders."""
    regions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's ``image_data.json`` and ``region_descriptions.json``, in pairs."""
    genome_questions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's ``image_data.json`` and ``question_answers.json``, in pairs."""
    nlvr2: tuple[Path, ...] = ()
    """NLVR2's ``train.json`` and its like."""
    karpathy: tuple[Path, ...] = ()
    """Karpathy's ``dataset_coco.json`` and its like."""
    split: str | None = None
    """Which split of these; None is ``train``."""
    flickr: tuple[Path, ...] = ()
    """Flickr30k's ``results_20130124.token``."""
    conceptual: tuple[Path, ...] = ()
    """Conceptual Captions' tsv with local files; captions without a file are passed over."""
    easy_vqa: tuple[Path, ...] = ()
    """easy-VQA's ``questions.json``, or a split's folder with it."""
    lxmert: tuple[Path, ...] = ()
    """LXMERT's files for fine-tuning: ``vqa/train.json``, ``gqa/train.json``, ``nlvr2/train.json`` and their like."""

    def __post_init__(self) -> None:
        """Check that there is something to read."""
        if not self.names:
            raise UsageError(
                "expected annotations, found none: "
                "pass --captions, --karpathy, --flickr, --conceptual, --vqa, --gqa, --easy-vqa, --regions, "
                "--genome-questions, --nlvr2 or --lxmert"
            )
        if self.split is not None and not self.karpathy:
            raise UsageError(f"expected --karpathy beside --split {self.split}, found none: only its files have splits")

    @property
    def names(self) -> list[str]:
        """The names of all annotation files, with their split where they hold several."""
        pairs = (*self.vqa, *self.regions, *self.genome_questions)
        single = (*self.captions, *self.gqa, *self.nlvr2, *self.flickr, *self.conceptual, *self.easy_vqa, *self.lxmert)
        names = [path.name for path in (*single, *(path for pair in pairs for path in pair))]
        return names + [f"{path.name} ({self.split or TRAIN})" for path in self.karpathy]

    @cached_property
    def folder(self) -> PictureFolder | None:
        """The folder of pictures, listed once."""
        return None if self.images is None else PictureFolder(self.images)

    def finder(self, pictures: Iterable[Named], source: Path) -> Callable[[Id], Picture]:
        """From the ids of one file to picture files, or to the names of their files without suffix."""
        if self.folder is not None:
            return _found(self.folder.knowing(pictures), source)
        stems = {picture.id: PurePosixPath(picture.file_name).stem for picture in pictures}
        return lambda picture_id: stems.get(picture_id) or PurePosixPath(str(picture_id)).stem


def read_lines(sources: Sources) -> Iterator[Line]:
    """All sentences of the sources, file by file in the order given; one file at a time is in memory.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, or a picture is not in the folder.
    """
    records: list[Named] = []
    for path, pictures, captions in _captions(sources):
        records += pictures
        find = sources.finder(pictures, path)
        yield from (Line(each.text, find(each.picture_id), "caption") for each in captions)
    for path in sources.flickr:
        find = sources.finder((), path)
        yield from (Line(each.text, find(each.picture_id), "caption") for each in read_flickr(path))
    for path in sources.conceptual:
        find = sources.finder((), path)
        yield from (Line(c.text, find(c.file_name), "caption") for c in read_conceptual(path) if c.file_name)
    for path, pictures, asked in _questions(sources, records):
        find = sources.finder(pictures, path)
        yield from (Line(each.text, find(each.picture_id), "question", each.answers) for each in asked)
    for image_data, path in sources.regions:
        pictures = read_image_data(image_data)
        find = sources.finder(pictures, path)
        yield from (Line(each.phrase, find(each.picture_id), "region") for each in read_regions(path, pictures))
    for path, pairs in _statements(sources):
        find = sources.finder((), path)
        yield from (
            Line(pair.sentence, find(pair.left_id), "statement", second=find(pair.right_id), truth=pair.label)
            for pair in pairs
        )


def _captions(sources: Sources) -> Iterator[tuple[Path, Sequence[Named], Iterable[CaptionRecord]]]:
    """Each file of captions that tells of its pictures, too."""
    for path in sources.captions:
        yield path, *read_any_captions(path)
    for path in sources.karpathy:
        chosen = read_karpathy(path).of(sources.split or TRAIN)
        yield path, chosen.pictures, chosen.captions


def _questions(
    sources: Sources, records: Sequence[Named]
) -> Iterator[tuple[Path, Sequence[Named], Iterable[QuestionRecord]]]:
    """Each file of questions, with what is known of its pictures."""
    for questions, annotations in sources.vqa:
        yield questions, records, read_vqa(questions, annotations)
    for path in sources.gqa:
        yield path, (), read_gqa(path)
    for path in sources.easy_vqa:
        yield path, (), read_easy_vqa(path)
    for path in sources.lxmert:
        if not is_pairs(path):
            yield path, (), read_tuning(path)
    for image_data, path in sources.genome_questions:
        pictures = read_image_data(image_data)
        yield path, pictures, read_question_answers(path, {picture.id for picture in pictures})


def _statements(sources: Sources) -> Iterator[tuple[Path, Iterable[PairRecord]]]:
    """Each file of statements."""
    for path in sources.nlvr2:
        yield path, read_nlvr2(path)
    for path in sources.lxmert:
        if is_pairs(path):
            yield path, read_tuning_pairs(path)


def things_of(images: Path, instances: Path) -> dict[Path, list[InstanceRecord]]:
    """The things of every annotated picture in the folder, by its file.

    Raises:
        XlxmertError: the file is unreadable, or none of its pictures is in the folder.
    """
    pictures, records = read_instances(instances)
    folder = PictureFolder(images, pictures)
    files = {picture.id: folder.path(picture.id) for picture in pictures if picture.id in folder}
    if not files:
        raise XlxmertError(f"expected pictures of {instances} in {images}, found none of {len(pictures)}: check both")
    things: dict[Path, list[InstanceRecord]] = {}
    for record in records:
        if record.picture_id in files:
            things.setdefault(files[record.picture_id], []).append(record)
    return things


def finder(images: Path, pictures: Iterable[Named], source: Path) -> Callable[[Id], Path]:
    """From the ids of one file to picture files; an id without a picture is an error that names the file."""
    return _found(PictureFolder(images, pictures), source)


def _found(folder: PictureFolder, source: Path) -> Callable[[Id], Path]:
    found: dict[Id, Path] = {}

    def find(picture_id: Id) -> Path:
        if picture_id not in found:
            try:
                found[picture_id] = folder.path(picture_id)
            except XlxmertError as error:
                raise XlxmertError(f"{error} (asked for by {source})") from error
        return found[picture_id]

    return find
