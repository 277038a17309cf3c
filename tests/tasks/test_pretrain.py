"""Pre-training: what is drawn, what is masked, what is learned."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import Part
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.tasks.losses import answer_loss, code_loss, code_weights
from xlxmert.tasks.pretrain import PretrainConfig, PretrainTask
from xlxmert.testing.parts import assert_parts_add_up

COLOURS = ("red", "green", "blue", "black")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twelve pictures of one colour each: caption, question and codes all tell it."""
    sentences = []
    for picture in range(12):
        colour = COLOURS[picture % 4]
        sentences.append(Sentence(f"a {colour} car on the beach", picture))
        sentences.append(Sentence("what color is the car ?", picture, "question", {colour: 1.0}))
    tokenizer = Tokenizer.train([s.text for s in sentences], 100)
    codes = np.repeat(np.arange(12, dtype=np.uint16)[:, None] % 4, 64, axis=1)
    folder: Path = tmp_path_factory.mktemp("pretrain") / "store"
    return write_store(
        folder, codes, [str(i) for i in range(12)], sentences, tokenizer, AnswerTable(COLOURS), "cafe", 8
    )


def make_model(store: Store) -> Lxmert:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "codes": 8, "answers": 4}
    choices = {"code_head": "learned", "code_input": "both", "mask_start": "normal", "grid_position": "learned"}
    return Lxmert(dataclasses.replace(TINY, **sizes, **choices, norm="before", dropout=0.0, attention_dropout=0.0))


def make_task(store: Store, **settings: object) -> PretrainTask:
    return PretrainTask(make_model(store), store, PretrainConfig(**settings), seed=3)  # type: ignore[arg-type]


def test_a_batch_is_a_pure_function_of_seed_and_step(store: Store) -> None:
    one, two = make_task(store).batch(5, 8), make_task(store).batch(5, 8)
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(two, field.name)
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def test_parts_of_every_objective_add_up(store: Store) -> None:
    asked = set()
    for step in range(8):
        settings = {"policy": "all"} if step > 5 else {"most_cells": 40, "rare_first": 0.5, "code_balance": 0.5}
        task = make_task(store, caption_dropout=0.2, word_mask="uniform", **settings)
        asked |= task.players()[0].module(task.batch(step, 9)).keys()
        assert_parts_add_up(task, step, 9, 4)
    assert {"codes", "words", "match", "answers"} <= asked
    many = [make_task(store).batch(3, 8, Part(index, 8)) for index in range(8)]
    assert len({batch.whole for batch in many}) == 1 and all(len(batch.words) == 1 for batch in many)


def test_modalities_come_as_often_as_asked(store: Store) -> None:
    task = make_task(store, modalities=(2.0, 1.0, 1.0))
    batches = [task.batch(step, 2) for step in range(800)]
    hidden = np.mean([bool(b.hidden.any()) for b in batches])
    words = np.mean([bool((b.word_labels >= 0).any()) for b in batches])
    assert abs(hidden - 0.5) < 0.06 and abs(words - 0.25) < 0.05
    assert all(
        bool(b.hidden.any()) + bool((b.word_labels >= 0).any()) + bool((b.matched >= 0).any()) == 1 for b in batches
    )


def test_codes_are_predicted_from_captions_only(store: Store) -> None:
    task = make_task(store, modalities=(1.0, 0.0, 0.0))
    texts = {store.tokenizer.decode(row) for step in range(30) for row in task.batch(step, 4).words}
    assert texts == {f"a {colour} car on the beach" for colour in COLOURS}


def test_a_sentence_keeps_its_own_picture_unless_it_is_marked_mismatched(store: Store) -> None:
    task = make_task(store, modalities=(0.0, 0.0, 1.0), questions=0.0)
    for step in range(30):
        batch = task.batch(step, 8)
        for words, codes, matched in zip(batch.words, batch.codes, batch.matched, strict=True):
            told = store.tokenizer.decode(words).split()[1]
            if matched == 1:
                assert COLOURS[int(codes[0])] == told
    other = make_task(store, modalities=(1.0, 0.0, 0.0)).batch(0, 8)
    told = [store.tokenizer.decode(words).split()[1] for words in other.words]
    assert told == [COLOURS[int(codes[0])] for codes in other.codes]


