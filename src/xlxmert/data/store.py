"""The store: a prepared data set as a folder of memory-mapped arrays, ready for training.

It holds ``pictures.safetensors`` (codes; features, boxes, labels and attributes where they are wanted),
``sentences.safetensors`` (ragged token ids, picture index, kind, ragged soft answers; of statements the second picture
and the truth too) and ``store.json`` (picture ids, sizes, fingerprints), beside tokenizer.json and answers.json.
Opening costs the same at any size; rows are read where they lie.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.arrays import DTYPES, write_arrays
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer

FORMAT = 1
TOGETHER = 50_000
"""Sentences whose tokens are found together."""
KINDS = ("caption", "question", "region", "statement")
"""Kinds of sentences, by number."""
ARRAYS = {
    "words": np.uint16, "offsets": np.int64, "picture": np.uint32, "kind": np.uint8,
    "answer_offsets": np.int64, "answer_ids": np.uint16, "answer_scores": np.float32,
}  # fmt: skip
"""The sentences' arrays."""
STATEMENTS = {"second": np.uint32, "truth": np.uint8}
"""Two more, where there are statements: the second picture's index and whether the statement holds."""
PICTURES = {
    "codes": np.uint16, "features": np.float16, "boxes": np.float32, "labels": np.uint16, "attributes": np.uint16,
}  # fmt: skip
"""What may be known of the visual tokens of P pictures: codes, labels and attributes (P, N), features (P, N, F), boxes
(P, N, 4)."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of one picture, with the soft answers if it is a question, or of two, with its truth."""

    text: str
    picture: int
    """Index of its picture in the store."""
    kind: str = "caption"
    answers: Mapping[str, float] | None = None
    second: int | None = None
    """A statement's right picture."""
    truth: bool | None = None
    """Whether a statement holds."""


