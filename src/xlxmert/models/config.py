"""What the configs of all families share: the sizes that data decide, those of transformers, and the checks of both."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_args

from xlxmert.core.errors import XlxmertError

CodeHeadKind = Literal["centroids", "learned", "both"]
CodeInputKind = Literal["centroids", "learned", "both"]
GridPositionKind = Literal["box", "learned"]
MaskStartKind = Literal["zeros", "normal", "fixed"]
NormKind = Literal["after", "before"]
LabelInputKind = Literal["state", "feature"]
CHOICES: dict[str, Any] = {
    "norm": NormKind,
    "code_head": CodeHeadKind,
    "code_input": CodeInputKind,
    "grid_position": GridPositionKind,
    "mask_start": MaskStartKind,
    "label_input": LabelInputKind,
}
C = TypeVar("C", bound="CommonConfig")


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """What data and tasks ask of every model over words and a picture, transformer or not.

    Raises:
        XlxmertError: a field is out of range.
    """

    family: ClassVar[str] = "common"
    """The family's name, as checkpoints and messages call it."""

    vocabulary: int = 30522
    """V, words in the vocabulary, special tokens included."""
    max_text: int = 512
    """The longest text in tokens; a transformer has as many positions for words."""
    feature_width: int = 2048
    """F, width of a visual feature."""
    codes: int = 10000
    """K, codes in the visual vocabulary; 0 for a model without codes."""
    answers: int = 9500
    """A, answers that the question head knows; 0 for a model without it."""
    grid: int = 8
    """Cells per side of the grid: N is grid x grid when no boxes are given."""
    pairs: bool = False
    """Whether a head judges statements about two pictures (LXMERT, appendix B: NLVR2)."""

    def __post_init__(self) -> None:
        """Check every field."""
        self._check_whole(1, "vocabulary", "max_text", "feature_width", "grid")
        self._check_whole(0, "codes", "answers")

    def _check_whole(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise self._wrong(name, f"a whole number of at least {least}")

    def _check_shares(self, *names: str) -> None:
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise self._wrong(name, "in [0, 1)")

    def _check_choices(self, choices: Mapping[str, Any]) -> None:
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise self._wrong(name, f"one of {', '.join(get_args(kind))}")

    def _wrong(self, name: str, expected: str) -> XlxmertError:
        return XlxmertError(f"{name} must be {expected} (found {getattr(self, name)!r} in the {self.family} config)")

    @property
    def cells(self) -> int:
        """N, visual tokens of a picture on the grid."""
        return self.grid * self.grid

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls: type[C], fields: Mapping[str, Any]) -> C:
        """Build from ``to_dict``'s fields; those left out keep their defaults.

        Raises:
            XlxmertError: a field is unknown or out of range.
        """
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise XlxmertError(
                f"the config of {cls.family} must hold known fields (found {', '.join(unknown)}): "
                "it was written by another version or for another model family"
            )
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(CommonConfig):
    """A transformer over words and a picture; the defaults are those of the X-LXMERT paper (sections C.1 and C.2).

    Raises:
        XlxmertError: a field is out of range, or fields do not fit each other.
    """

    family: ClassVar[str] = "transformer"
    layers_of: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that count layers."""

    width: int = 768
    """D, width of the transformer."""
    heads: int = 12
    """H, attention heads."""
    feed_forward: int = 3072
    """Inner width of the feed-forward nets."""
    dropout: float = 0.1
    """Dropout after embeddings and sub-layers; costly on a CPU."""
    attention_dropout: float = 0.1
    """Dropout on attention weights."""
    token_types: int = 2
    """Rows of the token-type table; only type 0 is used."""
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
    """The mask feature: learned from zeros (reference code of X-LXMERT; huge first gradients from scratch), learned
    from N(0, 0.02), or fixed at zeros (LXMERT, section 3.1.2)."""
    regress: bool = False
    """Whether a head regresses visual features (LXMERT, section 3.1.2: RoI-feature regression)."""
    labels: int = 0
    """Object labels that a head tells apart (LXMERT, section 3.1.2: detected-label classification); 0 for none."""
    attributes: int = 0
    """Object attributes that it tells apart beside; 0 for none."""
    label_input: LabelInputKind = "state"
    """What labels are read from: the head's inner state (LXMERT's code), or the regressed feature (X-LXMERT, section
    C.1: both heads share their weights)."""

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        self._check_whole(1, "width", "heads", "feed_forward", "token_types")
        self._check_whole(0, *self.layers_of, "labels", "attributes")
        self._check_shares("dropout", "attention_dropout")
        self._check_choices(CHOICES)
        self._check_agreement()

    def _check_agreement(self) -> None:
        """Check that the fields fit each other."""
        if self.width % self.heads:
            raise XlxmertError(
                f"heads must divide the width (found width {self.width}, heads {self.heads}): change one of them"
            )
        if not self.codes and (self.code_head, self.code_input) != ("centroids", "centroids"):
            raise XlxmertError(
                f"codes must be above 0 for code_head={self.code_head!r}, code_input={self.code_input!r} (found 0): "
                "give the size of the codebook, or leave both at 'centroids'"
            )
        if self.label_input == "feature" and not self.regress:
            raise XlxmertError("label_input='feature' needs regress=True: the labels are read from its output")