def test_questions_of_mismatched_pictures_are_not_learned(store: Store) -> None:
    task = make_task(store, modalities=(0.0, 0.0, 1.0), mismatched=1.0, questions=1.0)
    losses = task.players()[0].module(task.batch(0, 8))
    assert "match" in losses and "answers" not in losses


def test_every_objective_is_learned_in_a_few_steps(store: Store) -> None:
    task = make_task(store)
    module, first, last = task.players()[0].module, {}, {}
    optim = torch.optim.AdamW(task.model.parameters(), lr=4e-3)
    for step in range(200):
        losses = module(task.batch(step, 16))
        losses["loss"].backward()
        optim.step()
        optim.zero_grad()
        values = {name: float(value.detach()) for name, value in losses.items()}
        first = {**values, **first}
        last.update(values)
    assert last["codes"] < 0.4 < first["codes"] and last["words"] < first["words"] / 2
    assert last["answers"] < 0.5 * first["answers"]


def test_the_answer_loss_is_the_expectation_of_drawing_one_answer() -> None:
    logits, targets = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([[1.0, 0.5, 0.0]])
    loss, accuracy = answer_loss(logits, targets)
    log = logits.log_softmax(-1)[0]
    assert torch.isclose(loss, -(2 / 3 * log[0] + 1 / 3 * log[1])) and float(accuracy) == 1.0


def test_a_model_of_other_sizes_is_refused(store: Store) -> None:
    with pytest.raises(XlxmertError, match="expected a model for"):
        PretrainTask(Lxmert(TINY), store, PretrainConfig())
    with pytest.raises(XlxmertError, match="between 0 and 1"):
        PretrainConfig(word_rate=1.5)


def test_questions_keep_their_pictures_where_matching_is_of_captions_only(store: Store) -> None:
    task = make_task(store, modalities=(0.0, 0.0, 1.0), mismatched=1.0, questions=0.5, match_kinds=("caption",))
    batch = task.batch(0, 32)
    asked = batch.answers.sum(1) > 0
    assert bool((batch.matched[asked] == -1).all()) and bool((batch.matched[~asked] == 0).all())
    assert {"match", "answers"} <= task.players()[0].module(batch).keys()


def test_words_are_predicted_in_sentences_of_the_asked_kinds_only(store: Store) -> None:
    def openings(**settings: object) -> set[str]:
        task = make_task(store, modalities=(0.0, 1.0, 0.0), **settings)
        batches = [task.batch(step, 16) for step in range(20)]
        first = [torch.where(b.word_labels >= 0, b.word_labels, b.words)[:, 1] for b in batches]
        return {store.tokenizer.decode([word]) for word in torch.cat(first).tolist()}

    assert openings(word_kinds=("caption",)) == {"a"} and openings() == {"a", "what"}
    with pytest.raises(XlxmertError, match="word_kinds region"):
        make_task(store, word_kinds=("region",))


def test_blocks_of_cells_are_hidden_when_asked(store: Store) -> None:
    batch = make_task(store, modalities=(1.0, 0.0, 0.0), visual_mask="blocks").batch(0, 64)
    quads = batch.hidden.view(64, 4, 2, 4, 2).transpose(2, 3).flatten(3).float().mean(-1)  # (B, 4, 4)
    whole = ((quads == 0) | (quads == 1)).flatten(1).all(1)
    assert 0.5 < float(whole.float().mean()) < 0.85


def test_weighted_codes_are_learned_with_the_chances_of_the_data() -> None:
    codes = np.array([[0] * 80 + [1] * 15 + [2] * 5])
    weights = code_weights(torch.bincount(torch.from_numpy(codes[0])).float(), 0.5)
    assert bool((weights.diff() > 0).all()) and torch.isclose(weights[codes].mean(), torch.tensor(1.0))
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100)
    targets = torch.from_numpy(codes[0])

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value, _ = code_loss(logits.expand(100, 3), targets, weights[targets], weights.log())
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(logits.detach().softmax(0), torch.tensor([0.8, 0.15, 0.05]), atol=1e-3, rtol=0)
    assert torch.equal(code_weights(torch.tensor([80.0, 15.0, 5.0]), 0.0), torch.ones(3))


