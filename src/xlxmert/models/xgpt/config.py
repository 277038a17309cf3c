"""The sizes and choices of an XGPT; saved beside the weights, and all that is needed to build the model again."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xlxmert.core.errors import XlxmertError
from xlxmert.models.config import CommonConfig, GridPositionKind, NormKind

Arch = Literal["encdec_share", "encdec", "enc"]
PaintInput = Literal["shifted", "query", "leak"]
AttendedInput = Literal["attended", "residual"]


@dataclass(frozen=True, kw_only=True)
class XgptConfig(CommonConfig):
    """An XGPT; the defaults are the base model of the paper (sections 3, 4.2, 5.3 and appendix A).

    Raises:
        XlxmertError: a field is out of range, or fields do not fit each other.
    """

    family: ClassVar[str] = "xgpt"

    max_text: int = 62
    """The longest text in tokens, the two that frame it included: captions of 60."""
    codes: int = 0
    """K, codes of pictures that are read as codes: each stands for its centroid. 0: features are read."""
    answers: int = 0
    """Always 0: it answers no questions."""
    width: int = 768
    """D, width of the transformer."""
    heads: int = 8
    """H, attention heads."""
    feed_forward: int = 3072
    """Inner width of the feed-forward nets."""
    layers: int = 12
    """Layers of the encoder, and as many of the decoder."""
    refine_layers: int = 6
    """Layers in which regions look at each other before they are encoded."""
    refine_feed_forward: bool = False
    """Whether these have a feed-forward net (the authors' later code) or not (appendix A.1)."""
    dropout: float = 0.1
    """Dropout after embeddings and sub-layers; costly on a CPU."""
    attention_dropout: float = 0.1
    """Dropout on attention weights."""
    arch: Arch = "encdec_share"
    """Encoder and decoder share all weights (the paper's choice), share none, or are one stack with a mask by which
    words see the picture and the words before them (table 3)."""
    norm: NormKind = "after"
    """Layer norms after each residual sum (paper), or before each sub-layer, which bears higher learning rates."""
    grid_position: GridPositionKind = "box"
    """What tells regions apart: their boxes (paper), or boxes plus a learned vector for each cell of the grid."""
    unit_position: bool = False
    """Whether a region's five numbers of position are divided by their norm, as in the authors' code."""
    attended: AttendedInput = "attended"
    """What the encoder reads in place of a word in denoising (IDA): what the word attends to in the picture (paper), or
    that beside the word itself."""
    paint_input: PaintInput = "shifted"
    """What the decoder reads while it generates regions (TIFG): the regions before each, after a learned start; for
    each region its position alone; or each region itself, which gives the answer away (the authors' code)."""

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        self._check_whole(1, "width", "heads", "feed_forward", "layers")
        self._check_whole(0, "refine_layers")
        self._check_shares("dropout", "attention_dropout")
        kinds = {"arch": Arch, "norm": NormKind, "grid_position": GridPositionKind}
        self._check_choices({**kinds, "attended": AttendedInput, "paint_input": PaintInput})
        if self.width % self.heads:
            raise XlxmertError(
                f"heads must divide the width (found width {self.width}, heads {self.heads}): change one of them"
            )
        if self.answers or self.pairs:
            raise XlxmertError(
                f"answers and pairs must be 0 and False (found {self.answers} and {self.pairs}): XGPT has no such heads"
            )
