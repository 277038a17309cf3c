"""How batches are corrupted: uniform or Bernoulli masking of cells and of words."""

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor


def uniform_mask(rows: int, cells: int, generator: torch.Generator) -> Bool[Tensor, "B N"]:
    """Hide a uniformly drawn number of cells of each picture, 1 to N, at random places (X-LXMERT, section 5.1)."""
    counts = torch.randint(1, cells + 1, (rows, 1), generator=generator)
    ranks = torch.rand(rows, cells, generator=generator).argsort(1).argsort(1)
    return ranks < counts


def block_mask(rows: int, grid: int, generator: torch.Generator) -> Bool[Tensor, "B N"]:
    """Hide a uniformly drawn number of blocks of each picture, at random places of its ``grid`` x ``grid`` cells.

    A picture's blocks have 1x1, 2x2 or 4x4 cells, with equal chances where the grid can be cut so. Under uniform
    masking a thing of four cells is hidden as a whole in one picture of five, under this in almost every second one.
    """
    sides = [side for side in (1, 2, 4) if grid % side == 0]
    masks = torch.stack([_whole_blocks(rows, grid, side, generator) for side in sides])  # (sides, B, N)
    return masks[torch.randint(len(sides), (rows,), generator=generator), torch.arange(rows)]


def rare_mask(
    codes: Int[Tensor, "B N"], log_counts: Float[Tensor, " K"], generator: torch.Generator
) -> Bool[Tensor, "B N"]:
    """Hide a uniformly drawn number of cells of each picture, those of rare codes first, with Gumbel noise.

    Samplers that settle the surest cells first leave things to the end: plain areas stand, and whatever the words name
    must be in the cells that are left. Such states are rare under uniform masking, and common under this.

    Args:
        codes: the pictures.
        log_counts: the logarithm of how often each code occurs.
        generator: of all draws.
    """
    counts = torch.randint(1, codes.shape[1] + 1, (len(codes), 1), generator=generator)
    noise = -torch.empty(codes.shape).exponential_(generator=generator).log()
    return (log_counts[codes] - noise).argsort(1).argsort(1) < counts


def _whole_blocks(rows: int, grid: int, side: int, generator: torch.Generator) -> Bool[Tensor, "B N"]:
    blocks = uniform_mask(rows, (grid // side) ** 2, generator).view(rows, grid // side, grid // side)
    return blocks.repeat_interleave(side, 1).repeat_interleave(side, 2).flatten(1)


def bernoulli_mask(rows: int, cells: int, rate: float, generator: torch.Generator) -> Bool[Tensor, "B N"]:
    """Hide each cell with probability ``rate`` (LXMERT, section 3.1.2)."""
    return torch.rand(rows, cells, generator=generator) < rate


def mask_words(
    words: Int[Tensor, "B T"],
    specials: tuple[int, ...],
    mask: int,
    vocabulary: int,
    rate: float | Float[Tensor, "B 1"],
    generator: torch.Generator,
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """BERT's masking: of the chosen words 80 % become ``[MASK]``, 10 % noise, 10 % stay (LXMERT, section 3.1.1).

    Padding and special tokens are never chosen; a sentence of which none was chosen gives one word.

    Args:
        words: framed and padded sentences.
        specials: ids that are never chosen.
        mask: the id of ``[MASK]``.
        vocabulary: V; noise is drawn from the words after the specials.
        rate: each word's chance to be chosen, for all sentences or for each.
        generator: of all draws.

    Returns:
        The corrupted words, and the labels: true ids at chosen places, -1 elsewhere.
    """
    special = torch.isin(words, torch.tensor(specials))
    draws = torch.rand(words.shape, generator=generator).masked_fill(special, 2.0)
    chosen = draws < rate
    none = ~chosen.any(1)
    chosen[none, draws[none].argmin(1)] = True
    chosen &= ~special
    labels = words.masked_fill(~chosen, -1)
    kind = torch.rand(words.shape, generator=generator)
    noise = torch.randint(max(specials) + 1, vocabulary, words.shape, generator=generator)
    corrupted = torch.where(chosen & (kind < 0.8), mask, torch.where(chosen & (kind >= 0.9), noise, words))
    return corrupted, labels


def thinned(weights: Float[Tensor, "*any"], most: int, generator: torch.Generator) -> Float[Tensor, "*any"]:
    """Fewer weights that stand for all: about ``most`` are kept, the others become 0 (Poisson sampling).

    A weight is kept with a chance in proportion to it, at most 1, and divided by that chance, so that any weighted sum
    has the expectation that it had before.
    """
    if int((weights > 0).sum()) <= most:
        return weights
    sure = torch.zeros_like(weights, dtype=torch.bool)
    scale = 0.0
    for _ in range(8):  # those whose chance would pass 1 are sure, the others share what is left
        scale = (most - int(sure.sum())) / float(weights[~sure].sum().clamp(min=1e-12))
        sure = weights * scale >= 1
    chances = (weights * scale).clamp(max=1.0)
    kept = torch.rand(weights.shape, generator=generator) < chances
    return torch.where(kept, weights / chances.clamp(min=1e-12), 0.0)
