"""``xlxmert answer``: questions about pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xlxmert.cli.common import Common, PictureFiles, listed, print_json, print_table, progress


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Answer questions about a picture, or about each picture of a folder.

    xlxmert answer holiday.jpg "how many boats are there ?" "what colour is the boat ?"
    """

    picture: Annotated[Path, tyro.conf.Positional]
    """A picture file, or a folder of them."""
    questions: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="QUESTION")]
    """What to ask, each question in quotes."""
    top: int = 3
    """Answers per question."""


def run(options: Options) -> int:
    """Answer every question; pictures that cannot be read are named at the end."""
    files = listed([options.picture])
    studio = options.studio()
    reader = PictureFiles(files, studio.size)
    found = [
        (path, question, answers)
        for paths, pictures in progress(reader.chunks(), reader.rounds, "answering")
        for path, by_question in zip(paths, studio.answer(pictures, options.questions, options.top), strict=True)
        for question, answers in zip(options.questions, by_question, strict=True)
    ]
    if options.json:
        print_json(
            [
                {
                    "picture": str(path),
                    "question": question,
                    "answers": [{"text": answer.text, "confidence": round(answer.confidence, 4)} for answer in answers],
                }
                for path, question, answers in found
            ]
        )
    elif found:
        rows = [
            (str(path), question, "   ".join(f"{answer.text} {answer.confidence:.0%}" for answer in answers))
            for path, question, answers in found
        ]
        print_table(("picture", "question", "answers"), rows)
    return reader.report()
