"""The store: a prepared data set as a folder of memory-mapped arrays, ready for training.

It holds ``pictures.safetensors`` (codes), ``sentences.safetensors`` (ragged token ids, picture index, kind, ragged soft
answers) and ``store.json`` (picture ids, sizes, fingerprints); ``tokenizer.json`` and ``answers.json`` lie beside them.
Opening costs the same at any size; rows are read where they lie.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json, write_tensors
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer

FORMAT = 1
KINDS = ("caption", "question", "region")
"""Kinds of sentences, by number."""
ARRAYS = {
    "words": np.uint16, "offsets": np.int64, "picture": np.uint32, "kind": np.uint8,
    "answer_offsets": np.int64, "answer_ids": np.uint16, "answer_scores": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """One sentence of one picture, with the soft answers if it is a question."""

    text: str
    picture: int
    """Index of its picture in the store."""
    kind: str = "caption"
    answers: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Store:
    """A prepared data set."""

    folder: Path
    codes: np.ndarray
    """(P, N) uint16."""
    arrays: Mapping[str, np.ndarray]
    """The sentences' arrays; see `ARRAYS`."""
    facts: Mapping[str, Any]
    """The content of ``store.json``."""
    tokenizer: Tokenizer
    answers: AnswerTable

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.arrays["picture"])

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
        if set(arrays) != set(ARRAYS) or "codes" not in pictures:
            found = ", ".join(arrays)
            raise XlxmertError(
                f"expected the arrays {', '.join(ARRAYS)} in {folder}, found {found}: run `xlxmert prepare`"
            )
        codes = pictures["codes"]
        if codes.size and int(codes.max()) >= facts["codes"]:
            raise XlxmertError(
                f"codes must be below {facts['codes']} (found {int(codes.max())} in {folder}): "
                "made with another codebook; run `xlxmert prepare` again"
            )
        tokenizer, answers = Tokenizer.load(folder / "tokenizer.json"), AnswerTable.load(folder / "answers.json")
        return cls(folder, codes, arrays, facts, tokenizer, answers)


def write_store(
    folder: Path,
    codes: np.ndarray,
    picture_ids: Sequence[str],
    sentences: Sequence[Sentence],
    tokenizer: Tokenizer,
    answers: AnswerTable,
    codebook: str,
    size: int,
    facts: Mapping[str, Any] | None = None,
) -> Store:
    """Write a store as a whole: into a sibling folder first, which then takes the place of an earlier store.

    Args:
        folder: where to; an earlier store there is replaced, anything else is an error.
        codes: (P, N) codes below ``size``.
        picture_ids: P names.
        sentences: in any order; their ``picture`` indexes ``codes``.
        tokenizer: turns texts into ids.
        answers: the table for questions.
        codebook: fingerprint of the codebook.
        size: K, the number of codes.
        facts: anything else worth keeping, as JSON.

    Raises:
        XlxmertError: the folder holds something else, a code is out of range, or the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise XlxmertError(f"expected a folder for the store at {folder}, found a file: choose another name")
    if folder.exists() and any(folder.iterdir()) and not (folder / "store.json").exists():
        raise XlxmertError(f"expected an empty folder or a store at {folder}, found other files: choose another folder")
    if len(codes) != len(picture_ids) or (codes.size and int(codes.max()) >= size):
        found = f"{codes.shape}, largest {codes.max()}"
        raise XlxmertError(
            f"expected {len(picture_ids)} rows of codes below {size}, found {found}: encode the pictures again"
        )
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write_tensors(part / "pictures.safetensors", {"codes": torch.from_numpy(codes.astype(np.uint16))})
    arrays = _ragged(sentences, tokenizer, answers)
    write_tensors(part / "sentences.safetensors", {name: torch.from_numpy(array) for name, array in arrays.items()})
    tokenizer.save(part / "tokenizer.json")
    answers.save(part / "answers.json")
    content = {"format": FORMAT, "codebook": codebook, "codes": size, "pictures": list(picture_ids), **(facts or {})}
    content["digest"] = hashlib.sha256(b"".join(arrays[name].tobytes() for name in ARRAYS)).hexdigest()[:16]
    write_json(part / "store.json", content)
    _put(part, folder)
    return Store.open(folder, codebook)


def _put(part: Path, folder: Path) -> None:
    """Move the finished folder into place; an earlier store is set aside first and deleted last."""
    old = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)


def _ragged(sentences: Sequence[Sentence], tokenizer: Tokenizer, answers: AnswerTable) -> dict[str, np.ndarray]:
    """The sentences as flat arrays."""
    codes = tokenizer.engine.encode_batch_fast([s.text for s in sentences], add_special_tokens=False)
    framed = [[tokenizer.start, *code.ids, tokenizer.end] for code in codes]
    known = [{answers.place(a): score for a, score in (s.answers or {}).items() if a in answers} for s in sentences]
    values: dict[str, Any] = {
        "words": np.concatenate([np.array(row, np.uint16) for row in framed]) if framed else [],
        "offsets": np.cumsum([0, *map(len, framed)]),
        "picture": [s.picture for s in sentences],
        "kind": [KINDS.index(s.kind) for s in sentences],
        "answer_offsets": np.cumsum([0, *map(len, known)]),
        "answer_ids": [place for row in known for place in row],
        "answer_scores": [score for row in known for score in row.values()],
    }
    return {name: np.asarray(values[name], dtype) for name, dtype in ARRAYS.items()}


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, memory-mapped read-only."""
    kinds = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I64": np.int64, "F32": np.float32}
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
        arrays[name] = whole[start:end].view(kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays
