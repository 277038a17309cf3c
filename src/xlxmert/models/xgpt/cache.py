"""What a decoder remembers between two words: keys and values of the source, computed once, and of the words so far."""

from collections.abc import Sequence

import torch

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.nn.blocks import KeysValues


class Cache:
    """Keys and values of P sources and of R texts under way; texts of one source stand together, equally many for each.

    Args:
        sources: keys and values per layer, P rows each.
        mask: True at positions of the sources that are there; None where all are.
    """

    def __init__(self, sources: Sequence[KeysValues], mask: Bool[Tensor, "P S"] | None) -> None:
        """Nothing is written yet, and each source has one text."""
        self.sources, self.mask = list(sources), mask
        self.length = 0
        rows = sources[0][0].shape[0]
        self._own: list[KeysValues | None] = [None] * len(self.sources)
        self._owners = torch.arange(rows, device=sources[0][0].device)

    @property
    def rows(self) -> int:
        """R, texts under way."""
        return len(self._owners)

    def extended(self, layer: int, new: KeysValues) -> KeysValues:
        """Keys and values of all words of a layer, the new ones included, which are kept."""
        old = self._own[layer]
        both = new if old is None else (torch.cat([old[0], new[0]], 2), torch.cat([old[1], new[1]], 2))
        self._own[layer] = both
        return both

    def keep(self, rows: Int[Tensor, " R2"]) -> None:
        """Go on with these texts, in this order; sources without any are dropped.

        Raises:
            XlxmertError: texts of one source do not stand together, or some have more than others.
        """
        owners = self._owners[rows]
        left, counts = torch.unique_consecutive(owners, return_counts=True)
        if len(left) != len(torch.unique(owners)) or len(torch.unique(counts)) > 1:
            raise XlxmertError(
                f"expected the texts of each picture side by side and equally many, found pictures {owners.tolist()}"
            )
        self._own = [None if each is None else (each[0][rows], each[1][rows]) for each in self._own]
        if len(left) != self.sources[0][0].shape[0] or not bool((left == torch.arange(len(left)).to(left)).all()):
            self.sources = [(keys[left], values[left]) for keys, values in self.sources]
            self.mask = None if self.mask is None else self.mask[left]
        self._owners = torch.arange(len(left), device=rows.device).repeat_interleave(len(owners) // max(len(left), 1))
