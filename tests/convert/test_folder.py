"""The checkpoint folder: what is read is what was written, and whatever is wrong with it is named."""

from pathlib import Path

import huggingface_hub
import pytest
import torch

from xlxmert.convert import locate
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json, read_tensors, write_json, write_tensors
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.testing.tiny import SENTENCES, tiny_bundle, tiny_pictures, tiny_vocabulary
from xlxmert.vision.vocabulary import VisualVocabulary

torch.set_num_threads(1)


@pytest.fixture
def bundle() -> Bundle:
    return tiny_bundle()


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    bundle.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_checkpoint_in_full_precision_comes_back_bit_by_bit(tmp_path: Path, bundle: Bundle) -> None:
    bundle.save_pretrained(tmp_path / "tiny", half=False)
    read = Bundle.from_pretrained(tmp_path / "tiny")
    for mine, theirs in ((bundle.model, read.model), (bundle.generator, read.generator)):
        assert mine is not None and theirs is not None and mine.config == theirs.config
        for name, tensor in mine.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_half_precision_rounds_the_weights_and_not_the_codebook(folder: Path, bundle: Bundle) -> None:
    read = Bundle.from_pretrained(folder)
    assert bundle.model.centroids is not None and read.model.centroids is not None
    assert torch.equal(bundle.model.centroids, read.model.centroids)
    for name, tensor in bundle.model.state_dict().items():
        found = read.model.state_dict()[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, tensor, rtol=1e-3, atol=1e-6)


def test_everything_else_travels_along(folder: Path, bundle: Bundle) -> None:
    read = Bundle.from_pretrained(str(folder))
    assert (read.answers, read.card, read.facts) == (bundle.answers, bundle.card, bundle.facts)
    assert torch.equal(read.tokenizer.encode(SENTENCES, 30), bundle.tokenizer.encode(SENTENCES, 30))
    pictures = torch.from_numpy(tiny_pictures(2))
    assert read.vocabulary is not None and bundle.vocabulary is not None
    assert torch.equal(read.vocabulary.encode(pictures), bundle.vocabulary.encode(pictures))


def test_opening_a_checkpoint_does_not_load_the_backbone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    original = VisualVocabulary.load
    monkeypatch.setattr(VisualVocabulary, "load", lambda path: loaded.append(path) or original(path))
    read = Bundle.from_pretrained(folder)
    assert not loaded
    assert read.vocabulary is read.vocabulary and len(loaded) == 1


def test_a_model_without_a_vocabulary_keeps_its_own_centroids(tmp_path: Path, bundle: Bundle) -> None:
    blind = Bundle(bundle.model, bundle.tokenizer, None, bundle.generator, bundle.answers)
    blind.save_pretrained(tmp_path / "blind")
    read = Bundle.from_pretrained(tmp_path / "blind")
    assert read.vocabulary is None and read.model.centroids is not None and bundle.model.centroids is not None
    assert torch.equal(read.model.centroids, bundle.model.centroids)


def _change(path: Path, **changes: torch.Tensor | None) -> None:
    tensors, metadata = read_tensors(path)
    for name, tensor in changes.items():
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    write_tensors(path, tensors, metadata)


@pytest.mark.parametrize("file", ["model", "generator"])
def test_missing_misshapen_and_unexpected_weights_are_all_named(folder: Path, file: str) -> None:
    path = folder / f"{file}.safetensors"
    first, second = sorted(read_tensors(path)[0])[:2]
    _change(path, **{first: None, second: torch.zeros(3, 1, 4), "stranger": torch.zeros(1)})
    with pytest.raises(XlxmertError) as caught:
        Bundle.from_pretrained(folder)
    message = str(caught.value)
    assert f"missing: {first}" in message and "unexpected: stranger" in message
    assert f"misshapen: {second} is (3, 1, 4) and should be " in message and str(path) in message


def test_a_codebook_of_another_fingerprint_is_refused(folder: Path, bundle: Bundle) -> None:
    other = tiny_vocabulary(seed=1)
    other.save(folder / "codebook.safetensors")
    assert bundle.vocabulary is not None
    with pytest.raises(XlxmertError) as caught:
        Bundle.from_pretrained(folder)
    assert bundle.vocabulary.codebook.fingerprint in str(caught.value)
    assert other.codebook.fingerprint in str(caught.value)


def test_a_codebook_that_the_model_does_not_hold_is_not_saved(tmp_path: Path, bundle: Bundle) -> None:
    mixed = Bundle(bundle.model, bundle.tokenizer, tiny_vocabulary(seed=1), bundle.generator, bundle.answers)
    with pytest.raises(XlxmertError, match="fingerprint"):
        mixed.save_pretrained(tmp_path / "mixed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "codebook.safetensors", "tokenizer.json"])
def test_a_missing_or_truncated_file_is_named(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(XlxmertError, match=file.replace(".", r"\.")):
        Bundle.from_pretrained(folder)
    (folder / file).unlink()
    with pytest.raises(XlxmertError, match=file.replace(".", r"\.")):
        Bundle.from_pretrained(folder)


def test_a_folder_of_another_format_is_refused(folder: Path) -> None:
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "format": 99})
    with pytest.raises(XlxmertError, match="found format 99"):
        Bundle.from_pretrained(folder)


def test_a_failed_save_leaves_the_earlier_checkpoint_whole(
    folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Tokenizer, path: Path) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Tokenizer, "save", full)
    with pytest.raises(XlxmertError, match="No space left"):
        bundle.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_checkpoint_is_replaced_and_a_foreign_folder_is_not(folder: Path, tmp_path: Path) -> None:
    tiny_bundle(seed=1).save_pretrained(folder)
    assert Bundle.from_pretrained(folder).facts["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "final.tex").write_text("years of work")
    with pytest.raises(XlxmertError, match="found other files"):
        tiny_bundle().save_pretrained(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "final.tex").read_text() == "years of work"


def test_parts_of_different_models_do_not_make_a_bundle(bundle: Bundle) -> None:
    with pytest.raises(XlxmertError, match="expected 5 answers, as the model's config says, found 2"):
        Bundle(bundle.model, bundle.tokenizer, None, bundle.generator, AnswerTable(["yes", "no"]))


@pytest.mark.parametrize("name", ["nowhere", "./no/where", "a/b/c"])
def test_a_path_that_leads_nowhere_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="found nothing"):
        Bundle.from_pretrained(name)


def test_a_hub_that_cannot_be_reached_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("Name or service not known\nwith a long tail")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(XlxmertError, match=r"someone/something .* Hugging Face hub, found neither") as caught:
        Bundle.from_pretrained("someone/something")
    assert "\n" not in str(caught.value)


def test_a_name_on_the_hub_is_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(folder))
    assert Bundle.from_pretrained("someone/something").facts["seed"] == 0


def test_an_installation_without_its_checkpoint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate.resources, "files", lambda _: tmp_path)
    with pytest.raises(XlxmertError, match="bundled checkpoint"):
        Bundle.from_pretrained()
