"""The batch: what an objective hands to the model."""

from dataclasses import dataclass

from xlxmert.core.axes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Batch:
    """Sentences and pictures side by side, corrupted as one objective asks, with what it wants back."""

    words: Int[Tensor, "B T"]
    """Token ids ``[CLS] w .. [SEP]``, 0 where padded; masked words show ``[MASK]``."""
    codes: Int[Tensor, "B N"]
    """The pictures' true codes."""
    hidden: Bool[Tensor, "B N"]
    """True at cells that the model must not see."""
    code_weights: Float[Tensor, "B N"]
    """How much the prediction of each cell's code counts; 0 where nobody asks."""
    word_labels: Int[Tensor, "B T"]
    """True ids at masked words, -1 elsewhere."""
    matched: Int[Tensor, " B"]
    """1 where sentence and picture belong together, 0 where not, -1 where nobody asks."""
    answers: Float[Tensor, "B A"]
    """Soft answer scores in [0, 1]; a row of zeros where there is no question (A may be 0)."""
