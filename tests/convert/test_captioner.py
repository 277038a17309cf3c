"""The captioner's folder: what is read is what was written, who looks for it; whatever is wrong with it is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from xlxmert.convert import locate
from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors, write_json, write_tensors
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.sampling import Greedy
from xlxmert.studio import Describer
from xlxmert.testing.tiny import SENTENCES, tiny_bundle, tiny_captioner, tiny_pictures, tiny_vocabulary
from xlxmert.vision.vocabulary import VisualVocabulary

PICTURES = tiny_pictures(3)
FILES = ["README.md", "codebook.safetensors", "config.json", "model.safetensors", "tokenizer.json"]


BOTH = pytest.mark.parametrize("captioner", ["features", "codes"], indirect=True)


@pytest.fixture(scope="module")
def captioner(request: pytest.FixtureRequest) -> Captioner:
    return tiny_captioner(codes=getattr(request, "param", "features") == "codes")


@pytest.fixture
def folder(tmp_path: Path, captioner: Captioner) -> Path:
    captioner.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def as_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Let a checkpoint with the tiny visual vocabulary of some seed be the bundled one."""

    def install(seed: int) -> Path:
        tiny_bundle(seed).save_pretrained(tmp_path / "package" / "world")
        monkeypatch.setattr("xlxmert.convert.captioner.bundled", lambda: tmp_path / "package" / "world")
        return tmp_path / "package" / "world"

    return install


def texts(captioner: Captioner) -> list[str]:
    return [row[0].text for row in Describer(captioner, "cpu").caption(PICTURES, decoding=Greedy())]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@BOTH
def test_a_captioner_in_full_precision_comes_back_bit_by_bit(tmp_path: Path, captioner: Captioner) -> None:
    captioner.save_pretrained(tmp_path / "tiny", half=False)
    read = Captioner.from_pretrained(tmp_path / "tiny")
    assert read.model.config == captioner.model.config and not read.model.training
    assert not any(weight.requires_grad for weight in read.model.parameters())
    for name, tensor in captioner.model.state_dict().items():
        assert torch.equal(tensor, read.model.state_dict()[name]), name


