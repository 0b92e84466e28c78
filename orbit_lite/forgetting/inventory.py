"""Lists all files below some folders, except the frames of videos; follows no symbolic links."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_prep.forgetting.plan import Removable
from data_prep.tree.layout import frame_file_name, is_junk, nfc
from groundwork.removal import Identity, Root, identity, is_link
from groundwork.use import is_use_lock

MOST_LEVELS = 32  # of nested folders


@dataclass(frozen=True)
class SeenFile:
    """One file. place: its path below `root`, one of the given folders, spelled as on the disk."""

    root: Root
    path: Path
    place: tuple[str, ...]
    identity: Identity
    size_bytes: int

    @property
    def name(self) -> str:
        return nfc(self.path.name)

    @property
    def removable(self) -> Removable:
        return Removable(self.place, self.identity)


@dataclass(frozen=True)
class SeenFolder:
    """One folder and its direct contents.

    Attributes:
        root: the given folder that contains it, or is it.
        place: its path below the root; () for the root itself.
        path: its full path, without links.
        files: the files, sorted by name.
        folders: names of its folders, which were searched, too.
        frames: names of folders with a video's frames, which were not searched.
        links: symbolic links to files and folders.
        hidden: names of hidden folders, which were not searched.
        unsearched: a line for each folder that was not searched for another reason.
        has_use_locks: whether it contains locks of `groundwork.use`.
    """

    root: Root
    place: tuple[str, ...]
    path: Path
    files: tuple[SeenFile, ...]
    folders: tuple[str, ...]
    frames: tuple[str, ...]
    links: tuple[Path, ...]
    hidden: tuple[str, ...]
    unsearched: tuple[str, ...]
    has_use_locks: bool = False

    @cached_property
    def by_name(self) -> dict[str, SeenFile]:
        """The files by their names."""
        return {file.name: file for file in self.files}

    @property
    def names(self) -> list[str]:
        """The names of everything in it."""
        links = (path.name for path in self.links)
        return [*self.by_name, *map(nfc, (*self.folders, *self.frames, *self.hidden, *links))]


def take_inventory(folders: Sequence[Path]) -> tuple[SeenFolder, ...]:
    """All folders below the given ones, and these themselves, each before the folders in it.

    Args:
        folders: resolved; none contains another.
    """
    return tuple(seen for folder in folders for seen in _look(Root.of(folder), ()))


def _look(root: Root, place: tuple[str, ...]) -> Iterator[SeenFolder]:
    path = root.path.joinpath(*place)
    files: list[SeenFile] = []
    folders: list[str] = []
    frames: list[str] = []
    links: list[Path] = []
    hidden: list[str] = []
    unsearched: list[str] = []
    try:
        entries = sorted(os.listdir(path))
    except OSError as error:
        entries, unsearched = [], [f"{path}: not searched: {error.strerror}"]
    for name in entries:
        status = os.lstat(path / name)
        if is_link(status):
            links.append(path / name)
        elif stat.S_ISREG(status.st_mode) and not is_use_lock(name):
            files.append(SeenFile(root, path / name, (*place, name), identity(status), status.st_size))
        elif stat.S_ISDIR(status.st_mode):
            if os.path.lexists(path / name / frame_file_name(name, 1)):
                frames.append(name)
            elif is_junk(name):
                hidden.append(name)
            elif len(place) == MOST_LEVELS:
                unsearched.append(f"{path / name}: not searched: more than {MOST_LEVELS} nested folders")
            else:
                folders.append(name)
    yield SeenFolder(
        root=root,
        place=place,
        path=path,
        files=tuple(files),
        folders=tuple(folders),
        frames=tuple(frames),
        links=tuple(links),
        hidden=tuple(hidden),
        unsearched=tuple(unsearched),
        has_use_locks=any(map(is_use_lock, entries)),
    )
    for name in folders:
        yield from _look(root, (*place, name))
