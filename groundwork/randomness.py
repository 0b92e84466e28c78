"""Randomness keyed by what it draws: the same draw in any order, on any worker or machine."""

import hashlib

import numpy as np


def keyed_rng(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the keys alone (user, task, video …).

    >>> bool(keyed_rng(1, "P177", 3).random() == keyed_rng(1, "P177", 3).random())
    True
    """
    return np.random.default_rng([seed, *map(_key_number, keys)])


def keyed_seed(seed: int, *keys: str | int) -> int:
    """A 63-bit seed, keyed in the same way, for libraries such as torch that take a number."""
    return int(keyed_rng(seed, *keys).integers(2**63))


def _key_number(key: str | int) -> int:
    if isinstance(key, int):
        return key
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
