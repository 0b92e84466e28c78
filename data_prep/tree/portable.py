"""Names of files and folders that can be written down, and those that other systems can't take over.

Windows and macOS tell no cases apart; Windows has names of its own (`CON`), characters that no name holds (`a:b`), and
drops a dot or a space at a name's end.
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
    """Whether a name, as the system gives it, is text that UTF-8 can hold; on Linux any bytes may be one."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def require_text_names(root: Path, places: Iterable[str]) -> None:
    """See that every place below a folder can be written into the tables that are made of it.

    Raises:
        DataError: naming those that can't.
    """
    wrong = sorted({_beginning(place) for place in places if not is_text(place)})
    if wrong:
        names, them = ("a name that is", "it") if len(wrong) == 1 else ("names that are", "them")
        raise DataError(f"{root}: {listed(wrong)}: {names} no UTF-8 text, and could not be written down; rename {them}")


def report_not_portable(root: Path, places: Iterable[str]) -> None:
    """Say which names in a tree can't be copied to Windows or macOS.

    Args:
        root: of the tree.
        places: of videos, relative to it and with `/`; the folders on the way are looked at, too.
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
    """Why Windows has no file of this name; "" if it may."""
    if set(name) & _NOT_IN_NAMES:
        return f"Windows has no {min(set(name) & _NOT_IN_NAMES)!r} in names"
    if name.endswith((".", " ")):
        return "Windows drops what it ends in"
    return "a device of Windows" if name.partition(".")[0].rstrip(" ").lower() in _DEVICES else ""


def _beginning(place: str) -> str:
    """A place up to the first name on the way that is no text."""
    parts = place.split("/")
    wrong = next(number for number, part in enumerate(parts) if not is_text(part))
    return "/".join(parts[: wrong + 1])


def _fine(folders: Iterable[str]) -> list[str]:
    """Those whose own names can be copied: below another there is nothing more to say."""
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
