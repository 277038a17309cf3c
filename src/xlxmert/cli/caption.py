"""``xlxmert caption``: sentences about pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from xlxmert.cli.common import Common, PictureFiles, listed, print_json, print_table, progress
from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.sampling import AnySampler, Beam, Decoding, DiverseBeam, MaskPredict, Nucleus, RandomOrder, Raster
from xlxmert.studio import Caption, Describer
from xlxmert.studio.describer import DECODING

ORDERS: dict[str, AnySampler] = {
    "left-to-right": Raster(),
    "gibbs": RandomOrder(temperature=0.0, sweeps=2.0),
    "mask-predict": MaskPredict(6),
}
"""Ways in which a checkpoint writes a sentence by masked words."""
Write = Callable[[Sequence[UInt8[np.ndarray, "S S 3"]]], list[list[Caption]]]


@dataclass(frozen=True, kw_only=True)
class DecodingChoices:
    """How a captioner writes, one word after another."""

    beam: int | None = None
    """Sentences that are followed at once, 3 by default and never fewer than --num; with one, the likeliest word is
    taken at every step."""
    length_penalty: float = 1.0
    """Beams: the log-probability of a sentence is divided by this power of its length."""
    no_repeat_ngram: int = 0
    """Beams: no run of so many words comes twice in a caption; 0 allows it."""
    groups: int = 1
    """Beams: groups of beams that avoid each other's words (diverse beam search)."""
    diversity: float = 0.5
    """Beams: how much they avoid them."""
    top_p: float | None = None
    """Draw words among the likeliest with this probability together (nucleus sampling), instead of beams."""
    temperature: float = 1.0
    """Draws: below 1 likelier words are preferred."""

    def decoding(self, count: int) -> Decoding | None:
        """What was chosen; None for what suits the captioner.

        Raises:
            UsageError: a number is out of range, or choices do not go together.
        """
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        for_beams = [f"--{name.replace('_', '-')}" for name in given if name not in ("top_p", "temperature")]
        if self.top_p is not None:
            if for_beams:
                raise UsageError(f"expected beams or draws, found --top-p beside {for_beams[0]}: leave one out")
            return Nucleus(self.top_p, self.temperature)
        if "temperature" in given:
            raise UsageError("expected --top-p beside --temperature, found none: pass --top-p 1 to draw from all words")
        if self.groups == 1 and "diversity" in given:
            raise UsageError("expected several --groups beside --diversity, found 1: pass --groups 3, for example")
        for name in ("beam", "groups"):
            if name in given and getattr(self, name) < 1:
                raise UsageError(f"expected --{name} of 1 or more, found {getattr(self, name)}: pass 3, for example")
        size = max(count, DECODING.size if self.beam is None else self.beam)
        if self.groups > 1:
            size = size if self.beam == size else -(-size // self.groups) * self.groups
            return DiverseBeam(size, self.groups, self.diversity, self.length_penalty, self.no_repeat_ngram)
        return Beam(size, self.length_penalty, True, self.no_repeat_ngram) if given else None


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Describe pictures.

    xlxmert caption holiday.jpg album/ --num 5 --beam 5 --prefix "a picture of"
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """Picture files, or folders of them."""
    model: str | None = None
    """A captioner's folder or its name on the Hugging Face hub; by default the bundled one, or, where a --checkpoint is
    given, that checkpoint itself."""
    num: Annotated[int, tyro.conf.arg(aliases=["--count"])] = 1
    """Captions per picture, best first; there may be fewer different ones."""
    prefix: str = ""
    """Words that every caption begins with."""
    choices: tyro.conf.OmitArgPrefixes[DecodingChoices] = field(default_factory=DecodingChoices)
    """How a captioner writes."""
    order: Literal["left-to-right", "gibbs", "mask-predict"] | None = None
    """Let the checkpoint write by masked words instead: gibbs goes over a caption in random order, twice."""
    seed: int = 0
    """Of whatever is drawn."""


def run(options: Options) -> int:
    """Caption every picture; those that cannot be read are named at the end."""
    files = listed(options.pictures)
    size, write = writer(options)
    reader = PictureFiles(files, size)
    found = [
        (path, captions)
        for paths, pictures in progress(reader.chunks(), reader.rounds, "captioning")
        for path, captions in zip(paths, write(pictures), strict=True)
    ]
    if options.json:
        print_json([{"picture": str(path), "captions": [_as_json(caption) for caption in its]} for path, its in found])
    elif found:
        rows = [(str(path), caption.text, f"{caption.score:.2f}") for path, captions in found for caption in captions]
        print_table(("picture", "caption", "score"), rows)
    return reader.report()


def writer(options: Options) -> tuple[int, Write]:
    """The size at which pictures are looked at, and who captions them: a captioner, or a checkpoint by masked words."""
    decoding = options.choices.decoding(options.num)
    masked = options.order is not None or options.checkpoint is not None
    if masked and (options.model is not None or decoding is not None):
        raise UsageError(
            "expected a captioner for --model, --beam, --top-p and the like, found --order or --checkpoint, "
            "which write by masked words: leave one of them out"
        )
    if masked:
        studio = options.studio()
        sampler = ORDERS[options.order or "left-to-right"]
        return studio.size, lambda found: studio.caption(found, options.num, options.prefix, sampler, options.seed)
    if options.model is None and decoding is None:
        judging = options.studio()
        return judging.size, lambda found: judging.caption(found, options.num, options.prefix, seed=options.seed)
    describer = Describer.from_pretrained(options.model, options.device)
    return describer.size, lambda found: describer.caption(found, options.num, options.prefix, decoding, options.seed)


def _as_json(caption: Caption) -> dict[str, object]:
    return {"text": caption.text, "score": round(caption.score, 4)}
