"""The transformer families by name: what a checkpoint's ``family`` and a config's class stand for."""

from collections.abc import Mapping
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.models import lxmert, uniter
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.lxmert import Lxmert, LxmertConfig
from xlxmert.models.uniter import Uniter, UniterConfig

PRESETS: dict[str, ModelConfig] = {
    "x-lxmert": lxmert.PAPER,
    "lxmert": lxmert.LXMERT,
    "lxmert-grid": lxmert.LXMERT_GRID,
    "x-uniter": uniter.PAPER,
    "uniter-grid": uniter.UNITER_GRID,
    "world": lxmert.WORLD,
    "mini": lxmert.MINI,
    "uniter-world": uniter.WORLD,
    "tiny": lxmert.TINY,
}
"""Named sizes over all families, as the command line knows them."""
CONFIGS: dict[str, type[ModelConfig]] = {each.family: each for each in (LxmertConfig, UniterConfig)}
"""The config class of each family."""


def config_of(family: str, fields: Mapping[str, Any]) -> ModelConfig:
    """A family's config from its fields.

    Raises:
        XlxmertError: there is no such family, or a field is unknown or out of range.
    """
    if family not in CONFIGS:
        raise XlxmertError(
            f"expected a model of the families {', '.join(CONFIGS)}, found '{family}': written by another version"
        )
    return CONFIGS[family].from_dict(fields)


def build(config: ModelConfig) -> Transformer:
    """A model of this config's family with random weights."""
    if isinstance(config, LxmertConfig):
        return Lxmert(config)
    assert isinstance(config, UniterConfig)
    return Uniter(config)
