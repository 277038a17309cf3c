"""Floor 3: the training loop on accelerate, its settings, checkpoints, moving averages and curves."""

from xlxmert.train.config import TrainConfig
from xlxmert.train.loop import Stopped, TrainReport, train

__all__ = ["Stopped", "TrainConfig", "TrainReport", "train"]
