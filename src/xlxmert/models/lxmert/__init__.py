"""LXMERT and X-LXMERT: two encoders and a cross-modality encoder, with heads for words, codes, matching and answers."""

from xlxmert.models.lxmert.config import LxmertConfig
from xlxmert.models.lxmert.model import Lxmert
from xlxmert.models.lxmert.presets import PAPER, PRESETS, TINY, WORLD

__all__ = ["PAPER", "PRESETS", "TINY", "WORLD", "Lxmert", "LxmertConfig"]
