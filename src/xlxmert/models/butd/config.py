"""The sizes and choices of the bottom-up top-down baseline; all that is needed to build the model again."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xlxmert.models.config import CommonConfig

AttentionKind = Literal["concatenate", "multiply"]
NonlinearityKind = Literal["gated_tanh", "relu"]


@dataclass(frozen=True, kw_only=True)
class ButdConfig(CommonConfig):
    """A bottom-up top-down attention model; the defaults are those of its widely used re-implementation.

    Sources: Anderson et al. (2018), section 3.3; Teney et al. (2018); github.com/hengyuan-hu/bottom-up-attention-vqa at
    d3e42c2 (``baseline0_newatt``).

    Raises:
        XlxmertError: a field is out of range.
    """

    family: ClassVar[str] = "butd"

    word_width: int = 300
    """E, width of the word embeddings (GloVe's in the papers)."""
    width: int = 1024
    """D, width of the question's state, of the attention and of the joint vector (512 in the papers)."""
    attention: AttentionKind = "multiply"
    """How question and regions meet before the attention's scores: multiplied after a layer each (re-implementation),
    or concatenated before one layer (papers)."""
    nonlinearity: NonlinearityKind = "relu"
    """What follows each linear map: ReLU, the map weight-normed (re-implementation), or a gated tanh (papers)."""
    dropout: float = 0.5
    """Dropout before the last layer of the answer classifier."""
    attention_dropout: float = 0.2
    """Dropout on what the attention's scores are read from."""

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        self._check_whole(1, "word_width", "width")
        self._check_shares("dropout", "attention_dropout")
        self._check_choices({"attention": AttentionKind, "nonlinearity": NonlinearityKind})
