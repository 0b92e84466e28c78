"""Reads eval's files: UsageError for a missing file, DataError for a damaged or foreign one, each in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundwork.errors import DataError, UsageError
from groundwork.strict_json import DoubledKeyError, parse_json, refuse_doubled
from groundwork.words import one_line


def require_file(path: Path, kind: str) -> None:
    """Raise UsageError unless `path` is a file; `kind` is the expected kind (`a tasks file`)."""
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder; expected {kind}")
    if not path.exists():
        raise UsageError(f"{path}: no such file; expected {kind}")


def parse_object(
    text: bytes, where: str, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] = refuse_doubled
) -> dict[str, Any]:
    """Parse a JSON object from bytes, building each object with `pairs`; raises DataError, starting with `where`.

    Duplicate keys are refused, unless `pairs` keeps them.
    """
    try:
        value = parse_json(text, pairs=pairs)
    except DoubledKeyError as error:
        raise DataError(f"{where}: {error}") from error
    except ValueError as error:  # includes UnicodeDecodeError
        raise DataError(
            f"{where}: not JSON ({one_line(str(error))}); the file may be truncated, or of another kind"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def require_schema(record: dict[str, Any], where: str, *, kind: str, schema: int) -> None:
    """Raise DataError unless a record has this kind and schema number."""
    if record.get("kind") != kind:
        raise DataError(f"{where}: not a {kind} file of this kit (kind {one_line(repr(record.get('kind')))})")
    found = record.get("schema")
    if type(found) is not int or found != schema:
        raise DataError(f"{where}: {kind} schema {one_line(repr(found))}; this version reads schema {schema}")
