"""Small parts shared by generator and discriminator: spectral norm that can be folded away, and sources of noise."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor

Noise = Callable[[int, int], Tensor]
"""``noise(batch, side)`` gives standard normal values (batch, 1, side, side), on the CPU."""


def global_noise(batch: int, side: int) -> Float[Tensor, "B 1 h h"]:
    """Noise from torch's global generator, one draw for the whole batch (as the reference code does)."""
    return torch.randn(batch, 1, side, side)


def seeded_noise(seeds: Sequence[int]) -> Noise:
    """Noise from one generator per picture: a picture's noise depends on its own seed alone, not on its batch."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(batch: int, side: int) -> Float[Tensor, "B 1 h h"]:
        if batch != len(generators):
            raise ValueError(f"expected one seed per picture, found {len(generators)} seeds for {batch} pictures")
        return torch.stack([torch.randn(1, side, side, generator=generator) for generator in generators])

    return draw


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018, eq. 8 and algorithm 1).

    One power iteration per training step moves the buffers ``u`` and ``v``; in evaluation they stand still.
    """

    u: Tensor
    v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0, groups: int = 1) -> None:
        """Build the convolution and start the two singular vectors at random directions."""
        super().__init__(inputs, outputs, kernel, padding=padding, groups=groups)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(self.weight[0].numel()), dim=0))

    def normalised(self) -> Float[Tensor, "O I k k"]:
        """The weight over its spectral norm, in full precision."""
        if self.training:
            self.iterate()
        matrix = self.weight.flatten(1)  # (O, I*k*k)
        sigma = torch.sum(self.u.clone()[:, None] * matrix * self.v.clone())  # u' W v; autocast leaves products alone
        return self.weight / sigma

    @torch.no_grad()
    def iterate(self) -> None:
        """One step of the power iteration, in full precision."""
        matrix = self.weight.flatten(1)
        self.v.copy_(F.normalize(torch.sum(matrix * self.u[:, None], dim=0), dim=0, eps=1e-12))
        self.u.copy_(F.normalize(torch.sum(matrix * self.v, dim=1), dim=0, eps=1e-12))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the normalised weight."""
        output: Tensor = self._conv_forward(input, self.normalised(), self.bias)
        return output


def convolution(inputs: int, outputs: int, kernel: int, spectral: bool, groups: int = 1) -> nn.Conv2d:
    """A size-keeping convolution, with or without spectral norm."""
    if spectral:
        return SpectralConv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)


def folded_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of ``module`` with every spectral norm multiplied into its weight, under the same names."""
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    for name, part in module.named_modules():
        if isinstance(part, SpectralConv2d):
            was_training = part.training
            part.eval()
            state[f"{name}.weight"] = part.normalised().detach().clone()
            part.train(was_training)
            del state[f"{name}.u"], state[f"{name}.v"]
    return state


def start(module: nn.Module) -> None:
    """Orthogonal weights and zero biases for every convolution (the reference generator's start); spectral norms 1."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.orthogonal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        if isinstance(part, SpectralConv2d):
            part.iterate()


def channels_last(module: nn.Module) -> None:
    """Lay every convolution's weight out as a CPU likes it: two to five times faster; loading keeps the layout."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def enlarge(picture: Tensor, side: int) -> Tensor:
    """Bilinear upsampling to ``side``; a map that has this side already comes back as it is."""
    if picture.shape[-1] == side:
        return picture
    return F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False)
