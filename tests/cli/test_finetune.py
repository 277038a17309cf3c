"""``xlxmert finetune``: from a checkpoint and a store to a checkpoint that does more; stores that do not fit."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.recipes.finetune import ANSWERING, NLVR2, carried, check_fit, finetune_loop, steps_of
from xlxmert.sampling import MaskPredict
from xlxmert.studio import Studio
from xlxmert.tasks.answering import AnsweringConfig
from xlxmert.testing.tiny import tiny_vocabulary

SHORT = ("--loop.steps", 3, "--loop.batch-size", 4, "--loop.device", "cpu", "--loop.quiet")


def tune(run, road: Path, out: Path, task: str, *more: object, store: str = "store") -> tuple[int, str, str]:
    words = ("--checkpoint", road / "checkpoint", "--store", road / store, "--loop.out", out)
    return run("finetune", task, *words, *SHORT, *more)


@pytest.mark.parametrize("task", ["vqa", "gqa", "nlvr2", "retrieval"])
def test_a_fine_tuned_checkpoint_does_more_and_forgets_no_part(run, road: Path, tmp_path: Path, task: str) -> None:
    more = ("--retrieval.hard", "pool", "--retrieval.pool", 3) if task == "retrieval" else ()
    code, out, err = tune(run, road, tmp_path, task, *more)
    assert (code, err) == (0, "") and "checkpoint" in out and str(tmp_path / "checkpoint") in out
    before, after = (Bundle.from_pretrained(folder) for folder in (road / "checkpoint", tmp_path / "checkpoint"))
    assert after.generator is not None and before.generator is not None
    theirs, ours = before.generator.state_dict(), after.generator.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert after.facts["guidance"] == 0.0 and after.most_words >= before.most_words
    assert after.facts["finetuned"][0]["steps"] == 3 and "## Fine-tuned" in after.card
    assert after.model.config.pairs == (task == "nlvr2")
    changed = [
        n for n, weight in after.model.state_dict().items() if not _same(before.model.state_dict().get(n), weight)
    ]
    assert any(name.startswith("cross_layers") for name in changed)
    assert not any(name.startswith(("word_head", "code_head", "centroids")) for name in changed)
    studio = Studio(after, "cpu")
    assert studio.paint("a dog", sampler=MaskPredict(1))[0].picture.shape == (32, 32, 3)
    if task == "nlvr2":
        pictures = [painting.picture for painting in studio.paint(["a dog", "a cat"], sampler=MaskPredict(1))]
        assert 0 < studio.verify(*pictures, "both pictures contain a dog")[0] < 1


def _same(before: torch.Tensor | None, after: torch.Tensor) -> bool:
    return before is not None and before.shape == after.shape and torch.equal(before, after)


def test_heads_start_from_those_that_were_there(road: Path) -> None:
    bundle = Bundle.from_pretrained(road / "checkpoint")
    known = bundle.answers
    assert known is not None and len(known) > 4
    wanted = AnswerTable([known[3], "a quokka", known[1]])
    model = carried(bundle.model, known, wanted, pairs=True, seed=1)
    again, other = (carried(bundle.model, known, wanted, True, seed).state_dict() for seed in (1, 2))
    old, new = bundle.model.state_dict(), model.state_dict()
    assert torch.equal(new["answer_head.linear.weight"][[0, 2]], old["answer_head.linear.weight"][[3, 1]])
    assert not new["answer_head.linear.weight"][1].any() and not new["answer_head.linear.bias"][1].any()
    assert all(torch.equal(weight, again[name]) for name, weight in new.items())
    fresh = {name for name, weight in new.items() if not torch.equal(weight, other[name])}
    assert {name.split(".")[0] for name in fresh} == {"pair_head"}
    same = [name for name in old if not name.startswith("answer_head.linear")]
    assert all(torch.equal(old[name], new[name]) for name in same)
    assert all(weight.requires_grad for weight in model.parameters())
    with torch.no_grad():
        model.pooler.linear.weight.zero_()
    assert bundle.model.pooler.linear.weight.any(), "the checkpoint's own weights must stay"


def test_the_answers_become_those_of_the_store(run, road: Path, tmp_path: Path) -> None:
    store = Store.open(road / "store")
    questions = store.of_kind("question")[:8]
    sentences = [
        Sentence("is there a dog ?", int(store.arrays["picture"][i]), "question", {"yes": 1.0}) for i in questions
    ]
    names = list(store.facts["pictures"])
    table = AnswerTable(["maybe", "yes", "no"])
    tokenizer, size = store.tokenizer, int(store.facts["codes"])
    write_store(tmp_path / "few", np.array(store.codes), names, sentences, tokenizer, table, store.fingerprint, size)
    code, _, err = tune(run, road, tmp_path / "run", "vqa", "--epochs", 2, store=str(tmp_path / "few"))
    assert (code, err) == (0, "")
    after = Bundle.from_pretrained(tmp_path / "run" / "checkpoint")
    assert after.answers == table and after.facts["finetuned"][0]["steps"] == 4  # 8 questions twice, 4 at a time


def test_a_run_goes_on_where_it_was_and_only_from_its_own_checkpoint(run, road: Path, tmp_path: Path) -> None:
    assert tune(run, road, tmp_path / "whole", "nlvr2")[0] == 0
    assert tune(run, road, tmp_path / "parts", "nlvr2", "--loop.decay", "constant", "--loop.warmup", 0)[0] == 0
    words = ("--loop.steps", 5, "--loop.decay", "constant", "--loop.warmup", 0)
    assert tune(run, road, tmp_path / "parts", "nlvr2", *words)[0] == 0
    assert tune(run, road, tmp_path / "five", "nlvr2", *words)[0] == 0
    one, two = ((tmp_path / name / "checkpoint" / "model.safetensors").read_bytes() for name in ("parts", "five"))
    assert one == two
    other = tmp_path / "other"
    bundle = Bundle.from_pretrained(road / "checkpoint")
    with torch.no_grad():
        bundle.model.pooler.linear.weight.mul_(2)
    bundle.save_pretrained(other)
    code, _, err = tune(run, road, tmp_path / "whole", "nlvr2", "--checkpoint", other, "--loop.steps", 4)
    assert code == 1 and "was made with start=" in err and err.count("\n") == 1


def test_a_store_of_another_codebook_or_other_words_is_refused(run, road: Path, tmp_path: Path) -> None:
    for name in ("codebook", "words"):
        shutil.copytree(road / "store", tmp_path / name)
    facts = read_json(tmp_path / "codebook" / "store.json")
    write_json(tmp_path / "codebook" / "store.json", facts | {"codebook": "0123456789abcdef"})
    Tokenizer.train(["a dog", "a cat"], 50, least=1).save(tmp_path / "words" / "tokenizer.json")
    for name, said in (
        ("codebook", r"expected a store with the checkpoint's codes .* found codebook 0123456789abcdef .*--codebook"),
        ("words", r"expected a store with the checkpoint's \d+ word pieces, .* others .*--tokenizer"),
        ("nowhere", r"expected a JSON file at .*nowhere"),
    ):
        code, out, err = tune(run, road, tmp_path / "run", "vqa", store=str(tmp_path / name))
        assert (code, out) == (1, "") and re.search(said, err) and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        ("vqa", "caption", "found none among 0 questions"),
        ("nlvr2", "caption", "expected statements about two pictures"),
        ("retrieval", "question", "found captions of 0"),
    ],
)
def test_a_store_without_what_the_task_needs_is_refused(
    run, road: Path, tmp_path: Path, task: str, kind: str, said: str
) -> None:
    store = Store.open(road / "store")
    sentences = [Sentence("a dog", 0, kind, {"yes": 1.0} if kind == "question" else None)]
    names, size = list(store.facts["pictures"]), int(store.facts["codes"])
    tokenizer, table = store.tokenizer, store.answers
    write_store(tmp_path / "few", np.array(store.codes), names, sentences, tokenizer, table, store.fingerprint, size)
    code, out, err = tune(run, road, tmp_path / "run", task, store=str(tmp_path / "few"))
    assert (code, out) == (1, "") and said in err and err.count("\n") == 1


def test_features_need_a_model_and_a_store_that_have_them(run, road: Path, tmp_path: Path) -> None:
    code, _, err = tune(run, road, tmp_path / "run", "vqa", "--answering.visual-input", "features")
    assert code == 1 and "expected the pictures' features" in err and err.count("\n") == 1
    bundle = Bundle.from_pretrained()  # reads codes through a table of its own too
    store = Store.open(road / "store")
    with pytest.raises(XlxmertError, match="expected a store with the checkpoint's codes"):
        check_fit(bundle, store, ANSWERING)
    ours = Store(store.folder, store.pictures, store.arrays, dict(store.facts), bundle.tokenizer, store.answers)
    assert bundle.vocabulary is not None
    ours.facts["codebook"] = bundle.vocabulary.codebook.fingerprint  # type: ignore[index]
    with pytest.raises(XlxmertError, match="code_input 'centroids'"):
        check_fit(bundle, ours, AnsweringConfig(visual_input="features"))


def test_exact_features_are_learned_from_and_read_afterwards(run, road: Path, tmp_path: Path) -> None:
    words = (
        "--codebook",
        road / "checkpoint" / "codebook.safetensors",
        "--tokenizer",
        road / "checkpoint",
        "--features",
    )
    world = ("--images", road / "world/images", "--nlvr2", road / "world/nlvr2/train.json", "--size", 32)
    assert run("prepare", *words, *world, "--out", tmp_path / "store")[0] == 0
    store, more = str(tmp_path / "store"), ("--nlvr2.visual-input", "features")
    code, _, err = tune(run, road, tmp_path / "run", "nlvr2", *more, store=store)
    assert (code, err) == (0, "")
    after = Bundle.from_pretrained(tmp_path / "run" / "checkpoint")
    assert after.facts["visual_input"] == "features"
    pictures = sorted((road / "world/images/val").iterdir())[:2]
    found = Studio(after, "cpu").verify(*pictures, "both pictures contain a dog")[0]
    after.facts["visual_input"] = "codes"
    assert 0 < found < 1 and Studio(after, "cpu").verify(*pictures, "both pictures contain a dog")[0] != found


def test_a_preset_starts_from_random_weights(run, road: Path, tmp_path: Path) -> None:
    fresh = ("finetune", "vqa", "--store", road / "store", "--loop.out", tmp_path / "run", *SHORT, "--preset", "tiny")
    code, _, err = run(*fresh, "--codebook", road / "vocabulary.safetensors")
    assert (code, err) == (0, "")
    after, store = Bundle.from_pretrained(tmp_path / "run" / "checkpoint"), Store.open(road / "store")
    assert after.generator is None and after.answers == store.answers
    assert after.facts["picture_size"] == 32 == Studio(after, "cpu").size, "as large as the store's pictures"
    for words, said in (
        ((*fresh, "--checkpoint", road / "checkpoint"), "expected --checkpoint or --preset, found both"),
        (("finetune", "vqa", "--store", road / "store", "--codebook", "x"), "expected --preset beside --codebook"),
        (("finetune", "caption", *fresh[2:]), "expected a captioner to fine-tune, found --checkpoint, --preset"),
        (fresh, "expected --codebook with the visual vocabulary"),
    ):
        code, _, err = run(*words)
        assert code == 2 and said in err and err.count("\n") == 1


def test_pictures_are_looked_at_as_large_as_in_training(run, road: Path, tmp_path: Path) -> None:
    bundle, store = Bundle.from_pretrained(road / "checkpoint"), Store.open(road / "store")
    assert Studio(bundle, "cpu").size == 32  # the generator's
    facts = {**bundle.facts, "picture_size": 64}
    larger = Bundle(bundle.model, bundle.tokenizer, bundle.vocabulary, None, bundle.answers, facts=facts)
    assert Studio(larger, "cpu").size == 64
    with pytest.raises(XlxmertError, match=r"with a side of 64 pixels, as the checkpoint does, found 32 .*--size 64"):
        check_fit(larger, store, ANSWERING)


def test_lengths_count_epochs(run, road: Path, tmp_path: Path) -> None:
    assert (steps_of(4.0, 1000, 32), steps_of(0.5, 10, 32)) == (125, 1)
    code, _, err = tune(run, road, tmp_path, "vqa", "--epochs", 0)
    assert code == 2 and "expected --epochs above 0, found 0" in err


def test_the_defaults_are_fit_for_a_run(tmp_path: Path) -> None:
    loop = finetune_loop(tmp_path)
    assert loop.warmup_steps == loop.steps // 10 and loop.ema > 0.9
    assert NLVR2.optim == ANSWERING.optim and NLVR2.visual_input == "codes"


def test_help_names_every_part(run) -> None:
    code, out, _ = run("finetune", "--help")
    assert code == 0 and "{vqa,gqa,nlvr2,retrieval,caption}" in out
    for option in ("--store", "--checkpoint", "--epochs", "--loop.steps", "--answering.loss", "--retrieval.hard"):
        assert option in out, option


def test_the_tiny_vocabulary_is_the_roads(road: Path) -> None:
    facts = json.loads((road / "store" / "store.json").read_text())
    assert facts["codebook"] == tiny_vocabulary().codebook.fingerprint
