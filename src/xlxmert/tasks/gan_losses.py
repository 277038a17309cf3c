"""The losses of the image generator and its discriminator (X-LXMERT, appendix D.5): functions of their outputs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from xlxmert.core.axes import Float, Int, Tensor


def adversarial_loss(fake: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The generator wants its pictures to be taken for real (eq. 1): ``-D(fake)``, meaned over the batch."""
    return -fake.float().mean()


def hinge_loss(fake: Float[Tensor, " B"], real: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The discriminator pushes real scores above 1 and fake ones below -1 (eq. 2; Lim and Ye 2017).

    The paper prints ``max(1 - D(fake), 0)``; its code, and the hinge loss that it cites, have ``1 + D(fake)``.
    """
    return F.relu(1 + fake.float()).mean() + F.relu(1 - real.float()).mean()


def code_loss(logits: Float[Tensor, "B N K"], codes: Int[Tensor, "B N"]) -> Float[Tensor, ""]:
    """Cross-entropy of every cell's code, meaned over cells and pictures (eq. 3, one of its two terms)."""
    return F.cross_entropy(logits.float().flatten(0, 1), codes.flatten().long())


def match_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Huber distance of feature maps, meaned within each map and summed over the maps (eq. 4 and 5).

    Raises:
        ValueError: the two sequences have different lengths, or none.
    """
    losses = [F.smooth_l1_loss(a.float(), b.float()) for a, b in zip(fake, real, strict=True)]
    return torch.stack(losses).sum()


def pixel_loss(fake: Float[Tensor, "B 3 S S"], real: Float[Tensor, "B 3 S S"]) -> Float[Tensor, ""]:
    """Mean absolute difference of pixels; not in the paper: it warms a small generator up."""
    return F.l1_loss(fake.float(), real.float())
