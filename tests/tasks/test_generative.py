"""XGPT's objectives: what encoder and decoder get, what is asked, in which turn, and that gradients are right."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xlxmert.convert.captioner import Captioner
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.task import Part
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.xgpt import TINY, CachedWriter, Xgpt
from xlxmert.sampling import Greedy
from xlxmert.sampling.words import WordIds
from xlxmert.studio import Describer
from xlxmert.tasks.generative import OBJECTIVES, GenerativeConfig, GenerativeTask, Objective, shifted
from xlxmert.tasks.generative_losses import GenerativeTurn, Lesson
from xlxmert.testing.parts import assert_parts_add_up

ALL = dict.fromkeys(OBJECTIVES, 1.0)


def make_task(
    store: Store, seed: int = 3, shape: dict[str, object] | None = None, **settings: object
) -> GenerativeTask:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "grid": 2, "dropout": 0.0, "attention_dropout": 0.0}
    model = Xgpt(dataclasses.replace(TINY, **{**sizes, **(shape or {})}))  # type: ignore[arg-type]
    return GenerativeTask(model, store, GenerativeConfig(**settings), seed)  # type: ignore[arg-type]


def lesson_of(task: GenerativeTask, objective: Objective, size: int = 4) -> Lesson:
    return task._lesson(objective, 0, size)


def test_every_objective_takes_its_turn_once_a_round_in_orders_that_differ(colours: Store) -> None:
    task = make_task(colours)
    rounds = [tuple(task.objectives(4 * turn + step)[0] for step in range(4)) for turn in range(20)]
    assert all(sorted(each) == ["captioning", "ida", "imlm", "tifg"] for each in rounds)
    assert len(set(rounds)) > 5
    together = make_task(colours, combine="sum", tifg=0.0)
    assert together.objectives(7) == ("captioning", "imlm", "ida")
    assert [lesson.objective for lesson in together.batch(7, 3)] == ["captioning", "imlm", "ida"]


def test_parts_of_every_objective_add_up(colours: Store) -> None:
    for smoothing in (0.0, 0.1):
        assert_parts_add_up(make_task(colours, combine="sum", label_smoothing=smoothing, **ALL), 2, 7, 3)
    together = make_task(colours, together=3, imlm=0.0, ida=0.0, tifg=0.0, kinds=("caption", "question"))
    assert_parts_add_up(together, 0, 12, 3)
    with pytest.raises(UsageError, match="expected a batch of 5 parts or more, found 4"):
        together.batch(0, 12, Part(0, 5))


def test_a_batch_is_a_pure_function_of_seed_and_step(colours: Store) -> None:
    one, two, other = (make_task(colours, seed, combine="sum", **ALL) for seed in (3, 3, 4))
    differ = 0
    for a, b, c in zip(one.batch(5, 6), two.batch(5, 6), other.batch(5, 6), strict=True):
        for field in ("words", "given", "targets", "places"):
            mine, same, others = (getattr(lesson, field) for lesson in (a, b, c))
            assert (mine is None and same is None) or torch.equal(mine, same)
            differ += mine is not None and not (mine.shape == others.shape and torch.equal(mine, others))
    assert differ > 5


def test_what_each_objective_reads_and_is_asked(colours: Store) -> None:
    task, tokenizer = make_task(colours), colours.tokenizer
    caption = tokenizer.ids("a red car on the beach")

    captioning = lesson_of(task, "captioning")
    assert captioning.words is None and captioning.view is not None and captioning.view.picture.shape == (4, 4, 32)
    assert captioning.given is not None and captioning.targets is not None
    assert captioning.given[0, 0] == tokenizer.start and captioning.targets[0, -1] == tokenizer.end
    assert torch.equal(captioning.given[:, 1:], captioning.targets[:, :-1])

    imlm = lesson_of(task, "imlm")
    assert imlm.words is not None and imlm.targets is not None and imlm.places is not None
    assert imlm.words.shape == (4, len(caption)) and imlm.view is not None
    assert ((imlm.targets >= 0).sum(1) == 3).all()  # half of six words

    ida = lesson_of(task, "ida")
    assert ida.words is not None and ida.targets is not None
    assert (ida.words == tokenizer.mask).any(1).all()
    assert ida.targets.shape == captioning.targets.shape

    tifg = lesson_of(task, "tifg")
    assert tifg.words is not None and tifg.given is None and tifg.targets is None

    for text_only in ("mass", "mlm"):
        lesson = lesson_of(task, text_only)  # type: ignore[arg-type]
        assert lesson.view is None and (lesson.given is None) == (text_only == "mlm")


def test_a_decoder_reads_all_but_the_end_and_is_asked_for_all_but_the_start() -> None:
    given, targets = shifted(torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]]), 3)
    assert given.tolist() == [[2, 7, 8], [2, 9, 0]]
    assert targets.tolist() == [[7, 8, 3], [9, 3, -1]]


def test_sentences_of_one_picture_are_written_beside_each_other(colours: Store) -> None:
    task = make_task(colours, together=4, kinds=("caption", "question", "statement"))
    (lesson,) = (make_task(colours, together=4, imlm=0.0, ida=0.0, tifg=0.0, kinds=task.config.kinds)).batch(0, 12)
    assert lesson.view is not None and lesson.given is not None and lesson.targets is not None
    assert len(lesson.view.picture) == 3 and len(lesson.given) == 12
    codes = lesson.view.picture[:, 0].argmax(-1).tolist()
    captions = [colours.tokenizer.decode(row[row > 0]) for row in lesson.given]
    for place, code in enumerate(codes):
        told = [text for text in captions[4 * place : 4 * place + 4] if text.startswith("a ")]
        assert all(text == f"a {('red', 'green', 'blue', 'black')[code]} car on the beach" for text in told)
    turn = task.players()[0].module
    apart = dataclasses.replace(
        lesson,
        view=dataclasses.replace(lesson.view, picture=lesson.view.picture.repeat_interleave(4, 0)),
    )
    torch.testing.assert_close(turn((lesson,))["loss"], turn((apart,))["loss"])


@pytest.mark.parametrize("arch", ["encdec_share", "encdec", "enc"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_equal_finite_differences(colours: Store, objective: Objective, arch: str) -> None:
    shape = {"arch": arch, "width": 8, "feed_forward": 12, "heads": 2}
    task = make_task(colours, shape=shape, **ALL)
    model = task.model.double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    lesson = lesson_of(task, objective)
    if lesson.view is not None:
        lesson = dataclasses.replace(
            lesson, view=dataclasses.replace(lesson.view, picture=lesson.view.picture.double())
        )
    turn = GenerativeTurn(model, ALL, label_smoothing=0.1)
    view = lesson.view
    target = None if view is None else model.embed_picture(view.picture).detach()

    def loss() -> torch.Tensor:
        if objective == "tifg":  # what regions are compared with is no function of the weights
            assert view is not None and target is not None
            return F.mse_loss(turn.generated(lesson, model.embed_picture(view.picture)), target)
        return turn((lesson,))["loss"]

    turn((lesson,))["loss"].backward()
    generator, step, reached = torch.Generator().manual_seed(1), 1e-5, 0
    for name, weight in model.named_parameters():
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if name.endswith(("word.weight", "position.weight")):
            direction[0] = 0  # a look-up of padding, or of position 0, teaches nothing
        slope = 0.0 if weight.grad is None else float((weight.grad * direction).sum())
        with torch.no_grad():
            weight += step * direction
            above = float(loss())
            weight -= 2 * step * direction
            below = float(loss())
            weight += step * direction
        assert slope == pytest.approx((above - below) / (2 * step), abs=1e-7, rel=1e-5), name
        reached += abs(slope) > 1e-6
    assert reached > 15


def test_regions_that_are_generated_do_not_teach_what_they_are_compared_with(colours: Store) -> None:
    task = make_task(colours, shape={"paint_input": "query"})
    task.players()[0].module((lesson_of(task, "tifg"),))["loss"].backward()
    assert all(weight.grad is None for weight in task.model.refiner.parameters())


def test_losses_are_weighted_and_told(colours: Store) -> None:
    task = make_task(colours, combine="sum", captioning=1.0, imlm=0.3, ida=0.3, tifg=0.3)
    told = task.players()[0].module(task.batch(0, 4))
    parts = told["captioning"] + 0.3 * (told["imlm"] + told["ida"] + told["tifg"])
    torch.testing.assert_close(told["loss"], parts)
    assert 0 <= float(told["captioning_right"]) <= 1


def test_a_short_training_writes_the_colours_that_pictures_have(colours: Store) -> None:
    task = make_task(colours, shape={"norm": "before"}, imlm=0.0, ida=0.0, tifg=0.0)
    turn, optimizer = task.players()[0].module, torch.optim.AdamW(task.model.parameters(), lr=3e-3)
    for step in range(160):
        optimizer.zero_grad()
        turn(task.batch(step, 16))["loss"].backward()
        optimizer.step()
    model = task.model.eval()
    tokenizer = colours.tokenizer
    ids = WordIds(tokenizer.start, tokenizer.end, tokenizer.mask, tokenizer.pad, (tokenizer.unknown,))
    with torch.no_grad():
        memory = model.encode(model.embed_picture(colours.rows("features", range(4))))
        found = Greedy().write(CachedWriter(model, memory), 4, [], ids, 20, [0] * 4)
    texts = [tokenizer.decode(row[0].words) for row in found]
    assert Counter(texts) == Counter(f"a {colour} car on the beach" for colour in ("red", "green", "blue", "black"))


def test_pictures_of_boxes_are_learned_from_and_described(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.random((5, 36, 2)) * 0.5
    boxes = np.concatenate([corners, corners + 0.1 + 0.4 * rng.random((5, 36, 2))], 2).astype(np.float32)
    visual = {"features": rng.standard_normal((5, 36, 32)).astype(np.float16), "boxes": boxes}
    sentences = [
        Sentence(f"a {colour} car", picture) for picture, colour in enumerate(("red", "green", "blue", "red", "red"))
    ]
    tokenizer = Tokenizer.train([each.text for each in sentences], 100, least=1)
    names = [str(place) for place in range(5)]
    store = write_store(tmp_path / "store", visual, names, sentences, tokenizer, AnswerTable(()), "none", 0)
    task = make_task(store, combine="sum")
    told = task.players()[0].module(task.batch(0, 4))
    assert set(told) > {"captioning", "imlm", "ida", "tifg"} and bool(told["loss"].isfinite())
    describer = Describer(Captioner(task.model, tokenizer), "cpu")
    seen, where = store.rows("features", range(5)), store.rows("boxes", range(5))
    together = describer.write(seen, boxes=where)
    assert [describer.write(seen[i : i + 1], boxes=where[i : i + 1])[0] for i in range(5)] == together
    with pytest.raises(XlxmertError, match="4 cells, a grid of 2 x 2"):
        describer.write(seen)
    learned = make_task(store, shape={"grid_position": "learned"})
    with pytest.raises(XlxmertError, match=r"must have 4 visual tokens \(found 36\).*grid_position='box'"):
        learned.players()[0].module(learned.batch(0, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"captioning": 0.0, "imlm": 0.0, "ida": 0.0, "tifg": 0.0}, "not all 0"),
        ({"ida": -1.0}, "0 or more"),
        ({"fragment": 0.0}, r"fragment must be in \(0, 1\]"),
        ({"span_mean": 0.0}, "span_mean must be above 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"together": 0}, "together must be at least 1"),
    ],
)
def test_configs_check_themselves(settings: dict[str, float], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        GenerativeConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"feature_width": 30}, "30 features, 4 cells.*found .*32 features"),
        ({"vocabulary": 99}, "99 words"),
        ({"max_text": 6}, "at most 6 tokens, found one of"),
        ({"grid": 3}, "9 cells"),
    ],
)
def test_stores_that_do_not_fit_are_refused(colours: Store, shape: dict[str, object], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        make_task(colours, shape=shape)


def test_stores_without_the_wanted_sentences_are_refused(colours: Store) -> None:
    with pytest.raises(XlxmertError, match=r"sentences of the kinds region.*found none"):
        make_task(colours, kinds=("region",))
