"""Statements about two pictures: what a batch holds and what is learned."""

import dataclasses

import numpy as np
import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.data.store import Store
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.tasks.nlvr2 import Nlvr2Config, Nlvr2Task
from xlxmert.testing.parts import assert_parts_add_up

COLOURS = ("red", "green", "blue", "black")


def make_model(store: Store, **changes: object) -> Lxmert:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "codes": 8, "grid": 2, "answers": 0, "pairs": True}
    choices = {"mask_start": "normal", "norm": "before", "dropout": 0.0, "attention_dropout": 0.0}
    model = Lxmert(dataclasses.replace(TINY, **(sizes | choices | changes)))  # type: ignore[arg-type]
    for weight in model.parameters():  # lively, so that words and pictures soon tell
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    model.load_centroids(torch.eye(32)[:8] * 3)
    return model


def test_parts_add_up(colours: Store) -> None:
    assert_parts_add_up(Nlvr2Task(make_model(colours), colours, Nlvr2Config(), 3), 1, 7, 3)


def test_a_batch_is_a_pure_function_of_seed_and_step(colours: Store) -> None:
    one, two = (Nlvr2Task(make_model(colours), colours, Nlvr2Config(), 3) for _ in range(2))
    for step in (4, 0):
        a, b = one.batch(step, 7), two.batch(step, 7)
        assert torch.equal(a.words, b.words) and torch.equal(a.truth, b.truth)
        assert torch.equal(a.left.picture, b.left.picture) and torch.equal(a.right.picture, b.right.picture)


def test_an_epoch_shows_every_statement_once_with_its_own_two_pictures(colours: Store) -> None:
    task = Nlvr2Task(make_model(colours), colours, Nlvr2Config(), 3)
    batches = [task.batch(step, 8) for step in range(3)]
    truth = torch.cat([batch.truth for batch in batches])
    left = torch.cat([batch.left.picture[:, 0] for batch in batches])
    right = torch.cat([batch.right.picture[:, 0] for batch in batches])
    assert len(truth) == len(task.statements) == 24 and int(truth.sum()) == 12
    told = [colours.tokenizer.decode(words).split()[-1] for batch in batches for words in batch.words]
    assert [COLOURS[place] == name for place, name in zip(left.tolist(), told, strict=True)] == truth.bool().tolist()
    assert torch.equal(right, (left + 1) % 4) and np.bincount(left).tolist() == [6] * 4


def test_left_and_right_are_not_mixed_up(colours: Store) -> None:
    """Each half of the one pass over both sides belongs to its side."""
    task = Nlvr2Task(make_model(colours), colours, Nlvr2Config(), 3)
    model, batch, turn = task.modules()["model"], task.batch(0, 4), task.players()[0].module
    assert isinstance(model, Lxmert)
    left, right = (model(batch.words, side.picture).pooled for side in (batch.left, batch.right))
    expected = torch.nn.functional.cross_entropy(model.pair_logits(left, right), batch.truth)
    torch.testing.assert_close(turn(batch)["loss"], expected)


def test_statements_about_one_side_are_learned(colours: Store) -> None:
    task = Nlvr2Task(make_model(colours), colours, Nlvr2Config(), 3)
    player, right = task.players()[0], []
    optim = torch.optim.AdamW(player.trains.parameters(), lr=2e-3)
    for step in range(120):
        losses = player.module(task.batch(step, 12))
        losses["loss"].backward()
        optim.step()
        optim.zero_grad()
        right.append(float(losses["right"]))
        if np.mean(right[-10:]) > 0.95 and len(right) > 10:
            break
    assert np.mean(right[-10:]) > 0.95


def test_a_store_without_statements_and_a_model_without_the_head_are_refused(colours: Store) -> None:
    with pytest.raises(XlxmertError, match="found pairs=False"):
        Nlvr2Task(make_model(colours, pairs=False), colours, Nlvr2Config())
    kinds = np.zeros_like(colours.arrays["kind"])
    captions = dataclasses.replace(colours, arrays={**colours.arrays, "kind": kinds})
    with pytest.raises(XlxmertError, match=r"found none: prepare it with --nlvr2"):
        Nlvr2Task(make_model(colours), captions, Nlvr2Config())
