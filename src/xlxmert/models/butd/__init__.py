"""Bottom-up top-down attention: a GRU's question looks once at a picture's regions; the tables' reference row."""

from xlxmert.models.butd.config import ButdConfig
from xlxmert.models.butd.model import Butd
from xlxmert.models.butd.presets import PAPER, PRESETS, TINY, WORLD

__all__ = ["PAPER", "PRESETS", "TINY", "WORLD", "Butd", "ButdConfig"]
