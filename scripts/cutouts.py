"""Make a folder of pictures that nobody has trained on: photographed things pasted into photographed places.

    python scripts/cutouts.py --out cutouts
    xlxmert train cutouts

The things are cut-outs of Debian's package ``tuxpaint-stamps-default`` (GPL-2), the places backgrounds of its package
``scratch`` (CC-BY-SA-3.0). Both are fetched with ``apt-get download`` and unpacked with ``dpkg-deb``, or taken from a
folder that holds the two files (``--packages``); neither they nor what is made of them comes with this project. Every
picture has two captions, in ``captions.jsonl``. The same seed makes the same pictures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator

PACKAGES = ("tuxpaint-stamps-default", "scratch")
STAMPS = "usr/share/tuxpaint/stamps"
PLACES_AT = "usr/share/scratch/Media/Backgrounds"
SIZE = 256
THINGS = {
    "an elephant": "animals/mammals/elephant.png",
    "a giraffe": "animals/mammals/giraffe.png",
    "a zebra": "animals/mammals/equines/zebra.png",
    "a horse": "animals/mammals/equines/horse.png",
    "a tiger": "animals/mammals/cats/tiger.png",
    "a cow": "animals/mammals/bovines/cow.png",
    "a penguin": "animals/birds/penguin.png",
    "an owl": "animals/birds/owl.png",
    "a flamingo": "animals/birds/pink_flamingo.png",
    "a frog": "animals/amphibians/frog.png",
    "a dog": "animals/mammals/dogs/dog.png",
    "a fox": "animals/mammals/dogs/fox.png",
    "a squirrel": "animals/mammals/rodents/squirrel.png",
    "a bear": "animals/mammals/bears/bear.png",
    "a pig": "animals/mammals/pig.png",
    "a sheep": "animals/mammals/bovines/sheep.png",
    "a camel": "animals/mammals/camel/camel.png",
    "a rooster": "animals/birds/rooster.png",
    "a fire engine": "vehicles/emergency/firetruck.png",
    "a red sports car": "vehicles/auto/sportscar2.png",
    "a green bus": "vehicles/masstransit/green_korean_bus.png",
    "a hot air balloon": "vehicles/flight/balloon360.png",
    "a rubber duck": "household/rubberduck.png",
    "a soccer ball": "sports/soccer.png",
}
PLACES = {
    "on the beach": "Nature/beach-malibu.jpg",
    "in the desert": "Nature/gravel-desert.jpg",
    "in the forest": "Nature/forest.jpg",
    "on the moon": "Nature/moon.jpg",
    "in front of a castle": "Outdoors/castle.jpg",
    "at the pool": "Outdoors/pool.jpg",
    "on the railway": "Outdoors/train-tracks1.jpg",
    "in front of a brick wall": "Outdoors/brick-wall1.jpg",
    "in the kitchen": "Indoors/kitchen.jpg",
    "on the grass": "Sports/playing-field.jpg",
    "by the city at night": "Outdoors/city-with-water.jpg",
    "in a hay field": "Outdoors/hay_field.jpg",
}
BEGINNINGS = ("", "there is ", "a photo of ", "here is ")


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    things: tuple[str, ...]
    place: str

    def captions(self, rng: np.random.Generator) -> list[str]:
        """Two sentences that tell it."""
        if len(self.things) == 1:
            told = [self.things[0]] * 2
        else:
            left, right = self.things
            told = [f"{left} to the left of {right}", f"{right} to the right of {left}", f"{left} and {right}"]
            told = [told[int(i)] for i in rng.permutation(3)[:2]]
        first, second = rng.permutation(len(BEGINNINGS))[:2]
        return [f"{BEGINNINGS[int(b)]}{text} {self.place}" for b, text in zip((first, second), told, strict=True)]


class Cutouts:
    """The unpacked packages."""

    def __init__(self, root: Path) -> None:
        """Open every picture once.

        Raises:
            XlxmertError: a picture is not in the packages.
        """
        self.things = {name: _opened(root / STAMPS / file).convert("RGBA") for name, file in THINGS.items()}
        self.places = {name: _opened(root / PLACES_AT / file).convert("RGB") for name, file in PLACES.items()}

    def scene(self, rng: np.random.Generator) -> Scene:
        """One thing, or in three of ten pictures two."""
        count = 2 if rng.random() < 0.3 else 1
        things = rng.choice(len(THINGS), count, replace=False)
        return Scene(tuple(list(THINGS)[int(i)] for i in things), list(PLACES)[int(rng.integers(len(PLACES)))])

    def picture(self, scene: Scene, rng: np.random.Generator) -> Image.Image:
        """The place, cut a little differently every time, and the things on it from left to right."""
        canvas = self._place(scene.place, rng)
        columns = [SIZE // 2] if len(scene.things) == 1 else [SIZE // 4, 3 * SIZE // 4]
        for name, column in zip(scene.things, columns, strict=True):
            spread = SIZE // 5 if len(scene.things) == 1 else SIZE // 16
            thing = self._thing(name, 0.55 if len(scene.things) == 1 else 0.45, rng)
            x = column + int(rng.integers(-spread, spread + 1)) - thing.width // 2
            y = int(SIZE * rng.uniform(0.82, 0.95)) - thing.height
            canvas.alpha_composite(thing, (min(max(x, 0), SIZE - thing.width), max(y, 0)))
        return canvas.convert("RGB")

    def _place(self, name: str, rng: np.random.Generator) -> Image.Image:
        place = self.places[name]
        share = rng.uniform(0.85, 1.0)
        width, height = int(place.width * share), int(place.height * share)
        x, y = int(rng.integers(place.width - width + 1)), int(rng.integers(place.height - height + 1))
        cut = place.crop((x, y, x + width, y + height)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        return cut.convert("RGBA")

    def _thing(self, name: str, share: float, rng: np.random.Generator) -> Image.Image:
        side = int(SIZE * share * rng.uniform(0.9, 1.1))
        thing = ImageOps.contain(self.things[name], (side, side), Image.Resampling.LANCZOS)
        return ImageOps.mirror(thing) if rng.random() < 0.5 else thing


def make(root: Path, out: Path, count: int, seed: int) -> None:
    """Write the pictures and their captions."""
    cutouts, lines = Cutouts(root), []
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = numpy_generator("cut-outs", seed, number)
        scene = cutouts.scene(rng)
        cutouts.picture(scene, rng).save(out / f"{number:05d}.jpg", quality=92)
        lines.append(json.dumps({"image": f"{number:05d}.jpg", "caption": scene.captions(rng)}))
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def unpack(packages: Path | None, root: Path) -> None:
    """Fetch the packages, unless they are there, and unpack them.

    Raises:
        XlxmertError: a package or a program is missing.
    """
    folder = packages or root
    if packages is None:
        _call(["apt-get", "download", *PACKAGES], root)
    for name in PACKAGES:
        found = sorted(folder.glob(f"{name}_*.deb"))
        if not found:
            raise XlxmertError(f"expected {name}_*.deb in {folder}, found none: fetch it from a Debian mirror")
        _call(["dpkg-deb", "-x", str(found[-1].resolve()), str(root)], root)


def _call(line: Sequence[str], folder: Path) -> None:
    try:
        subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        move = "run this on Debian or Ubuntu, or fetch the two packages from a Debian mirror and pass --packages FOLDER"
        raise XlxmertError(f"expected {line[0]} to work, found: {' '.join(told)}: {move}") from error


def _opened(path: Path) -> Image.Image:
    if not path.is_file():
        raise XlxmertError(f"expected {path.name} in the packages, found none: another version of them? ({path})")
    return Image.open(path)


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("cutouts"))
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--packages", type=Path, help="a folder with the two .deb files")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as root:
            unpack(options.packages, Path(root))
            make(Path(root), options.out, options.count, options.seed)
    except XlxmertError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.count} pictures and captions.jsonl in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
