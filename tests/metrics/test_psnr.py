"""Peak signal-to-noise ratio against numbers worked out by hand."""

import pytest
import torch

from xlxmert.metrics.image import psnr


def test_a_tenth_of_the_span_is_twenty_decibels() -> None:
    black = torch.full((2, 3, 4, 4), -1.0)
    shifted = black + torch.tensor([0.2, 0.02]).reshape(2, 1, 1, 1)
    assert psnr(black, shifted).tolist() == pytest.approx([20, 40], abs=1e-4)


def test_the_span_changes_the_unit_only() -> None:
    a, b = torch.rand(3, 3, 8, 8), torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(psnr(a, b, span=1.0), psnr(a * 255, b * 255, span=255.0))
    torch.testing.assert_close(psnr(a, b, span=1.0), psnr(a * 2 - 1, b * 2 - 1))


def test_equal_pictures_have_no_noise() -> None:
    picture = torch.rand(1, 3, 4, 4)
    assert psnr(picture, picture).isinf().all()
