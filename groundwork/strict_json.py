"""JSON as the kit reads it: an object that holds a key twice is an error, where Python would take the last one."""

import json
import math
from collections.abc import Callable
from typing import Any

from groundwork.words import quoted


class DoubledKeyError(ValueError):
    """An object holds a key twice, and nobody can say which of the two values is meant."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {quoted(key)} is there twice")


class DoubledObject(dict[str, Any]):
    """A JSON object that holds a key twice, for readers that name the place; `pairs` has all there is."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def doubled(self) -> list[str]:
        """The keys that are there more than once, each named once, in their order."""
        seen: set[str] = set()
        return list(dict.fromkeys(key for key, _ in self.pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]


def parse_json(
    text: str | bytes,
    *,
    pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
    finite: bool = False,
) -> Any:
    """Any JSON value.

    Args:
        text: bytes are UTF-8.
        pairs: makes each object, by default `refuse_doubled`.
        finite: NaN and infinity, which JSON does not have and Python reads, are errors: for a reader that does not say
            where they are.

    Raises:
        DoubledKeyError: for an object that holds a key twice.
        ValueError: if it is not JSON, holds a number that is none (if `finite`), or is nested too deeply to be read.
    """
    try:
        numbers = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
        return json.loads(text, object_pairs_hook=pairs or refuse_doubled, **numbers)  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {quoted(digits)} is larger than any that can be read")
    return number


def refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook`: a plain dict, or DoubledKeyError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DoubledKeyError(DoubledObject(pairs).doubled()[0])
    return found


def keep_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook`: a plain dict, or a DoubledObject, for a reader that says where it is."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else DoubledObject(pairs)
