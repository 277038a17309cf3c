"""The detector whose features are the visual tokens of the published models: Faster R-CNN in plain PyTorch."""

from xlxmert.models.detector.config import DetectorConfig
from xlxmert.models.detector.heads import Reading
from xlxmert.models.detector.model import Detector
from xlxmert.models.detector.presets import PRESETS, R101, TINY, TINY_C4, X152
from xlxmert.models.detector.reader import RegionReader, Regions

__all__ = [
    "PRESETS",
    "R101",
    "TINY",
    "TINY_C4",
    "X152",
    "Detector",
    "DetectorConfig",
    "Reading",
    "RegionReader",
    "Regions",
]
