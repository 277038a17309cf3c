"""The front door of sampling: check what is asked for and start the stream of steps."""

from collections.abc import Iterable, Iterator, Sequence

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.sampling.entropy_bound import EntropyBound
from xlxmert.sampling.halton import Halton
from xlxmert.sampling.mask_predict import MaskPredict
from xlxmert.sampling.maskgit import MaskGIT
from xlxmert.sampling.moment import Moment
from xlxmert.sampling.one_by_one import EasyFirst, RandomOrder, Raster
from xlxmert.sampling.remdm import ReMDM
from xlxmert.sampling.revised import Revised
from xlxmert.sampling.steps import Network, Sampler, Step

AnySampler = MaskPredict | MaskGIT | Moment | Halton | EntropyBound | ReMDM | Raster | RandomOrder | EasyFirst | Revised
"""The samplers a command line can offer."""


def paint(
    network: Network,
    codes: Int[Tensor, "B N"],
    unknown: Bool[Tensor, "B N"],
    sampler: Sampler,
    seeds: Sequence[int],
) -> Iterator[Step]:
    """Fill the ``unknown`` cells of ``codes``: all of them to paint, a region to edit.

    One seed per picture: its draws are the same alone and in any batch, and the same for a region as for the whole.

    Raises:
        UsageError: no cell is unknown.
        XlxmertError: shapes or numbers of seeds differ.
    """
    if codes.shape != unknown.shape:
        raise XlxmertError(
            f"expected one mark per cell, found {tuple(codes.shape)} codes and {tuple(unknown.shape)} marks: "
            "pass a mask of the shape of the codes"
        )
    if len(seeds) != len(codes):
        raise XlxmertError(
            f"expected {len(codes)} seeds, one per picture, found {len(seeds)}: pass as many as pictures"
        )
    if not unknown.any():
        raise UsageError("expected at least one cell to fill, found none: mark the cells to paint")
    return sampler.run(network, codes, unknown, list(seeds))


def last(steps: Iterable[Step]) -> Step:
    """Run a stream to its end and give the final step.

    Raises:
        XlxmertError: the stream is empty.
    """
    step = None
    for step in steps:  # noqa: B007
        pass
    if step is None:
        raise XlxmertError(
            "expected at least one step, found an empty stream: start a new one, a stream runs only once"
        )
    return step
