"""Sentences of some kinds to draw from: the i-th of them is found without a list of them all."""

from collections.abc import Sequence

import numpy as np

BLOCK = 128
"""Sentences that are counted together."""


class Pool:
    """The places, in order, at which an array holds one of some numbers; a sequence that is indexed with arrays.

    A list of nine million places takes 72 MB. Here every block of `BLOCK` is counted once; the i-th place is found by
    its block's count and a look at that block alone, so drawing costs the same at any size.

    Args:
        kinds: small numbers, uint8; may be memory-mapped.
        wanted: those whose places are meant.
    """

    def __init__(self, kinds: np.ndarray, wanted: Sequence[int]) -> None:
        """Count; see the class."""
        self._kinds = kinds
        self._wanted = np.isin(np.arange(256), np.asarray(wanted, np.int64))
        counts = np.zeros(-(-len(kinds) // BLOCK), np.uint32)
        for first in range(0, len(counts), BLOCK):
            some = self._wanted[kinds[first * BLOCK : (first + BLOCK) * BLOCK]]
            counts[first : first + BLOCK] = np.add.reduceat(some, np.arange(0, len(some), BLOCK), dtype=np.uint32)
        self._before = np.concatenate([np.zeros(1, np.uint32), counts.cumsum(dtype=np.uint32)])
        """How many there are before each block, and in all."""

    def __len__(self) -> int:
        """How many there are."""
        return int(self._before[-1])

    def __getitem__(self, ranks: np.ndarray) -> np.ndarray:
        """The places of the given ranks, int64.

        Raises:
            IndexError: a rank is not below the length.
        """
        ranks = np.asarray(ranks, np.int64)
        if ranks.size and not 0 <= ranks.min() <= ranks.max() < len(self):
            raise IndexError(f"expected ranks below {len(self)}, found {ranks.min()} to {ranks.max()}")
        blocks = np.searchsorted(self._before[1:], ranks, side="right")
        inside = ranks - self._before[blocks]
        places = blocks[:, None] * BLOCK + np.arange(BLOCK)
        shown = self._wanted[self._kinds[np.minimum(places, len(self._kinds) - 1)]] & (places < len(self._kinds))
        found = (shown.cumsum(1, dtype=np.uint16) > inside[:, None]).argmax(1)
        return np.asarray(blocks * BLOCK + found)

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """``size`` places, each as likely as any; the same draws as `numpy.random.Generator.choice`."""
        return self[rng.integers(0, len(self), size)]
