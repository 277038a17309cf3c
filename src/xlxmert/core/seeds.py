"""Seeds: every sample owns a generator that depends on its name alone, never on what was drawn before it."""

import hashlib

import numpy as np
import torch


def seed_of(*key: int | str) -> int:
    """A 63-bit seed that is a pure function of ``key``, for example ``seed_of(7, "picture", 42)``."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(*key: int | str) -> np.random.Generator:
    """A fresh numpy generator for this key."""
    return np.random.Generator(np.random.PCG64(seed_of(*key)))


def torch_generator(*key: int | str) -> torch.Generator:
    """A fresh CPU torch generator for this key."""
    return torch.Generator().manual_seed(seed_of(*key))
