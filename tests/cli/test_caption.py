"""``xlxmert caption`` with a captioner: its ways of writing, options that do not go together, bad pictures named."""

import json
from pathlib import Path

import pytest

from xlxmert.cli.caption import DecodingChoices
from xlxmert.convert.captioner import Captioner
from xlxmert.core.errors import UsageError
from xlxmert.sampling import Beam, Decoding, DiverseBeam, Nucleus
from xlxmert.studio import Describer
from xlxmert.testing.tiny import tiny_captioner


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner") / "tiny"
    tiny_captioner().save_pretrained(folder)
    return folder


def texts(out: str) -> list[list[str]]:
    return [[caption["text"] for caption in row["captions"]] for row in json.loads(out)]


def expected(folder: Path, album: Path, count: int, prefix: str, decoding: Decoding | None) -> list[list[str]]:
    rows = Describer(Captioner.from_pretrained(folder), "cpu").caption(sorted(album.iterdir()), count, prefix, decoding)
    return [[caption.text for caption in row] for row in rows]


def test_a_folder_of_pictures_is_captioned_with_beams(run, captioner: Path, album: Path) -> None:
    words = ("--model", captioner, "--beam", 3, "--num", 3, "--prefix", "two red")
    code, out, err = run("caption", album, *words, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "") and [Path(row["picture"]).name for row in found] == ["0.png", "1.png", "2.png"]
    assert texts(out) == expected(captioner, album, 3, "two red", Beam(3))
    for row in found:
        scores = [caption["score"] for caption in row["captions"]]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3 and scores[0] <= 0
        assert all(caption["text"].startswith("two red") for caption in row["captions"])
    code, out, err = run("caption", album / "0.png", album / "1.png", *words)
    assert (code, err) == (0, "") and "1.png" in out and out.count("two red") == 6 and "score" in out


@pytest.mark.parametrize(
    ("words", "count", "decoding"),
    [
        ((), 1, None),
        (("--count", 4), 4, Beam(4)),
        (("--num", 2, "--top-p", 0.8, "--temperature", 0.7), 2, Nucleus(0.8, 0.7)),
        (("--num", 2, "--groups", 2), 2, DiverseBeam(4, 2)),
        (("--beam", 1, "--no-repeat-ngram", 1), 1, Beam(1, no_repeat_ngram=1)),
    ],
    ids=["default", "count", "draws", "groups", "greedy without repeats"],
)
def test_options_choose_the_way_of_writing(
    run, captioner: Path, album: Path, words: tuple[object, ...], count: int, decoding: Decoding | None
) -> None:
    code, out, err = run("caption", album, "--model", captioner, "--json", *words)
    assert (code, err) == (0, "") and texts(out) == expected(captioner, album, count, "", decoding)
    assert all(len(row) == count for row in texts(out))


def test_seeds_decide_the_draws(run, captioner: Path, album: Path) -> None:
    words = ("caption", album, "--model", captioner, "--json", "--top-p", 1)
    first, again, other = (texts(run(*words, "--seed", seed)[1]) for seed in (3, 3, 4))
    assert first == again != other


