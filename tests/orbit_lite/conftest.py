"""Damages files like a bad disk, a bad connection or an editor could."""

import random
from collections.abc import Callable, Iterator

import pytest

ENDS = 4096  # bytes at either end, where headers and directories are


@pytest.fixture
def mutations() -> Callable[[bytes, int], Iterator[tuple[str, bytes]]]:
    """Yields this many seeded mutations of some content, each with a description.

    A third of them are at its beginning, a third at its end, a third anywhere.
    """

    def altered(content: bytes, count: int) -> Iterator[tuple[str, bytes]]:
        rng = random.Random(11)
        size = len(content)
        for _ in range(count):
            low, high = rng.choice([(0, min(ENDS, size)), (max(size - ENDS, 0), size), (0, size)])
            place, kind = rng.randrange(low, high), rng.randrange(8)
            new = bytearray(content)
            if kind < 3:
                new[place] ^= 1 << rng.randrange(8)
            elif kind == 3:
                new[place] = rng.randrange(256)
            elif kind == 4:
                new[place : place + 64] = bytes(len(new[place : place + 64]))
            elif kind == 5:
                del new[place]
            elif kind == 6:
                new.insert(place, rng.randrange(256))
            else:
                del new[place:]
            if new != content:
                yield f"kind {kind} at {place} of {size}", bytes(new)

    return altered
