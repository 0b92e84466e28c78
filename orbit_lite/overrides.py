"""Applies `key.inner=value` arguments of the command line to the content of a YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from groundwork.words import listed, one_line, quoted
from orbit_lite.strict_yaml import parse_yaml


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set each value, which is parsed as YAML.

    Raises:
        UsageError: if an argument is not `key=value`, a key is given twice, or a key continues below a plain value.
    """
    refuse_doubled(overrides)
    for override in overrides:
        apply_override(content, override)


def stated_place(path: Path, overrides: Sequence[str]) -> str:
    """A configuration file and what overrides it, for messages: a wrong value may come from either."""
    return f"{path} with {listed([one_line(override) for override in overrides])}" if overrides else str(path)


def refuse_doubled(overrides: Sequence[str]) -> None:
    """Raise UsageError if two overrides have the same key."""
    first: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0]
        if key in first:
            both = f"{quoted(first[key])} and {quoted(override)}"
            raise UsageError(f"key {quoted(key)} is given twice, {both}; remove one")
        first[key] = override


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set one value."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UsageError(f"{quoted(override)}: expected key=value, for example optimizer.lr=0.001")
    *outer, last = key.split(".")
    place = content
    for name in outer:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise UsageError(f"{quoted(override)}: {quoted(name)} is a value and has no keys")
    place[last] = parse_yaml(value, where=quoted(override))
