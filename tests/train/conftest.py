"""The tiny task of the training tests, importable as ``tiny_task`` here and runnable in a process of its own."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
