"""Named sizes of UNITER, each beside the model or the use it is for; what is no layer is LXMERT's."""

import dataclasses

from xlxmert.models.config import ModelConfig
from xlxmert.models.lxmert import presets as lxmert
from xlxmert.models.uniter.config import UniterConfig


def _beside(shape: ModelConfig, layers: int) -> UniterConfig:
    """A UNITER whose sizes and choices, layers apart, are those of another family's model."""
    shared = {field.name: getattr(shape, field.name) for field in dataclasses.fields(ModelConfig)}
    return UniterConfig(**shared, layers=layers)


PAPER = UniterConfig()
"""X-UNITER (X-LXMERT, section 7.2): the twelve layers of BERT over words and grid codes."""

UNITER_GRID = _beside(lxmert.LXMERT_GRID, 12)
"""UNITER + Grid (X-LXMERT, table 2): regressed features and labels instead of codes."""

WORLD = _beside(lxmert.WORLD, 8)
"""For one's own pictures; about the work per step of LXMERT's preset of that name."""

TINY = _beside(lxmert.TINY, 2)
"""For tests."""

PRESETS = {"paper": PAPER, "grid": UNITER_GRID, "world": WORLD, "tiny": TINY}
"""The presets by name, as recipes and the command line know them."""
