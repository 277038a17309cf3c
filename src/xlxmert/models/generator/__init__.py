"""Image generator and discriminator (X-LXMERT, appendix D): visual features to pixels."""

from xlxmert.models.generator.config import DiscriminatorConfig, GeneratorConfig
from xlxmert.models.generator.discriminator import Discriminator, Judgement
from xlxmert.models.generator.layers import global_noise, seeded_noise
from xlxmert.models.generator.model import Generator, grid_map

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Judgement",
    "global_noise",
    "grid_map",
    "seeded_noise",
]
