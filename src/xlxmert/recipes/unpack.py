"""Webdataset's shards as a folder of pictures and files of captions, which ``xlxmert prepare`` reads.

    python -m xlxmert.recipes.unpack --shards data-000000.tar data-000001.tar --out DATA
    xlxmert prepare --images DATA/images --captions DATA/captions/*.jsonl --codebook vocabulary.safetensors --out STORE

As fast as the disk. A shard's captions are written when its pictures are there, so the same command goes on where it
was stopped.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import write_lines
from xlxmert.data.shards import Sample, read_shard


@dataclass
class Unpacked:
    """What came of it."""

    pictures: int = 0
    captions: int = 0
    earlier: int = 0
    """Shards that were there already."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Samples without picture or caption, and what they lack."""

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
        target = out / "captions" / f"{name}.jsonl"
        if target.exists():
            done.earlier += 1
            continue
        write_lines(target, _written(path, out / "images" / name, done))
    return done


def _written(path: Path, folder: Path, done: Unpacked) -> list[dict[str, Any]]:
    """Write a shard's pictures; gives the lines of its captions."""
    lines: list[dict[str, Any]] = []
    shutil.rmtree(folder, ignore_errors=True)
    for sample in read_shard(path):
        if sample.lacks:
            done.left_out[f"{path.name}/{sample.key}"] = sample.lacks
            continue
        file = folder / _name(sample)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as stream:
                stream.write(sample.picture)
        except FileExistsError as error:
            raise XlxmertError(f"expected every sample once, found {sample.key} again in {path}: mend it") from error
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
    import tyro

    def run(shards: tuple[Path, ...], out: Path) -> None:
        """Unpack webdataset's shards for `xlxmert prepare`."""
        print(json.dumps(unpack(shards, out).summary(), indent=2))

    try:
        tyro.cli(run)
    except XlxmertError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
