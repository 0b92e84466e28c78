"""Records that hold arrays: `==` on two of them must not raise, as comparing their fields would."""

import dataclasses
import importlib
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

FLOORS = ("groundwork", "data_prep", "eval", "orbit_lite")


def modules() -> Iterator[types.ModuleType]:
    """Every module of the floors."""
    for floor in FLOORS:
        package = importlib.import_module(floor)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{floor}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def records() -> list[type]:
    """Every dataclass that they define."""
    return [
        thing
        for module in modules()
        for thing in vars(module).values()
        if isinstance(thing, type) and dataclasses.is_dataclass(thing) and thing.__module__ == module.__name__
    ]


def holds_arrays(annotation: object) -> bool:
    """Whether a value annotated like this is an array or a table, or a container of them."""
    kind = typing.get_origin(annotation) or annotation
    if isinstance(kind, type):
        if issubclass(kind, np.ndarray | pd.DataFrame | pd.Series):
            return True
        if kind.__module__ == "torch" and kind.__name__ == "Tensor":
            return True
        if issubclass(kind, Callable):  # a function that takes arrays is compared by identity
            return False
    return any(holds_arrays(part) for part in typing.get_args(annotation))


def of_arrays(record: type) -> bool:
    hints = typing.get_type_hints(record)
    return any(holds_arrays(hints[field.name]) for field in dataclasses.fields(record) if field.compare)


def compares_fields(record: type) -> bool:
    return "__eq__" in vars(record)


def test_records_of_arrays_compare_by_identity():
    found = [record for record in records() if of_arrays(record)]
    assert len(found) >= 30  # the walk sees them
    assert [f"{r.__module__}.{r.__qualname__}" for r in found if compares_fields(r)] == []


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (np.ndarray, True),
        (dict[str, tuple[pd.DataFrame, ...]], True),
        (np.ndarray | None, True),
        (Callable[[np.ndarray], np.ndarray], False),
        (dict[str, int], False),
    ],
)
def test_arrays_are_seen_through_containers(annotation, expected):
    assert holds_arrays(annotation) is expected
