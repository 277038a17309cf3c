"""Published checkpoints as bundles and back: files written as the authors' trainings write them, at tiny sizes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from xlxmert.convert import generator_layout
from xlxmert.convert.files import read_weights
from xlxmert.convert.folder import Bundle
from xlxmert.convert.published import Source, read_generator, read_published, write_published
from xlxmert.convert.xlxmert_layout import to_reference
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import SPECIALS, Tokenizer
from xlxmert.models.generator import Generator, GeneratorConfig
from xlxmert.models.generator.layers import SpectralConv2d
from xlxmert.models.lxmert import TINY, Lxmert, LxmertConfig

XLXMERT = dataclasses.replace(TINY, answers=3)
LXMERT = dataclasses.replace(XLXMERT, codes=0, mask_start="fixed", regress=True, labels=9, attributes=4)
GENERATOR = GeneratorConfig(feature_width=32, bottleneck=16, stem=8, condition=8, widths=(8, 8), spade_hidden=8)
ANSWERS = [{"ans": "yes", "dsets": ["vqa", "gqa"]}, {"ans": "no", "dsets": ["vqa"]}, {"ans": "red", "dsets": []}]


def lively(config: LxmertConfig) -> Lxmert:
    torch.manual_seed(1)
    model = Lxmert(config).eval()
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn_like(tensor) * 0.3)
    return model


def published_generator(config: GeneratorConfig = GENERATOR) -> Generator:
    torch.manual_seed(2)
    generator = Generator(config).eval()
    for name, tensor in generator.state_dict().items():
        if not name.endswith((".u", ".v")):
            tensor.copy_(torch.randn_like(tensor) * 0.3)
    for part in generator.modules():
        if isinstance(part, SpectralConv2d):
            part.iterate()
    return generator


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with all published files, vocabulary and answers."""
    for name, config in (("Epoch20_LXRT.pth", XLXMERT), ("model_LXRT.pth", LXMERT)):
        state = to_reference(lively(config).state_dict(), config)
        torch.save({f"module.{key}": tensor for key, tensor in state.items()}, tmp_path / name)
    rows = generator_layout.generator_rows(2)
    torch.save(generator_layout.to_reference(published_generator().state_dict(), rows), tmp_path / "G_60.pth")
    words = [*SPECIALS, *(f"word{i}" for i in range(195))]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    write_json(tmp_path / "all_ans.json", ANSWERS)
    return tmp_path


def source(home: Path, **changes: Any) -> Source:
    usual = {"vocabulary": home / "vocab.txt", "answers": home / "all_ans.json", "heads": 2}
    given = {"layout": "xlxmert", "path": home / "Epoch20_LXRT.pth", **usual, **changes}
    return Source(**given)


def bundle_of(model: Lxmert, home: Path, generator: Generator | None = None) -> Bundle:
    answers = AnswerTable.load(home / "all_ans.json")
    return Bundle(model, Tokenizer.from_vocabulary(home / "vocab.txt"), None, generator, answers)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_x_lxmert_and_its_generator_become_a_bundle(home: Path) -> None:
    bundle, reports = read_published(source(home, generator=home / "G_60.pth"))
    assert bundle.model.config == XLXMERT and bundle.answers == ("yes", "no", "red")
    assert bundle.vocabulary is None and bundle.most_words == 18
    assert_same(bundle.model.state_dict(), lively(XLXMERT).state_dict())
    assert bundle.generator is not None and bundle.generator.config == GENERATOR
    assert_same(bundle.generator.state_dict(), published_generator().state_dict())
    assert [(report.layout, report.expected - report.read) for report in reports] == [
        ("X-LXMERT", 0),
        ("X-LXMERT's generator", 0),
    ]
    assert reports[0].ignored == ("cls.predictions.decoder.weight",)
    assert not any((report.missing, report.unexpected, report.misshapen) != ((), (), {}) for report in reports)


def test_a_converted_bundle_is_saved_and_written_back_to_the_bit(home: Path) -> None:
    bundle, _ = read_published(source(home, generator=home / "G_60.pth"))
    bundle.save_pretrained(home / "ours", half=False, fold=False)
    again = Bundle.from_pretrained(home / "ours")
    assert write_published(again, "xlxmert", home / "back.pth") == len(read_weights(home / "back.pth"))
    assert_same(read_weights(home / "back.pth"), read_weights(home / "Epoch20_LXRT.pth"))
    write_published(again, "generator", home / "back_G.pth")
    assert_same(read_weights(home / "back_G.pth"), read_weights(home / "G_60.pth"))


