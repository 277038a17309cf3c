"""A start from BERT: the very weights of a folder, wherever they belong, and a plain refusal of any other shape."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from xlxmert.convert.bert import start_from_bert
from xlxmert.core.errors import XlxmertError
from xlxmert.models.base import Transformer
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.models.uniter import Uniter, UniterConfig
from xlxmert.testing.bert import SIZES, bert_folder, bert_state

SMALL = dataclasses.replace(TINY, language_layers=2, dropout=0.0, attention_dropout=0.0)


def state_of(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_words_first_layers_and_word_scores_are_those_of_the_folder(tmp_path: Path) -> None:
    bert, model = bert_state(), Lxmert(SMALL)
    before = state_of(model)
    names = start_from_bert(model, bert_folder(tmp_path, bert))
    after = model.state_dict()
    assert torch.equal(after["words.word.weight"], bert["bert.embeddings.word_embeddings.weight"])
    assert torch.equal(after["words.position.weight"], bert["bert.embeddings.position_embeddings.weight"][:32])
    query = bert["bert.encoder.layer.1.attention.self.query.weight"]
    assert torch.equal(after["language_layers.1.attention.project.weight"][:32], query)
    assert torch.equal(after["word_head.bias"], bert["cls.predictions.bias"])
    kinds = ("words.", "language_layers.", "word_head.")
    assert names == [name for name in names if name.startswith(kinds)] and len(set(names)) == len(names)
    assert set(names) == {name for name in after if name.startswith(kinds)}
    assert all(torch.equal(after[name], before[name]) for name in after if name not in names)


def test_a_uniter_takes_all_its_layers_from_it(tmp_path: Path) -> None:
    sizes = ("vocabulary", "width", "heads", "feed_forward", "max_text", "feature_width", "codes", "answers")
    config = UniterConfig(**{name: getattr(SMALL, name) for name in sizes}, layers=3)
    bert, model = bert_state(), Uniter(config)
    assert set(start_from_bert(model, bert_folder(tmp_path, bert))) >= {"layers.2.feed_forward.up.weight"}
    found, expected = model.layers[2].feed_forward.up.weight, bert["bert.encoder.layer.2.intermediate.dense.weight"]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("prefix", ["bert.", "", "module.bert."])
def test_old_files_with_or_without_a_prefix_and_with_old_norm_names_are_read(tmp_path: Path, prefix: str) -> None:
    bert, model, expected = bert_state(), Lxmert(SMALL), Lxmert(SMALL)
    start_from_bert(expected, bert_folder(tmp_path, bert))
    old = {}
    for name, tensor in bert.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        old[name.replace("bert.", prefix, 1)] = tensor
    (tmp_path / "model.safetensors").unlink()
    torch.save(old, tmp_path / "pytorch_model.bin")
    names = start_from_bert(model, tmp_path)
    assert all(torch.equal(model.state_dict()[name], expected.state_dict()[name]) for name in names)


def test_a_bert_without_word_scores_leaves_those_of_the_model(tmp_path: Path) -> None:
    bare = {name: tensor for name, tensor in bert_state().items() if not name.startswith("cls.")}
    model = Lxmert(SMALL)
    before = state_of(model)
    names = start_from_bert(model, bert_folder(tmp_path, bare))
    assert not [name for name in names if name.startswith("word_head.")]
    assert torch.equal(model.word_head.transform.linear.weight, before["word_head.transform.linear.weight"])


@pytest.mark.parametrize(
    ("state", "config", "told"),
    [
        (bert_state(layers=1), {}, r"16 missing \(bert\.encoder\.layer\.1\.attention\.self\.query\.weight"),
        (bert_state(width=48), {}, r"word_embeddings\.weight is \(200, 48\), not \(200, 32\)"),
        (bert_state(words=100), {}, r"word_embeddings\.weight is \(100, 32\), not \(200, 32\)"),
        (bert_state(), {"num_attention_heads": 4}, "num_attention_heads 2 .* found num_attention_heads 4"),
        (bert_state(), {"hidden_act": "relu"}, "hidden_act gelu .* found hidden_act relu"),
        (bert_state(), {"model_type": "roberta"}, "model_type bert .* found model_type roberta"),
        ({"conv1.weight": torch.zeros(3)}, {}, "missing .*word_embeddings"),
    ],
    ids=["layers", "width", "words", "heads", "activation", "kind", "something else"],
)
def test_another_shape_is_refused_and_the_model_stays_as_it_was(
    tmp_path: Path, state: dict[str, torch.Tensor], config: dict[str, Any], told: str
) -> None:
    model = Lxmert(SMALL)
    before = state_of(model)
    with pytest.raises(XlxmertError, match=told) as caught:
        start_from_bert(model, bert_folder(tmp_path, state, **config))
    assert str(tmp_path) in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_layers_with_the_norm_before_cannot_start_from_bert(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="norm='after'"):
        start_from_bert(Lxmert(dataclasses.replace(SMALL, norm="before")), bert_folder(tmp_path, bert_state()))


@pytest.mark.slow
def test_the_language_encoder_gives_the_numbers_of_the_transformers_library(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape = transformers.BertConfig(**SIZES, num_hidden_layers=2, max_position_embeddings=48)
    bert = transformers.BertForMaskedLM(shape).eval()
    for weight in bert.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    bert.save_pretrained(tmp_path)
    model = Lxmert(SMALL).eval()
    start_from_bert(model, tmp_path)
    words = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 11, 150, 4, 5, 3]])
    mask = words > 0
    with torch.no_grad():
        expected = bert.bert(words, attention_mask=mask.long()).last_hidden_state
        scores = bert(words, attention_mask=mask.long()).logits
        found = model.encode_words(words)
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.word_logits(found)[mask], scores[mask], atol=1e-4, rtol=1e-5)
