"""Retrieval: what captions are told from, which of them are hard, and what is learned."""

import dataclasses

import numpy as np
import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import Part
from xlxmert.data.store import Store
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.tasks.retrieval import RetrievalConfig, RetrievalTask, RetrievalTurn
from xlxmert.testing.parts import assert_parts_add_up

COLOURS = ("red", "green", "blue", "black")


def make_task(store: Store, seed: int = 3, dropout: float = 0.1, **settings: object) -> RetrievalTask:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "codes": 8, "grid": 2, "answers": 0}
    choices = {"mask_start": "normal", "norm": "before", "dropout": dropout, "attention_dropout": 0.0}
    model = Lxmert(dataclasses.replace(TINY, **sizes, **choices))  # type: ignore[arg-type]
    for weight in model.parameters():  # lively, so that words and pictures soon tell
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    model.load_centroids(torch.eye(32)[:8] * 3)
    return RetrievalTask(model, store, RetrievalConfig(**settings), seed)  # type: ignore[arg-type]


def told(task: RetrievalTask, words: torch.Tensor) -> list[str]:
    return [task.store.tokenizer.decode(row).split()[1] for row in words]


@pytest.mark.parametrize("hard", ["none", "pool", "batch"])
def test_a_batch_is_a_pure_function_of_seed_and_step(colours: Store, hard: str) -> None:
    one, two = make_task(colours, hard=hard), make_task(colours, hard=hard)
    for step in (3, 0):
        a, b = one.batch(step, 6), two.batch(step, 6)
        assert torch.equal(a.words, b.words) and torch.equal(a.view.picture, b.view.picture)
        assert torch.equal(a.others, b.others) and torch.equal(a.allowed, b.allowed)
    assert not torch.equal(one.batch(0, 6).words, make_task(colours, seed=4, hard=hard).batch(0, 6).words)


@pytest.mark.parametrize("hard", ["none", "pool", "batch"])
def test_parts_add_up_and_look_for_rivals_in_the_whole_batch(colours: Store, hard: str) -> None:
    task = make_task(colours, hard=hard, negatives=2)
    assert_parts_add_up(task, 0, 7, 3)
    if hard == "batch":
        assert len(task.batch(0, 7, Part(1, 3)).view.picture) == 7


@pytest.mark.parametrize(("settings", "count"), [({"negatives": 3}, 3), ({"hard": "pool", "pool": 5}, 5)])
def test_captions_stand_beside_their_picture_and_beside_others(
    colours: Store, settings: dict[str, object], count: int
) -> None:
    task = make_task(colours, **settings)
    pictures = task.store.arrays["picture"]
    captions = {tuple(colours.words(int(i)).tolist()): int(pictures[i]) for i in task.captions[:4]}
    for step in range(5):
        batch = task.batch(step, 8)
        seen, words = batch.view.picture[:, 0], told(task, batch.words)
        for caption, picture in batch.own.tolist():
            assert words[caption] == COLOURS[int(seen[picture])]
        assert batch.others.shape == (16, count, 2) and bool(batch.allowed.all())
        for place, its in enumerate(batch.others.tolist()):
            for caption, picture in its:  # first captions look for pictures, then pictures for captions
                assert (caption, picture >= 8) == (place, True) if place < 8 else (caption >= 8, picture) == (
                    True, place - 8,
                )  # fmt: skip
    assert len(captions) == 4


def test_others_are_never_of_the_same_picture(colours: Store) -> None:
    """With two pictures only, the other one is always the other one."""
    kept = colours.of_kind("caption")[:2]
    kinds = np.ones_like(colours.arrays["kind"])
    kinds[kept] = 0
    two = dataclasses.replace(colours, arrays={**colours.arrays, "kind": kinds})
    task = make_task(two, negatives=2)
    for step in range(10):
        batch = task.batch(step, 2)
        words, seen = told(task, batch.words), batch.view.picture[:, 0]
        assert all(words[c] != COLOURS[int(seen[p])] for c, p in batch.others.flatten(0, 1).tolist())


def test_within_a_batch_the_captions_of_one_picture_are_no_others(colours: Store) -> None:
    task = make_task(colours, hard="batch")
    batch = task.batch(0, 16)  # more than an epoch: some captions come twice
    seen = batch.view.picture
    assert batch.others.shape == (32, 16, 2) and len(seen) == 16
    rows = task.captions[task._order.take(0, 16)]
    own = colours.arrays["picture"][rows]
    for pairs, allowed in zip(batch.others.tolist(), batch.allowed.tolist(), strict=True):
        assert [own[caption] != own[picture] for caption, picture in pairs] == allowed


@pytest.mark.parametrize("settings", [{"hard": "pool", "pool": 6, "negatives": 2}, {"hard": "batch", "negatives": 2}])
def test_hard_negatives_are_those_that_the_model_scores_highest(colours: Store, settings: dict[str, object]) -> None:
    task = make_task(colours, **settings)
    turn = task.players()[0].module.train()
    assert isinstance(turn, RetrievalTurn)
    batch = task.batch(0, 6)
    chosen = turn.hardest(batch)
    assert turn.training and turn.model.training, "scoring must leave the mode as it was"
    model = turn.model.eval()
    expected = []
    for pairs, allowed in zip(batch.others.tolist(), batch.allowed.tolist(), strict=True):
        scores = {}
        for (caption, picture), good in zip(pairs, allowed, strict=True):
            words = batch.words[caption : caption + 1]
            logits = model.matching_logits(model(words, batch.view.picture[picture : picture + 1]).pooled)[0]
            if good:
                scores[caption, picture] = float((logits[1] - logits[0]).detach())
        expected.append(scores)
    found = iter(chosen.tolist())
    for scores in expected:
        best = sorted(scores.values(), reverse=True)[: min(2, len(scores))]
        got = [scores[tuple(next(found))] for _ in best]
        assert np.allclose(got, best, atol=1e-4)
    assert next(found, None) is None


def test_true_pairs_weigh_as_much_as_all_others(colours: Store) -> None:
    task = make_task(colours, negatives=3)
    turn, batch = task.players()[0].module.eval(), task.batch(0, 4)
    assert isinstance(turn, RetrievalTurn)
    right, wrong = (turn._logits(batch, pairs) for pairs in (batch.own, batch.others.flatten(0, 1)))
    by_hand = -(right.log_softmax(-1)[:, 1].mean() + wrong.log_softmax(-1)[:, 0].mean()) / 2
    torch.testing.assert_close(turn(batch)["loss"], by_hand)


def test_the_colours_are_learned(colours: Store) -> None:
    task = make_task(colours, dropout=0.0)
    player, right = task.players()[0], []
    optim = torch.optim.AdamW(player.trains.parameters(), lr=2e-3)
    for step in range(100):
        losses = player.module(task.batch(step, 12))
        losses["loss"].backward()
        optim.step()
        optim.zero_grad()
        right.append(float(losses["right"]))
    assert np.mean(right[-20:]) > 0.8 > 0.6 > np.mean(right[:10])  # two other pictures of eleven have the same colour


def test_a_store_without_captions_of_two_pictures_is_refused(colours: Store) -> None:
    kinds = np.ones_like(colours.arrays["kind"])
    kinds[0] = 0
    with pytest.raises(XlxmertError, match="found captions of 1"):
        make_task(dataclasses.replace(colours, arrays={**colours.arrays, "kind": kinds}))
    with pytest.raises(XlxmertError, match="a pool at least as large, found 9 of 8"):
        RetrievalConfig(negatives=9, hard="pool")
