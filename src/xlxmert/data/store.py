"""The store: a prepared data set as a folder of memory-mapped arrays, ready for training.

It holds ``pictures.safetensors`` (codes; features, boxes, labels and attributes where they are wanted),
``sentences.safetensors`` (ragged token ids, picture index, kind, ragged soft answers; of statements the second picture
and the truth too) and ``store.json`` (picture ids, sizes, fingerprints), beside tokenizer.json and answers.json.
Opening costs the same at any size; rows are read where they lie.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.arrays import Pieces, map_arrays, pieces, write_arrays
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.pool import Pool
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


LARGEST = "largest_code"
"""What the largest code is called in the metadata of the pictures' file, so that opening need not look at them all."""
NONE = np.zeros((0, 0), np.uint16)
CENTROIDS = "centroids.safetensors"
"""A store's file with the centroids of its codes, where others made these."""
UNCODED = "none"
"""The fingerprint of a store without codes."""
AGAIN = "run `xlxmert prepare` again"


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
            move = "run `xlxmert prepare` with --features, and --instances for labels"
            if name == "codes":
                move = "read features instead (visual-input features, targets features), or prepare with a codebook"
            raise XlxmertError(
                f"expected the pictures' {name} in {self.folder}, found only {', '.join(self.pictures)}: {move}"
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

    @cached_property
    def kinds(self) -> np.ndarray:
        """The kind of each sentence, uint8, in memory: every step asks for some."""
        places = (np.arange(start, min(start + TOGETHER, len(self))) for start in range(0, len(self), TOGETHER))
        return np.concatenate([np.zeros(0, np.uint8), *(self.arrays["kind"][some] for some in places)])

    def of_kind(self, *kinds: str) -> np.ndarray:
        """Indices of all sentences of these kinds; `pool` draws from them without such a list."""
        return np.flatnonzero(np.isin(self.kinds, [KINDS.index(kind) for kind in kinds]))

    def pool(self, *kinds: str) -> Pool:
        """The sentences of these kinds, to be drawn from at any size."""
        return Pool(self.kinds, [KINDS.index(kind) for kind in kinds])

    def lengths(self) -> np.ndarray:
        """How many tokens each sentence has, those that frame it not counted; uint16."""
        offsets, found = self.arrays["offsets"], np.empty(len(self), np.uint16)
        for start in range(0, len(self), TOGETHER):
            found[start : start + TOGETHER] = np.diff(offsets[start : start + TOGETHER + 1]) - 2
        return found

    @property
    def longest(self) -> int:
        """Tokens of the longest sentence, those that frame it not counted."""
        return int(self.lengths().max(initial=0))

    def code_counts(self) -> np.ndarray:
        """How often each code occurs; int64 (K,).

        Raises:
            XlxmertError: the store was prepared without codes.
        """
        counts = np.zeros(self.count("codes"), np.int64)
        for piece in pieces(self.codes):
            counts += np.bincount(piece.ravel(), minlength=len(counts))
        return counts

    def padded(self, sentences: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Some sentences as an int64 batch (B, T), padded with 0."""
        owners, places = self._spans("offsets", sentences)
        lengths = np.bincount(owners, minlength=len(sentences))
        batch = np.zeros((len(sentences), int(lengths.max())), np.int64)
        batch[np.arange(batch.shape[1]) < lengths[:, None]] = self.arrays["words"][places]
        return torch.from_numpy(batch)

    def soft_answers(self, sentences: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Soft answers (B, A); zeros for what is no question."""
        targets = torch.zeros(len(sentences), len(self.answers))
        owners, places = self._spans("answer_offsets", sentences)
        ids, scores = (self.arrays[name][places] for name in ("answer_ids", "answer_scores"))
        targets[torch.from_numpy(owners), torch.from_numpy(ids.astype(np.int64))] = torch.from_numpy(scores)
        return targets

    def _spans(self, offsets: str, sentences: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the tokens, or answers, of some sentences lie: one after the other, each with its row in the batch."""
        rows = np.asarray(sentences, np.int64)
        starts, ends = self.arrays[offsets][np.stack([rows, rows + 1], 1)].T
        counts = ends - starts
        owners = np.repeat(np.arange(len(rows)), counts)
        before = np.cumsum(counts) - counts  # places of the batch's earlier rows
        return owners, np.arange(len(owners)) + np.repeat(starts - before, counts)

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
        if codebook is not None and facts["codebook"] == UNCODED != codebook:
            raise XlxmertError(
                f"expected codes of the codebook {codebook} in {folder}, found features without codes: "
                "leave --codebook out"
            )
        if codebook is not None and facts["codebook"] != codebook:
            raise XlxmertError(
                f"expected codes of the codebook {codebook} in {folder}, found {facts['codebook']}: "
                "made with another codebook; run `xlxmert prepare` with this one or pass --codebook"
            )
        pictures, told = map_arrays(folder / "pictures.safetensors", AGAIN)
        arrays, _ = map_arrays(folder / "sentences.safetensors", AGAIN)
        if set(arrays) - set(STATEMENTS) != set(ARRAYS) or not pictures or set(pictures) - set(PICTURES):
            found = ", ".join([*arrays, *pictures])
            raise XlxmertError(
                f"expected the arrays {', '.join(ARRAYS)} in {folder}, found {found}: run `xlxmert prepare`"
            )
        largest = int(told.get(LARGEST) or largest_of(pictures.get("codes", NONE)))
        if largest >= facts["codes"] and "codes" in pictures:
            raise XlxmertError(
                f"codes must be below {facts['codes']} (found {largest} in {folder}): "
                f"made with another codebook; {AGAIN}"
            )
        tokenizer, answers = Tokenizer.load(folder / "tokenizer.json"), AnswerTable.load(folder / "answers.json")
        return cls(folder, pictures, arrays, facts, tokenizer, answers)


def write_store(
    folder: Path,
    pictures: np.ndarray | Mapping[str, np.ndarray | Pieces],
    picture_ids: Sequence[str],
    sentences: Iterable[Sentence],
    tokenizer: Tokenizer,
    answers: AnswerTable,
    codebook: str,
    size: int,
    facts: Mapping[str, Any] | None = None,
    centroids: np.ndarray | None = None,
) -> Store:
    """Write a store as a whole: into a sibling folder first, which then takes the place of an earlier store.

    Neither the arrays of ``pictures`` need be in memory (`numpy.memmap`, `Pieces`) nor all sentences at a time.

    Args:
        folder: where to; an earlier store there is replaced, anything else is an error.
        pictures: (P, N) codes below ``size``, or several of `PICTURES` by name.
        picture_ids: P names.
        sentences: in any order; their ``picture`` indexes ``pictures``.
        tokenizer: turns texts into ids.
        answers: the table for questions.
        codebook: fingerprint of the codebook; `UNCODED` without codes.
        size: K, the number of codes; 0 without.
        facts: anything else worth keeping, as JSON: ``labels`` and ``attributes`` count those that there are.
        centroids: (K, F) of codes that others made, so that training needs no other file.

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
    whole = {name: _typed(array, PICTURES[name]) for name, array in visual.items()}
    told = {LARGEST: str(largest_of(whole["codes"]))} if "codes" in whole else {}
    write_arrays(part / "pictures.safetensors", whole, told)
    arrays = _ragged(sentences, tokenizer, answers)
    write_arrays(part / "sentences.safetensors", arrays)
    if centroids is not None:
        write_arrays(part / CENTROIDS, {"centroids": centroids}, {"fingerprint": codebook})
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


def largest_of(array: np.ndarray | Pieces) -> int:
    """The largest number of an array; -1 where there is none."""
    return max((int(piece.max(initial=0)) for piece in pieces(array) if piece.size), default=-1)


def _typed(array: np.ndarray | Pieces, dtype: type) -> np.ndarray | Pieces:
    """The array as it is stored."""
    if isinstance(array, np.ndarray):
        return array.astype(dtype, copy=False)
    return Pieces(np.dtype(dtype), array.shape, lambda: (piece.astype(dtype, copy=False) for piece in array))


def _check_pictures(visual: Mapping[str, np.ndarray | Pieces], count: int, sizes: Mapping[str, Any]) -> None:
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
        if numbered and (largest := largest_of(array)) >= int(sizes.get(name, 0)):
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
