"""``xlxmert caption``: sentences about pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xlxmert.cli.common import Common, PictureFiles, listed, print_json, print_table, progress
from xlxmert.sampling import AnySampler, MaskPredict, RandomOrder, Raster
from xlxmert.studio import Caption
from xlxmert.studio.teller import SAMPLER

ORDERS: dict[str, AnySampler] = {
    "left-to-right": Raster(),
    "gibbs": RandomOrder(temperature=0.0, sweeps=2.0),
    "mask-predict": MaskPredict(6),
}
"""Ways to write a sentence."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Describe pictures.

    xlxmert caption holiday.jpg album/ --count 2 --prefix "a picture of"
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """Picture files, or folders of them."""
    count: int = 1
    """Captions per picture, best first."""
    prefix: str = ""
    """Words that every caption begins with."""
    order: Literal["left-to-right", "gibbs", "mask-predict"] | None = None
    """How a caption is written; gibbs goes over it in random order, twice."""
    seed: int = 0
    """Of the random order."""


def run(options: Options) -> int:
    """Caption every picture; those that cannot be read are named at the end."""
    files = listed(options.pictures)
    studio = options.studio()
    reader = PictureFiles(files, studio.size)
    sampler = SAMPLER if options.order is None else ORDERS[options.order]
    found = [
        (path, captions)
        for paths, pictures in progress(reader.chunks(), reader.rounds, "captioning")
        for path, captions in zip(
            paths, studio.caption(pictures, options.count, options.prefix, sampler, options.seed), strict=True
        )
    ]
    if options.json:
        print_json([{"picture": str(path), "captions": [_as_json(caption) for caption in its]} for path, its in found])
    elif found:
        rows = [(str(path), caption.text, f"{caption.score:.2f}") for path, captions in found for caption in captions]
        print_table(("picture", "caption", "score"), rows)
    return reader.report()


def _as_json(caption: Caption) -> dict[str, object]:
    return {"text": caption.text, "score": round(caption.score, 4)}