def test_lxmert_goes_through_both_its_layouts_and_back(home: Path) -> None:
    bundle, _ = read_published(source(home, layout="lxmert", path=home / "model_LXRT.pth"))
    assert bundle.model.config == LXMERT
    write_published(bundle, "transformers", home / "hub")
    assert sorted(path.name for path in (home / "hub").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    other, reports = read_published(source(home, layout="transformers", path=home / "hub", vocabulary=None, heads=None))
    assert other.model.config == LXMERT and reports[0].read == reports[0].expected
    assert other.tokenizer.ids("word7 word9") == bundle.tokenizer.ids("word7 word9")
    write_published(other, "lxmert", home / "back.pth")
    assert_same(read_weights(home / "back.pth"), read_weights(home / "model_LXRT.pth"))
    write_published(other, "transformers", home / "hub")  # what was written before is replaced
    (home / "hub" / "thesis.tex").write_text("years of work")
    with pytest.raises(XlxmertError, match="found other files"):
        write_published(other, "transformers", home / "hub")


def test_a_question_head_needs_its_answers_or_is_left_out(home: Path) -> None:
    with pytest.raises(UsageError, match=r"the 3 answers of the question head .*all_ans\.json.*--drop-answers"):
        read_published(source(home, answers=None))
    with pytest.raises(UsageError, match="--drop-answers beside it"):
        read_published(source(home, drop_answers=True))
    bundle, reports = read_published(source(home, answers=None, drop_answers=True))
    assert bundle.model.config.answers == 0 and bundle.answers is None
    assert "answer_head.logit_fc.3.weight" in reports[0].ignored
    write_json(home / "all_ans.json", ANSWERS[:2])
    with pytest.raises(XlxmertError, match=r"expected 3 answers, .* found 2"):
        read_published(source(home))


def test_the_vocabulary_is_asked_for_with_its_address_and_must_fit(home: Path) -> None:
    with pytest.raises(UsageError, match=r"bert-base-uncased \(https://"):
        read_published(source(home, vocabulary=None))
    (home / "vocab.txt").write_text("\n".join(SPECIALS) + "\n")
    with pytest.raises(XlxmertError, match=r"expected 200 words of the tokenizer, .* found 5"):
        read_published(source(home))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": "G_60.pth"}, "found those of X-LXMERT's generator: pass it with --generator"),
        ({"path": "model_LXRT.pth"}, "weights of X-LXMERT in .*found those of LXMERT: pass it with --lxmert"),
        ({"layout": "lxmert"}, "weights of LXMERT in .*found those of X-LXMERT: pass it with --xlxmert"),
        ({"generator": "Epoch20_LXRT.pth"}, "weights of X-LXMERT's generator in .*found those of X-LXMERT"),
        ({"path": "vocab.txt"}, "expected a file of weights"),
        ({"path": "none.pth"}, "found nothing"),
        ({"path": "."}, "found a folder: name the file in it"),
        ({"layout": "transformers", "path": "."}, r"expected model\.safetensors or pytorch_model\.bin"),
        ({"layout": "transformers", "path": "G_60.pth"}, "expected a folder of the transformers library"),
    ],
)
def test_a_file_in_the_wrong_place_is_told_apart(home: Path, changes: dict[str, str], told: str) -> None:
    paths = {name: home / value if name in ("path", "generator") else value for name, value in changes.items()}
    with pytest.raises(XlxmertError, match=told) as caught:
        read_published(source(home, **paths))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bert.encoder.layer.0.attention.self.query.weight", "a BERT: it is where trainings start from"),
        ("words.word.weight", "an xlxmert checkpoint: it needs no conversion"),
        ("module.backbone.body.stem.conv1.weight", "a detector"),
        ("module.adv_out.weight_orig", "X-LXMERT's discriminator"),
        ("conv1.weight", r"found others \(conv1\.weight\)"),
    ],
)
def test_files_of_other_networks_are_called_by_their_name(home: Path, name: str, told: str) -> None:
    torch.save({name: torch.zeros(2, 2)}, home / "other.pth")
    with pytest.raises(XlxmertError, match=told):
        read_published(source(home, path=home / "other.pth"))


def test_a_generator_has_no_use_beside_lxmert(home: Path) -> None:
    wrong = source(home, layout="lxmert", path=home / "model_LXRT.pth", generator=home / "G_60.pth")
    with pytest.raises(UsageError, match="has no codes"):
        read_published(wrong)


