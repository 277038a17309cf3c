"""Self-critical training: rewards are CIDEr-D, what beats the baseline becomes likelier, and draws have their seeds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import Part
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.metrics.caption import cider, tokenize
from xlxmert.models.xgpt import TINY, Xgpt
from xlxmert.sampling import Greedy, Hypothesis
from xlxmert.sampling.words import WordIds
from xlxmert.tasks.generative import GenerativeConfig, GenerativeTask
from xlxmert.tasks.self_critical import References, SelfCriticalConfig, SelfCriticalTask, SelfCriticalTurn


def ids_of(store: Store) -> WordIds:
    tokenizer = store.tokenizer
    return WordIds(tokenizer.start, tokenizer.end, tokenizer.mask, tokenizer.pad, (tokenizer.unknown,))


def make_task(store: Store, seed: int = 3, shape: dict[str, object] | None = None, **settings: Any) -> SelfCriticalTask:
    torch.manual_seed(0)
    sizes = {"vocabulary": store.tokenizer.size, "grid": 2, "max_text": 12, "dropout": 0.0, "attention_dropout": 0.0}
    model = Xgpt(dataclasses.replace(TINY, **{**sizes, "norm": "before", **(shape or {})}))  # type: ignore[arg-type]
    return SelfCriticalTask(model, store, SelfCriticalConfig(**settings), ids_of(store), seed)


def turn_of(task: SelfCriticalTask) -> SelfCriticalTurn:
    turn = task.players()[0].module
    assert isinstance(turn, SelfCriticalTurn)
    return turn


def watch(turn: SelfCriticalTurn, monkeypatch: pytest.MonkeyPatch) -> list[list[Hypothesis]]:
    """The captions of every call that writes some, as they come."""
    written: list[list[Hypothesis]] = []
    write = turn._write
    monkeypatch.setattr(turn, "_write", lambda *given: written.append(write(*given)) or written[-1])
    return written


class Judge:
    """Marks that are given beforehand, a list for each call, the last one for all that follow."""

    def __init__(self, *marks: Sequence[float]) -> None:
        self.marks = list(marks)

    def rewards(self, pictures: Sequence[int], texts: Sequence[str]) -> torch.Tensor:
        marks = torch.tensor(self.marks.pop(0) if len(self.marks) > 1 else self.marks[0])
        assert len(marks) == len(pictures) == len(texts)
        return marks


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four pictures of which three have captions, one of them several."""
    texts = {0: ["A red car.", "a car, red as blood"], 1: ["a blue car on the beach"], 3: ["two dogs"]}
    sentences = [Sentence(text, picture) for picture, several in texts.items() for text in several]
    sentences.append(Sentence("is there a dog ?", 2, "question", {"yes": 1.0}))
    tokenizer = Tokenizer.train([sentence.text for sentence in sentences], 100, least=1)
    features = torch.randn(4, 4, 32).numpy()
    folder: Path = tmp_path_factory.mktemp("told") / "store"
    names = list("abcd")
    return write_store(folder, {"features": features}, names, sentences, tokenizer, AnswerTable(["yes"]), "none", 0)


def test_rewards_are_cider_d_with_the_rareness_of_the_whole_store(told: Store) -> None:
    references = References(told)
    assert references.pictures.tolist() == [0, 1, 3]
    known = [["a red car.", "a car, red as blood"], ["a blue car on the beach"], ["two dogs"]]
    drawn = ["a red car", "a car on the beach", "two dogs"]
    expected = cider([tokenize(text) for text in drawn], [[tokenize(text) for text in texts] for texts in known])
    assert references.rewards([0, 1, 3], drawn).tolist() == pytest.approx(expected)
    assert references.rewards([3], ["two dogs"]).tolist() == pytest.approx(expected[2:])  # alone it would score 0
    assert references.rewards([3, 3], ["Two dogs!", "a red car"]).tolist() == pytest.approx([expected[2], 0.0])
    assert expected[2] > 4


def test_a_batch_is_a_pure_function_of_seed_and_step(colours: Store) -> None:
    one, two, other = (make_task(colours, seed) for seed in (3, 3, 4))
    one.batch(9, 5)  # what was asked before does not matter
    for step in (0, 7):
        a, b, c = (task.batch(step, 5) for task in (one, two, other))
        assert torch.equal(a.pictures, b.pictures) and a.seeds == b.seeds and len(set(a.seeds)) == 5
        assert torch.equal(a.view.picture, b.view.picture)
        assert torch.equal(a.view.picture, colours.rows("features", a.pictures.numpy()))
        assert not torch.equal(a.pictures, c.pictures) and not set(a.seeds) & set(c.seeds)
    assert not set(one.batch(0, 5).seeds) & set(one.batch(1, 5).seeds)
    parts = [one.batch(7, 5, Part(index, 2)) for index in (0, 1)]
    assert sum((part.seeds for part in parts), ()) == one.batch(7, 5).seeds and [p.share for p in parts] == [0.4, 0.6]


