"""The neutral records that every annotation format reads into and writes from: the road's second stop, after files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xlxmert.core.errors import XlxmertError

Id = int | str
"""A picture's, caption's or question's name: a number in COCO, VQA and Visual Genome, a string in GQA and NLVR2."""

Box = tuple[float, float, float, float]
"""``x0 y0 x1 y1`` in [0, 1]: left, top, right and bottom as fractions of the picture's width and height."""


def check_box(box: Box, owner: str) -> None:
    """Check that a box is normalised and not turned inside out; a box of no area is allowed.

    Raises:
        XlxmertError: a side is not a number, lies outside [0, 1] or the box ends before it starts.
    """
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
        raise XlxmertError(
            f"expected a box with 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1, found {box} in {owner}: "
            "divide pixels by the picture's width and height"
        )


@dataclass(frozen=True)
class About:
    """What a written file says of itself in its ``info`` and ``licenses`` members."""

    description: str = "written by xlxmert"
    contributor: str = ""
    url: str = ""
    license_name: str = ""
    license_url: str = ""
    year: int = 1970
    """Like ``date``: the epoch, so that the same records always give the same bytes."""
    date: str = "1970-01-01 00:00:00"


@dataclass(frozen=True)
class PictureRecord:
    """One picture: its name in the annotations, its file and its size in pixels."""

    id: Id
    file_name: str
    """Relative to the folder of pictures, with forward slashes."""
    width: int
    height: int
    coco_id: int | None = None
    """Visual Genome only: the same picture's id in COCO, to keep test pictures out of a training set."""

    def __post_init__(self) -> None:
        """Check the size."""
        if self.width < 1 or self.height < 1:
            raise XlxmertError(
                f"expected a picture of at least 1 x 1 pixels, found {self.width} x {self.height} for picture "
                f"{self.id!r}: read the size from the picture's file"
            )


@dataclass(frozen=True)
class CaptionRecord:
    """One sentence that describes a whole picture."""

    picture_id: Id
    caption_id: Id
    text: str

    @property
    def has_word(self) -> bool:
        """Whether it holds a letter or a digit."""
        return any(map(str.isalnum, self.text))


@dataclass(frozen=True)
class InstanceRecord:
    """One object in a picture: its category and its box."""

    picture_id: Id
    instance_id: Id
    category: str
    box: Box
    attributes: tuple[str, ...] = ()
    crowd: bool = False
    """The box holds a crowd of such objects, which were not counted one by one."""

    def __post_init__(self) -> None:
        """Check the box."""
        check_box(self.box, f"instance {self.instance_id!r} of picture {self.picture_id!r}")


@dataclass(frozen=True)
class RegionRecord:
    """One phrase that describes a part of a picture."""

    picture_id: Id
    region_id: Id
    phrase: str
    box: Box

    def __post_init__(self) -> None:
        """Check the box."""
        check_box(self.box, f"region {self.region_id!r} of picture {self.picture_id!r}")


@dataclass(frozen=True)
class ProgramStep:
    """One step of a GQA question's functional program."""

    operation: str
    dependencies: tuple[int, ...] = ()
    """The earlier steps, counted from 0, whose results this one takes."""
    argument: str = ""


@dataclass(frozen=True)
class QuestionRecord:
    """One question about a picture, with all its data set knows of the answer; without answers it is unlabelled."""

    picture_id: Id
    question_id: Id
    text: str
    answers: Mapping[str, float] = field(default_factory=dict)
    """Every acceptable answer with its soft score in (0, 1]."""
    raw_answers: tuple[str, ...] = ()
    """The answers as people gave them: ten for VQA, one elsewhere."""
    question_type: str = ""
    """VQA: the question's first words, such as ``what color is the``."""
    answer_type: str = ""
    """VQA: ``yes/no``, ``number`` or ``other``."""
    confidences: tuple[str, ...] = ()
    """VQA: ``yes``, ``maybe`` or ``no`` for each raw answer; all ``yes`` where left empty."""
    full_answer: str = ""
    """GQA, as all that follow: the answer as a sentence."""
    structural_type: str = ""
    """``query``, ``verify``, ``choose``, ``logical`` or ``compare``."""
    semantic_type: str = ""
    """``obj``, ``attr``, ``cat``, ``rel`` or ``global``."""
    detailed_type: str = ""
    entailed: tuple[str, ...] = ()
    """Ids of the questions whose answers follow from this one's."""
    equivalent: tuple[str, ...] = ()
    """Ids of the questions that ask the same."""
    group: str | None = None
    """The global group, within which the distribution of answers is compared."""
    local_group: str | None = None
    is_balanced: bool = True
    """Whether the question belongs to the balanced subset, on which scores are counted."""
    program: tuple[ProgramStep, ...] = ()
    annotations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For ``question``, ``answer`` and ``fullAnswer``: object ids by word position (``4`` or ``4:6``)."""


@dataclass(frozen=True)
class PairRecord:
    """One statement about a pair of pictures, and whether it holds."""

    left_id: str
    right_id: str
    identifier: str
    """``split-set-pair-sentence``, for example ``train-10171-0-0``."""
    sentence: str
    label: bool
    left_url: str = ""
    right_url: str = ""
    writer: str = ""
    validation: Mapping[str, bool] = field(default_factory=dict)
    """The first judgement after writing, by worker."""
    extra_validations: Mapping[str, bool] = field(default_factory=dict)
    """Development and test sets: four further judgements, by worker."""
    synset: str = ""
    query: str = ""
    directory: int | None = None
    """Training set: the numbered folder that holds the two pictures."""
