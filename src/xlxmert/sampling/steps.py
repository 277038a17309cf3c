"""What samplers stand between: a network from tokens to logits on one side, a stream of steps on the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError

Network = Callable[[Int[Tensor, "B N"], Bool[Tensor, "B N"]], Float[Tensor, "B N K"]]
"""``network(codes, hidden)`` gives logits for every cell; it must not look at ``codes`` where ``hidden``."""


@dataclass(frozen=True)
class Step:
    """The picture after one step of a sampler."""

    codes: Int[Tensor, "B N"]
    """Settled codes, and the latest guess where a cell is still hidden: always a whole picture."""
    hidden: Bool[Tensor, "B N"]
    """Cells that a later step will still decide; empty after the last step."""
    changed: Bool[Tensor, "B N"]
    """Cells whose code this step decided."""
    confidence: Float[Tensor, "B N"]
    """The network's probability, in [0, 1], on which the sampler judges each cell; 1 where the code was given."""
    index: int
    """This step's number, from 0."""
    total: int
    """How many steps there are. Where the pictures decide that on the way (`EntropyBound`), the most that there can be:
    it never rises, and the last step has the true number, so that ``index + 1 == total`` says that nothing follows."""


@runtime_checkable
class Sampler(Protocol):
    """A way to fill hidden cells; see ``xlxmert.sampling`` for those that exist."""

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step; cells outside ``unknown`` keep their codes."""


@torch.no_grad()
def look(network: Network, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N K"]:
    """The network's logits in single precision, without gradients.

    Raises:
        XlxmertError: the logits have another shape than the codes, or hold NaN.
    """
    logits = network(codes, hidden).float()
    if logits.shape[:-1] != codes.shape:
        raise XlxmertError(
            f"expected logits for {tuple(codes.shape)} cells, found {tuple(logits.shape[:-1])}: "
            "the network must answer for every cell it was given"
        )
    if bool(logits.sum().isnan()):  # in one pass; what is ruled out counts as minus infinity
        raise XlxmertError(
            "expected finite logits, found NaN: the weights may be damaged or half precision overflowed; try float32"
        )
    return logits


def lowest(confidence: Float[Tensor, "B N"], among: Bool[Tensor, "B N"], counts: Sequence[int]) -> Bool[Tensor, "B N"]:
    """In each sample, the ``counts`` cells of lowest confidence ``among`` those given; earlier cells win ties."""
    rank = ranks(confidence, among)
    return (rank < torch.tensor(list(counts), device=rank.device)[:, None]) & among


def ranks(values: Float[Tensor, "B N"], among: Bool[Tensor, "B N"]) -> Int[Tensor, "B N"]:
    """Each cell's place, from 0, in its sample's ascending order of ``among``; the others come after them all."""
    order = values.masked_fill(~among, float("inf")).argsort(dim=1, stable=True)
    place = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter(1, order, place)


def counts_of(cells: Bool[Tensor, "B N"]) -> list[int]:
    """How many cells are marked in each sample."""
    return [int(count) for count in cells.sum(dim=1).tolist()]
