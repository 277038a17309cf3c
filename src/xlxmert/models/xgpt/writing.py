"""XGPT as decoders see it: scores of the next word, with a cache or without."""

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.xgpt.model import Memory, Xgpt


class CachedWriter:
    """Scores of the next word; each call computes its new words alone.

    Args:
        model: the decoder.
        memory: the sources, one row per picture.
    """

    def __init__(self, model: Xgpt, memory: Memory) -> None:
        """Compute the sources' keys and values, once; see the class."""
        self.model, self.memory = model, memory
        self._cache = model.cache(memory)

    def __call__(self, words: Int[Tensor, "R t"]) -> Float[Tensor, "R V"]:
        """Logits of the word after each row; the rows continue those of the last call, or those that `keep` chose."""
        new = words[:, self._cache.length :]
        return self.model.word_logits(self.model.decode(new, self.memory, cache=self._cache)[:, -1])

    def keep(self, rows: Int[Tensor, " R2"]) -> None:
        """Row i of the next call continues row ``rows[i]`` of the last one."""
        self._cache.keep(rows)


class PlainWriter:
    """The same scores with everything computed anew at every word: what a cache is measured against."""

    def __init__(self, model: Xgpt, memory: Memory) -> None:
        """Take model and sources; see `CachedWriter`."""
        self.model, self.memory = model, memory

    def __call__(self, words: Int[Tensor, "R t"]) -> Float[Tensor, "R V"]:
        """Logits of the word after each row."""
        return self.model.word_logits(self.model.decode(words, self.memory)[:, -1])

    def keep(self, rows: Int[Tensor, " R2"]) -> None:
        """Row i of the next call continues row ``rows[i]`` of the last one."""
        self.memory = self.memory.rows(rows)
