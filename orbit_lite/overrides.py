"""`key.inner=value` on the command line in place of what a YAML file says."""

from collections.abc import Sequence
from typing import Any

from groundwork.errors import UsageError
from groundwork.words import quoted
from orbit_lite.strict_yaml import parse_yaml


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put each value, in YAML, in its place.

    Raises:
        UsageError: if one is no `key=value`, a key is given twice, or leads into a value.
    """
    refuse_doubled(overrides)
    for override in overrides:
        apply_override(content, override)


def refuse_doubled(overrides: Sequence[str]) -> None:
    """Raise UsageError if two overrides have one key."""
    first: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0]
        if key in first:
            both = f"{quoted(first[key])} and {quoted(override)}"
            raise UsageError(f"key {quoted(key)} is given twice, {both}; leave one out")
        first[key] = override


def apply_override(content: dict[str, Any], override: str) -> None:
    """Put one value in its place."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UsageError(f"{quoted(override)}: expected key=value, for example optimizer.lr=0.001")
    *outer, last = key.split(".")
    place = content
    for name in outer:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise UsageError(f"{quoted(override)}: {quoted(name)} holds a value, not keys")
    place[last] = parse_yaml(value, where=quoted(override))