def test_a_partial_file_is_refused_unless_the_weights_are_named(home: Path) -> None:
    state = read_weights(home / "Epoch20_LXRT.pth")
    partial = {name: tensor for name, tensor in state.items() if ".cls." not in name}
    torch.save({**partial, "module.novelty": torch.zeros(1)}, home / "partial.pth")
    with pytest.raises(XlxmertError, match=r"7 missing \(cls\..* 1 unexpected \(novelty\).*--allow NAME"):
        read_published(source(home, path=home / "partial.pth"))
    with pytest.raises(XlxmertError, match=r"0 missing \(none\) and 1 unexpected \(novelty\)"):
        read_published(source(home, path=home / "partial.pth", allow=("cls.*",)))
    bundle, reports = read_published(source(home, path=home / "partial.pth", allow=("cls.*", "novelty")))
    assert len(reports[0].missing) == 7 and reports[0].unexpected == ("novelty",)
    again, _ = read_published(source(home, path=home / "partial.pth", allow=("cls.*", "novelty")))
    assert_same(again.model.state_dict(), bundle.model.state_dict())  # the random start is the same each time


def test_half_precision_files_become_single_precision(home: Path) -> None:
    state = read_weights(home / "Epoch20_LXRT.pth")
    torch.save({name: tensor.half() for name, tensor in state.items()}, home / "half.pth")
    bundle, _ = read_published(source(home, path=home / "half.pth"))
    expected = lively(XLXMERT).state_dict()["words.word.weight"].half().float()
    assert torch.equal(bundle.model.state_dict()["words.word.weight"], expected)


def test_a_folded_generator_is_written_with_a_norm_that_leaves_it_as_it_is(home: Path) -> None:
    folded = published_generator().folded()
    write_published(bundle_of(lively(XLXMERT), home, folded), "generator", home / "G.pth")
    again, _ = read_generator(home / "G.pth")
    for name, tensor in again.folded().state_dict().items():
        torch.testing.assert_close(tensor, folded.state_dict()[name])
    features = torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(again(features), folded(features), atol=1e-4, rtol=0)


def test_what_a_layout_has_no_place_for_is_refused(home: Path) -> None:
    bundle = bundle_of(lively(XLXMERT), home, published_generator(dataclasses.replace(GENERATOR, trunk=1)))
    with pytest.raises(XlxmertError, match="expected a model of LXMERT to write as lxmert, found one of X-LXMERT"):
        write_published(bundle, "lxmert", home / "a.pth")
    with pytest.raises(XlxmertError, match="write it with --to xlxmert"):
        write_published(bundle, "transformers", home / "hub")
    with pytest.raises(XlxmertError, match="found trunk=1"):
        write_published(bundle, "generator", home / "a.pth")
    with pytest.raises(XlxmertError, match="expected a checkpoint with a generator"):
        write_published(bundle_of(lively(XLXMERT), home), "generator", home / "a.pth")
    assert not (home / "a.pth").exists() and not (home / "hub").exists()


@pytest.mark.slow
def test_the_transformers_library_reads_what_we_write_and_computes_the_same(home: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = lively(LXMERT)
    write_published(bundle_of(model, home), "transformers", home / "hub")
    theirs, info = transformers.LxmertForPreTraining.from_pretrained(home / "hub", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    words = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 11, 150, 4, 5, 3]])
    features, boxes = torch.randn(2, 5, 32), torch.rand(2, 5, 4)
    with torch.no_grad():
        out = theirs.eval()(words, features, boxes, attention_mask=(words > 0).long())
        ours = model(words, features, boxes)
        seen, scores = words > 0, model.word_logits(ours.language)
        torch.testing.assert_close(scores[seen], out.prediction_logits[seen], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(model.matching_logits(ours.pooled), out.cross_relationship_score, atol=1e-4, rtol=0)
        torch.testing.assert_close(model.answer_logits(ours.pooled), out.question_answering_score, atol=1e-4, rtol=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(home / "hub")
    assert tokenizer("word7 word9")["input_ids"] == Tokenizer.from_vocabulary(home / "vocab.txt").ids("word7 word9")


@pytest.mark.slow
def test_what_the_transformers_library_writes_is_read(home: Path) -> None:
    transformers = pytest.importorskip("transformers")
    write_published(bundle_of(lively(LXMERT), home), "transformers", home / "hub")
    theirs = transformers.LxmertForPreTraining.from_pretrained(home / "hub")
    theirs.save_pretrained(home / "saved")
    transformers.AutoTokenizer.from_pretrained(home / "hub").save_pretrained(home / "saved")
    told = source(home, layout="transformers", path=home / "saved", vocabulary=None, heads=None)
    bundle, reports = read_published(told)
    assert_same(bundle.model.state_dict(), lively(LXMERT).state_dict())
    assert reports[0].missing == reports[0].unexpected == ()
    assert bundle.tokenizer.ids("word7 word9") == Tokenizer.from_vocabulary(home / "vocab.txt").ids("word7 word9")
    config = json.loads((home / "saved" / "config.json").read_text())
    (home / "saved" / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(XlxmertError, match=r"hidden_act gelu .* found hidden_act relu"):
        read_published(told)
