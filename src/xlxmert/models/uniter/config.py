"""The sizes and choices of a UNITER; saved beside the weights, and all that is needed to build the model again."""

from dataclasses import dataclass
from typing import ClassVar

from xlxmert.models.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class UniterConfig(ModelConfig):
    """A UNITER; the defaults are the X-UNITER of the X-LXMERT paper (section 7.2)."""

    family: ClassVar[str] = "uniter"
    layers_of: ClassVar[tuple[str, ...]] = ("layers",)

    layers: int = 12
    """Layers over words and visual tokens together."""
