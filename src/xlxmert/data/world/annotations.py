"""From scenes of the built-in world to the neutral records that every annotation format writes.

Ids are numbers that say where they come from: a picture's id is its index plus 10**9 times its split's place.
"""

from collections.abc import Iterator, Sequence

from xlxmert.core.seeds import numpy_generator
from xlxmert.data.records import Box, CaptionRecord, InstanceRecord, PictureRecord, QuestionRecord, RegionRecord
from xlxmert.data.vqa import soft_scores
from xlxmert.data.world.captions import RELATION_PHRASES, make_captions, noun_phrase, relations_of
from xlxmert.data.world.lexicon import NOUNS, SIZES
from xlxmert.data.world.questions import Question, annotate, make_questions
from xlxmert.data.world.render import CELL
from xlxmert.data.world.scene import SPLITS, Item, Scene
from xlxmert.data.world.settings import SIDE
from xlxmert.data.world.sprites import draw_sprite

PER_SPLIT = 10**9
"""Pictures that a split can hold."""
CATEGORIES = {noun.name: noun.kind for noun in NOUNS}
"""Instances' categories with their supercategories."""
QUESTION_TYPES = (
    "what color is the", "what color are the", "how many", "is there a", "is there an", "are there", "is this",
    "is the", "are the", "where is", "what is the", "what are the", "what is", "what place is shown",
)  # fmt: skip
"""The first words by which VQA counts questions."""
VISIBLE = 32
"""A sprite's pixel counts as part of the thing from this alpha on (of 255)."""


def picture_id(split: str, index: int) -> int:
    """The id of a picture: unique over all splits."""
    return SPLITS.index(split) * PER_SPLIT + index


def picture_of(split: str, index: int) -> PictureRecord:
    """The record of a picture, its file named as COCO names them: ``000000000123.png``."""
    return PictureRecord(name := picture_id(split, index), f"{name:012d}.png", SIDE, SIDE)


def captions_of(scene: Scene, split: str, seed: int, index: int) -> list[CaptionRecord]:
    """The five captions of a picture."""
    name = picture_id(split, index)
    captions = make_captions(scene, split, seed, index)
    return [CaptionRecord(name, name * 10 + place, caption.text) for place, caption in enumerate(captions)]


def item_box(item: Item) -> Box:
    """The box around what can be seen of a sprite."""
    side = SIZES[item.size]
    margin = (item.span * CELL - side) // 2
    left, top = item.x * CELL + margin, item.y * CELL + margin
    alpha = draw_sprite(item.sprite, item.colour, side).getchannel("A").point(lambda value: 255 * (value >= VISIBLE))
    x0, y0, x1, y1 = alpha.getbbox() or (0, 0, side, side)
    return (left + x0) / SIDE, (top + y0) / SIDE, (left + x1) / SIDE, (top + y1) / SIDE


def instances_of(scene: Scene, split: str, index: int) -> list[InstanceRecord]:
    """The objects of a picture, with colour, size and action as attributes."""
    name = picture_id(split, index)
    return [
        InstanceRecord(name, name * 10 + place, item.noun, item_box(item), tuple(filter(None, _attributes(item))))
        for place, item in enumerate(scene.items)
    ]


def regions_of(scene: Scene, split: str, index: int) -> list[RegionRecord]:
    """Phrases for parts of a picture: every group, every item of a group of several, and groups that relate."""
    name = picture_id(split, index)
    parts = [(noun_phrase(group).text, group) for group in scene.groups]
    parts += [(noun_phrase([item]).text, (item,)) for group in scene.groups if len(group) > 1 for item in group]
    for first, relation, second in relations_of(scene)[::2]:
        one, two = scene.group(first), scene.group(second)
        parts.append((f"{noun_phrase(one).text} {RELATION_PHRASES[relation][0]} {noun_phrase(two).text}", one + two))
    return [
        RegionRecord(name, name * 100 + place, phrase, _around([item_box(item) for item in items]))
        for place, (phrase, items) in enumerate(parts)
    ]


def vqa_of(scene: Scene, split: str, seed: int, index: int) -> list[QuestionRecord]:
    """The questions of a picture with ten annotators' answers each."""
    name, records = picture_id(split, index), []
    for place, question in enumerate(make_questions(scene, split, seed, index)):
        raw = annotate(question, numpy_generator("people", split, seed, index, place))
        kind = question_type(question.text)
        records.append(
            QuestionRecord(name, name * 1000 + place, question.text, soft_scores(raw), raw, kind, question.answer_type)
        )
    return records


def question_type(text: str) -> str:
    """The longest of `QUESTION_TYPES` that a question begins with."""
    fitting = [kind for kind in QUESTION_TYPES if text.startswith(f"{kind} ")]
    return max(fitting, key=len, default="none of the above")


def genome_questions_of(scene: Scene, split: str, seed: int, index: int) -> list[QuestionRecord]:
    """Visual Genome's questions of a picture, other draws than VQA's, with one answer each."""
    name = picture_id(split, index)
    return [
        QuestionRecord(name, name * 1000 + place, question.text, {question.answer: 1.0}, (question.answer,))
        for place, question in enumerate(make_questions(scene, "genome", split, seed, index, count=4))
    ]


def gqa_of(scene: Scene, split: str, seed: int, index: int) -> list[QuestionRecord]:
    """GQA's questions of a picture: balanced ones, and those that they entail, which serve for consistency only."""
    name = picture_id(split, index)
    asked = make_questions(scene, "gqa", split, seed, index)
    every = {question.text: question for question in asked}
    every = every | {question.text: question for question in _entailed(asked) if question.text not in every}
    names = {text: f"{name:012d}{place:03d}" for place, text in enumerate(every)}
    balanced = {question.text for question in asked}
    return [_gqa(question, name, names, question.text in balanced) for question in every.values()]


def _gqa(question: Question, picture: int, names: dict[str, str], balanced: bool) -> QuestionRecord:
    own = names[question.text]
    follow = dict.fromkeys(names[each.text] for each in _entailed([question]))
    open_question = question.structural in ("query", "choose")
    return QuestionRecord(
        picture,
        own,
        question.text,
        {question.answer: 1.0},
        (question.answer,),
        full_answer=question.full_answer,
        structural_type=question.structural,
        semantic_type=question.semantic,
        detailed_type=question.detailed,
        entailed=tuple(other for other in follow if other != own),
        equivalent=(own,),
        group=question.detailed if open_question else None,
        local_group="-".join(question.about) + f"_{question.detailed}",
        is_balanced=balanced,
    )


def _entailed(questions: Sequence[Question]) -> Iterator[Question]:
    """All that follows from some questions, and from what follows."""
    for question in questions:
        for follower in question.entailed:
            yield follower
            yield from _entailed([follower])


def _attributes(item: Item) -> tuple[str, ...]:
    return item.colour, item.size, item.action


def _around(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