def test_choices_become_decodings() -> None:
    assert DecodingChoices().decoding(5) is None
    assert DecodingChoices(beam=3).decoding(5) == DecodingChoices(beam=5).decoding(1) == Beam(5)
    assert DecodingChoices(length_penalty=0.5).decoding(1) == Beam(3, 0.5)
    assert DecodingChoices(groups=2, diversity=0.1).decoding(1) == DiverseBeam(4, 2, 0.1)
    assert DecodingChoices(groups=2, beam=3).decoding(4) == DiverseBeam(4, 2)
    assert DecodingChoices(top_p=1.0).decoding(9) == Nucleus(1.0)
    with pytest.raises(UsageError, match="expected groups that divide a beam of 3, found 2"):
        DecodingChoices(groups=2, beam=3).decoding(1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--top-p", 0.9, "--beam", 3), "--top-p beside --beam"),
        (("--top-p", 0.9, "--groups", 2), "--top-p beside --groups"),
        (("--top-p", 0.9, "--length-penalty", 2), "--top-p beside --length-penalty"),
        (("--top-p", 0.9, "--no-repeat-ngram", 2), "--top-p beside --no-repeat-ngram"),
        (("--top-p", 0), "expected top_p in (0, 1], found 0"),
        (("--temperature", 0.5), "expected --top-p beside --temperature"),
        (("--diversity", 0.9), "expected several --groups beside --diversity"),
        (("--beam", 0), "--beam of 1 or more, found 0"),
        (("--groups", 0), "--groups of 1 or more, found 0"),
        (("--beam", 4, "--groups", 3), "groups that divide a beam of 4, found 3"),
        (("--length-penalty", -1), "expected a length penalty of 0 or above, found -1"),
        (("--order", "gibbs"), "expected a captioner for --model"),
        (("--checkpoint", "somewhere"), "expected a captioner for --model"),
        (("--num", 0), "expected to write at least 1 caption, found 0"),
        (("--prefix", "dog " * 30), "expected at most 7 tokens, found 30"),
        (("--prefix", "🚗"), "expected a prefix with at least one word that the model knows"),
    ],
)
def test_what_cannot_be_done_together_or_at_all_is_one_line(
    run, captioner: Path, album: Path, words: tuple[object, ...], said: str
) -> None:
    code, out, err = run("caption", album, "--model", captioner, *words)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err


@pytest.mark.parametrize("words", [("--order", "gibbs", "--beam", 3), ("--checkpoint", "somewhere", "--top-p", 0.5)])
def test_masked_words_know_no_beams_or_nucleus(run, album: Path, words: tuple[object, ...]) -> None:
    code, out, err = run("caption", album, *words)
    assert (code, out, err.count("\n")) == (2, "", 1) and "which write by masked words" in err


def test_pictures_that_cannot_be_read_are_named_and_the_others_captioned(run, captioner: Path, album: Path) -> None:
    whole = (album / "1.png").read_bytes()
    (album / "1.png").write_bytes(whole[: len(whole) // 2])
    (album / "text.jpg").write_text("no picture")
    code, out, err = run("caption", album, "--model", captioner, "--json")
    assert code == 1 and [Path(row["picture"]).name for row in json.loads(out)] == ["0.png", "2.png"]
    lines = err.splitlines()
    assert "1.png" in lines[0] and "text.jpg" in lines[1]
    assert lines[2] == "error: 2 of 4 pictures could not be read" and len(lines) == 3
    code, out, err = run("caption", album / "1.png", "--model", captioner)
    assert (code, out, err.count("\n")) == (1, "", 1) and "1.png" in err


def test_a_checkpoint_writes_by_masked_words(run, checkpoint: Path, album: Path, monkeypatch) -> None:
    monkeypatch.setattr(Captioner, "from_pretrained", lambda *_: pytest.fail("a captioner was opened"))
    plain = run("caption", album, "--checkpoint", checkpoint, "--json")
    assert plain == run("caption", album, "--checkpoint", checkpoint, "--json", "--order", "left-to-right")
    assert plain[0] == 0 and len(json.loads(plain[1])) == 3
    code, out, err = run("caption", album, "--checkpoint", checkpoint, "--json", "--order", "mask-predict")
    assert (code, err) == (0, "") and len(json.loads(out)) == 3


def test_folders_of_the_wrong_kind_say_where_they_belong(run, checkpoint: Path, captioner: Path, album: Path) -> None:
    code, out, err = run("caption", album, "--model", checkpoint)
    assert (code, out, err.count("\n")) == (1, "", 1) and "found format 1 and family lxmert" in err
    assert "--checkpoint" in err
    code, out, err = run("caption", album, "--checkpoint", captioner)
    assert (code, out, err.count("\n")) == (1, "", 1) and "found format 1 and family xgpt" in err and "--model" in err
    code, out, err = run("caption", album, "--model", "./nowhere")
    assert (code, out, err.count("\n")) == (2, "", 1) and "nowhere" in err


def test_help_names_every_option(run) -> None:
    code, out, _ = run("caption", "--help")
    assert code == 0
    for option in ("--model", "--num", "--count", "--prefix", "--beam", "--groups", "--top-p", "--order", "--seed"):
        assert option in out, option
