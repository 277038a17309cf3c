"""Webdataset's shards, or tables of the ``datasets`` library, as a folder of pictures and files of captions.

    xlxmert prepare --shards data-{000000..000009}.tar --codebook vocabulary.safetensors --out STORE
    xlxmert prepare --table pictures.parquet --codebook vocabulary.safetensors --out STORE

As fast as the disk. A shard's captions, or a piece's of a table, are written when its pictures are there, so the same
command goes on where it was stopped. By hand: ``python -m xlxmert.recipes.unpack --shards data-*.tar --out DATA``.
"""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.entries import write_lines
from xlxmert.data.shards import Sample, read_shard
from xlxmert.data.tables import Table
from xlxmert.recipes.command import run_alone

PIECE = 1000
"""Rows of a table that are written together."""


@dataclass
class Unpacked:
    """What came of it."""

    pictures: int = 0
    captions: int = 0
    earlier: int = 0
    """Shards, or pieces of a table, that were there already."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Samples without picture or caption, and what they lack."""
    files: list[Path] = field(default_factory=list)
    """The files of captions, those that were there already among them."""

    def add(self, out: Path, name: str) -> bool:
        """Whether a shard or a piece is there already."""
        file = out / "captions" / f"{name}.jsonl"
        if there := file.exists():
            self.earlier += 1
            self.files += [file] if file.stat().st_size else []
        return there

    def write(self, out: Path, name: str, samples: Iterable[Sample], source: str) -> None:
        """Write one."""
        file = out / "captions" / f"{name}.jsonl"
        lines = _written(samples, source, out / "images" / name, self)
        write_lines(file, lines)
        self.files += [file] if lines else []

    def summary(self) -> dict[str, Any]:
        """Counts, and what was left out."""
        return {
            "pictures": self.pictures,
            "captions": self.captions,
            "earlier": self.earlier,
            "left_out": self.left_out,
        }


def unpack(shards: tuple[Path, ...], out: Path) -> Unpacked:
    """Write ``images/SHARD/KEY.jpg`` and ``captions/SHARD.jsonl`` for every shard that is not there yet.

    Raises:
        XlxmertError: a shard is missing or damaged, two have one name, or the disk is full.
    """
    names = [path.name.split(".")[0] for path in shards]
    if twice := [name for name in names if names.count(name) > 1]:
        raise XlxmertError(f"expected shards of different names, found {twice[0]} more than once: unpack them apart")
    done = Unpacked()
    for name, path in zip(names, shards, strict=True):
        if not done.add(out, name):
            done.write(out, name, read_shard(path), path.name)
    return done


def unpack_table(table: Table, out: Path) -> Unpacked:
    """The same for a table, in pieces of `PIECE` rows.

    Raises:
        XlxmertError: a row is damaged, ``out`` holds another table of this name, or the disk is full.
    """
    _mark(out, table)
    done = Unpacked()
    for number in itertools.count():
        if not done.add(out, f"{table.name}-{number:06d}"):
            break
    samples = table.samples(done.earlier * PIECE)
    for number in itertools.count(done.earlier):
        if (first := next(samples, None)) is None:
            return done
        some = itertools.chain([first], itertools.islice(samples, PIECE - 1))
        done.write(out, f"{table.name}-{number:06d}", some, table.source)
    return done


def _mark(out: Path, table: Table) -> None:
    """Make sure that what is there already is of the same table."""
    mark, path = out / f"{table.name}.json", Path(table.source)
    state = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []
    facts = {"table": table.source, "columns": dataclasses.asdict(table.columns), "rows": PIECE, "state": state}
    if mark.exists() and read_json(mark) != facts:
        raise XlxmertError(
            f"expected pictures of {table.source} in {out}, found those of another table, or of an earlier state "
            "of it: choose another folder (--pictures), or delete this one"
        )
    write_json(mark, facts)


def _written(samples: Iterable[Sample], source: str, folder: Path, done: Unpacked) -> list[dict[str, Any]]:
    """Write the pictures of some samples; gives the lines of their captions."""
    lines: list[dict[str, Any]] = []
    shutil.rmtree(folder, ignore_errors=True)
    for sample in samples:
        if sample.lacks:
            done.left_out[f"{source}/{sample.key}"] = sample.lacks
            continue
        file = folder / _name(sample)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as stream:
                stream.write(sample.picture)
        except FileExistsError as error:
            raise XlxmertError(f"expected every sample once, found {sample.key} again in {source}: mend it") from error
        except OSError as error:
            raise XlxmertError(
                f"could not write {file}: {error.strerror}: free some space and run the same command again"
            ) from error
        lines.append({"image": f"{folder.name}/{file.name}", "caption": list(sample.captions)})
        done.pictures, done.captions = done.pictures + 1, done.captions + len(sample.captions)
    return lines


def _name(sample: Sample) -> str:
    """A file's name that stays within its folder."""
    return sample.key.strip("./").replace("/", "_") + sample.suffix


def main() -> None:
    """Run the recipe from the command line."""

    def run(shards: tuple[Path, ...], out: Path) -> None:
        """Unpack webdataset's shards for `xlxmert prepare`."""
        print(json.dumps(unpack(shards, out).summary(), indent=2))

    run_alone(run)


if __name__ == "__main__":
    main()
