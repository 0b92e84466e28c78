"""A list of classes by split, as Meta-Dataset publishes them: {"train": [...], "valid": [...], "test": [...]}."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.tree.layout import SPLIT_NAMES
from groundwork.errors import DataError, UsageError
from groundwork.strict_json import parse_json
from groundwork.words import listed, nearest, quoted

ClassLists = Mapping[str, tuple[str, ...]]  # split -> names of classes


def read_class_lists(file: Path) -> ClassLists:
    """Read such a file; splits get the names that they have in trees.

    Raises:
        UsageError: if it can't be read.
        DataError: if it does not have that form.
    """
    try:
        content: Any = parse_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: can't be read ({error.strerror}); expected a JSON file of classes") from None
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise DataError(
            f'{file}: expected {{"train": [...], "validation": [...], "test": [...]}} with names of classes'
        )
    if unknown := [name for name in content if name not in SPLIT_NAMES]:
        near = nearest(unknown[0], SPLIT_NAMES)
        raise DataError(f"{file}: unknown split {quoted(unknown[0])}{near}; known: {listed([*SPLIT_NAMES])}")
    if any(not isinstance(name, str) for names in content.values() for name in names):
        raise DataError(f"{file}: a class that is not text; expected names")
    lists: dict[str, tuple[str, ...]] = {}
    for split, names in content.items():
        lists[SPLIT_NAMES[split]] = (*lists.get(SPLIT_NAMES[split], ()), *names)
    return lists
