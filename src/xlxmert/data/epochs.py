"""Epochs without state: which examples a step sees is a pure function of its number."""

import numpy as np

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator


class Shuffled:
    """The numbers below ``count``, each once per epoch, every epoch in an order of its own.

    Args:
        count: how many numbers.
        key: what the orders depend on.

    Raises:
        XlxmertError: there is no number.
    """

    def __init__(self, count: int, *key: int | str) -> None:
        """Draw nothing yet; see the class."""
        if count < 1:
            raise XlxmertError(f"expected at least one example to learn from, found {count}: prepare some")
        self.count, self._key = count, key
        self._orders: dict[int, np.ndarray] = {}

    def take(self, step: int, size: int) -> np.ndarray:
        """The batch of a step: of the endless row of epochs, the ``size`` numbers after the first ``step * size``."""
        places = np.arange(step * size, (step + 1) * size)
        epochs = places // self.count
        orders = {int(epoch): self._order(int(epoch)) for epoch in np.unique(epochs)}
        self._orders = orders  # the next steps most likely ask for the same ones
        return np.array([orders[int(epoch)][place % self.count] for epoch, place in zip(epochs, places, strict=True)])

    def _order(self, epoch: int) -> np.ndarray:
        known = self._orders.get(epoch)
        return numpy_generator(*self._key, "epoch", epoch).permutation(self.count) if known is None else known