@dataclass(frozen=True)
class Store:
    """A prepared data set."""

    folder: Path
    pictures: Mapping[str, np.ndarray]
    """The pictures' arrays, as far as they are there; see `PICTURES`."""
    arrays: Mapping[str, np.ndarray]
    """The sentences' arrays; see `ARRAYS` and `STATEMENTS`."""
    facts: Mapping[str, Any]
    """The content of ``store.json``."""
    tokenizer: Tokenizer
    answers: AnswerTable

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.arrays["picture"])

    @property
    def codes(self) -> np.ndarray:
        """(P, N) uint16.

        Raises:
            XlxmertError: the store was prepared without.
        """
        return self.picture_array("codes")

    @property
    def size(self) -> int:
        """P, the number of pictures."""
        return len(self.facts["pictures"])

    @property
    def tokens(self) -> int:
        """N, visual tokens of a picture."""
        return int(next(iter(self.pictures.values())).shape[1])

    def picture_array(self, name: str) -> np.ndarray:
        """One of the pictures' arrays.

        Raises:
            XlxmertError: the store was prepared without.
        """
        if name not in self.pictures:
            raise XlxmertError(
                f"expected the pictures' {name} in {self.folder}, found only {', '.join(self.pictures)}: "
                "run `xlxmert prepare` with --features, and --instances for labels"
            )
        return self.pictures[name]

    def rows(self, name: str, pictures: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Some pictures' codes, labels or attributes as int64 (B, N), features or boxes as float32 (B, N, ...).

        Raises:
            XlxmertError: the store was prepared without.
        """
        found = torch.from_numpy(self.picture_array(name)[np.asarray(pictures, np.int64)])
        return found.float() if found.is_floating_point() else found.long()

    def count(self, name: str) -> int:
        """How many ``codes``, ``labels`` or ``attributes`` are told apart; 0 where there are none."""
        return int(self.facts.get(name, 0)) if name in self.pictures else 0

    @property
    def feature_width(self) -> int:
        """F, the width of the pictures' features; 0 where there are none."""
        return int(self.pictures["features"].shape[2]) if "features" in self.pictures else 0

    @property
    def fingerprint(self) -> str:
        """Of the codebook that the codes were made with."""
        return str(self.facts["codebook"])

    def words(self, sentence: int) -> np.ndarray:
        """The token ids of a sentence, framed."""
        start, end = self.arrays["offsets"][sentence : sentence + 2]
        return self.arrays["words"][start:end]

    def of_kind(self, *kinds: str) -> np.ndarray:
        """Indices of all sentences of these kinds."""
        return np.flatnonzero(np.isin(self.arrays["kind"], [KINDS.index(kind) for kind in kinds]))

    def padded(self, sentences: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Some sentences as an int64 batch (B, T), padded with 0."""
        rows = [self.words(int(i)) for i in sentences]
        batch = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for line, row in zip(batch, rows, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(batch)

    def soft_answers(self, sentences: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Soft answers (B, A); zeros for what is no question."""
        targets = torch.zeros(len(sentences), len(self.answers))
        for row, sentence in zip(targets, sentences, strict=True):
            start, end = self.arrays["answer_offsets"][int(sentence) : int(sentence) + 2]
            ids = torch.from_numpy(self.arrays["answer_ids"][start:end].astype(np.int64))
            row[ids] = torch.from_numpy(np.array(self.arrays["answer_scores"][start:end]))
        return targets

    @classmethod
    def open(cls, folder: Path, codebook: str | None = None) -> "Store":
        """Open a store.

        Args:
            folder: what `write_store` wrote.
            codebook: the fingerprint that its codes must have been made with.

        Raises:
            XlxmertError: the folder is no store, is cut short, or was made with another codebook.
        """
        folder = Path(folder)
        facts = read_json(folder / "store.json")
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise XlxmertError(
                f"expected a store of format {FORMAT} in {folder}, found something else: run `xlxmert prepare`"
            )
        if codebook is not None and facts["codebook"] != codebook:
            raise XlxmertError(
                f"expected codes of the codebook {codebook} in {folder}, found {facts['codebook']}: "
                "made with another codebook; run `xlxmert prepare` with this one or pass --codebook"
            )
        pictures = _mapped(folder / "pictures.safetensors")
        arrays = _mapped(folder / "sentences.safetensors")
        if set(arrays) - set(STATEMENTS) != set(ARRAYS) or not pictures or set(pictures) - set(PICTURES):
            found = ", ".join([*arrays, *pictures])
            raise XlxmertError(
                f"expected the arrays {', '.join(ARRAYS)} in {folder}, found {found}: run `xlxmert prepare`"
            )
        codes = pictures.get("codes", np.zeros(0, np.uint16))
        if codes.size and int(codes.max()) >= facts["codes"]:
            raise XlxmertError(
                f"codes must be below {facts['codes']} (found {int(codes.max())} in {folder}): "
                "made with another codebook; run `xlxmert prepare` again"
            )
        tokenizer, answers = Tokenizer.load(folder / "tokenizer.json"), AnswerTable.load(folder / "answers.json")
        return cls(folder, pictures, arrays, facts, tokenizer, answers)


def write_store(
    folder: Path,
    pictures: np.ndarray | Mapping[str, np.ndarray],
    picture_ids: Sequence[str],
    sentences: Iterable[Sentence],
    tokenizer: Tokenizer,
    answers: AnswerTable,
    codebook: str,
    size: int,
    facts: Mapping[str, Any] | None = None,
) -> Store:
    """Write a store as a whole: into a sibling folder first, which then takes the place of an earlier store.

    Neither the arrays of ``pictures`` need be in memory (`numpy.memmap`) nor all sentences at a time.

    Args:
        folder: where to; an earlier store there is replaced, anything else is an error.
        pictures: (P, N) codes below ``size``, or several of `PICTURES` by name.
        picture_ids: P names.
        sentences: in any order; their ``picture`` indexes ``pictures``.
        tokenizer: turns texts into ids.
        answers: the table for questions.
        codebook: fingerprint of the codebook; "none" without codes.
        size: K, the number of codes; 0 without.
        facts: anything else worth keeping, as JSON: ``labels`` and ``attributes`` count those that there are.

    Raises:
        XlxmertError: the folder holds something else, a code is out of range, or the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise XlxmertError(f"expected a folder for the store at {folder}, found a file: choose another name")
    if folder.exists() and any(folder.iterdir()) and not (folder / "store.json").exists():
        raise XlxmertError(f"expected an empty folder or a store at {folder}, found other files: choose another folder")
    visual = {"codes": pictures} if isinstance(pictures, np.ndarray) else dict(pictures)
    _check_pictures(visual, len(picture_ids), {"codes": size, **(facts or {})})
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    whole = {name: array.astype(PICTURES[name], copy=False) for name, array in visual.items()}
    write_arrays(part / "pictures.safetensors", whole)
    arrays = _ragged(sentences, tokenizer, answers)
    write_arrays(part / "sentences.safetensors", arrays)
    tokenizer.save(part / "tokenizer.json")
    answers.save(part / "answers.json")
    content = {"format": FORMAT, "codebook": codebook, "codes": size, "pictures": list(picture_ids), **(facts or {})}
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.tobytes())
    content["digest"] = digest.hexdigest()[:16]
    write_json(part / "store.json", content)
    _put(part, folder)
    return Store.open(folder, codebook)


def _check_pictures(visual: Mapping[str, np.ndarray], count: int, sizes: Mapping[str, Any]) -> None:
    """Complain about arrays of other pictures than those named, or with numbers out of range."""
    if not visual or set(visual) - set(PICTURES):
        raise XlxmertError(f"expected arrays of {', '.join(PICTURES)}, found {', '.join(visual) or 'none'}")
    cells = next(iter(visual.values())).shape[1]
    for name, array in visual.items():
        if array.shape[:2] != (count, cells):
            raise XlxmertError(
                f"expected {count} rows of {cells} visual tokens for {name}, found {array.shape}: "
                "encode the pictures again"
            )
        numbered = name in ("codes", "labels", "attributes") and array.size
        if numbered and (largest := int(array.max())) >= int(sizes.get(name, 0)):
            raise XlxmertError(
                f"expected {count} rows of {name} below {sizes.get(name, 0)}, found {array.shape}, largest {largest}: "
                "encode the pictures again"
            )


def _put(part: Path, folder: Path) -> None:
    """Move the finished folder into place; an earlier store is set aside first and deleted last."""
    old = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)


def _ragged(sentences: Iterable[Sentence], tokenizer: Tokenizer, answers: AnswerTable) -> dict[str, np.ndarray]:
    """The sentences as flat arrays."""
    stream, parts = iter(sentences), []
    while some := list(islice(stream, TOGETHER)):
        parts.append(_flat(some, tokenizer, answers))
    parts = parts or [_flat([], tokenizer, answers)]
    kinds = ARRAYS | (STATEMENTS if any((part["kind"] == KINDS.index("statement")).any() for part in parts) else {})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in kinds if not name.endswith("offsets")}
    for name in ("offsets", "answer_offsets"):  # lengths so far
        whole[name] = np.concatenate([[0], np.cumsum(np.concatenate([part[name] for part in parts]))])
    return {name: np.asarray(whole[name], dtype) for name, dtype in kinds.items()}


def _flat(sentences: Sequence[Sentence], tokenizer: Tokenizer, answers: AnswerTable) -> dict[str, np.ndarray]:
    """Some sentences as flat arrays, with lengths in the place of offsets."""
    codes = tokenizer.engine.encode_batch_fast([s.text for s in sentences], add_special_tokens=False)
    framed = [[tokenizer.start, *code.ids, tokenizer.end] for code in codes]
    known = [{answers.place(a): score for a, score in (s.answers or {}).items() if a in answers} for s in sentences]
    values: dict[str, Any] = {
        "words": [word for row in framed for word in row],
        "offsets": list(map(len, framed)),
        "picture": [s.picture for s in sentences],
        "kind": [KINDS.index(s.kind) for s in sentences],
        "answer_offsets": list(map(len, known)),
        "answer_ids": [place for row in known for place in row],
        "answer_scores": [score for row in known for score in row.values()],
        "second": [s.second or 0 for s in sentences],
        "truth": [bool(s.truth) for s in sentences],
    }
    return {name: np.asarray(values[name], dtype) for name, dtype in (ARRAYS | STATEMENTS).items()}


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, memory-mapped read-only."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        whole = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise XlxmertError(f"could not read {path} ({error}): run `xlxmert prepare` again") from error
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        if end > len(whole):
            raise XlxmertError(
                f"expected {end} bytes in {path}, found {len(whole)}: cut short; run `xlxmert prepare` again"
            )
        arrays[name] = whole[start:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays
