"""Scores of generated pictures against true ones."""

import torch

from xlxmert.core.axes import Float, Tensor


def psnr(a: Float[Tensor, "B C h w"], b: Float[Tensor, "B C h w"], span: float = 2.0) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio of every pair in decibels, ``10 log10(span^2 / mean squared error)``.

    Args:
        a: pictures, in [-1, 1] by default.
        b: pictures to compare with, in the same range.
        span: the distance between the darkest and the brightest value: 2 for [-1, 1], 1 for [0, 1], 255 for bytes.

    Returns:
        one value per pair; infinite where both are equal.
    """
    error = (a.double() - b.double()).square().mean(dim=(1, 2, 3))  # (B,)
    return (10 * torch.log10(span**2 / error)).float()
