"""The batch: what an objective hands to the model."""

from dataclasses import dataclass

from xlxmert.core.axes import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Asked:
    """How much a whole batch asks: what its parts divide their sums by, so that they add up to its means."""

    words: int
    """Masked words."""
    matched: int
    """Sentences of which matching is asked."""
    questions: int
    """Questions that are to be answered."""
    tokens: int
    """Visual tokens that are to be predicted."""
    weight: float
    """The sum of their weights."""


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
    whole: Asked | None = None
    """What the batch asks of which this is a part; None: this is all of it."""

    @property
    def questions(self) -> Bool[Tensor, " B"]:
        """True at questions that are to be answered: where an answer is known and the picture is the question's own."""
        return (self.answers.sum(1) > 0) & (self.matched != 0)

    @property
    def all_asked(self) -> Asked:
        """What the whole batch asks."""
        if self.whole is not None:
            return self.whole
        words, matched = (int((labels >= 0).sum()) for labels in (self.word_labels, self.matched))
        weight = 0.0 if self.code_weights is None else float(self.code_weights.sum())
        return Asked(words, matched, int(self.questions.sum()), int(self.asked.sum()), weight)
