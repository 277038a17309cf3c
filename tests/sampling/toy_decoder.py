"""A toy decoder that holds samplers to the contract of ``NextWord``, and says what its sentences are worth."""

import torch

from xlxmert.core.seeds import torch_generator
from xlxmert.sampling.words import WordIds

IDS = WordIds(start=1, end=2, mask=3, pad=0, never=(4,))
FIRST = 5
"""The first id that is a word."""


class ToyDecoder:
    """Logits by a random table of the picture and the last two words; ``pictures`` name the rows of the first call."""

    def __init__(self, pictures=(0, 1, 2, 3), words=6, sharpness=1.5, table=None):
        size = FIRST + words
        drawn = sharpness * torch.randn(8, size, size, size, generator=torch_generator("toy decoder"))
        self.table = nothing_after_the_end(drawn) if table is None else table
        self.pictures = torch.tensor(pictures)
        self.last = self.parents = None
        self.calls = []

    def __call__(self, words):
        if self.last is None:
            assert len(words) == len(self.pictures)
            self.owners = self.pictures
        else:
            parents = torch.arange(len(self.last)) if self.parents is None else self.parents
            assert torch.equal(words[:, :-1], self.last[parents])
            self.owners = self.owners[parents]
        found, counts = self.owners.unique_consecutive(return_counts=True)
        assert found.tolist() == [picture for picture in self.pictures.tolist() if picture in set(found.tolist())]
        assert len(counts.unique()) == 1
        self.last, self.parents = words, None
        self.calls.append(found.tolist())
        before = words[:, -2] if words.shape[1] > 1 else torch.full_like(words[:, -1], IDS.start)
        return self.table[self.owners, before, words[:, -1]].clone()

    def keep(self, rows):
        assert self.last is not None
        assert self.parents is None
        assert rows.max() < len(self.last)
        self.parents = rows

    def log_p(self, picture, words, prefix=()):
        """The sum of log p of the words after the prefix and of the end, in double precision."""
        row, total = [IDS.start, IDS.start, *words, IDS.end], 0.0
        for place in range(2 + len(prefix), len(row)):
            total += self.after(picture, row[:place])[row[place]].item()
        return total

    def after(self, picture, row):
        """log p of the next word."""
        return self.table[picture, row[-2], row[-1]].double().log_softmax(0)


def chain(links, words=4):
    """A table, the same for all pictures, of the given p(next word | last word); elsewhere the end follows.

    A row that ends in the words ``a, b`` goes on as ``links[b]`` says, ``{next: p}``.
    """
    size = FIRST + words
    table = torch.full((8, size, size, size), float("-inf"))
    table[..., IDS.end] = 0.0
    for last, following in links.items():
        table[:, :, last] = float("-inf")
        for word, probability in following.items():
            table[:, :, last, word] = torch.tensor(probability).log()
    return nothing_after_the_end(table)


def nothing_after_the_end(table):
    """No word has a chance after an end: rows that are over must not matter."""
    table[:, :, IDS.end] = float("-inf")
    table[:, :, IDS.end, IDS.mask] = 0.0
    return table
