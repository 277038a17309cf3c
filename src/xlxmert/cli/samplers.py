"""The options of every verb that paints: which sampler, and how it is set."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from xlxmert.core.errors import UsageError
from xlxmert.sampling import (
    AnySampler,
    EasyFirst,
    EntropyBound,
    Halton,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
    Sampler,
)
from xlxmert.sampling.schedules import Schedule
from xlxmert.studio.options import SAMPLER

SamplerName = Literal[
    "maskgit", "mask-predict", "halton", "entropy", "remdm", "moment", "raster", "random", "easy-first"
]
_NARROW = {"top_k": "top_k", "top_p": "top_p"}
_ONE_BY_ONE = {"temperature": "temperature", **_NARROW}
_SCHEDULED = {
    "steps": "steps",
    "temperature": "token_temperature",
    "end_temperature": "end_temperature",
    "schedule": "schedule",
    **_NARROW,
}
_CHOOSING = {**_SCHEDULED, "choice_temperature": "choice_temperature"}
_HEAT = SAMPLER.token_temperature
OFFERED: Mapping[SamplerName, tuple[AnySampler, Mapping[str, str]]] = {
    "maskgit": (SAMPLER, _CHOOSING),
    "mask-predict": (MaskPredict(), {"steps": "steps"}),
    "halton": (Halton(token_temperature=_HEAT), _SCHEDULED),
    "entropy": (
        EntropyBound(token_temperature=_HEAT),
        {"steps": "most_steps", "gamma": "gamma", "temperature": "token_temperature", **_NARROW},
    ),
    "remdm": (ReMDM(token_temperature=_HEAT), _SCHEDULED),
    "moment": (Moment(SAMPLER.steps, token_temperature=_HEAT), _CHOOSING),
    "raster": (Raster(), _ONE_BY_ONE),
    "random": (RandomOrder(), {"steps": "sweeps", **_ONE_BY_ONE}),
    "easy-first": (EasyFirst(), _ONE_BY_ONE),
}
"""Each sampler as it suits the bundled checkpoint, and its field for every option that it has."""
CELLS = 64
"""Cells of the grid that the steps of ``random`` are counted on, as the paper counts."""


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """How codes are chosen. What is not given keeps the sampler's default; each sampler has some of the options."""

    sampler: SamplerName | None = None
    """Which cells are settled when; by default what the quality says, and maskgit where its settings are given."""
    steps: int | None = None
    """Steps; of entropy the most there may be, of random the visits of cells. Not for raster and easy-first."""
    temperature: float | None = None
    """Spread of the drawn codes; 0 takes the most probable; not for mask-predict."""
    end_temperature: float | None = None
    """Spread in the last step, reached in even strides; for maskgit, moment, halton and remdm."""
    choice_temperature: float | None = None
    """Noise in which cells maskgit and moment settle first."""
    schedule: Schedule | None = None
    """How fast the hidden share falls, for maskgit, moment, halton and remdm."""
    gamma: float | None = None
    """Entropy in nats that entropy may settle at once besides the largest; more is faster."""
    top_k: int | None = None
    """Draw among this many best codes; not for mask-predict."""
    top_p: float | None = None
    """Draw within this most probable share, up to 1; not for mask-predict."""
    revise: int = 0
    """Then judge every cell by all others and paint the least likely quarter again, this often, by any sampler."""

    def build(self, standard: Sampler = SAMPLER) -> Sampler:
        """The sampler of these options, or where none of them is given, the ``standard``.

        Raises:
            UsageError: an option is out of range, or the sampler has no such option.
        """
        if self.revise < 0:
            raise UsageError(f"expected a --revise of 0 rounds or more, found {self.revise}: try 2")
        sampler = standard if self.sampler is None and not self._settings() else self._named(self.sampler or "maskgit")
        return self._revised(sampler) if self.revise else sampler

    def _named(self, name: SamplerName) -> AnySampler:
        """The sampler of this name with what is given; all of it must be among what the sampler takes."""
        plain, takes = OFFERED[name]
        given = self._settings()
        for option in given:
            if option not in takes:
                known = ", ".join(map(_flag, takes))
                raise UsageError(f"expected {known} for the sampler {name}, found {_flag(option)}: leave it out")
        settings = {takes[option]: value for option, value in given.items()}
        if "sweeps" in settings:
            settings["sweeps"] /= CELLS
        return dataclasses.replace(plain, **settings)

    def _settings(self) -> dict[str, Any]:
        """The settings that were given."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("sampler", "revise")]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _revised(self, first: Sampler) -> Revised:
        """The sampler with rounds of revision, whose draws follow the same options."""
        plain = Revised(first, self.revise)
        draws = {"token_temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        settings: dict[str, Any] = {name: value for name, value in draws.items() if value is not None}
        return dataclasses.replace(plain, again=dataclasses.replace(plain.again, **settings))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
