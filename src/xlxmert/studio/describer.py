"""From pictures to captions with an XGPT: the picture is encoded once, and every word costs one step of the decoder."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.looking import cannot_look, picture_size
from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.models.xgpt import CachedWriter, PlainWriter
from xlxmert.sampling import Beam, Decoding, Hypothesis
from xlxmert.studio.devices import pick_device
from xlxmert.studio.pictures import LOOK_CHUNK, Picture, looked_at
from xlxmert.studio.results import Caption
from xlxmert.studio.sentences import prefix_ids, word_ids

DECODING = Beam(3)
"""How captions are written unless the caller says otherwise."""
TOGETHER = 128
"""Pictures that are described together."""


class Describer:
    """Writes captions with one captioner on one device.

    Args:
        captioner: the XGPT.
        device: ``auto`` (an accelerator if there is one), ``cpu`` or ``cuda``.
        cached: keep keys and values between words; without, everything is computed anew, for the same captions.

    Raises:
        UsageError: there is no such device.
    """

    def __init__(self, captioner: Captioner, device: str = "auto", cached: bool = True) -> None:
        """Move the captioner to the device; see the class."""
        self.device = pick_device(device)
        self.captioner = captioner.to(self.device)
        self.captioner.model.eval()
        self._writer = CachedWriter if cached else PlainWriter
        self._ids = word_ids(captioner.tokenizer)

    @property
    def size(self) -> int:
        """Side in pixels at which pictures are looked at."""
        return picture_size(self.captioner.facts)

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, device: str = "auto") -> "Describer":
        """Open a captioner: the bundled one by default, a folder, or a name on the Hugging Face hub.

        Raises:
            UsageError: there is no such captioner or device.
            XlxmertError: the captioner is damaged.
        """
        pick_device(device)
        return cls(Captioner.from_pretrained(name), device)

    def caption(
        self,
        pictures: Picture | Iterable[Picture],
        count: int = 1,
        prefix: str = "",
        decoding: Decoding | None = None,
        seed: int = 0,
    ) -> list[list[Caption]]:
        """Describe pictures.

        Args:
            pictures: files or pixels.
            count: different captions per picture, best first; there may be fewer.
            prefix: words that every caption begins with.
            decoding: how they are written; `DECODING` by default, with as many beams as captions at least.
            seed: of whatever is drawn; a picture's captions do not depend on the pictures beside it.

        Raises:
            UsageError: the prefix or the count cannot be used.
            XlxmertError: a picture cannot be read, or the captioner cannot look at pictures.
        """
        written: list[list[Caption]] = []
        stream = map(self.seen, looked_at(pictures, self.size))
        while seen := list(itertools.islice(stream, TOGETHER // LOOK_CHUNK)):
            written += self.write(torch.cat(seen), count, prefix, decoding, seed)
        return written

    @torch.inference_mode()
    def seen(self, pixels: UInt8[Tensor, "B S S 3"]) -> Int[Tensor, "B N"] | Float[Tensor, "B N F"]:
        """What the captioner reads of pictures.

        Raises:
            XlxmertError: it cannot look at pictures.
        """
        vocabulary = self.captioner.vocabulary
        if vocabulary is None:
            raise cannot_look(self.captioner.facts, "captioner", "--model")
        return vocabulary.encode(pixels) if self.captioner.visual_input == "codes" else vocabulary.features(pixels)

    @torch.inference_mode()
    def write(
        self,
        seen: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        count: int = 1,
        prefix: str = "",
        decoding: Decoding | None = None,
        seed: int = 0,
        boxes: Float[Tensor, "B N 4"] | None = None,
    ) -> list[list[Caption]]:
        """Captions of pictures that were looked at before; see `caption`.

        Args:
            seen: codes or features.
            count: captions per picture.
            prefix: words that every caption begins with.
            decoding: how they are written.
            seed: of whatever is drawn.
            boxes: where the regions are, x0 y0 x1 y1 in [0, 1]; by default the grid's cells.

        Raises:
            UsageError: the prefix or the count cannot be used.
        """
        if count < 1:
            raise UsageError(f"expected to write at least 1 caption, found {count}: ask for 1 or more")
        model, most = self.captioner.model, self.captioner.most_words
        start = prefix_ids(self.captioner.tokenizer, prefix, most)
        decoding = decoding or (DECODING if count <= DECODING.size else Beam(count))
        written: list[list[Caption]] = []
        for first in range(0, len(seen), TOGETHER):
            some = slice(first, first + TOGETHER)
            chunk, where = seen[some].to(self.device), None if boxes is None else boxes[some].to(self.device)
            network = self._writer(model, model.encode(model.embed_picture(chunk, where)))
            seeds = [seed] * len(chunk)
            found = decoding.write(network, len(chunk), start, self._ids, most, seeds, count, self.device)
            written += [self._captions(row, len(start)) for row in found]
        return written

    def _captions(self, found: Sequence[Hypothesis], given: int) -> list[Caption]:
        """Hypotheses as captions, each text once, in their order."""
        captions: dict[str, Caption] = {}
        for each in found:
            text = self.captioner.tokenizer.decode(each.words)
            captions.setdefault(text, Caption(text, each.log_p / (len(each.words) - given + 1)))
        return list(captions.values())
