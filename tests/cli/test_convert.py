"""``xlxmert convert``: published files in, a folder that paints out, and the same files back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xlxmert.convert.files import read_weights
from xlxmert.convert.folder import Bundle
from xlxmert.convert.generator_layout import generator_rows
from xlxmert.convert.generator_layout import to_reference as generator_to_reference
from xlxmert.convert.xlxmert_layout import to_reference
from xlxmert.core.files import write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import SPECIALS, Tokenizer
from xlxmert.models.generator import Generator, GeneratorConfig
from xlxmert.models.generator.layers import SpectralConv2d
from xlxmert.models.lxmert import TINY, Lxmert, LxmertConfig
from xlxmert.testing.tiny import SENTENCES

GOLDEN = Path(__file__).parents[1] / "golden" / "data" / "tiny_xlxmert.pt"
WORDS = (*SPECIALS, "[unused0]", *sorted({word for sentence in SENTENCES for word in sentence.split()}), "##s")
GENERATOR = GeneratorConfig(feature_width=32, bottleneck=16, stem=8, condition=8, widths=(8, 8), spade_hidden=8)
ANSWERS = ("yes", "no", "red")


def transformer(**changes: object) -> Lxmert:
    """A tiny model with lively random weights."""
    torch.manual_seed(3)
    config = dataclasses.replace(TINY, vocabulary=len(WORDS), answers=len(ANSWERS), **changes)  # type: ignore[arg-type]
    model = Lxmert(config).eval()
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn_like(tensor) * 0.3)
    return model


def generator() -> Generator:
    torch.manual_seed(4)
    made = Generator(GENERATOR).eval()
    for part in made.modules():
        if isinstance(part, SpectralConv2d):
            part.iterate()
    for name, strength in made.named_parameters():
        if "noise" in name:
            torch.nn.init.constant_(strength, 0.3)
    return made


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published files of tiny models, written as the authors' trainings write them, and our own folder of the same."""
    home = tmp_path_factory.mktemp("published")
    (home / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    write_json(home / "all_ans.json", [{"ans": answer, "dsets": ["vqa"]} for answer in ANSWERS])
    _save(home / "Epoch20_LXRT.pth", transformer())
    _save(home / "model_LXRT.pth", transformer(codes=0, mask_start="fixed", regress=True, labels=9, attributes=4))
    torch.save(generator_to_reference(generator().state_dict(), generator_rows(2)), home / "G_60.pth")
    tokenizer, answers = Tokenizer.from_vocabulary(home / "vocab.txt"), AnswerTable(ANSWERS)
    Bundle(transformer(), tokenizer, None, generator(), answers).save_pretrained(home / "original", False, False)
    return home


def _save(path: Path, model: Lxmert) -> None:
    """With the prefix of distributed training and the old names of norms."""
    state = to_reference(model.state_dict(), model.config)
    torch.save({f"module.{name.replace('LayerNorm.weight', 'LayerNorm.gamma')}": state[name] for name in state}, path)


def words(home: Path, *more: object) -> tuple[object, ...]:
    """A command line that converts X-LXMERT."""
    files = ("--xlxmert", home / "Epoch20_LXRT.pth", "--generator", home / "G_60.pth", "--vocab", home / "vocab.txt")
    return ("convert", *files, "--answers", home / "all_ans.json", "--heads", 2, *more)


@pytest.fixture(scope="session")
def converted(home: Path) -> Path:
    from xlxmert.cli.main import main

    assert main([str(word) for word in words(home, "--out", home / "converted")]) == 0
    return home / "converted"


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_converted_checkpoint_paints_what_the_original_paints_bit_by_bit(
    run, home: Path, converted: Path, tmp_path: Path
) -> None:
    for name in ("converted", "original"):
        code, _, err = run("paint", "two red cars on the beach", "--seed", 3, "--checkpoint", home / name,
                           "--sampler", "mask-predict", "--steps", 4, "--out", tmp_path / f"{name}.png")  # fmt: skip
        assert (code, err) == (0, "")
    assert _pixels(tmp_path / "converted.png").std() > 5
    assert np.array_equal(_pixels(tmp_path / "converted.png"), _pixels(tmp_path / "original.png"))


def test_the_load_report_is_a_table_or_json(run, home: Path, tmp_path: Path) -> None:
    code, out, err = run(*words(home, "--out", tmp_path / "a"))
    assert (code, err) == (0, "") and out.strip().endswith(str(tmp_path / "a"))
    assert "X-LXMERT's generator" in out and "ignored: cls.predictions.decoder.weight" in out
    code, out, _ = run(*words(home, "--out", tmp_path / "b", "--json"))
    found = json.loads(out)
    assert code == 0 and found["out"] == str(tmp_path / "b")
    assert [report["layout"] for report in found["read"]] == ["X-LXMERT", "X-LXMERT's generator"]
    assert all(report["read"] == report["expected"] and not report["missing"] for report in found["read"])


def test_an_earlier_folder_is_replaced_only_when_asked_and_a_stranger_s_never(run, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(*words(home, "--out", out))[0] == 0
    before = (out / "config.json").read_bytes()
    code, _, err = run(*words(home, "--out", out, "--drop-answers"))
    assert code == 1 and "--overwrite" in err and (out / "config.json").read_bytes() == before
    assert run(*words(home, "--out", out, "--half", "--overwrite"))[0] == 0
    assert (out / "model.safetensors").stat().st_size < (home / "Epoch20_LXRT.pth").stat().st_size
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "config.json").write_text('{"model_type": "lxmert"}')
    code, _, err = run(*words(home, "--out", tmp_path / "thesis", "--overwrite"))
    assert code == 1 and "found other files" in err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_there_and_back_again_is_the_same_to_the_bit(run, home: Path, converted: Path, tmp_path: Path) -> None:
    for layout, file in (("xlxmert", "Epoch20_LXRT.pth"), ("generator", "G_60.pth")):
        code, out, err = run("convert", "--checkpoint", converted, "--to", layout, "--out", tmp_path / file)
        assert (code, err) == (0, "") and file in out
        back, original = read_weights(tmp_path / file), read_weights(home / file)
        original = {name.replace("LayerNorm.gamma", "LayerNorm.weight"): tensor for name, tensor in original.items()}
        assert back.keys() == original.keys() and all(torch.equal(back[name], original[name]) for name in original)
    back = ("convert", "--checkpoint", converted, "--to", "xlxmert", "--out", tmp_path / "Epoch20_LXRT.pth")
    assert run(*back)[0] == 1
    assert run(*back, "--overwrite")[0] == 0
    code, _, err = run("convert", "--checkpoint", converted, "--to", "lxmert", "--out", tmp_path / "a.pth")
    assert code == 1 and "write it with --to xlxmert" in err and err.count("\n") == 1
    code, _, err = run("convert", "--checkpoint", converted, "--to", "generator", "--out", tmp_path, "--overwrite")
    assert code == 1 and "found a folder" in err


def test_lxmert_is_converted_and_says_that_it_cannot_paint_or_look(
    run, home: Path, album: Path, tmp_path: Path
) -> None:
    files = ("--lxmert", home / "model_LXRT.pth", "--vocab", home / "vocab.txt", "--answers", home / "all_ans.json")
    code, out, _ = run("convert", *files, "--heads", 2, "--out", tmp_path / "lxmert")
    assert code == 0 and "LXMERT" in out
    for verb, told in (
        (("paint", "a dog", "--out", tmp_path), "as X-LXMERT does (found codes=0 in its config, as in LXMERT)"),
        (("caption", album), "visual vocabulary (found none in it; it reads its detector"),
        (("answer", album, "what color is the car ?"), "visual vocabulary"),
        (("match", album, "--text", "a dog"), "visual vocabulary"),
    ):
        code, out, err = run(*verb, "--checkpoint", tmp_path / "lxmert")
        assert (code, out) == (1, "") and told in err and err.count("\n") == 1
    code, out, _ = run(
        "convert", "--checkpoint", tmp_path / "lxmert", "--to", "transformers", "--out", tmp_path / "hub"
    )
    assert code == 0 and (tmp_path / "hub" / "model.safetensors").is_file()
    answers = ("--answers", home / "all_ans.json")
    code, out, _ = run("convert", "--transformers", tmp_path / "hub", *answers, "--out", tmp_path / "again", "--json")
    assert code == 0 and json.loads(out)["read"][0]["missing"] == []


def test_twenty_tokens_are_the_longest_prompt_and_words_in_pieces_are_known(
    run, converted: Path, tmp_path: Path
) -> None:
    paint = ("--checkpoint", converted, "--sampler", "mask-predict", "--steps", 1, "--out", tmp_path)
    code, _, err = run("paint", "car " * 19, *paint)
    assert code == 2 and "at most 18 tokens, found 19" in err
    assert run("paint", "car " * 18, *paint)[0] == 0
    assert run("paint", "birds", *paint) == (0, f"{tmp_path / 'birds-0.png'}\n", "")  # bird ##s
    code, _, err = run("paint", "a zyx", *paint)
    assert code == 0 and "never seen the word 'zyx'" in err


@pytest.mark.parametrize(
    ("extra", "code", "told"),
    [
        (("--lxmert", "a.pth"), 2, "exactly one of --xlxmert, --lxmert, --transformers and --checkpoint, found"),
        (("--to", "xlxmert"), 2, "--checkpoint and --to together"),
        (("--drop-answers",), 2, "--drop-answers beside it"),
        (("--grid", "4"), 0, ""),
    ],
)
def test_options_that_make_no_sense_together_exit_with_2(
    run, home: Path, tmp_path: Path, extra: tuple[str, ...], code: int, told: str
) -> None:
    found, _, err = run(*words(home, "--out", tmp_path / "out", *extra))
    assert found == code and told in err
    assert (tmp_path / "out").exists() == (code == 0)


def test_what_is_missing_is_asked_for(run, home: Path, converted: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert run("convert", *out)[0] == 2
    code, _, err = run("convert", "--xlxmert", home / "Epoch20_LXRT.pth", *out)
    assert code == 2 and "vocab.txt of bert-base-uncased" in err and err.count("\n") == 1
    code, _, err = run("convert", "--xlxmert", home / "Epoch20_LXRT.pth", "--vocab", home / "vocab.txt", *out)
    assert code == 2 and "all_ans.json" in err and "--drop-answers" in err
    code, _, err = run("convert", "--checkpoint", converted, "--to", "xlxmert", "--vocab", home / "vocab.txt", *out)
    assert code == 2 and "expected no --vocab beside --checkpoint" in err
    assert list(tmp_path.iterdir()) == []


def test_broken_files_are_one_line_and_leave_nothing(run, home: Path, tmp_path: Path) -> None:
    content = (home / "Epoch20_LXRT.pth").read_bytes()
    (tmp_path / "short.pth").write_bytes(content[: len(content) // 2])
    (tmp_path / "page.pth").write_text("<html>404</html>")
    rest = ("--vocab", home / "vocab.txt", "--drop-answers", "--out", tmp_path / "out")
    for file, told in (
        (tmp_path / "short.pth", "cut short"),
        (tmp_path / "page.pth", "a web page"),
        (tmp_path, "found a folder"),
        (home / "G_60.pth", "pass it with --generator"),
        (home / "model_LXRT.pth", "pass it with --lxmert"),
    ):
        code, out, err = run("convert", "--xlxmert", file, *rest)
        assert (code, out) == (1, "") and told in err and err.count("\n") == 1
    state = read_weights(home / "Epoch20_LXRT.pth")
    del state["module.bert.pooler.dense.weight"]
    torch.save(state, tmp_path / "partial.pth")
    code, _, err = run("convert", "--xlxmert", tmp_path / "partial.pth", *rest)
    assert code == 1 and "1 missing (bert.pooler.dense.weight)" in err and "--allow" in err
    assert not (tmp_path / "out").exists()
    allowed = ("--allow", "bert.pooler.dense.weight", "--heads", 2)
    code, out, _ = run("convert", "--xlxmert", tmp_path / "partial.pth", *rest, *allowed)
    assert code == 0 and "missing: bert.pooler.dense.weight" in out


def test_the_reference_code_s_own_weights_come_through_with_its_own_numbers(run, tmp_path: Path) -> None:
    golden = torch.load(GOLDEN, weights_only=True)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, *(f"word{i}" for i in range(195))]) + "\n")
    write_json(tmp_path / "answers.json", [f"answer {i}" for i in range(17)])
    files = ("--xlxmert", GOLDEN, "--vocab", tmp_path / "vocab.txt", "--answers", tmp_path / "answers.json")
    code, _, err = run("convert", *files, "--heads", golden["config"]["heads"], "--out", tmp_path / "golden")
    assert (code, err) == (0, "")
    model = Bundle.from_pretrained(tmp_path / "golden").model
    assert isinstance(model.config, LxmertConfig)
    with torch.no_grad():
        out = model(golden["ids"], golden["cluster_ids"])
        found = {
            "lang": out.language,
            "vis": out.vision,
            "pooled": out.pooled,
            "lm_logits": model.word_logits(out.language),
            "cluster_logits": model.code_logits(out.vision),
            "qa_logits": model.answer_logits(out.pooled),
        }
    for name, value in found.items():
        assert (value - golden[name]).abs().max() < 4e-5, name
