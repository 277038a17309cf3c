"""One tiny studio for all tests of this folder."""

import pytest
import torch

from xlxmert.studio import Studio
from xlxmert.testing.tiny import tiny_bundle

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def studio() -> Studio:
    return Studio(tiny_bundle(), "cpu")
