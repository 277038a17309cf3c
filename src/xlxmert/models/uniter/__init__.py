"""UNITER and X-UNITER: one encoder over words and visual tokens together, with the heads of LXMERT."""

from xlxmert.models.uniter.config import UniterConfig
from xlxmert.models.uniter.model import Uniter
from xlxmert.models.uniter.presets import PAPER, PRESETS, TINY, UNITER_GRID, WORLD

__all__ = ["PAPER", "PRESETS", "TINY", "UNITER_GRID", "WORLD", "Uniter", "UniterConfig"]
