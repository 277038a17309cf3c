"""From vectors to predictions: the last step inside every model; each head takes any leading shape.

Callers select the positions that a loss or a choice needs first: a head costs what it is given.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.nn.blocks import NORM_EPS
from xlxmert.nn.linear import Linear, linear


class Transform(nn.Module):
    """``LayerNorm(GELU(Linear))``: what every prediction head begins with."""

    def __init__(self, width: int, out: int | None = None):
        """Build ``width`` → ``out``, which is ``width`` by default."""
        super().__init__()
        self.linear = Linear(width, out or width)
        self.norm = nn.LayerNorm(out or width, eps=NORM_EPS)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any E"]:
        """Transform every vector on its own."""
        return self.norm(F.gelu(self.linear(x)))  # type: ignore[no-any-return]


class WordHead(nn.Module):
    """Scores of all words, with the word embeddings as output weights and a bias of its own."""

    def __init__(self, width: int, vocabulary: int):
        """Build for a vocabulary; its embeddings are handed in at each call."""
        super().__init__()
        self.transform = Transform(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, x: Float[Tensor, "*any D"], embeddings: Float[Tensor, "V D"]) -> Float[Tensor, "*any V"]:
        """Word logits; ``embeddings`` is the table that reads the words in."""
        return linear(self.transform(x), embeddings, self.bias)


class CentroidHead(nn.Module):
    """Scores of all codes as dot products with the frozen centroids, plus a learned bias (X-LXMERT section 5.1, CCC).

    The vector that meets the centroids is a visual feature, which is what shares the regression head of LXMERT.
    """

    def __init__(self, width: int, feature_width: int, codes: int):
        """Build for a codebook; its centroids are handed in at each call."""
        super().__init__()
        self.transform = Transform(width)
        self.feature = Linear(width, feature_width)
        self.bias = nn.Parameter(torch.zeros(codes))

    def features(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any F"]:
        """Predicted visual features."""
        return self.feature(self.transform(x))  # type: ignore[no-any-return]

    def forward(self, x: Float[Tensor, "*any D"], centroids: Float[Tensor, "K F"]) -> Float[Tensor, "*any K"]:
        """Code logits."""
        return linear(self.features(x), centroids, self.bias)

    def folded(self, centroids: Float[Tensor, "K F"]) -> "FoldedHead":
        """The head as one map from its inner state, for fixed weights."""
        shift = linear(self.feature.bias, centroids, self.bias)  # (K)
        return FoldedHead(self.transform, linear(centroids, self.feature.weight.t()), shift)


class CodeHead(nn.Module):
    """Scores of all codes with free output weights, plus, with ``feature_width``, dot products with the centroids.

    What is learned of one code then serves all that look like it; the free weights tell them apart.
    """

    def __init__(self, width: int, codes: int, feature_width: int = 0):
        """Build for a codebook; its centroids are handed in at each call."""
        super().__init__()
        self.transform = Transform(width)
        self.linear = Linear(width, codes)
        self.feature = Linear(width, feature_width) if feature_width else None

    def forward(self, x: Float[Tensor, "*any D"], centroids: Float[Tensor, "K F"]) -> Float[Tensor, "*any K"]:
        """Code logits."""
        x = self.transform(x)
        free: Tensor = self.linear(x)  # (*any, K)
        return free if self.feature is None else free + linear(self.feature(x), centroids)

    def folded(self, centroids: Float[Tensor, "K F"]) -> "FoldedHead":
        """The head as one map from its inner state, for fixed weights."""
        if self.feature is None:
            return FoldedHead(self.transform, self.linear.weight, self.linear.bias)
        weight = linear(centroids, self.feature.weight.t()) + self.linear.weight  # (K, D)
        return FoldedHead(self.transform, weight, linear(self.feature.bias, centroids, self.linear.bias))


@dataclass(frozen=True)
class FoldedHead:
    """A code head whose chain of linear maps is multiplied out: the same logits but for rounding, for less work.

    Worth it where the weights stay and many cells are asked: multiplying out costs as much as about a thousand cells at
    the paper's size, and at 192 wide with 8,192 codes as much as two hundred.
    """

    transform: Transform
    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]

    def __call__(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any K"]:
        """Code logits."""
        return self.scores(self.transform(x))

    def scores(self, inner: Float[Tensor, "*any D"]) -> Float[Tensor, "*any K"]:
        """Code logits from inner states: a linear map, so that a mix of states gives the mix of their logits."""
        return linear(inner, self.weight, self.bias)


class ObjectHead(nn.Module):
    """What a hidden region was: its feature (MVFR), its label and its attribute (MOC; LXMERT section 3.1.2).

    All three read one inner state; with ``shared`` labels and attributes read the regressed feature instead, as the
    detector's own classifiers do (X-LXMERT section C.1).
    """

    def __init__(self, width: int, feature_width: int = 0, labels: int = 0, attributes: int = 0, shared: bool = False):
        """Build those parts whose size is above 0."""
        super().__init__()
        self.transform = Transform(width)
        self.shared = shared
        inner = feature_width if shared else width
        self.feature = Linear(width, feature_width) if feature_width else None
        self.label = Linear(inner, labels) if labels else None
        self.attribute = Linear(inner, attributes) if attributes else None

    def features(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any F"]:
        """Regressed visual features."""
        assert self.feature is not None
        return self.feature(self.transform(x))  # type: ignore[no-any-return]

    def label_logits(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any L"]:
        """Scores of all labels."""
        assert self.label is not None
        return self.label(self._inner(x))  # type: ignore[no-any-return]

    def attribute_logits(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any A"]:
        """Scores of all attributes."""
        assert self.attribute is not None
        return self.attribute(self._inner(x))  # type: ignore[no-any-return]

    def _inner(self, x: Tensor) -> Tensor:
        return self.features(x) if self.shared else self.transform(x)


class PairHead(nn.Module):
    """False or true from two pooled vectors: ``Linear(2D, 2D)``, GELU, norm, ``Linear(2D, 2)`` (LXMERT appendix B).

    The paper has one output and a sigmoid, its code two and a softmax, which is the same model.
    """

    def __init__(self, width: int):
        """Build for pooled vectors of ``width``."""
        super().__init__()
        self.transform = Transform(2 * width)
        self.linear = Linear(2 * width, 2)

    def forward(self, left: Float[Tensor, "B D"], right: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Scores of false and true."""
        return self.linear(self.transform(torch.cat([left, right], -1)))  # type: ignore[no-any-return]


class AnswerHead(nn.Module):
    """``Linear(D, 2D)``, GELU, norm, ``Linear(2D, A)``: a classifier over answers (X-LXMERT section C.1)."""

    def __init__(self, width: int, answers: int):
        """Build for a list of answers."""
        super().__init__()
        self.transform = Transform(width, 2 * width)
        self.linear = Linear(2 * width, answers)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any A"]:
        """Answer logits."""
        return self.linear(self.transform(x))  # type: ignore[no-any-return]


class Pooler(nn.Module):
    """``tanh(Linear(first token))``: the cross-modality output (LXMERT section 2.3)."""

    def __init__(self, width: int):
        """Build for ``width`` values per token."""
        super().__init__()
        self.linear = Linear(width, width)

    def forward(self, language: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """One vector per pair of text and picture."""
        return torch.tanh(self.linear(language[:, 0]))  # (B, D)
