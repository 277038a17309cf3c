"""What all tests share: one thread per operation, the same random numbers in every run, calm hypothesis settings."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

# Measured on two busy cores: the tests of models, vision and golden numbers take 15 s with one thread, 133 s with two,
# because tiny operations spend their time waiting for the second core.
torch.set_num_threads(1)

# Processes that a test starts find the package of this tree, installed or not.
SOURCE = str(Path(__file__).parents[1] / "src")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def same_seeds() -> None:
    """A test that draws without a generator of its own draws the same numbers at every run and in any order."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
