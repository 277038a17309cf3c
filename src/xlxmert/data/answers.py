"""The answer table: which answers a question head knows, and where each stands."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.entries import brief


class AnswerTable(tuple[str, ...]):
    """Answers in the order of the head's outputs."""

    def __new__(cls, answers: Iterable[str]) -> "AnswerTable":
        """Take the answers.

        Raises:
            XlxmertError: an answer comes twice.
        """
        table = super().__new__(cls, answers)
        if len(set(table)) != len(table):
            twice = sorted({answer for answer in table if table.count(answer) > 1})
            raise XlxmertError(f"expected every answer once, found these again: {', '.join(twice[:5])}")
        table._places = {answer: place for place, answer in enumerate(table)}
        return table

    _places: dict[str, int]

    def place(self, answer: str) -> int | None:
        """Where an answer stands, or None."""
        return self._places.get(answer)

    def scores(self, answers: Mapping[str, float]) -> Float[Tensor, " A"]:
        """Soft answers as a row of targets; unknown answers are passed over."""
        row = torch.zeros(len(self))
        for answer, score in answers.items():
            if (place := self.place(answer)) is not None:
                row[place] = score
        return row

    def save(self, path: Path) -> None:
        """Write ``answers.json``."""
        write_json(path, list(self))

    @classmethod
    def load(cls, path: Path) -> "AnswerTable":
        """Read our list of strings, LXMERT's list of ``{"ans", "dsets"}``, or its ``trainval_ans2label.json``.

        Raises:
            XlxmertError: the file holds something else, or an answer twice.
        """
        content = read_json(path)
        if isinstance(content, dict) and sorted(map(repr, content.values())) == sorted(map(repr, range(len(content)))):
            content = sorted(content, key=content.__getitem__)
        if not isinstance(content, list):
            found = f"a {type(content).__name__}"
            raise XlxmertError(f"expected a list of answers in {path}, found {found}: check the file")
        answers: list[Any] = [entry.get("ans") if isinstance(entry, dict) else entry for entry in content]
        wrong = next((place for place, answer in enumerate(answers) if not isinstance(answer, str)), None)
        if wrong is not None:
            raise XlxmertError(
                f"expected an answer at [{wrong}] of {path}, found {brief(content[wrong])}: check the file"
            )
        try:
            return cls(answers)
        except XlxmertError as error:
            raise XlxmertError(f"{error} (in {path})") from error