def test_all_hidden_cells_are_asked_unless_fewer_are_wanted(store: Store) -> None:
    every = make_task(store, modalities=(1.0, 0.0, 0.0), code_balance=0.5)
    few = make_task(store, modalities=(1.0, 0.0, 0.0), code_balance=0.5, most_cells=40)
    kept, sums = [], []
    for step in range(60):
        one, two = every.batch(step, 16), few.batch(step, 16)
        assert torch.equal(one.code_weights > 0, one.hidden) and torch.equal(one.hidden, two.hidden)
        assert not bool((two.code_weights > 0)[~two.hidden].any())
        assert torch.allclose(one.code_weights[one.hidden], code_weights_of(every, one.codes[one.hidden]))
        kept.append(int((two.code_weights > 0).sum()))
        sums.append(float(two.code_weights.sum() / one.code_weights.sum()))
    assert abs(np.mean(kept) - 40) < 3 and abs(np.mean(sums) - 1) < 0.05
    assert not bool(make_task(store, modalities=(0.0, 1.0, 0.0)).batch(0, 8).code_weights.any())


def code_weights_of(task: PretrainTask, codes: torch.Tensor) -> torch.Tensor:
    counts = torch.bincount(torch.from_numpy(task.store.codes.astype(np.int64)).flatten(), minlength=8)
    return code_weights(counts.float(), task.config.code_balance)[codes]


def test_blank_captions_come_as_often_as_asked_and_hide_nothing_else(store: Store) -> None:
    plain = make_task(store, modalities=(1.0, 0.0, 0.0))
    dropped = make_task(store, modalities=(1.0, 0.0, 0.0), caption_dropout=0.25)
    blank = 0
    for step in range(60):
        one, two = plain.batch(step, 16), dropped.batch(step, 16)
        assert torch.equal(one.codes, two.codes) and torch.equal(one.hidden, two.hidden)
        short = (two.words > 0).sum(1) == 2
        blank += int(short.sum())
        assert torch.equal(one.words[~short], two.words[~short])
    assert abs(blank / 960 - 0.25) < 0.05


def test_the_cells_of_rare_codes_are_hidden_first_when_asked(store: Store) -> None:
    codes = store.codes.copy()
    codes[:, 10] = 7
    folder = store.folder.parent / "rare"
    sentences = [Sentence("a red car", place) for place in range(12)]
    names = [str(i) for i in range(12)]
    rare = write_store(folder, codes, names, sentences, store.tokenizer, store.answers, "cafe", 8)
    for share, low, high in ((0.0, 0.4, 0.65), (1.0, 0.9, 1.0)):
        task = make_task(rare, modalities=(1.0, 0.0, 0.0), rare_first=share)
        hidden = torch.cat([task.batch(step, 32).hidden for step in range(20)])
        assert low <= float(hidden[:, 10].float().mean()) <= high


@pytest.fixture(scope="module")
def seen(store: Store) -> Store:
    """The same pictures with a feature, a label and an attribute of each cell that tell the colour too."""
    codes = np.array(store.codes)
    features = np.eye(8, 32, dtype=np.float16)[codes] * 4
    sentences = [Sentence(f"a {COLOURS[i % 4]} car on the beach", i) for i in range(12)]
    sentences += [Sentence("what color is the car ?", i, "question", {COLOURS[i % 4]: 1.0}) for i in range(12)]
    visual = {"codes": codes, "features": features, "labels": codes, "attributes": codes % 2}
    facts = {"labels": 4, "attributes": 2}
    folder = store.folder.parent / "seen"
    names = [str(i) for i in range(12)]
    return write_store(folder, visual, names, sentences, store.tokenizer, store.answers, "cafe", 8, facts)


def lxmert_task(seen: Store, **settings: object) -> PretrainTask:
    """LXMERT's objectives: features read, features, labels and attributes predicted, everything at once."""
    torch.manual_seed(0)
    sizes = {"vocabulary": seen.tokenizer.size, "codes": 0, "answers": 4, "labels": 4, "attributes": 2}
    model = Lxmert(dataclasses.replace(TINY, **sizes, regress=True, mask_start="fixed", norm="before", dropout=0.0))  # type: ignore[arg-type]
    wanted = {
        "policy": "all",
        "targets": ("features", "labels", "attributes"),
        "visual_input": "features",
        "visual_mask": "bernoulli",
        "code_kinds": ("caption", "question", "region"),
        **settings,
    }
    return PretrainTask(model, seen, PretrainConfig(**wanted), seed=3)  # type: ignore[arg-type]


