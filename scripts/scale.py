"""How opening a store and making batches scale: stores of random sentences at the mixture's proportions, measured.

    python scripts/scale.py                            10 thousand and 1 million sentences, in about a minute
    python scripts/scale.py --rows 10000 10000000      the smallest beside ten million
    python scripts/scale.py --steps 300 --out s.json   longer, and as JSON too

The sentences are as many per picture, of the kinds and about the lengths of LXMERT's mixture (9.18 million sentences of
180 thousand pictures), the pictures 8 x 8 of 10,000 codes, the words 30,000 and the answers 9,500. Numbers are random,
as nothing here depends on what they say; they are written streaming. Every store is opened by a process of its
own, which makes batches for the small preset under the objectives of docs/results.md, as training does: in a thread.
Nothing is trained with unless ``--train`` gives a number of steps.

disk     bytes of the store, MiB
open     seconds that `Store.open` takes, and the task behind it (which counts kinds and codes once)
rows/s   sentences per second of the feed, the median of the rounds
memory   what the process holds beyond the imports, MiB: "own" is its own, "mapped" the pages of the store's files that
         it has seen, which the system takes back when it needs them; "peak" is the most that both were
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROWS = (10_000, 1_000_000)
PER_PICTURE = 51
"""Sentences of a picture: 9.18 million of 180 thousand."""
CELLS, CODES, WORDS, ANSWERS = 64, 10_000, 30_000, 9_500
SHARES = {"caption": 0.06, "question": 0.40, "region": 0.54}
"""Of the kinds of sentences."""
BLOCK = 2**18
"""Sentences that are drawn together."""
BATCH = 64


def main() -> None:
    """Write the stores, measure each in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="sentences of each store")
    parser.add_argument("--steps", type=int, default=200, help="batches of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that each store gets, in turn")
    parser.add_argument("--train", type=int, default=0, help="steps of training at the end, for the memory beside them")
    parser.add_argument("--folder", type=Path, help="where the stores are written; they are deleted in the end")
    parser.add_argument("--out", type=Path, help="a JSON file of all numbers")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure, options.steps, options.train)))
        return
    folder = Path(tempfile.mkdtemp(prefix="scale-", dir=options.folder))
    try:
        found = [compared(folder / str(rows), rows) for rows in options.rows]
        for _ in range(options.rounds):  # taking turns, so that other work on the machine slows all
            for each in found:
                each["rounds"].append(in_a_process(folder / str(each["rows"]), options.steps, 0))
        for each in found if options.train else ():
            each["train"] = in_a_process(folder / str(each["rows"]), options.steps, options.train)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_table(found)
    if options.out:
        machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "system": platform.platform()}
        options.out.write_text(json.dumps({"machine": machine, "stores": found}, indent=2) + "\n")


def compared(folder: Path, rows: int) -> dict[str, Any]:
    """A store, written, with its size and the time that it took."""
    start = time.perf_counter()
    write(folder, rows)
    disk = sum(file.stat().st_size for file in folder.iterdir())
    return {"rows": rows, "disk": disk, "writing": time.perf_counter() - start, "rounds": []}


def in_a_process(folder: Path, steps: int, train: int) -> dict[str, float]:
    """What `measured` finds in a fresh process."""
    line = [sys.executable, __file__, "--measure", str(folder), "--steps", str(steps), "--train", str(train)]
    found: dict[str, float] = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return found


