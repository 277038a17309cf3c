"""The two players of image-generator training: what generator and discriminator minimise (X-LXMERT, appendix D.5)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.models.generator import Discriminator, Generator, grid_map
from xlxmert.tasks.gan_losses import adversarial_loss, code_loss, hinge_loss, match_loss, pixel_loss

FeatureMaps = Callable[[Tensor], Sequence[Tensor]]
"""A frozen network: pictures in [-1, 1] to its feature maps."""


GENERATOR_OPTIM = OptimConfig(lr=4e-4, betas=(0.0, 0.999), eps=1e-7)
DISCRIMINATOR_OPTIM = OptimConfig(lr=1e-4, betas=(0.0, 0.999), eps=1e-7)


@dataclass(frozen=True)
class RenderConfig:
    """Weights of the losses and rates of the two players; the defaults are the paper's (appendix D.4 and D.5).

    Raises:
        XlxmertError: a weight is negative.
    """

    adversarial: float = 1.0
    """Weight of the adversarial loss."""
    codes: float = 1.0
    """Weight of the code (AC-GAN) loss, in both players."""
    match: float = 10.0
    """Weight of feature matching in the discriminator."""
    perceptual: float = 10.0
    """Weight of feature matching in the frozen network."""
    l1: float = 0.0
    """Weight of the pixels' absolute difference."""
    adversarial_from: int = 0
    """First batch number at which the discriminator joins; -1: never."""
    generator_optim: OptimConfig = GENERATOR_OPTIM
    """The generator's optimiser."""
    discriminator_optim: OptimConfig = DISCRIMINATOR_OPTIM
    """The discriminator's optimiser."""

    def __post_init__(self) -> None:
        """Check the weights."""
        for name in ("adversarial", "codes", "match", "perceptual", "l1"):
            if not getattr(self, name) >= 0:
                raise XlxmertError(f"{name} must be zero or more (found {getattr(self, name)}): it weighs a loss")


@dataclass(frozen=True)
class RenderBatch:
    """Pictures, their codes, and a seed for each picture's noise."""

    pictures: UInt8[Tensor, "B 3 S S"]
    """True pictures."""
    codes: Int[Tensor, "B N"]
    """Visual codes of the grid cells, row-major."""
    seeds: Int[Tensor, " B"]
    """Seeds of the noise."""
    number: Int[Tensor, ""]
    """Number of the batch."""
    share: float = 1.0
    """How much of the step's batch this is: means over these pictures count so much in those over all."""

    def real(self) -> Float[Tensor, "B 3 S S"]:
        """The pictures in [-1, 1]."""
        return self.pictures.float() / 127.5 - 1


class Painter(nn.Module):
    """A generator behind its codebook: codes in, pictures out."""

    centroids: Tensor

    def __init__(self, generator: Generator, centroids: Float[Tensor, "K F"]) -> None:
        """Put the two together."""
        super().__init__()
        self.generator = generator
        self.register_buffer("centroids", centroids, persistent=False)

    def forward(self, codes: Int[Tensor, "B N"], seeds: Int[Tensor, " B"]) -> Float[Tensor, "B 3 S S"]:
        """Paint pictures in [-1, 1]."""
        features = grid_map(self.centroids[codes.long()])  # (B, F, n, n)
        chosen = seeds.tolist() if self.generator.config.noise else None
        pictures: Tensor = self.generator(features, chosen, codes=codes)
        return pictures  # (B, 3, S, S)


class GeneratorTurn(nn.Module):
    """What the generator minimises (eq. 6); its module also holds the discriminator and the frozen network."""

    def __init__(
        self, painter: Painter, discriminator: Discriminator | None, network: FeatureMaps | None, config: RenderConfig
    ) -> None:
        """Take the networks; ``network`` is frozen if it has weights."""
        super().__init__()
        self.painter, self.discriminator, self.network, self.config = painter, discriminator, network, config
        if isinstance(network, nn.Module):
            network.requires_grad_(False)

    def train(self, mode: bool = True) -> "GeneratorTurn":
        """Change the mode of all but the frozen network."""
        super().train(mode)
        if isinstance(self.network, nn.Module):
            self.network.eval()
        return self

    def forward(self, batch: RenderBatch) -> dict[str, Tensor]:
        """The weighted ``loss`` and each of its terms, unweighted."""
        real = batch.real()  # (B, 3, S, S)
        fake = self.painter(batch.codes, batch.seeds)  # (B, 3, S, S)
        terms = self._terms(fake, real, batch)
        if not terms:
            raise XlxmertError(
                "the generator has nothing to minimise: give a discriminator, a frozen network or an l1 weight"
            )
        terms = {name: term * batch.share for name, term in terms.items()}
        return {"loss": torch.stack([getattr(self.config, name) * term for name, term in terms.items()]).sum(), **terms}

    def _terms(self, fake: Tensor, real: Tensor, batch: RenderBatch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.config.l1:
            terms["l1"] = pixel_loss(fake, real)
        if self.network is not None and self.config.perceptual:
            with torch.no_grad():
                wanted = self.network(real)
            terms["perceptual"] = match_loss(self.network(fake), wanted)
        if self.discriminator is not None and adversarial_now(self.config, batch):
            with torch.no_grad():
                wanted = self.discriminator.maps(real)
            verdict = self.discriminator(fake)
            terms["adversarial"] = adversarial_loss(verdict.real)
            terms["codes"] = code_loss(verdict.codes, batch.codes)
            terms["match"] = match_loss(verdict.maps[:-1], wanted[:-1])
        return terms


class DiscriminatorTurn(nn.Module):
    """What the discriminator minimises (eq. 7), on pictures that carry no gradient back to the generator."""

    def __init__(self, painter: Painter, discriminator: Discriminator, config: RenderConfig) -> None:
        """Take the networks."""
        super().__init__()
        self.painter, self.discriminator, self.config = painter, discriminator, config

    def forward(self, batch: RenderBatch) -> dict[str, Tensor]:
        """The weighted ``loss`` and its terms; before its time, a zero that gives no weight a gradient."""
        if not adversarial_now(self.config, batch):
            return {"loss": torch.zeros((), device=batch.codes.device, requires_grad=True)}
        with torch.no_grad(), evaluating(self.painter):
            fake = self.painter(batch.codes, batch.seeds)
        on_fake, on_real = self.discriminator(fake), self.discriminator(batch.real())
        hinge = hinge_loss(on_fake.real, on_real.real)
        codes = code_loss(on_fake.codes, batch.codes) + code_loss(on_real.codes, batch.codes)
        loss = self.config.adversarial * hinge + self.config.codes * codes
        fake, real = on_fake.real.mean(), on_real.real.mean()
        terms = {"loss": loss, "hinge": hinge, "codes": codes, "fake": fake, "real": real}
        return {name: term * batch.share for name, term in terms.items()}


def adversarial_now(config: RenderConfig, batch: RenderBatch) -> bool:
    """Whether the discriminator takes part in this batch."""
    return 0 <= config.adversarial_from <= int(batch.number)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` into evaluation mode for a while."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
