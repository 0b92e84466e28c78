"""How eval reads its files: missing is asked wrong, damaged or foreign is found wrong, each said in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundwork.errors import DataError, UsageError
from groundwork.strict_json import DoubledKeyError, parse_json, refuse_doubled
from groundwork.words import one_line


def require_file(path: Path, kind: str) -> None:
    """Raise UsageError unless `path` is a file; `kind` says what it should be (`a tasks file`)."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder; {kind} was expected")
    if not path.exists():
        raise UsageError(f"{path}: no such file; {kind} was expected")


def parse_object(
    text: bytes, where: str, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] = refuse_doubled
) -> dict[str, Any]:
    """A JSON object from bytes, `pairs` making each object in it; DataError, beginning with `where`, if it is none.

    An object that holds a key twice is refused, unless `pairs` keeps it.
    """
    try:
        value = parse_json(text, pairs=pairs)
    except DoubledKeyError as error:
        raise DataError(f"{where}: {error}") from error
    except ValueError as error:  # UnicodeDecodeError is a ValueError too
        raise DataError(f"{where}: not JSON ({one_line(str(error))}); cut off, or another kind of file?") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: a JSON object was expected, found {type(value).__name__}")
    return value


def require_schema(record: dict[str, Any], where: str, *, kind: str, schema: int) -> None:
    """Raise DataError unless a record says that it is of this kind and schema number."""
    if record.get("kind") != kind:
        raise DataError(f"{where}: no {kind} file of this kit (kind {one_line(repr(record.get('kind')))})")
    found = record.get("schema")
    if type(found) is not int or found != schema:
        raise DataError(f"{where}: {kind} schema {one_line(repr(found))}; this version reads schema {schema}")
