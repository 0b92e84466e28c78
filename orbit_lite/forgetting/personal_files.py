"""Finds a participant's personal recognizers, by their headers, and their exports, by a hash in the metadata."""

import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_prep.forgetting.plan import Plan
from groundwork.files import file_sha256
from orbit_lite.forgetting.found import Found, removal, written_name
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder
from orbit_lite.personal.exporting.export import CARD_FORMAT_KEY
from orbit_lite.personal.file import read_user
from orbit_lite.personal.file_names import EXPORT_SUFFIXES, SUFFIX
from orbit_lite.personal.in_use import held_with

_INT8 = ".int8"


def find_personal(folder: SeenFolder, user: str) -> tuple[Found, dict[Path, str]]:
    """Find the personal recognizers of a participant in a folder, and leftovers of interrupted writing.

    Returns:
        what to remove, and the complete files among these, each with its hash.
    """
    found, whole, names = Found(), dict[Path, str](), set[str]()
    for file in folder.files:
        if Path(written_name(file.name)).suffix != SUFFIX or (owner := read_user(file.path)) is None:
            continue
        names.add(owner)
        if owner != user or found.accounts_for(file.path):
            continue
        if written_name(file.name) == file.name:
            whole[file.path] = file_sha256(file.path)
            found += removal(f"{file.path}: the personal recognizer", folder, [file])
        elif written_name(file.name) not in folder.by_name:
            found += removal(f"{file.path}: a personal recognizer, left by interrupted writing", folder, [file])
    used = Plan(used=tuple(place for file in whole for place in held_with(file)))
    return found + Found(used, names=frozenset(names)), whole


def find_exports(folder: SeenFolder, personal: Mapping[Path, str]) -> Found:
    """Find exports of some personal recognizers. An export with a recognizer's name but not its hash, which may be of
    another version or of something else, is reported and left.

    Args:
        folder: the folder to search.
        personal: the recognizers, each with the hash of its file.
    """
    found = Found()
    for file in folder.files if personal else ():
        if file.path.suffix not in EXPORT_SUFFIXES.values():
            continue
        if _is_export_of(file, personal.values()):
            found += removal(f"{file.path}: an export of their recognizer", folder, [file])
        elif (beside := file.path.with_name(file.path.stem.removesuffix(_INT8) + SUFFIX)) in personal:
            line = (
                f"{file.path}: an export, but not of the present {beside.name}; if it is this participant's, delete it"
            )
            found += Found(Plan(unreachable=(line,)))
    return found


def _is_export_of(file: SeenFile, hashes: Iterable[str]) -> bool:
    """Whether a file's metadata, which is plain text in all formats, has the hash of one of these personal files."""
    if not file.size_bytes:
        return False
    with file.path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        texts = [CARD_FORMAT_KEY, *hashes]
        there = [content.find(text.encode()) >= 0 for text in texts]
    return there[0] and any(there[1:])
