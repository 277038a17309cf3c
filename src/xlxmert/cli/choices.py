"""Options that several verbs share: how pictures are painted, and which shapes of models there are."""

from dataclasses import dataclass, field
from typing import Literal

import tyro

from xlxmert.cli.samplers import SamplerOptions
from xlxmert.core.errors import UsageError
from xlxmert.sampling import Guidance
from xlxmert.studio.options import QUALITIES, PaintOptions, Quality

ShapeName = Literal[
    "x-lxmert", "lxmert", "lxmert-grid", "x-uniter", "uniter-grid", "world", "uniter-world", "mini", "tiny"
]
"""The presets of the transformer families (`xlxmert.models.families`)."""


@dataclass(frozen=True, kw_only=True)
class PaintChoices:
    """How pictures are painted. What is not given is as --quality says."""

    quality: Quality = "standard"
    """Time for quality: draft, standard, high or best; the options below change single choices of it."""
    sampling: tyro.conf.OmitArgPrefixes[SamplerOptions] = field(default_factory=SamplerOptions)
    """How codes are chosen. What is not given keeps the sampler's default; each sampler has some of the options."""
    guidance: float | None = None
    """How much stronger than learned the words speak: 0 not at all, 1 much; by default what suits the checkpoint."""
    guidance_ramp: bool = False
    """Let the guidance grow while the picture fills, from nothing to --guidance."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Guide only while the share of settled cells lies between these two."""
    negative: str = ""
    """What the pictures should not show; needs guidance."""
    best_of: int | None = None
    """Paint this many drafts of each picture and keep the one that fits its prompt best, as the model judges."""
    likelihood: float | None = None
    """Weight of the prompt's likelihood beside the matching head when drafts are judged."""

    def options(self) -> PaintOptions:
        """The choices of painting, checked before anything is opened.

        Raises:
            UsageError: a choice is out of range, or the choices contradict each other.
        """
        plain = QUALITIES[self.quality]
        shaped = self.guidance_ramp or self.guidance_interval != (0.0, 1.0)
        if shaped and self.guidance is None:
            raise UsageError("expected --guidance beside --guidance-ramp and --guidance-interval, found none: try 1")
        strength = self.guidance or 0.0
        guidance = None if self.guidance is None else Guidance(strength, self.guidance_ramp, *self.guidance_interval)
        sampler = self.sampling.build(plain.sampler)
        return plain.with_changes(sampler, guidance, self.negative, self.best_of, self.likelihood)
