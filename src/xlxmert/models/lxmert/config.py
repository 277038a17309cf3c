"""The sizes and choices of an LXMERT; saved beside the weights, and all that is needed to build the model again."""

from dataclasses import dataclass
from typing import ClassVar

from xlxmert.models.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class LxmertConfig(ModelConfig):
    """An LXMERT; the defaults are the X-LXMERT of the paper (sections C.1 and C.2)."""

    family: ClassVar[str] = "lxmert"
    layers_of: ClassVar[tuple[str, ...]] = ("language_layers", "relation_layers", "cross_layers")

    language_layers: int = 9
    """Layers that read the words alone."""
    relation_layers: int = 5
    """Layers that read the visual tokens alone."""
    cross_layers: int = 5
    """Layers in which both meet."""
