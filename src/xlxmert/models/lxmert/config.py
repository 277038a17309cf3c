"""The sizes and choices of an LXMERT; saved beside the weights, and all that is needed to build the model again."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from xlxmert.core.errors import XlxmertError

CodeHeadKind = Literal["centroids", "learned", "both"]
CodeInputKind = Literal["centroids", "learned", "both"]
GridPositionKind = Literal["box", "learned"]
MaskStartKind = Literal["zeros", "normal"]
NormKind = Literal["after", "before"]
CHOICES: dict[str, Any] = {
    "norm": NormKind,
    "code_head": CodeHeadKind,
    "code_input": CodeInputKind,
    "grid_position": GridPositionKind,
    "mask_start": MaskStartKind,
}


@dataclass(frozen=True)
class LxmertConfig:
    """An LXMERT; the defaults are the X-LXMERT of the paper (sections C.1 and C.2)."""

    vocabulary: int = 30522
    """V, words in the vocabulary, special tokens included."""
    width: int = 768
    """D, width of the transformer."""
    heads: int = 12
    """H, attention heads."""
    feed_forward: int = 3072
    """Inner width of the feed-forward nets."""
    language_layers: int = 9
    """Layers that read the words alone."""
    relation_layers: int = 5
    """Layers that read the visual tokens alone."""
    cross_layers: int = 5
    """Layers in which both meet."""
    dropout: float = 0.1
    """Dropout after embeddings and sub-layers; costly on a CPU."""
    attention_dropout: float = 0.1
    """Dropout on attention weights."""
    max_text: int = 512
    """Positions for words: the longest text in tokens."""
    token_types: int = 2
    """Rows of the token-type table; only type 0 is used."""
    feature_width: int = 2048
    """F, width of a visual feature."""
    codes: int = 10000
    """K, codes in the visual vocabulary; 0 for a model without codes."""
    answers: int = 9500
    """A, answers that the question head knows; 0 for a model without it."""
    grid: int = 8
    """Cells per side of the grid: N is grid x grid when no boxes are given."""
    code_head: CodeHeadKind = "centroids"
    """Output weights of the code head: the frozen centroids (paper), learned ones, or the sum of both scores."""
    code_input: CodeInputKind = "centroids"
    """How a picture's codes enter: as centroid features (paper), through a learned table, or as the sum of both, the
    table starting at zero."""
    grid_position: GridPositionKind = "box"
    """What tells cells apart: their boxes (paper), or boxes plus a learned vector per cell."""
    norm: NormKind = "after"
    """Layer norms after each residual sum (paper), or before each sub-layer, which bears higher learning rates."""
    mask_start: MaskStartKind = "zeros"
    """Start of the mask feature: zeros (reference code; huge first gradients from scratch) or normal, N(0, 0.02)."""

    def __post_init__(self) -> None:
        """Check every field."""
        positive = ("vocabulary", "width", "heads", "feed_forward", "max_text", "token_types", "feature_width", "grid")
        for name in (*positive, "language_layers", "relation_layers", "cross_layers", "codes", "answers"):
            least = int(name in positive)
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise XlxmertError(
                    f"{name} must be a whole number of at least {least} (found {value!r} in the LXMERT config)"
                )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise XlxmertError(f"{name} must be in [0, 1) (found {getattr(self, name)!r} in the LXMERT config)")
        for name, kind in CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise XlxmertError(
                    f"{name} must be one of {', '.join(get_args(kind))} "
                    f"(found {getattr(self, name)!r} in the LXMERT config)"
                )
        if self.width % self.heads:
            raise XlxmertError(
                f"heads must divide the width (found width {self.width}, heads {self.heads}): change one of them"
            )
        if not self.codes and (self.code_head, self.code_input) != ("centroids", "centroids"):
            raise XlxmertError(
                f"codes must be above 0 for code_head={self.code_head!r}, code_input={self.code_input!r} (found 0): "
                "give the size of the codebook, or leave both at 'centroids'"
            )

    @property
    def cells(self) -> int:
        """N, visual tokens of a picture on the grid."""
        return self.grid * self.grid

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "LxmertConfig":
        """Build from ``to_dict``'s fields; those left out keep their defaults.

        Raises:
            XlxmertError: a field is unknown or out of range.
        """
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise XlxmertError(
                f"an LXMERT config must hold known fields (found {', '.join(unknown)}): "
                "it was written by another version or for another model family"
            )
        return cls(**fields)
