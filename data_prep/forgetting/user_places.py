"""Where users are in a tree: which folders contain them, and which users there are."""

from collections.abc import Sequence
from pathlib import Path

from data_prep.making.collectors import OTHER
from data_prep.tree.layout import ANNOTATIONS, TREE_TYPES, is_junk, nfc, place_user, tree_splits
from data_prep.tree.object_folder import visible_entries
from data_prep.tree.packed import ARCHIVE_SUFFIX
from data_prep.video import RAW_SUFFIXES, is_video_file


def user_levels(root: Path) -> tuple[str, ...]:
    """The folders that contain users: the splits, and `other` next to splits or users; "" is the root itself."""
    other = root / OTHER
    return (*tree_splits(root), *((OTHER,) if other.is_dir() and not is_user_folder(other) else ()))


def users_in(root: Path, levels: Sequence[str]) -> set[str]:
    """Names of all users who have a folder, an archive or exported files in these levels."""
    found = set()
    for level in levels:
        for path in visible(root / level):
            name = nfc(path.name)
            if path.is_dir() and name not in (*levels, ANNOTATIONS):
                found.add(name)
            elif name.endswith(ARCHIVE_SUFFIX):
                found.add(name.removesuffix(ARCHIVE_SUFFIX))
            elif is_exported(name):
                found.add(place_user(name))
    return found


def is_exported(name: str) -> bool:
    """Whether a file name is of the form that ORBIT-Camera exports: participant--label--technique--random.mp4."""
    return name.lower().endswith(RAW_SUFFIXES) and name.count("--") >= 3 and not is_junk(name)


def visible(folder: Path) -> list[Path]:
    """The visible entries of a folder, sorted; nothing if there is no such folder."""
    return [path for path in sorted(folder.iterdir()) if not is_junk(path.name)] if folder.is_dir() else []


def is_user_folder(folder: Path) -> bool:
    """Whether a folder looks like a user's: it contains object folders with videos."""
    return any(map(_is_object, _folders(folder)))


def _is_object(folder: Path) -> bool:
    """Whether a folder holds videos, directly or in type folders."""
    loose = any(is_video_file(entry.name) for entry in visible_entries(folder))
    return loose or any((folder / video_type).is_dir() for video_type in TREE_TYPES)


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir()]
