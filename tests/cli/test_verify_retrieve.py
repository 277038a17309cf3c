"""``xlxmert verify`` and ``xlxmert retrieve``: statements about two pictures; pictures for sentences and back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.recipes.finetune import carried
from xlxmert.studio import Studio
from xlxmert.studio.results import ranked
from xlxmert.testing.tiny import tiny_bundle, tiny_pictures

STATEMENTS = ["both cars are red", "there is a dog", "two dogs on the beach"]
SENTENCES = ["a dog and a cat in the snow", "two red cars on the beach", "three green apples above a blue car"]


@pytest.fixture(scope="module")
def judge() -> Studio:
    """A tiny studio with a head for pairs."""
    old = tiny_bundle()
    model = carried(old.model, AnswerTable(()), None, pairs=True).eval().requires_grad_(False)
    assert model.pair_head is not None
    torch.nn.init.normal_(model.pair_head.linear.weight, std=1.0)
    return Studio(Bundle(model, old.tokenizer, old.vocabulary, old.generator, old.answers), "cpu")


@pytest.fixture(scope="module")
def judging(judge: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge") / "checkpoint"
    judge.bundle.save_pretrained(folder)
    return folder


def by_hand(studio: Studio, left: np.ndarray, right: np.ndarray, statement: str) -> float:
    model, vocabulary = studio.bundle.model, studio.bundle.vocabulary
    assert vocabulary is not None
    with torch.inference_mode():
        words = torch.tensor([studio.bundle.tokenizer.ids(statement)])
        pooled = [model(words, vocabulary.encode(torch.from_numpy(side[None]))).pooled for side in (left, right)]
        return float(model.pair_logits(*pooled).softmax(-1)[0, 1])


def test_a_statement_is_read_beside_both_pictures_in_their_order(judge: Studio) -> None:
    left, right, other = tiny_pictures(3)
    found = judge.verify(left, right, STATEMENTS)
    assert found.shape == (3,) and len(set(found.round(4))) == 3
    assert np.allclose(found, [by_hand(judge, left, right, text) for text in STATEMENTS], atol=1e-5)
    assert judge.verify(left, right, STATEMENTS[0])[0] == pytest.approx(found[0], abs=1e-6)
    swapped = judge.verify(right, left, STATEMENTS[0])[0]
    assert swapped == pytest.approx(by_hand(judge, right, left, STATEMENTS[0]), abs=1e-5)
    assert abs(swapped - found[0]) > 1e-4
    several = judge.verify([left, other, left], [right, right, other], STATEMENTS)
    pairs = [(left, right), (other, right), (left, other)]
    assert np.allclose(
        several, [by_hand(judge, *pair, text) for pair, text in zip(pairs, STATEMENTS, strict=True)], atol=1e-5
    )


def test_many_statements_are_judged_as_a_few(judge: Studio) -> None:
    pictures = list(tiny_pictures(10))
    lefts, rights = [pictures[i % 10] for i in range(70)], [pictures[(3 * i + 1) % 10] for i in range(70)]
    texts = [STATEMENTS[i % 3] for i in range(70)]
    found = judge.verify(lefts, rights, texts)
    for place in (0, 31, 32, 69):
        alone = judge.verify(lefts[place], rights[place], texts[place])[0]
        assert alone == pytest.approx(found[place], abs=1e-5)


def test_pictures_and_statements_must_be_as_many(judge: Studio) -> None:
    left, right = tiny_pictures(2)
    with pytest.raises(UsageError, match="found 3 statements, 2 left and 3 right"):
        judge.verify([left, left], right, STATEMENTS)
    with pytest.raises(UsageError, match="found 0 statements"):
        judge.verify(left, right, [])
    with pytest.raises(XlxmertError, match=r"head for pairs.*xlxmert finetune nlvr2"):
        Studio(tiny_bundle(), "cpu").verify(left, right, STATEMENTS)


def test_a_checkpoint_tuned_on_features_reads_features(judge: Studio) -> None:
    parts, (left, right) = judge.bundle, tiny_pictures(2)
    facts = {**parts.facts, "visual_input": "features"}
    bundle = Bundle(parts.model, parts.tokenizer, parts.vocabulary, parts.generator, parts.answers, "", facts)
    assert parts.vocabulary is not None
    with torch.inference_mode():
        words = torch.tensor([parts.tokenizer.ids(STATEMENTS[0])])
        features = parts.vocabulary.features(torch.from_numpy(np.stack([left, right])))
        pooled = [parts.model(words, features[[side]]).pooled for side in (0, 1)]
        expected = float(parts.model.pair_logits(*pooled).softmax(-1)[0, 1])
    found = Studio(bundle, "cpu").verify(left, right, STATEMENTS[0])[0]
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(found - judge.verify(left, right, STATEMENTS[0])[0]) > 1e-4


def test_retrieval_ranks_both_ways_by_the_matching_head(judge: Studio) -> None:
    pictures = tiny_pictures(5)
    found = judge.retrieve(pictures, SENTENCES, top=2)
    match = judge.match(pictures, SENTENCES)
    assert np.allclose(1 / (1 + np.exp(-found.odds)), match, atol=1e-5)
    assert len(found.pictures) == 3 and len(found.sentences) == 5
    for column, hits in enumerate(found.pictures):
        assert [hit.place for hit in hits] == np.argsort(-found.odds[:, column])[:2].tolist()
        assert [hit.confidence for hit in hits] == pytest.approx(match[[h.place for h in hits], column], abs=1e-5)
    for row, hits in enumerate(found.sentences):
        assert [hit.place for hit in hits] == np.argsort(-found.odds[row])[:2].tolist()
    assert len(judge.retrieve(pictures, SENTENCES, top=99).pictures[0]) == 5
    with pytest.raises(UsageError, match="at least 1 find"):
        judge.retrieve(pictures, SENTENCES, top=0)


def test_odds_that_probabilities_cannot_tell_apart_still_rank() -> None:
    found = ranked(np.array([[40.0], [50.0], [50.0], [-800.0]], np.float32), 4)
    assert [hit.place for hit in found.pictures[0]] == [1, 2, 0, 3]
    assert [hit.confidence for hit in found.pictures[0]] == [1.0, 1.0, 1.0, 0.0]


def test_one_picture_given_many_times_is_looked_at_once(judge: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    seen = judge._teller.seen
    monkeypatch.setattr(judge._teller, "seen", lambda pixels: looked.append(len(pixels)) or seen(pixels))
    one, two = tiny_pictures(2)
    questions = ["what color is the car ?", "how many dogs are there ?"] * 30
    replies = judge.reply([one, two] * 30, questions)
    assert sum(looked) == 2
    assert replies[:2] == [
        judge.reply([picture], [text])[0] for picture, text in zip((one, two), questions[:2], strict=True)
    ]
    chances = judge.fit([two, one, two], SENTENCES)
    assert np.allclose(chances, judge.match([one, two], SENTENCES)[[1, 0, 1], [0, 1, 2]], atol=1e-5)


def test_verify_says_what_holds(run, judging: Path, album: Path) -> None:
    words = ("verify", album / "0.png", album / "1.png", *STATEMENTS, "--checkpoint", judging)
    code, out, err = run(*words, "--json")
    found = json.loads(out)
    expected = Studio.from_pretrained(judging, "cpu").verify(album / "0.png", album / "1.png", STATEMENTS)
    assert (code, err) == (0, "") and [row["statement"] for row in found["statements"]] == STATEMENTS
    for row, chance in zip(found["statements"], expected, strict=True):
        assert row["probability"] == pytest.approx(float(chance), abs=1e-4) and row["holds"] == (chance >= 0.5)
    code, out, _ = run(*words)
    assert code == 0 and all(text in out for text in ("holds", "probability", STATEMENTS[2]))


def test_verify_refuses_what_it_cannot_judge(run, judging: Path, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    two = (album / "0.png", album / "1.png")
    for words, code, said in (
        ((*two, "there is a dog", "--checkpoint", checkpoint), 1, "finetune nlvr2"),
        ((album / "0.png", tmp_path / "bad.png", "there is a dog", "--checkpoint", judging), 1, "bad.png"),
        ((album / "0.png", tmp_path / "none.png", "there is a dog", "--checkpoint", judging), 1, "none.png"),
        ((*two, " ", "--checkpoint", judging), 2, "expected a statement, found an empty one"),
        ((*two, "dog " * 999, "--checkpoint", judging), 2, "at most 30 tokens"),
    ):
        found, out, err = run("verify", *words)
        assert (found, out) == (code, "") and said in err and err.count("\n") == 1
    assert run("verify", *two, "--checkpoint", judging)[0] == 2


def test_verify_without_a_statement_says_what_is_missing(run, judging: Path, album: Path) -> None:
    code, _, error = run("verify", str(album / "0.png"), "both pictures", "--checkpoint", str(judging))
    assert code == 2 and "expected a statement about the two pictures, found none" in error


def test_retrieve_finds_pictures_for_sentences_and_back(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(f"{SENTENCES[1]}\n\n  {SENTENCES[2]}\n")
    words = ("retrieve", album, "--text", SENTENCES[0], "--texts", tmp_path / "more.txt", "--checkpoint", checkpoint)
    code, out, err = run(*words, "--top", 2, "--json")
    found = json.loads(out)
    files = sorted(album.iterdir())
    expected = Studio.from_pretrained(checkpoint, "cpu").retrieve(files, SENTENCES, 2)
    assert (code, err) == (0, "") and [row["sentence"] for row in found] == SENTENCES
    for row, hits in zip(found, expected.pictures, strict=True):
        assert [each["picture"] for each in row["pictures"]] == [str(files[hit.place]) for hit in hits]
        assert row["pictures"][0]["match"] >= row["pictures"][1]["match"]
    code, out, _ = run(*words, "--reverse", "--top", 1, "--json")
    back = json.loads(out)
    assert [row["picture"] for row in back] == [str(file) for file in files]
    assert [row["sentences"][0]["sentence"] for row in back] == [
        SENTENCES[hits[0].place] for hits in expected.sentences
    ]
    code, out, _ = run(*words, "--top", 2)
    assert code == 0 and "rank" in out and out.count(".png") == 6


def test_retrieve_names_bad_pictures_and_goes_on(run, checkpoint: Path, album: Path) -> None:
    (album / "1.png").write_bytes(b"no picture")
    words = ("retrieve", album, "--text", SENTENCES[0], "--checkpoint", checkpoint)
    code, out, err = run(*words, "--json")
    assert code == 1 and len(json.loads(out)[0]["pictures"]) == 2
    assert "1.png" in err and "1 of 3 pictures could not be read" in err
    for path in album.iterdir():
        path.write_bytes(b"no picture")
    code, out, err = run(*words)
    assert (code, out) == (1, "") and "3 of 3" in err


def test_retrieve_refuses_requests_that_make_no_sense(run, checkpoint: Path, album: Path, tmp_path: Path) -> None:
    for words, code, said in (
        ((album,), 2, "expected at least one sentence, found none"),
        ((album, "--text", "a dog", "--top", 0), 2, "expected --top of at least 1, found 0"),
        ((album, "--texts", tmp_path / "none.txt"), 1, "could not read the sentences in"),
        ((tmp_path / "none", "--text", "a dog"), 1, "none"),
        ((album, "--text", ""), 2, "found an empty one"),
    ):
        found, out, err = run("retrieve", *words, "--checkpoint", checkpoint)
        assert (found, out) == (code, "") and said in err and err.count("\n") == 1
