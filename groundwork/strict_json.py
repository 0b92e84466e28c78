"""A JSON reader that rejects an object with a duplicate key; Python's own would use the last value."""

import json
import math
from collections.abc import Callable
from typing import Any

from groundwork.words import quoted


class DoubledKeyError(ValueError):
    """An object has a key twice, so it is unclear which of the two values is meant."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {quoted(key)} appears twice")


class DoubledObject(dict[str, Any]):
    """A JSON object with duplicate keys, for readers that report where they are; `pairs` has all entries."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def doubled(self) -> list[str]:
        """The duplicate keys, each once, in order."""
        seen: set[str] = set()
        return list(dict.fromkeys(key for key, _ in self.pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]


def parse_json(
    text: str | bytes,
    *,
    pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
    finite: bool = False,
) -> Any:
    """Parse any JSON value.

    Args:
        text: the JSON text; bytes are UTF-8.
        pairs: makes an object from its entries, by default `refuse_doubled`.
        finite: reject NaN and infinity, which are not JSON but which Python reads; for callers that do not check the
            numbers themselves.

    Raises:
        DoubledKeyError: if an object has a key twice.
        ValueError: if it is not JSON, has NaN or infinity (if `finite`), or is nested too deeply.
    """
    try:
        numbers = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
        return json.loads(text, object_pairs_hook=pairs or refuse_doubled, **numbers)  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {quoted(digits)} is larger than any that can be read")
    return number


def refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook`: gives a dict, or raises DoubledKeyError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DoubledKeyError(DoubledObject(pairs).doubled()[0])
    return found


def keep_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook`: gives a dict, or a DoubledObject for a reader that reports where it is."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else DoubledObject(pairs)
