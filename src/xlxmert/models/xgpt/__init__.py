"""XGPT: an encoder and a decoder of the same weights that caption pictures, pre-trained by generating either side."""

from xlxmert.models.xgpt.cache import Cache
from xlxmert.models.xgpt.config import XgptConfig
from xlxmert.models.xgpt.model import Memory, Xgpt
from xlxmert.models.xgpt.presets import PAPER, PAPER_TINY, PRESETS, TINY, WORLD
from xlxmert.models.xgpt.writing import CachedWriter, PlainWriter

__all__ = [
    "PAPER",
    "PAPER_TINY",
    "PRESETS",
    "TINY",
    "WORLD",
    "Cache",
    "CachedWriter",
    "Memory",
    "PlainWriter",
    "Xgpt",
    "XgptConfig",
]
