"""Words that a checkpoint puts into the gaps of many captions, one picture beside each: HUMMUS with a model for people.

A gap may have several pieces, of a word that the tokenizer cuts up or of a name such as ``traffic light``.
"""

from collections.abc import Sequence

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Int, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.sampling import EasyFirst, last, paint
from xlxmert.sampling.words import WordIds, as_network
from xlxmert.studio.networks import WritingNetwork
from xlxmert.studio.teller import Teller

TOGETHER = 32
"""Gaps that are filled together."""
Sides = tuple[str, str]
"""What stands before and behind a gap."""


class GapFiller:
    """Fills one gap per picture with one checkpoint.

    A masked model must know how many pieces a word has; it is told those of the hidden word, and nothing else of it.

    Args:
        bundle: the checkpoint, already on the device.
        device: where it lies.
    """

    name = "the checkpoint's own word head, surest piece first; the number of pieces is given"

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        """Keep the parts; nothing is computed yet."""
        self.bundle, self.device = bundle, device
        self._teller = Teller(bundle, device)

    @torch.inference_mode()
    def fill(
        self, pictures: Sequence[UInt8[np.ndarray, "S S 3"]], sides: Sequence[Sides], hidden: Sequence[str]
    ) -> list[str]:
        """The likeliest word in each gap.

        Args:
            pictures: one per caption.
            sides: what stands before and behind each gap.
            hidden: the words that stood there, for their numbers of pieces.

        Raises:
            UsageError: a caption is longer than the model can read.
            XlxmertError: the checkpoint cannot look at pictures.
        """
        words: list[str] = []
        for start in range(0, len(sides), TOGETHER):
            some = slice(start, start + TOGETHER)
            pixels = torch.from_numpy(np.stack(pictures[some]))
            words += self._filled(self._teller.seen(pixels), self._framed(sides[some], hidden[some]))
        return words

    def _filled(self, seen: Tensor, words: Int[Tensor, "B T"]) -> list[str]:
        tokenizer, words = self.bundle.tokenizer, words.to(self.device)
        gaps = words == tokenizer.mask
        ids = WordIds(tokenizer.start, tokenizer.end, tokenizer.mask, tokenizer.pad, (tokenizer.unknown,))
        network = WritingNetwork(self.bundle.model, self.bundle.model.encode_picture(seen))
        filled = last(paint(as_network(network, ids), words, gaps, EasyFirst(), [0] * len(words))).codes  # (B, T)
        return [str(tokenizer.decode(row[gap])) for row, gap in zip(filled.cpu(), gaps.cpu(), strict=True)]

    def _framed(self, sides: Sequence[Sides], hidden: Sequence[str]) -> Int[Tensor, "B T"]:
        """``[CLS] before [MASK] … behind [SEP] pad …`` of each caption."""
        tokenizer, most = self.bundle.tokenizer, self.bundle.most_words
        rows = []
        for (before, after), word in zip(sides, hidden, strict=True):
            left, gap, right = (tokenizer.ids(part)[1:-1] for part in (before, word, after))
            row = [tokenizer.start, *left, *[tokenizer.mask] * max(1, len(gap)), *right, tokenizer.end]
            if len(row) - 2 > most:
                beginning = " ".join(f"{before}____{after}".split()[:6])
                raise UsageError(
                    f"expected at most {most} tokens, found {len(row) - 2} in '{beginning} …': write a shorter caption"
                )
            rows.append(row)
        width = max(map(len, rows))
        return torch.tensor([row + [tokenizer.pad] * (width - len(row)) for row in rows])