@BOTH
def test_sixteen_bits_round_the_weights_and_change_no_caption(folder: Path, captioner: Captioner) -> None:
    tensors, _ = read_tensors(folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    read = Captioner.from_pretrained(folder)
    for name, tensor in captioner.model.state_dict().items():
        found = read.model.state_dict()[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, tensor, rtol=1e-3, atol=1e-6)
    assert texts(read) == texts(captioner) and len(set(texts(read))) == 3


def test_everything_else_travels_along(folder: Path, captioner: Captioner) -> None:
    assert names(folder) == FILES
    read = Captioner.from_pretrained(str(folder))
    assert (read.card, read.facts) == (captioner.card, captioner.facts)
    assert (read.most_words, read.visual_input) == (8, captioner.visual_input)
    assert torch.equal(read.tokenizer.encode(SENTENCES, 30), captioner.tokenizer.encode(SENTENCES, 30))


def test_facts_that_say_nothing_leave_the_positions_and_features() -> None:
    tiny = tiny_captioner()
    assert (Captioner(tiny.model, tiny.tokenizer).most_words, Captioner(tiny.model, tiny.tokenizer).visual_input) == (
        tiny.model.config.max_text - 2,
        "features",
    )
    boastful = Captioner(tiny.model, tiny.tokenizer, facts={"most_words": 99})
    assert boastful.most_words == tiny.model.config.max_text - 2


def test_centroids_are_written_once_and_not_rounded(tmp_path: Path) -> None:
    captioner = tiny_captioner(codes=True)
    captioner.save_pretrained(tmp_path / "tiny")
    assert "centroids" not in read_tensors(tmp_path / "tiny" / "model.safetensors")[0]
    read = Captioner.from_pretrained(tmp_path / "tiny")
    assert captioner.vocabulary is not None and read.model.centroids is not None
    assert torch.equal(read.model.centroids, captioner.vocabulary.codebook.centroids)


def test_a_captioner_without_a_vocabulary_keeps_its_own_centroids(tmp_path: Path) -> None:
    captioner = tiny_captioner(codes=True)
    Captioner(captioner.model, captioner.tokenizer).save_pretrained(tmp_path / "blind")
    assert names(tmp_path / "blind") == [name for name in FILES if name != "codebook.safetensors"]
    read = Captioner.from_pretrained(tmp_path / "blind")
    assert read.vocabulary is None and read.model.centroids is not None and captioner.model.centroids is not None
    assert torch.equal(read.model.centroids, captioner.model.centroids)


def test_opening_a_captioner_does_not_load_the_backbone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    original = VisualVocabulary.load
    monkeypatch.setattr(VisualVocabulary, "load", lambda path: loaded.append(path) or original(path))
    read = Captioner.from_pretrained(folder).to("cpu")
    assert not loaded
    assert read.vocabulary is read.vocabulary and len(loaded) == 1


@BOTH
def test_a_captioner_may_look_as_the_bundled_checkpoint_does(
    tmp_path: Path, captioner: Captioner, as_bundled: Callable[[int], Path]
) -> None:
    as_bundled(0)
    captioner.save_pretrained(tmp_path / "light", looks_as_bundled=True)
    assert names(tmp_path / "light") == [name for name in FILES if name != "codebook.safetensors"]
    assert texts(Captioner.from_pretrained(tmp_path / "light")) == texts(captioner)


def test_a_captioner_that_looks_in_its_own_way_is_not_written_as_if_it_looked_as_the_bundled_one(
    tmp_path: Path, captioner: Captioner, as_bundled: Callable[[int], Path]
) -> None:
    as_bundled(1)
    with pytest.raises(XlxmertError, match="looks_as_bundled") as caught:
        captioner.save_pretrained(tmp_path / "light", looks_as_bundled=True)
    for seed in (0, 1):
        assert tiny_vocabulary(seed).codebook.fingerprint in str(caught.value)
    assert names(tmp_path) == ["package"]
    with pytest.raises(XlxmertError, match="found none: leave looks_as_bundled out"):
        Captioner(captioner.model, captioner.tokenizer).save_pretrained(tmp_path / "light", looks_as_bundled=True)
    assert names(tmp_path) == ["package"]


def test_another_bundled_checkpoint_than_that_of_the_training_is_refused(
    tmp_path: Path, captioner: Captioner, as_bundled: Callable[[int], Path]
) -> None:
    as_bundled(0)
    captioner.save_pretrained(tmp_path / "light", looks_as_bundled=True)
    as_bundled(1)
    with pytest.raises(XlxmertError, match=f"expected the codebook {tiny_vocabulary(0).codebook.fingerprint}"):
        texts(Captioner.from_pretrained(tmp_path / "light"))


@BOTH
def test_a_codebook_of_another_fingerprint_is_refused(folder: Path) -> None:
    other = tiny_vocabulary(seed=1)
    other.save(folder / "codebook.safetensors")
    with pytest.raises(XlxmertError) as caught:
        texts(Captioner.from_pretrained(folder))
    assert tiny_vocabulary(0).codebook.fingerprint in str(caught.value)
    assert other.codebook.fingerprint in str(caught.value)


def test_a_codebook_that_the_model_does_not_hold_is_not_saved(tmp_path: Path) -> None:
    captioner = tiny_captioner(codes=True)
    with pytest.raises(XlxmertError, match="fingerprint"):
        Captioner(captioner.model, captioner.tokenizer, tiny_vocabulary(1)).save_pretrained(tmp_path / "mixed")
    assert names(tmp_path) == []


def test_a_checkpoint_of_another_family_says_with_which_option_to_pass_it(tmp_path: Path, folder: Path) -> None:
    tiny_bundle().save_pretrained(tmp_path / "lxmert")
    with pytest.raises(XlxmertError, match=r"format 1 and family lxmert: .*--checkpoint"):
        Captioner.from_pretrained(tmp_path / "lxmert")
    with pytest.raises(XlxmertError, match=r"format 1 and family xgpt: .*--model"):
        Bundle.from_pretrained(folder)


@pytest.mark.parametrize("content", [{"format": 99, "family": "xgpt"}, {"model_type": "bert"}, [1]])
def test_a_folder_of_another_format_is_refused(folder: Path, content: object) -> None:
    write_json(folder / "config.json", content)
    with pytest.raises(XlxmertError, match=r"found format (99|None) and family (xgpt|None): write it again"):
        Captioner.from_pretrained(folder)


def test_missing_misshapen_and_unexpected_weights_are_all_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors, metadata = read_tensors(path)
    first, second = sorted(tensors)[:2]
    del tensors[first]
    write_tensors(path, {**tensors, second: torch.zeros(3, 1, 4), "stranger": torch.zeros(1)}, metadata)
    with pytest.raises(XlxmertError) as caught:
        Captioner.from_pretrained(folder)
    message = str(caught.value)
    assert f"missing: {first}" in message and "unexpected: stranger" in message
    assert f"misshapen: {second} is (3, 1, 4) and should be " in message and str(path) in message


@pytest.mark.parametrize("file", [name for name in FILES if name != "README.md"])
def test_a_missing_or_truncated_file_is_named(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(XlxmertError, match=file.replace(".", r"\.")):
        texts(Captioner.from_pretrained(folder))
    (folder / file).unlink()
    with pytest.raises(XlxmertError, match=file.replace(".", r"\.")):
        texts(Captioner.from_pretrained(folder))


def test_a_failed_save_leaves_the_earlier_captioner_whole(
    folder: Path, captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Tokenizer, path: Path) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Tokenizer, "save", full)
    with pytest.raises(XlxmertError, match=r"could not write a captioner to .*No space left"):
        captioner.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(folder.parent) == [folder.name]
    with pytest.raises(XlxmertError, match="No space left"):
        captioner.save_pretrained(folder.parent / "new")
    assert names(folder.parent) == [folder.name]


def test_a_captioner_is_replaced_and_a_foreign_folder_is_not(folder: Path, tmp_path: Path) -> None:
    tiny_captioner(seed=1).save_pretrained(folder)
    assert Captioner.from_pretrained(folder).facts["seed"] == 1 and names(tmp_path) == [folder.name]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "final.tex").write_text("years of work")
    with pytest.raises(XlxmertError, match=r"expected a captioner, an empty folder or nothing .* found other files"):
        tiny_captioner().save_pretrained(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "final.tex").read_text() == "years of work"


def test_a_tokenizer_of_another_size_makes_no_captioner() -> None:
    tiny = tiny_captioner()
    other = Tokenizer.train(["a dog"], 50, least=1)
    said = f"expected {tiny.tokenizer.size} words of the tokenizer, as the model's config says, found {other.size}"
    with pytest.raises(XlxmertError, match=said):
        Captioner(tiny.model, other)


def test_a_path_that_leads_nowhere_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="found nothing"):
        Captioner.from_pretrained("./no/where")


def test_an_installation_without_its_captioner_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate.resources, "files", lambda _: tmp_path)
    with pytest.raises(XlxmertError, match=r"expected the bundled captioner in .*--model"):
        Captioner.from_pretrained()