def test_every_picture_with_captions_comes_once_an_epoch(colours: Store, told: Store) -> None:
    task = make_task(colours)
    for epoch in range(2):
        pictures = [place for step in range(3) for place in task.batch(3 * epoch + step, 4).pictures.tolist()]
        assert sorted(pictures) == list(range(12))
    assert sorted(make_task(told).batch(0, 3).pictures.tolist()) == [0, 1, 3]


def test_the_same_seed_gives_the_same_loss_and_another_one_another(colours: Store) -> None:
    losses = []
    for task in (make_task(colours), make_task(colours), make_task(colours, 4)):
        task.model.eval()
        losses.append({name: float(value.detach()) for name, value in turn_of(task)(task.batch(2, 6)).items()})
    assert losses[0] == losses[1] != losses[2] and losses[0].keys() == {"loss", "reward", "gain"}


@pytest.mark.parametrize("baseline", ["greedy", "others"])
def test_the_loss_is_the_drawn_captions_log_p_weighted_by_what_they_gain(
    colours: Store, baseline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rennie et al., equation 8: the gradient of -(r(drawn) - r(baseline)) log p(drawn), here per word."""
    task = make_task(colours, draws=3, baseline=baseline)
    turn, marks = turn_of(task), torch.arange(12.0).sin()
    written = watch(turn, monkeypatch)
    turn.references = Judge(marks.tolist(), [0.1, 0.2, 0.3, 0.4])  # type: ignore[assignment]
    found = turn(task.batch(0, 4))
    drawn, rows = written[0], marks.view(4, 3)
    assert len(drawn) == 12 and len(written) == (2 if baseline == "greedy" else 1)
    assert len({sentence.words for sentence in drawn}) > 9, "draws that are all alike prove nothing"
    rivals = torch.tensor([[0.1], [0.2], [0.3], [0.4]])
    if baseline == "others":
        rivals = torch.stack([rows[:, [1, 2]].mean(1), rows[:, [0, 2]].mean(1), rows[:, [0, 1]].mean(1)], 1)
    gains = (rows - rivals).flatten()
    words = sum(len(sentence.words) + 1 for sentence in drawn)
    expected = -sum(gain * sentence.log_p for gain, sentence in zip(gains.tolist(), drawn, strict=True)) / words
    assert found["loss"].item() == pytest.approx(expected, abs=1e-5)
    assert found["reward"].item() == pytest.approx(marks.mean().item(), abs=1e-6)
    assert found["gain"].item() == pytest.approx(gains.mean().item(), abs=1e-6)


def test_against_the_other_draws_a_pictures_gains_sum_to_nothing(colours: Store) -> None:
    task = make_task(colours, draws=4, baseline="others")
    turn, rewards = turn_of(task), torch.rand(12) * 10
    memory = task.model.encode(task.model.embed_picture(colours.rows("features", range(3))))
    gains = rewards - turn._baseline(memory, rewards, [0, 1, 2], (0, 1, 2))
    torch.testing.assert_close(gains.view(3, 4).sum(1), torch.zeros(3), atol=1e-5, rtol=0)
    assert (gains.view(3, 4).argsort(1) == rewards.view(3, 4).argsort(1)).all()


@pytest.mark.parametrize("gain", [2.0, -2.0])
def test_what_beats_the_baseline_becomes_likelier_and_what_does_not_less_so(
    colours: Store, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(colours, draws=1)
    turn, batch = turn_of(task), task.batch(0, 3)
    written = watch(turn, monkeypatch)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=1e-3)

    def log_p() -> list[float]:
        memory = task.model.encode(task.model.embed_picture(batch.view.picture))
        found = []
        for row, sentence in enumerate(written[0]):
            words = torch.tensor([[turn.ids.start, *sentence.words, turn.ids.end]])
            alone = dataclasses.replace(memory, states=tuple(state[row : row + 1] for state in memory.states))
            logits = task.model.word_logits(task.model.decode(words[:, :-1], alone))
            found.append(logits.log_softmax(-1).gather(-1, words[:, 1:, None]).sum().item())
        return found

    turn.references = Judge([3 + gain] * 3, [3.0] * 3)  # type: ignore[assignment]
    turn(batch)["loss"].backward()
    before = log_p()
    assert before == pytest.approx([sentence.log_p for sentence in written[0]], abs=1e-4)
    optimizer.step()
    for earlier, later in zip(before, log_p(), strict=True):
        assert (later - earlier) * gain > 0


def test_where_nothing_is_gained_nothing_is_learned(colours: Store) -> None:
    task = make_task(colours, draws=2, baseline="others")
    turn = turn_of(task)
    turn.references = Judge([4.0] * 6)  # type: ignore[assignment]
    turn(task.batch(0, 3))["loss"].backward()
    assert not any(weight.grad is not None and weight.grad.any() for weight in task.model.parameters())


@pytest.mark.parametrize("arch", ["encdec_share", "encdec", "enc"])
def test_bfloat16_reaches_every_weight_that_single_precision_reaches(colours: Store, arch: str) -> None:
    """Writing without gradients comes first; autocast must not keep what it cast then."""
    reached = []
    for enabled in (False, True):
        task = make_task(colours, shape={"arch": arch}, draws=1)
        turn_of(task).references = Judge([1.0] * 4, [0.0] * 4)  # type: ignore[assignment]
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = turn_of(task)(task.batch(0, 4))["loss"]
        loss.backward()
        weights = dict(task.model.named_parameters())
        reached.append({name for name, weight in weights.items() if weight.grad is not None and weight.grad.any()})
    assert reached[0] == reached[1] and {"words.word.weight", "regions.linear.weight"} <= reached[0]


def test_captions_are_written_without_dropout_and_the_mode_comes_back(
    colours: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(colours, shape={"dropout": 0.3, "attention_dropout": 0.3})
    turn, model = turn_of(task), task.model
    memory = model.eval().encode(model.embed_picture(colours.rows("features", range(3))))
    calm = turn._write(memory, Greedy(), [0, 1, 2])
    for training in (True, False):
        model.train(training)
        assert [s.words for s in turn._write(memory, Greedy(), [0, 1, 2])] == [s.words for s in calm]
        assert model.training == training and all(part.training == training for part in model.modules())
        with pytest.raises(XlxmertError, match="found 2: pass as many as pictures"):
            turn._write(memory, Greedy(), [0, 1])
        assert model.training == training


def test_a_short_training_raises_the_reward(colours: Store) -> None:
    """Cross-entropy first, until captions are sentences and some tell the right colour; CIDEr-D then asks for it."""
    task = make_task(colours, shape={"layers": 1, "refine_layers": 0}, draws=4, baseline="others")
    first = GenerativeTask(task.model, colours, GenerativeConfig(imlm=0.0, ida=0.0, tifg=0.0), 3)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-2)

    def learn(turn: torch.nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        found: dict[str, torch.Tensor] = turn(batch)
        found["loss"].backward()
        optimizer.step()
        return found

    for step in range(60):
        learn(first.players()[0].module, first.batch(step, 12))
    rewards = [learn(turn_of(task), task.batch(step, 12))["reward"].item() for step in range(24)]
    early, late = sum(rewards[:4]) / 4, sum(rewards[-4:]) / 4
    assert 1 < early < 7.5 and late > early + 2, (early, late)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draws": 0}, r"draws must be at least 1 .*\(found 0 and 1\.0"),
        ({"draws": 1, "baseline": "others"}, "draws must be at least 2"),
        ({"temperature": 0.0}, r"temperature above 0 \(found 2 and 0\.0"),
    ],
)
def test_configs_check_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        SelfCriticalConfig(**settings)


def test_stores_that_do_not_fit_or_hold_no_captions_are_refused(colours: Store, told: Store, tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"30 features, 4 cells.*found .*32 features"):
        make_task(colours, shape={"feature_width": 30})
    with pytest.raises(XlxmertError, match=r"expected the pictures' codes in .*found only features"):
        make_task(told, visual_input="codes", shape={"codes": 4})
    asked = [Sentence("is there a dog ?", 0, "question", {"yes": 1.0})]
    visual = {"features": told.pictures["features"][:1]}
    answers = AnswerTable(["yes"])
    mute = write_store(tmp_path / "mute", visual, ["a"], asked, told.tokenizer, answers, "none", 0)
    with pytest.raises(XlxmertError, match=r"expected captions in .*mute, found none: prepare some"):
        make_task(mute)
