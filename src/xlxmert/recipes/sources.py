"""The sentences of a data set, from annotation files in the published formats, each with the file of its picture."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
from xlxmert.data.records import Id, InstanceRecord
from xlxmert.data.visual_genome import read_image_data, read_question_answers, read_regions
from xlxmert.data.vqa import read_vqa

TRAIN = "train"
"""The split of a Karpathy file that is read unless another is asked for."""


@dataclass(frozen=True)
class Line:
    """One sentence, before it is turned into tokens."""

    text: str
    picture: Path
    """The picture's file."""
    kind: str
    """``caption``, ``question``, ``region`` or ``statement``."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """Soft scores by answer."""
    second: Path | None = None
    """A statement's right picture."""
    truth: bool | None = None
    """Whether a statement holds."""

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Its picture, or its two."""
        return (self.picture,) if self.second is None else (self.picture, self.second)


@dataclass(frozen=True)
class Sources:
    """Where pictures and sentences come from."""

    images: Path
    """The folder of pictures; folders within are searched too."""
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

    def __post_init__(self) -> None:
        """Check that there is something to read."""
        if not self.names:
            raise UsageError(
                "expected annotations, found none: "
                "pass --captions, --karpathy, --flickr, --conceptual, --vqa, --gqa, --easy-vqa, --regions, "
                "--genome-questions or --nlvr2"
            )
        if self.split is not None and not self.karpathy:
            raise UsageError(f"expected --karpathy beside --split {self.split}, found none: only its files have splits")

    @property
    def names(self) -> list[str]:
        """The names of all annotation files, with their split where they hold several."""
        pairs = (*self.vqa, *self.regions, *self.genome_questions)
        single = (*self.captions, *self.gqa, *self.nlvr2, *self.flickr, *self.conceptual, *self.easy_vqa)
        names = [path.name for path in (*single, *(path for pair in pairs for path in pair))]
        return names + [f"{path.name} ({self.split or TRAIN})" for path in self.karpathy]


def read_lines(sources: Sources) -> list[Line]:
    """All sentences of the sources, file by file in the order given.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, or a picture is not in the folder.
    """
    lines: list[Line] = []
    records: list[Named] = []
    for path in sources.captions:
        pictures, captions = read_any_captions(path)
        records += pictures
        find = finder(sources.images, pictures, path)
        lines += [Line(each.text, find(each.picture_id), "caption") for each in captions]
    for path in sources.karpathy:
        chosen = read_karpathy(path).of(sources.split or TRAIN)
        records += chosen.pictures
        find = finder(sources.images, chosen.pictures, path)
        lines += [Line(each.text, find(each.picture_id), "caption") for each in chosen.captions]
    for path in sources.flickr:
        find = finder(sources.images, (), path)
        lines += [Line(each.text, find(each.picture_id), "caption") for each in read_flickr(path)]
    for path in sources.conceptual:
        find = finder(sources.images, (), path)
        lines += [Line(c.text, find(c.file_name), "caption") for c in read_conceptual(path) if c.file_name]
    for questions, annotations in sources.vqa:
        find = finder(sources.images, records, questions)
        asked = read_vqa(questions, annotations)
        lines += [Line(each.text, find(each.picture_id), "question", each.answers) for each in asked]
    for path in sources.gqa:
        find = finder(sources.images, (), path)
        lines += [Line(each.text, find(each.picture_id), "question", each.answers) for each in read_gqa(path)]
    for path in sources.easy_vqa:
        find = finder(sources.images, (), path)
        lines += [Line(each.text, find(each.picture_id), "question", each.answers) for each in read_easy_vqa(path)]
    for image_data, path in sources.regions:
        pictures = read_image_data(image_data)
        find = finder(sources.images, pictures, path)
        lines += [Line(each.phrase, find(each.picture_id), "region") for each in read_regions(path, pictures)]
    for image_data, path in sources.genome_questions:
        pictures = read_image_data(image_data)
        find = finder(sources.images, pictures, path)
        asked = read_question_answers(path, {picture.id for picture in pictures})
        lines += [Line(each.text, find(each.picture_id), "question", each.answers) for each in asked]
    for path in sources.nlvr2:
        find = finder(sources.images, (), path)
        lines += [
            Line(pair.sentence, find(pair.left_id), "statement", second=find(pair.right_id), truth=pair.label)
            for pair in read_nlvr2(path)
        ]
    return lines


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
    folder = PictureFolder(images, pictures)
    found: dict[Id, Path] = {}

    def find(picture_id: Id) -> Path:
        if picture_id not in found:
            try:
                found[picture_id] = folder.path(picture_id)
            except XlxmertError as error:
                raise XlxmertError(f"{error} (asked for by {source})") from error
        return found[picture_id]

    return find
