"""Random draws in which every sample owns its seed, so that they are the same alone and in any batch, on any device."""

from collections.abc import Sequence

import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import torch_generator


def uniform(seeds: Sequence[int], step: int, cells: int, what: str = "codes") -> Float[Tensor, "B N"]:
    """One number in [0, 1) per cell, a pure function of the sample's seed, the step and ``what`` it decides."""
    return torch.stack([torch.rand(cells, generator=torch_generator(seed, what, step)) for seed in seeds])


def gumbel(seeds: Sequence[int], step: int, cells: int) -> Float[Tensor, "B N"]:
    """Standard Gumbel noise per cell: minus the logarithm of an exponential draw, finite in single precision.

    The usual -log(-log u) loses its upper tail in single precision, where u rounds to 1.
    """
    noise = torch.empty(len(seeds), cells)
    for row, seed in zip(noise, seeds, strict=True):
        row.exponential_(generator=torch_generator(seed, "cells", step))
    return -noise.clamp(min=torch.finfo(torch.float32).tiny).log()


def choose(
    logits: Float[Tensor, "B N K"],
    seeds: Sequence[int],
    step: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Int[Tensor, "B N"]:
    """A code drawn for every cell by inverting its cumulative distribution; temperature 0 takes the most probable."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    scaled = (logits - logits.amax(dim=-1, keepdim=True)).div_(temperature)
    probabilities = narrow(scaled, top_k, top_p).softmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    total = cumulative[..., -1:].contiguous()
    mark = uniform(seeds, step, logits.shape[1]).to(logits.device)[..., None] * total
    mark = torch.minimum(mark, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, mark, right=True).clamp(max=logits.shape[-1] - 1)
    possible = probabilities.gather(-1, drawn) > 0  # a parallel sum may wobble by a rounding error
    if not bool(possible.all()):
        drawn = torch.where(possible, drawn, probabilities.argmax(dim=-1, keepdim=True))
    return drawn.squeeze(-1)


def narrow(logits: Float[Tensor, "B N K"], top_k: int, top_p: float) -> Float[Tensor, "B N K"]:
    """Rule out all but the ``top_k`` best codes (0: all) and those beyond the most probable mass ``top_p``."""
    if 0 < top_k < logits.shape[-1]:
        worst = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < worst, float("-inf"))
    if top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        share = ordered.softmax(dim=-1)
        ordered = ordered.masked_fill(share.cumsum(dim=-1) - share >= top_p, float("-inf"))
        ordered[..., 0] = logits.amax(dim=-1)
        logits = torch.empty_like(logits).scatter(-1, order, ordered)
    return logits


def check_draws(temperature: float, top_k: int, top_p: float) -> None:
    """Refuse settings with which nothing could be drawn.

    Raises:
        UsageError: a setting lies outside its range.
    """
    if temperature < 0:
        raise UsageError(f"expected a temperature of 0 (most probable) or above, found {temperature}: try 1.0")
    if top_k < 0:
        raise UsageError(f"expected top_k of 0 (all) or above, found {top_k}: try 0")
    if not 0 < top_p <= 1:
        raise UsageError(f"expected top_p in (0, 1], found {top_p}: try 1.0")
