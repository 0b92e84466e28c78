"""Records that are validated when they are read: a base class for pydantic models, and readable error messages."""

import dataclasses
import json
import re
import types
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from groundwork.words import listed, nearest, one_line, quoted

NOTHING_UNKNOWN = ConfigDict(extra="forbid", allow_inf_nan=False)
RecordT = TypeVar("RecordT")

REFUSED = "refused"
_TAG = re.compile("<[^<>]+>")  # names one of several record types in an error's location; not part of the key
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # for a model and for a dataclass


class Strict(BaseModel):
    """A frozen model that rejects unknown keys, NaN and infinity."""

    model_config = ConfigDict(**NOTHING_UNKNOWN, frozen=True)


def with_current_keys(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """An object from a file, with the keys of earlier releases replaced by today's.

    If it has both the earlier and today's key, the earlier one stays, and is then rejected as unknown.
    """
    return {names[key] if key in names and names[key] not in given else key: value for key, value in given.items()}


def checked_record(kind: type[RecordT], given: Any) -> RecordT:
    """Make a record (a dataclass of plain values) from parsed JSON; no value is converted to another type.

    Raises:
        ValueError: names the key and what was expected.
    """
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := [name for name in given if name not in known] if isinstance(given, dict) else []:
        raise ValueError(f"unknown key {quoted(unknown[0])}{nearest(unknown[0], known)}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None


def validator_error(what: str) -> PydanticCustomError:
    """An error for a validator to raise. Its text is reported as it is, without the value."""
    return PydanticCustomError(REFUSED, "{what}", {"what": what})


def fault_lines(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """One line for each error that pydantic found: where in the record, and what is wrong.

    Args:
        error: the error that pydantic raised.
        model: the model being read; with it, an unknown key is reported together with the nearest known one.
    """
    return [_fault_line(fault, model) for fault in error.errors(include_url=False, include_context=False)]


def some_faults(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first few `fault_lines` on one line, and how many more there are."""
    return listed(fault_lines(error, model), apart="; ")


def first_fault(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first of `fault_lines` and how many more there are: a long file may be wrong in every row."""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    first = error.errors(include_url=False, include_context=False)[0]
    return _fault_line(first, model) + more


def _fault_line(fault: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    place = [str(part) for part in fault["loc"]]
    key = one_line(".".join(part for part in place if not _TAG.fullmatch(part)))
    if fault["type"] in UNKNOWN_KEY:
        known = _known_keys(model, place[:-1]) if model else []
        return f"unknown key {key!r}{nearest(place[-1], known)}" + (
            f"; known keys: {', '.join(known)}" if known else ""
        )
    if fault["type"] == "missing":
        return f"key {key!r} is missing"
    complete = not place or fault["type"] == REFUSED or isinstance(fault["input"], dict)
    got = "" if complete else f", got {quoted(fault['input'])}"
    message = fault["msg"].removeprefix("Value error, ")  # pydantic puts this before a validator's text
    return f"{key + ': ' if key else ''}{message}{got}"


def _known_keys(model: type[BaseModel], place: Sequence[str]) -> list[str]:
    for name, following in zip_longest(place, place[1:], fillvalue=""):
        if _TAG.fullmatch(name):
            continue
        field = model.model_fields.get(name)
        inner = _model_of(field.annotation, following) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_of(annotation: Any, tag: str) -> type[BaseModel] | None:
    """The model in an annotation; if it is a union of tagged models, the one with this tag."""
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        parts = get_args(annotation)
        if any(isinstance(part, Tag) and part.tag != tag for part in parts):
            return None
        found = [_model_of(part, tag) for part in parts]
        return next((part for part in found if part), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
