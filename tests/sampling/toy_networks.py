"""Toy networks that behave as a model must: hidden tokens are not looked at, samples do not see each other."""

import torch

from xlxmert.core.seeds import torch_generator


def canvas(pictures, cells=64, share=1.0, seed=0):
    """Random codes, and marks of a random share of their cells, the first always among them."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 20, (pictures, cells), generator=generator)
    unknown = torch.rand(pictures, cells, generator=generator) < share
    unknown[:, 0] = True
    return codes, unknown


class ToyNetwork:
    """Logits from the mean of the visible cells' vectors and a vector per cell; records what it was asked."""

    def __init__(self, cells=64, codes=20, seed=0, sharpness=6.0):
        generator = torch_generator("toy network", seed)
        self.vectors = torch.randn(codes + 1, 8, generator=generator)
        self.places = torch.randn(cells, 8, generator=generator)
        self.head = sharpness * torch.randn(8, codes, generator=generator)
        self.asked = []

    def __call__(self, codes, hidden):
        self.asked.append((codes, hidden))
        seen = self.vectors[codes.masked_fill(hidden, len(self.vectors) - 1)]
        mixed = seen.mean(dim=1, keepdim=True) + 0.3 * seen + 0.3 * self.places
        return torch.tanh(mixed) @ self.head


class ToyWriter:
    """A masked language model over few words: a word likes the word after its left neighbour's."""

    def __init__(self, vocabulary=30, seed=0):
        self.pairs = 3 * torch.randn(vocabulary, vocabulary, generator=torch_generator("toy writer", seed))

    def __call__(self, words):
        left = torch.cat([words[:, :1], words[:, :-1]], dim=1)
        right = torch.cat([words[:, 1:], words[:, -1:]], dim=1)
        return self.pairs[left] + self.pairs.T[right]
