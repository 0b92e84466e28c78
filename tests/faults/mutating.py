"""Seeded mutations of files: bytes changed as by a bad disk, values changed as by a bad editor or an attacker."""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

ODD = [
    *(
        "1e999",
        "-1e999",
        "NaN",
        "null",
        "true",
        '""',
        '"x"',
        "[]",
        "{}",
        "-1",
        "0",
        "0.5",
        "1e300",
        "9" * 40,
        "9" * 5000,
    ),
    '"\\ud800"',
    '"=1+1"',
    '"a\\nb"',
    '"\\u001b[31m"',
    '"../../x"',
    "[" * 2000 + "]" * 2000,
]
VALUES = [json.loads(text) for text in ODD if len(text) < 1000]


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change bytes in one to three places: flip, zero, remove, insert, repeat or cut off."""
    new = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        size = len(new)
        if not size:
            break
        low, high = rng.choice([(0, min(512, size)), (max(size - 512, 0), size), (0, size)])
        place, length = rng.randrange(low, high), rng.choice([1, 2, 8, 64])
        kind = rng.randrange(7)
        if kind == 0:
            new[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            new[place] = rng.randrange(256)
        elif kind == 2:
            new[place : place + length] = bytes(len(new[place : place + length]))
        elif kind == 3:
            del new[place : place + length]
        elif kind == 4:
            new[place:place] = rng.randbytes(length)
        elif kind == 5:
            new[place:place] = new[place : place + length] * rng.choice([1, 3])
        else:
            del new[place:]
    return bytes(new)


def mutated_text(content: bytes, rng: random.Random) -> bytes:
    """Replace a value in a JSON, YAML or CSV text with an odd one, or change bytes."""
    values = list(re.finditer(rb'-?[0-9]+\.?[0-9]*|"[^"\n]*"|\bnull\b|\btrue\b|\bfalse\b', content))
    if not values or rng.random() < 0.3:
        return mutated_bytes(content, rng)
    found = rng.choice(values)
    return content[: found.start()] + rng.choice(ODD).encode() + content[found.end() :]


def mutated_json(content: Any, rng: random.Random) -> Any:
    """Replace a value anywhere in plain JSON, leave out a key, or add one."""
    copy = json.loads(json.dumps(content))
    places = list(_places(copy))
    inside, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.75:
        inside[key] = rng.choice(VALUES)
    elif kind < 0.9 or not isinstance(inside, dict):
        del inside[key]
    else:
        inside[f"{key}s"] = inside[key]
    return copy


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


Mutate = Callable[[bytes, random.Random], bytes]
