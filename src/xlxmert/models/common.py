"""What every model over words and a picture has, transformer or not: a codebook, and heads over the pooled vector."""

import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.config import CommonConfig
from xlxmert.nn.heads import PairHead


class CommonModel(nn.Module):
    """What tasks and recipes ask of any model; those who inherit build the parts."""

    config: CommonConfig
    centroids: Tensor | None
    """The frozen codebook (K, F), saved with the weights; zeros until ``load_centroids``."""
    answer_head: nn.Module | None
    pair_head: PairHead | None

    def features_of(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
        """The centroids of these codes.

        Raises:
            XlxmertError: the model has no codes.
        """
        return F.embedding(codes, self._need_centroids())  # (B, N, F)

    def load_centroids(self, centroids: Float[Tensor, "K F"]) -> None:
        """Copy a codebook into the model.

        Raises:
            XlxmertError: the model has no codes, or the codebook has another size.
        """
        mine = self._need_centroids()
        if mine.shape != centroids.shape:
            raise XlxmertError(
                f"the codebook must be {tuple(mine.shape)} (found {tuple(centroids.shape)}): "
                "set codes and feature_width of the model to the codebook's, or pass the codebook it was made for"
            )
        mine.copy_(centroids)

    def answer_logits(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B A"]:
        """Scores of all answers.

        Raises:
            XlxmertError: the model has no answer head.
        """
        if self.answer_head is None:
            raise XlxmertError(
                "answering needs a model with answers (found answers=0 in its config): fine-tune one first"
            )
        return self.answer_head(pooled)  # type: ignore[no-any-return]

    def pair_logits(self, left: Float[Tensor, "B D"], right: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Scores of false (0) and true (1) for statements about two pictures, from the pooled vectors of both.

        Raises:
            XlxmertError: the model has no head for pairs.
        """
        if self.pair_head is None:
            raise XlxmertError(
                "verifying statements needs a model with a head for pairs (found pairs=False in its config): "
                "fine-tune one with `xlxmert finetune nlvr2`"
            )
        return self.pair_head(left, right)  # type: ignore[no-any-return]

    def _check_cells(self, picture: Tensor) -> None:
        """Complain about a picture without boxes that is not the grid's."""
        if picture.shape[1] != self.config.cells:
            raise XlxmertError(
                f"a picture without boxes must have {self.config.cells} cells, a grid of {self.config.grid} x "
                f"{self.config.grid} (found {picture.shape[1]}): pass the boxes of its regions"
            )

    def _check_width(self, features: Tensor) -> None:
        """Complain about features of another width."""
        if features.shape[-1] != self.config.feature_width:
            raise XlxmertError(
                f"visual features must be {self.config.feature_width} wide (found {tuple(features.shape)}): "
                "they come from another backbone than the model's"
            )

    def _need_centroids(self) -> Tensor:
        if self.centroids is None:
            raise XlxmertError(
                "this needs a model with visual codes (found codes=0 in its config): pass features instead"
            )
        return self.centroids
