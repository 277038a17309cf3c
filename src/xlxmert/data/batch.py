"""The batch: what an objective hands to the model."""

from dataclasses import dataclass

from xlxmert.core.axes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Batch:
    """Sentences and pictures side by side, corrupted as one objective asks, with what it wants back."""

    words: Int[Tensor, "B T"]
    """Token ids ``[CLS] w .. [SEP]``, 0 where padded; masked words show ``[MASK]``."""
    hidden: Bool[Tensor, "B N"]
    """True at visual tokens that the model must not see."""
    word_labels: Int[Tensor, "B T"]
    """True ids at masked words, -1 elsewhere."""
    matched: Int[Tensor, " B"]
    """1 where sentence and picture belong together, 0 where not, -1 where nobody asks."""
    answers: Float[Tensor, "B A"]
    """Soft answer scores in [0, 1]; a row of zeros where nobody asks (A may be 0)."""
    asked: Bool[Tensor, "B N"]
    """True at visual tokens that are to be predicted."""
    codes: Int[Tensor, "B N"] | None = None
    """The pictures' true codes."""
    code_weights: Float[Tensor, "B N"] | None = None
    """How much the prediction of each cell's code counts; 0 where nobody asks."""
    features: Float[Tensor, "B N F"] | None = None
    """The pictures' true features."""
    boxes: Float[Tensor, "B N 4"] | None = None
    """Where the visual tokens are, x0 y0 x1 y1 in [0, 1]; None for the cells of the model's grid."""
    labels: Int[Tensor, "B N"] | None = None
    """The visual tokens' true labels."""
    attributes: Int[Tensor, "B N"] | None = None
    """Their true attributes."""
