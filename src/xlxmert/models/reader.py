"""What a task asks of a model that reads a sentence and a picture together, of whatever family."""

from typing import Protocol, runtime_checkable

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.config import CommonConfig
from xlxmert.models.outputs import HasPooled


@runtime_checkable
class Reader(Protocol):
    """A module whose call gives one vector per pair of sentence and picture, with heads that read it."""

    @property
    def config(self) -> CommonConfig:
        """Its sizes."""

    def __call__(
        self,
        words: Int[Tensor, "B T"],
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
    ) -> HasPooled:
        """Read ``[CLS] w .. [SEP]`` ids, 0 where padded, beside codes or features."""

    def answer_logits(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B A"]:
        """Scores of all answers."""

    def pair_logits(self, left: Float[Tensor, "B D"], right: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Scores of false (0) and true (1), from the pooled vectors of a statement beside each of two pictures."""
