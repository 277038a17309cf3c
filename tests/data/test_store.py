"""The prepared data set: written whole, read where it lies, refused when it does not fit."""

from pathlib import Path

import numpy as np
import pytest

from xlxmert.core.arrays import write_arrays
from xlxmert.core.errors import XlxmertError
from xlxmert.data import store as store_module
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer

SENTENCES = [
    Sentence("a red car", 0),
    Sentence("is the car red ?", 0, "question", {"yes": 1.0, "no": 0.3}),
    Sentence("two blue cars on the beach", 1),
    Sentence("how many cars are there ?", 1, "question", {"2": 0.9, "seventeen": 1.0}),
    Sentence("blue cars", 1, "region"),
]
TOKENIZER = Tokenizer.train([s.text for s in SENTENCES] * 2, 100)
ANSWERS = AnswerTable(["yes", "no", "2"])


def make(folder: Path, codes: np.ndarray | None = None) -> Store:
    codes = np.arange(8, dtype=np.uint16).reshape(2, 4) if codes is None else codes
    return write_store(folder, codes, ["a.png", "b.png"], SENTENCES, TOKENIZER, ANSWERS, "cafe", 8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = make(tmp_path / "store")
    assert len(store) == 5 and store.codes.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [TOKENIZER.decode(store.words(i).tolist()) for i in (0, 2)] == ["a red car", "two blue cars on the beach"]
    assert store.arrays["picture"].tolist() == [0, 0, 1, 1, 1]
    assert store.of_kind("question").tolist() == [1, 3] and store.of_kind("caption", "region").tolist() == [0, 2, 4]
    assert store.facts["pictures"] == ["a.png", "b.png"]


def test_batches_are_padded_and_answers_soft(tmp_path: Path) -> None:
    store = make(tmp_path / "store")
    batch = store.padded([0, 2])
    assert batch.shape == (2, 8) and batch[0, 5:].tolist() == [0, 0, 0]
    assert np.allclose(store.soft_answers([1, 3, 0]).numpy(), [[1, 0.3, 0], [0, 0, 0.9], [0, 0, 0]])


@pytest.mark.parametrize("together", [1, 2, 5, 100])
def test_sentences_may_come_one_by_one_and_arrays_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    whole = make(tmp_path / "store")
    monkeypatch.setattr(store_module, "TOGETHER", together)
    codes = np.memmap(tmp_path / "codes", np.uint16, "w+", shape=(2, 4))
    codes[:] = whole.codes
    again = write_store(
        tmp_path / "again", codes, ["a.png", "b.png"], (s for s in SENTENCES), TOKENIZER, ANSWERS, "cafe", 8
    )
    assert again.facts == whole.facts
    for name in ("pictures", "sentences"):
        one, two = ((store.folder / f"{name}.safetensors").read_bytes() for store in (whole, again))
        assert one == two


def test_lengths_and_counts_of_codes_are_those_of_the_rows(tmp_path: Path) -> None:
    store = make(tmp_path / "store", np.array([[0, 1, 1, 7], [1, 1, 0, 0]], np.uint16))
    assert store.lengths().tolist() == [len(store.words(i)) - 2 for i in range(5)]
    assert store.longest == max(store.lengths())
    assert store.code_counts().tolist() == [3, 4, 0, 0, 0, 0, 0, 1]
    assert store.pool("question")[np.arange(2)].tolist() == store.of_kind("question").tolist()


def test_a_store_without_the_largest_code_in_its_file_is_looked_through(tmp_path: Path) -> None:
    store = make(tmp_path / "store")
    write_arrays(store.folder / "pictures.safetensors", {"codes": np.full((2, 4), 9, np.uint16)})
    with pytest.raises(XlxmertError, match=r"codes must be below 8 \(found 9 in"):
        Store.open(store.folder)


def test_another_codebook_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "store")
    with pytest.raises(XlxmertError, match=r"expected codes of the codebook beef .* found cafe"):
        Store.open(tmp_path / "store", "beef")


def test_codes_out_of_range_are_refused_when_written_and_when_read(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="codes below 8"):
        make(tmp_path / "store", np.full((2, 4), 8, np.uint16))
    store = make(tmp_path / "store")
    facts = (store.folder / "store.json").read_text()
    (store.folder / "store.json").write_text(facts.replace('"codes": 8', '"codes": 5'))
    with pytest.raises(XlxmertError, match=r"codes must be below 5 \(found 7 in"):
        Store.open(store.folder)


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    store = make(tmp_path / "store")
    path = store.folder / "sentences.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(XlxmertError, match=r"sentences\.safetensors.*cut short"):
        Store.open(store.folder)


def test_other_files_are_never_replaced_but_a_store_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(XlxmertError, match="found other files"):
        make(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    make(tmp_path / "store")
    assert len(make(tmp_path / "store")) == 5


def test_published_answer_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "all_ans.json").write_text('[{"ans": "yes", "dsets": ["vqa"]}, {"ans": "no", "dsets": ["gqa"]}]')
    table = AnswerTable.load(tmp_path / "all_ans.json")
    assert table == ("yes", "no") and table.place("no") == 1 and table.place("maybe") is None
    with pytest.raises(XlxmertError, match="every answer once"):
        AnswerTable(["yes", "yes"])
