"""Answering: what a batch holds, what the losses are, which rows of the head are carried over, what is learned."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xlxmert.core.errors import XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Store
from xlxmert.models.butd import TINY as BUTD
from xlxmert.models.butd import Butd
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.nn.heads import AnswerHead
from xlxmert.tasks.answering import AnsweringConfig, AnsweringTask, binary_loss, carry_answers
from xlxmert.testing.parts import assert_parts_add_up


def make_model(store: Store, **changes: object) -> Lxmert:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "codes": 8, "grid": 2, "answers": len(store.answers)}
    choices = {"mask_start": "normal", "norm": "before", "dropout": 0.0, "attention_dropout": 0.0}
    model = Lxmert(dataclasses.replace(TINY, **(sizes | choices | changes)))  # type: ignore[arg-type]
    model.load_centroids(torch.eye(32)[:8])
    return model


def make_task(store: Store, seed: int = 3, **settings: object) -> AnsweringTask:
    return AnsweringTask(make_model(store), store, AnsweringConfig(**settings), seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", ["binary", "softmax"])
def test_parts_add_up(colours: Store, loss: str) -> None:
    assert_parts_add_up(make_task(colours, loss=loss), 1, 7, 3)


def test_a_batch_is_a_pure_function_of_seed_and_step(colours: Store) -> None:
    task, again, other = make_task(colours), make_task(colours), make_task(colours, seed=4)
    batches = [task.batch(step, 5) for step in range(9)]
    for step in (8, 0, 5):
        one, two = batches[step], again.batch(step, 5)
        assert torch.equal(one.words, two.words) and torch.equal(one.view.picture, two.view.picture)
        assert torch.equal(one.answers, two.answers)
    assert any(not torch.equal(other.batch(s, 5).answers, batch.answers) for s, batch in enumerate(batches))


def test_an_epoch_shows_every_question_with_a_known_answer_once(colours: Store) -> None:
    task = make_task(colours)
    assert len(task.questions) == 12 < len(colours.of_kind("question"))  # nobody knows the answer maybe
    answers = torch.cat([task.batch(step, 4).answers for step in range(3)])
    assert answers.sum(0).tolist() == [3.0] * 4
    seen = [tuple(task.batch(step, 12).view.picture[:, 0].tolist()) for step in range(4)]
    assert len(set(seen)) > 1, "every epoch has the same order"


def test_a_question_stands_beside_its_own_picture(colours: Store) -> None:
    batch = make_task(colours).batch(0, 12)
    assert torch.equal(batch.view.picture[:, 0], batch.answers.argmax(1)) and batch.view.boxes is None


def test_the_binary_loss_is_summed_over_answers_and_averaged_over_questions() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0]])
    targets = torch.tensor([[0.3, 0.0, 1.0], [1.0, 0.6, 0.0]])
    loss, right = binary_loss(logits, targets)
    chances = logits.sigmoid()
    by_hand = -(targets * chances.log() + (1 - targets) * (1 - chances).log()).sum() / 2
    assert torch.isclose(loss, by_hand) and float(right) == pytest.approx((0.3 + 0.6) / 2)
    assert torch.isclose(loss, F.binary_cross_entropy_with_logits(logits, targets) * 3)


@pytest.mark.parametrize("loss", ["binary", "softmax"])
def test_the_colours_are_learned(colours: Store, loss: str) -> None:
    task = make_task(colours, loss=loss)
    assert trained(task, 40)["right"] == 1.0


@pytest.mark.parametrize("visual_input", ["codes", "features"])
def test_the_attention_baseline_learns_them_too(colours: Store, visual_input: str) -> None:
    torch.manual_seed(0)
    sizes = {"vocabulary": colours.tokenizer.size, "codes": 8, "grid": 2, "answers": 4, "feature_width": 32}
    model = Butd(dataclasses.replace(BUTD, **sizes))  # type: ignore[arg-type]
    model.load_centroids(torch.eye(32)[:8])
    task = AnsweringTask(model, colours, AnsweringConfig(visual_input=visual_input), 3)  # type: ignore[arg-type]
    assert trained(task, 60)["right"] > 0.9


def trained(task: AnsweringTask, steps: int) -> dict[str, float]:
    """The last step's scalars."""
    player = task.players()[0]
    optim = torch.optim.AdamW(player.trains.parameters(), lr=4e-3)
    for step in range(steps):
        losses = player.module(task.batch(step, 12))
        losses["loss"].backward()
        optim.step()
        optim.zero_grad()
    return {name: float(value.detach()) for name, value in losses.items()}


def test_exact_features_are_read_when_asked_for(colours: Store) -> None:
    task = make_task(colours, visual_input="features")
    batch = task.batch(0, 6)
    assert batch.view.picture.shape == (6, 4, 32) and batch.view.picture.dtype == torch.float32
    assert float(task.players()[0].module(batch)["loss"].detach()) > 0


def test_answer_rows_are_carried_over_by_name_and_no_others() -> None:
    torch.manual_seed(0)
    old, new = AnswerHead(6, 4), AnswerHead(6, 3)
    known, wanted = AnswerTable(["red", "two", "dog", "yes"]), AnswerTable(["dog", "umbrella", "red"])
    assert carry_answers(old, known, new, wanted) == 2
    x = torch.randn(5, 6)
    before, after = old(x), new(x)
    torch.testing.assert_close(after[:, [0, 2]], before[:, [2, 0]])
    assert torch.equal(new.linear.weight[[0, 2]], old.linear.weight[[2, 0]])
    assert not bool(after[:, 1].any())


def test_a_store_that_does_not_fit_is_refused(colours: Store) -> None:
    with pytest.raises(XlxmertError, match=r"expected a model for the 4 answers of .*, found one for 5"):
        AnsweringTask(make_model(colours, answers=5), colours, AnsweringConfig())
    with pytest.raises(XlxmertError, match=r"expected a store of 200 words, .* prepare it with the model's codebook"):
        AnsweringTask(make_model(colours, vocabulary=200), colours, AnsweringConfig())
    with pytest.raises(XlxmertError, match=r"16 cells, .* found .* 4 cells"):
        AnsweringTask(make_model(colours, grid=4), colours, AnsweringConfig())
    with pytest.raises(XlxmertError, match="at most 5 tokens, found one of 10"):
        AnsweringTask(make_model(colours, max_text=5), colours, AnsweringConfig())
    with pytest.raises(XlxmertError, match=r"64 features, .* found .* 32 features"):
        config = AnsweringConfig(visual_input="features")
        model = Lxmert(dataclasses.replace(make_model(colours).config, feature_width=64))
        AnsweringTask(model, colours, config)


def test_answers_outside_the_table_leave_nothing_to_learn(colours: Store) -> None:
    offsets = np.zeros_like(colours.arrays["answer_offsets"])
    empty = dataclasses.replace(colours, arrays={**colours.arrays, "answer_offsets": offsets})
    with pytest.raises(XlxmertError, match=r"found none among 13 questions: .*--answers"):
        make_task(empty)
