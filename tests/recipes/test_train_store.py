"""Training on a store: every family from the command line's presets, and a start from BERT's weights."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.task import OptimConfig
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models import lxmert, uniter
from xlxmert.models.config import ModelConfig
from xlxmert.recipes.train_store import Prepared, pretrain
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.testing.bert import bert_folder, bert_state
from xlxmert.testing.tiny import tiny_pictures, tiny_vocabulary
from xlxmert.train import TrainConfig

STILL = OptimConfig(lr=0.0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Four pictures with captions, questions, features and labels, in the words of a vocabulary of 200 pieces."""
    folder: Path = tmp_path_factory.mktemp("store")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "car", "is", "it", "?"]
    words += [f"w{number}" for number in range(200 - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words))
    vocabulary = tiny_vocabulary()
    features, codes = next(vocabulary.extract(tiny_pictures(4)))
    visual = {"codes": codes.numpy(), "features": features.numpy(), "labels": codes.numpy() % 3}
    sentences = [Sentence("a red car", place) for place in range(4)]
    sentences += [Sentence("is it red ?", place, "question", {"yes": 1.0}) for place in range(4)]
    store = write_store(
        folder / "store", visual, ["0", "1", "2", "3"], sentences, Tokenizer.from_vocabulary(folder / "vocab.txt"),
        AnswerTable(["yes", "no"]), vocabulary.codebook.fingerprint, len(vocabulary.codebook), {"labels": 3},
    )  # fmt: skip
    return Prepared(store, vocabulary)


def loop(out: Path, **changes: Any) -> TrainConfig:
    return TrainConfig(out=out, **{"steps": 2, "batch_size": 4, "quiet": True, "device": "cpu", **changes})


def test_words_and_language_layers_start_from_bert(prepared: Prepared, tmp_path: Path) -> None:
    folder, state = bert_folder(tmp_path / "bert", bert_state()), bert_state()
    shape = dataclasses.replace(lxmert.TINY, language_layers=2)
    model = pretrain(prepared, shape, PretrainConfig(optim=STILL), loop(tmp_path / "run"), bert=folder)
    words, first = "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.1.intermediate.dense.weight"
    assert torch.equal(model.get_parameter("words.word.weight"), state[words])
    assert torch.equal(model.get_parameter("language_layers.1.feed_forward.up.weight"), state[first])
    plain = pretrain(prepared, shape, PretrainConfig(optim=STILL), loop(tmp_path / "plain"))
    assert not torch.equal(plain.get_parameter("words.word.weight"), state[words])
    same = "relation_layers.0.feed_forward.up.weight"
    assert torch.equal(model.get_parameter(same), plain.get_parameter(same))


GRID = {"codes": 0, "regress": True, "labels": 1, "label_input": "feature"}
LXMERTS = PretrainConfig(policy="all", targets=("features", "labels"), visual_input="features", visual_mask="bernoulli")


@pytest.mark.parametrize(
    ("shape", "objectives"),
    [
        (uniter.TINY, PretrainConfig()),
        (dataclasses.replace(uniter.TINY, **GRID), LXMERTS),
        (dataclasses.replace(lxmert.TINY, **GRID), LXMERTS),
    ],
    ids=["x-uniter", "uniter-grid", "lxmert-grid"],
)
def test_every_family_trains_and_comes_back_from_its_checkpoint(
    prepared: Prepared, tmp_path: Path, shape: ModelConfig, objectives: PretrainConfig
) -> None:
    model = pretrain(prepared, shape, objectives, loop(tmp_path / "run"))
    assert model.config.labels == (3 if shape.labels else 0)
    prepared.bundle(model, None, {}).save_pretrained(tmp_path / "checkpoint", half=False)
    again = Bundle.from_pretrained(tmp_path / "checkpoint").model
    assert again.config == model.config
    state = model.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in again.state_dict().items())
    words, pictures = prepared.store.padded(np.arange(4)), np.arange(4)
    read = prepared.store.rows("codes" if shape.codes else "features", pictures)
    assert torch.equal(again(words, read).pooled, model(words, read).pooled)
