"""Checks of file and folder names: whether they are valid text, and whether other systems allow them.

Windows and macOS ignore case. Windows also reserves names (`CON`), forbids characters (`a:b`), and drops a dot or a
space at the end of a name.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from groundwork.errors import DataError
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_NOT_IN_NAMES = set('<>:"\\|?*') | set(map(chr, range(32)))


def is_text(name: str) -> bool:
    """Whether a name from the file system is valid UTF-8 text; on Linux, a name may be any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def require_text_names(root: Path, places: Iterable[str]) -> None:
    """Require that every place below a folder is valid text, so that it can be written into tables.

    Raises:
        DataError: names those that are not.
    """
    wrong = sorted({_beginning(place) for place in places if not is_text(place)})
    if wrong:
        them = "it" if len(wrong) == 1 else "them"
        raise DataError(f"{root}: {counted(len(wrong), 'name')} not in UTF-8: {listed(wrong)}; rename {them}")


def report_not_portable(root: Path, places: Iterable[str]) -> None:
    """Report names in a tree that can't be copied to Windows or macOS.

    Args:
        root: the tree's root.
        places: places of videos, relative to the root and with `/`; the folders in them are checked, too.
    """
    inside: dict[str, set[str]] = defaultdict(set)
    for place in places:
        parts = place.split("/")
        for depth, name in enumerate(parts):
            inside["/".join(parts[:depth])].add(name)
    found = [line for folder in _fine(inside) for line in _folder_lines(folder, inside[folder])]
    if found:
        _LOG.warning(
            "note: %s: %s can't be copied to every system: %s", root, counted(len(found), "name"), listed(found)
        )


def not_on_windows(name: str) -> str:
    """Why Windows does not allow a file of this name; "" if it does."""
    if set(name) & _NOT_IN_NAMES:
        return f"Windows does not allow {min(set(name) & _NOT_IN_NAMES)!r} in names"
    if name.endswith((".", " ")):
        return "Windows drops its last character"
    return "a reserved name on Windows" if name.partition(".")[0].rstrip(" ").lower() in _DEVICES else ""


def _beginning(place: str) -> str:
    """A place up to the first name in it that is not valid text."""
    parts = place.split("/")
    wrong = next(number for number, part in enumerate(parts) if not is_text(part))
    return "/".join(parts[: wrong + 1])


def _fine(folders: Iterable[str]) -> list[str]:
    """The folders whose own paths can be copied: below the others, nothing more needs to be reported."""
    return sorted(folder for folder in folders if not any(map(not_on_windows, folder.split("/"))))


def _folder_lines(folder: str, names: Iterable[str]) -> list[str]:
    above = f"{folder}/" if folder else ""
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_case[name.casefold()].append(name)
    twins = [
        f"{above}{' and '.join(same)} (one name on Windows and macOS)" for same in by_case.values() if len(same) > 1
    ]
    return twins + [f"{above}{name} ({why})" for name in sorted(names) if (why := not_on_windows(name))]
