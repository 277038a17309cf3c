"""LXMERT and X-LXMERT: two encoders and a cross-modality encoder, with heads for words, codes, matching and answers."""

from xlxmert.models.lxmert.config import LxmertConfig
from xlxmert.models.lxmert.model import Lxmert
from xlxmert.models.lxmert.presets import LXMERT, LXMERT_GRID, MINI, PAPER, PRESETS, TINY, WORLD

__all__ = ["LXMERT", "LXMERT_GRID", "MINI", "PAPER", "PRESETS", "TINY", "WORLD", "Lxmert", "LxmertConfig"]