def write(folder: Path, rows: int) -> None:
    """A store of random numbers, never whole in memory."""
    from xlxmert.core.arrays import Pieces, write_arrays
    from xlxmert.core.files import write_json
    from xlxmert.data.answers import AnswerTable
    from xlxmert.data.store import ARRAYS, FORMAT, KINDS, LARGEST
    from xlxmert.data.tokenizer import SPECIALS, Tokenizer

    blocks = [(start, min(BLOCK, rows - start)) for start in range(0, rows, BLOCK)]
    words = answers = 0
    for block in blocks:
        lengths, asked = drawn_lengths(*block)
        words, answers = words + int(lengths.sum()), answers + int(asked.sum())
    pictures = -(-rows // PER_PICTURE)

    def column(name: str, count: int, make: Callable[[int, int], np.ndarray]) -> Pieces:
        dtype = np.dtype(ARRAYS[name])
        return Pieces(dtype, (count,), lambda: (make(*block).astype(dtype) for block in blocks))

    def offsets(which: int) -> Iterator[np.ndarray]:
        last = 0
        yield np.zeros(1, np.int64)
        for block in blocks:
            ends = last + drawn_lengths(*block)[which].cumsum()
            last = int(ends[-1])
            yield ends

    def framed(start: int, count: int) -> np.ndarray:
        lengths = drawn_lengths(start, count)[0]
        tokens = np.random.default_rng((2, start)).integers(len(SPECIALS), WORDS, lengths.sum())
        ends = lengths.cumsum()
        tokens[ends - lengths], tokens[ends - 1] = SPECIALS.index("[CLS]"), SPECIALS.index("[SEP]")
        return tokens

    def ids(start: int, count: int) -> np.ndarray:
        return np.random.default_rng((3, start)).integers(0, ANSWERS, drawn_lengths(start, count)[1].sum())

    sentences = {
        "words": column("words", words, framed),
        "offsets": Pieces(np.dtype(np.int64), (rows + 1,), lambda: offsets(0)),
        "picture": column("picture", rows, lambda start, count: np.arange(start, start + count) // PER_PICTURE),
        "kind": column("kind", rows, drawn_kinds),
        "answer_offsets": Pieces(np.dtype(np.int64), (rows + 1,), lambda: offsets(1)),
        "answer_ids": column("answer_ids", answers, ids),
        "answer_scores": column("answer_scores", answers, lambda *block: np.ones(drawn_lengths(*block)[1].sum())),
    }
    codes = Pieces(np.dtype(np.uint16), (pictures, CELLS), lambda: drawn_codes(pictures))
    write_arrays(folder / "pictures.safetensors", {"codes": codes}, {LARGEST: str(CODES - 1)})
    write_arrays(folder / "sentences.safetensors", sentences)
    known = [*SPECIALS, *(f"word{number}" for number in range(WORDS - len(SPECIALS)))]
    (folder / "vocab.txt").write_text("\n".join(known))
    Tokenizer.from_vocabulary(folder / "vocab.txt").save(folder / "tokenizer.json")
    (folder / "vocab.txt").unlink()
    AnswerTable([f"answer {number}" for number in range(ANSWERS)]).save(folder / "answers.json")
    names = [f"COCO_train2014_{number:012d}.jpg" for number in range(pictures)]
    assert tuple(SHARES) == KINDS[:3]
    write_json(
        folder / "store.json",
        {"format": FORMAT, "codebook": "random", "codes": CODES, "pictures": names, "digest": "random"},
    )


def drawn_kinds(start: int, count: int) -> np.ndarray:
    """The kinds of some sentences."""
    return np.random.default_rng((0, start)).choice(3, count, p=list(SHARES.values())).astype(np.uint8)


def drawn_lengths(start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens and how many answers some sentences have."""
    rng, kinds = np.random.default_rng((1, start)), drawn_kinds(start, count)
    lengths = 2 + np.clip(rng.poisson(np.array([10.5, 7.0, 5.5])[kinds]), 1, 50)
    return lengths, np.where(kinds == 1, 1 + (rng.random(count) < 0.3), 0)


def drawn_codes(pictures: int) -> Iterator[np.ndarray]:
    """The codes of all pictures."""
    for start in range(0, pictures, 2**14):
        size = min(2**14, pictures - start), CELLS
        codes = np.random.default_rng((4, start)).integers(0, CODES, size).astype(np.uint16)
        codes[0, 0] = CODES - 1
        yield codes


def measured(folder: Path, steps: int, train: int) -> dict[str, float]:
    """Open a store, make batches, train if asked; every time in seconds, every size in bytes."""
    import torch

    from xlxmert.core.task import WHOLE
    from xlxmert.data.store import Store
    from xlxmert.models.families import build
    from xlxmert.models.lxmert import WORLD
    from xlxmert.recipes.train_store import OBJECTIVES
    from xlxmert.tasks.pretrain import PretrainTask
    from xlxmert.train.feed import Feed

    torch.set_num_threads(2)
    with torch.device("cpu" if train else "meta"):
        sizes = {"vocabulary": WORDS, "codes": CODES, "answers": ANSWERS, "feature_width": 128, "grid": 8}
        model = build(dataclasses.replace(WORLD, **sizes))
    before, start = memory(), time.perf_counter()
    store = Store.open(folder)
    opened = time.perf_counter()
    task = PretrainTask(model, store, OBJECTIVES)
    ready = time.perf_counter()
    after = memory()
    feed, device = Feed(task, BATCH, 10 + steps, [WHOLE]), torch.device("cpu")
    for step in range(10):
        feed.take(step, device)
    begun, peak = time.perf_counter(), 0
    for step in range(10, 10 + steps):
        feed.take(step, device)
        if step % 20 == 0:
            peak = max(peak, sum(memory()))
    taken, end = time.perf_counter() - begun, memory()
    feed.close()
    found = {
        "open": opened - start, "task": ready - opened, "rows_per_second": steps * BATCH / taken,
        "opened": sum(after) - sum(before), "own": end[0] - before[0], "mapped": end[1] - before[1],
        "peak": max(peak, sum(end)) - sum(before), "imports": sum(before),
    }  # fmt: skip
    if train:
        found |= trained(task, train)
    return found


def trained(task: Any, steps: int) -> dict[str, float]:
    """The peak of memory and the speed of some steps of training."""
    import torch

    torch.set_num_threads(1)  # beside other work, two threads would mostly wait for each other
    player = task.players()[0]
    optimizer = torch.optim.AdamW(player.trains.parameters(), lr=1e-4)
    start = time.perf_counter()
    for step in range(steps):
        losses = player.module(task.batch(step, BATCH))
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"steps_per_second": steps / (time.perf_counter() - start), "training_peak": peak_memory()}


def memory() -> tuple[int, int]:
    """Bytes that this process holds: its own, and mapped pages of files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


def peak_memory() -> int:
    """The most bytes that this process has held, mapped pages of files included."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def print_table(found: list[dict[str, Any]]) -> None:
    """One line for each store, each number the median of its rounds."""
    print(f"{'rows':>12}{'disk':>8}{'open':>8}{'task':>8}{'rows/s':>9}{'own':>7}{'mapped':>8}{'peak':>7}")
    for each in found:
        middle = {name: statistics.median(run[name] for run in each["rounds"]) for name in each["rounds"][0]}
        own, mapped, peak = (middle[name] / 2**20 for name in ("own", "mapped", "peak"))
        print(
            f"{each['rows']:>12,}{each['disk'] / 2**20:>8.0f}{middle['open']:>8.2f}{middle['task']:>8.2f}"
            f"{middle['rows_per_second']:>9,.0f}{own:>7.0f}{mapped:>8.0f}{peak:>7.0f}"
        )
        each["median"] = middle
        if "train" in each:
            run = each["train"]
            peak, speed = run["training_peak"] / 2**20, run["steps_per_second"]
            print(f"{'training':>12}: peak {peak:.0f} MiB in all, {speed:.2f} steps/s")
    first, last = found[0]["median"], found[-1]["median"]
    best = [max(run["rows_per_second"] for run in each["rounds"]) for each in (found[-1], found[0])]
    print(
        f"the last beside the first: {last['rows_per_second'] / first['rows_per_second']:.2f} x the rows per second "
        f"({best[0] / best[1]:.2f} x in the best rounds), "
        f"{(last['peak'] - first['peak']) / 2**20:+.0f} MiB"
    )


if __name__ == "__main__":
    main()
