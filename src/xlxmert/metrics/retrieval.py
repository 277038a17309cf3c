"""Retrieval scores: how early the right picture is found for a sentence, and the right sentence for a picture.

Equal scores say nothing of the order, so every order of those that tie counts as equally likely and the expected value
is taken: a model that scores everything alike gets what drawing lots gets, whatever the order of the files.
"""

from collections.abc import Iterator, Sequence

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError, XlxmertError

RANKS = (1, 5, 10)
"""The places among which published tables look."""


def retrieval_scores(
    scores: Float[Tensor, "B S"], pictures: Sequence[int], ranks: Sequence[int] = RANKS
) -> dict[str, float]:
    """``R@k`` in per cent and the median rank, counted from 1, for ``text_to_image`` and ``image_to_text``.

    ``text_to_image/R@5`` is how often a sentence's picture is among the 5 pictures that score highest for it,
    ``image_to_text/R@5`` how often one of a picture's own sentences is among the 5 highest for that picture. A rank is
    that of the picture, or of the first of the own sentences; over an even number the median is the mean of the middle
    two. Ties give the expected value over all their orders. Pictures without a sentence are looked through as any other
    and ask for nothing themselves.

    Args:
        scores: how well each picture (row) and sentence (column) fit, higher is better; infinite ones are allowed.
        pictures: for each sentence, the row of its picture.
        ranks: the k of ``R@k``.

    Raises:
        UsageError: there is no sentence, their numbers differ, a picture has no row, or a rank is below 1.
        XlxmertError: a score is NaN.
    """
    _check(scores, pictures, ranks)
    rows = torch.arange(scores.shape[0], device=scores.device)
    own = rows[:, None] == torch.tensor(pictures, device=scores.device)  # (B, S)
    asking = own.any(dim=1)  # (B,)
    return {
        f"{name}/{score}": value
        for name, table, right in (
            ("text_to_image", scores.T, own.T),
            ("image_to_text", scores[asking], own[asking]),
        )
        for score, value in _one_way(table, right, ranks)
    }


def _one_way(
    scores: Float[Tensor, "Q C"], own: Bool[Tensor, "Q C"], ranks: Sequence[int]
) -> Iterator[tuple[str, float]]:
    """Scores of queries (rows), each with at least one candidate (column) of its ``own``."""
    best = scores.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)  # (Q, 1)
    level = scores == best  # (Q, C)
    above, tied, right = (scores > best).sum(dim=1), level.sum(dim=1), (level & own).sum(dim=1)  # (Q,) each
    for rank in ranks:
        yield f"R@{rank}", 100 * float(_found(above, tied, right, rank).mean())
    first = (above + (tied + 1).double() / (right + 1)).sort().values  # the first of `right` among `tied`, on average
    yield "median_rank", float(first[(len(first) - 1) // 2] + first[len(first) // 2]) / 2


def _found(
    above: Int[Tensor, " Q"], tied: Int[Tensor, " Q"], right: Int[Tensor, " Q"], rank: int
) -> Float[Tensor, " Q"]:
    """The chance that one of ``right`` candidates, in any order among those ``tied``, is among the first ``rank``."""
    missed = torch.ones(len(above), dtype=torch.float64, device=above.device)  # (Q,)
    for drawn in range(rank):
        wrong, left = (tied - right - drawn).clamp(min=0), (tied - drawn).clamp(min=1)
        missed = torch.where(above + drawn < rank, missed * wrong / left, missed)
    return 1 - missed


def _check(scores: Float[Tensor, "B S"], pictures: Sequence[int], ranks: Sequence[int]) -> None:
    if scores.ndim != 2 or scores.shape[1] != len(pictures) or not len(pictures):
        raise UsageError(
            f"expected scores of pictures x sentences and a picture for each sentence, found {tuple(scores.shape)} and "
            f"{len(pictures)} sentences' pictures: transpose the scores or name the pictures of all sentences"
        )
    strays = [picture for picture in pictures if not 0 <= picture < len(scores)]
    if strays:
        raise UsageError(
            f"expected sentences' pictures from 0 to {len(scores) - 1}, found {strays[0]} ({len(strays)} such): "
            "give rows of the scores, not the pictures' ids"
        )
    if min(ranks, default=1) < 1:
        raise UsageError(f"expected ranks of at least 1, found {min(ranks)}: R@1 looks at the first place only")
    if scores.isnan().any():
        raise XlxmertError(
            f"expected scores that are numbers, found NaN for {int(scores.isnan().sum())} of {scores.numel()} pairs: "
            "the weights may be damaged or half precision overflowed; try float32"
        )