def test_lxmert_masks_and_asks_everything_at_once_but_only_of_own_pictures(seen: Store) -> None:
    task = lxmert_task(seen)
    batch = task.batch(0, 64)
    own, asked = batch.matched == 1, batch.answers.sum(1) > 0
    assert 0.1 < float(batch.hidden.float().mean()) < 0.2
    assert torch.equal(batch.asked, batch.hidden & own[:, None])
    assert bool((batch.word_labels[own] >= 0).any(1).all()) and not bool((batch.word_labels[~own] >= 0).any())
    assert 0.3 < float(own.float().mean()) < 0.7 and bool(asked.any())
    losses = task.players()[0].module(batch)
    assert {"features", "labels", "attributes", "words", "match", "answers"} <= losses.keys()
    terms = [losses[name] for name in ("features", "labels", "attributes", "words", "match", "answers")]
    torch.testing.assert_close(losses["loss"], torch.stack(terms).sum())


def test_questions_are_answered_from_the_asked_step_on(seen: Store) -> None:
    task = lxmert_task(seen, answers_from=5, questions=1.0)
    asked = [bool((task.batch(step, 8).answers > 0).any()) for step in range(8)]
    assert asked == [False] * 5 + [True] * 3


def test_lxmert_learns_all_its_objectives(seen: Store) -> None:
    task = lxmert_task(seen)
    module, found = task.players()[0].module, []
    optim = torch.optim.AdamW(task.model.parameters(), lr=4e-3)
    for step in range(120):
        losses = module(task.batch(step, 32))
        losses["loss"].backward()
        optim.step()
        optim.zero_grad()
        found.append({name: float(value.detach()) for name, value in losses.items()})
    first, last = found[0], found[-1]
    for name in ("features", "labels", "attributes", "words", "answers"):
        assert last[name] < 0.6 * first[name], name
    assert last["labels_right"] > 0.9 and last["features_right"] > 0.9


def test_without_vision_targets_nothing_is_hidden(seen: Store) -> None:
    task = lxmert_task(seen, targets=())
    batch = task.batch(0, 16)
    assert not bool(batch.hidden.any()) and not {"features", "labels"} & task.players()[0].module(batch).keys()


def test_one_modality_at_a_time_works_on_features_too(seen: Store) -> None:
    task = lxmert_task(seen, policy="one", targets=("features",), visual_mask="uniform", modalities=(1.0, 0.0, 0.0))
    batch = task.batch(0, 16)
    assert torch.equal(batch.asked, batch.hidden) and bool(batch.hidden.any(1).all())
    assert {"features"} == task.players()[0].module(batch).keys() - {"loss", "features_right"}


def test_regions_with_boxes_are_read_where_they_are(store: Store) -> None:
    rng = np.random.default_rng(0)
    visual = {
        "features": rng.standard_normal((12, 36, 32)).astype(np.float16),
        "boxes": np.sort(rng.random((12, 36, 2, 2)), 2).reshape(12, 36, 4).astype(np.float32),
        "labels": rng.integers(0, 4, (12, 36)),
        "attributes": rng.integers(0, 2, (12, 36)),
    }
    sentences = [Sentence(f"a {COLOURS[i % 4]} car on the beach", i) for i in range(12)]
    folder, names, facts = store.folder.parent / "boxes", [str(i) for i in range(12)], {"labels": 4, "attributes": 2}
    boxed = write_store(folder, visual, names, sentences, store.tokenizer, store.answers, "none", 0, facts)
    task = lxmert_task(boxed)
    batch = task.batch(0, 8)
    assert batch.codes is None and batch.boxes is not None and batch.boxes.shape == (8, 36, 4)
    assert {"features", "labels", "words", "match"} <= task.players()[0].module(batch).keys()


def test_a_store_without_what_the_objectives_need_is_refused(store: Store, seen: Store) -> None:
    with pytest.raises(XlxmertError, match=r"pictures' features in .*found only codes.*--features"):
        lxmert_task(store)
    with pytest.raises(XlxmertError, match="set the first of modalities to 0"):
        PretrainConfig(targets=())
    with pytest.raises(XlxmertError, match="answers_from must be at least 0"):
        PretrainConfig(answers_from=-1)
