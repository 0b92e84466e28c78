"""Removal of files below one folder that never follows a symbolic link, not even one that appears in the meantime.

The identity of each file to be removed is recorded first. Later, each folder on the path is opened from the one above,
as a folder and not through a link, and the file is removed only if it is still the one recorded.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Identity = tuple[int, int]  # device and inode number: equal as long as it is the same file

_BY_HANDLE = hasattr(os, "O_NOFOLLOW") and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
_LINK_TAGS = (0xA000000C, 0xA0000003)  # of symbolic links and junctions on Windows
_CHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT)


class PathChanged(Exception):
    """A folder on the path is gone, or something else, such as a link, has taken its place."""


def is_link(status: os.stat_result) -> bool:
    """Whether a status from `os.lstat` is that of a symbolic link, or of a junction on Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in _LINK_TAGS


def identity(status: os.stat_result) -> Identity:
    """The identity of the file that a status belongs to."""
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Root:
    """The folder below which files are removed, and nowhere else. `path` is resolved."""

    path: Path
    identity: Identity

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The folder as it is now. Links on the given path are followed, because the user named that path."""
        path = folder.resolve()
        return cls(path, identity(os.lstat(path)))

    def is_there(self) -> bool:
        """Whether the same folder is still at its path."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return identity(status) == self.identity

    def link_on_way(self, place: Sequence[str]) -> Path | None:
        """The first symbolic link on the path to a place below the root, the place itself included; None if none."""
        path = self.path
        for part in place:
            path = path / part
            try:
                if is_link(os.lstat(path)):
                    return path
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None

    @contextmanager
    def opened(self, place: Sequence[str]) -> Iterator["OpenFolder"]:
        """Open a folder below the root, to remove files from it.

        Raises:
            PathChanged: if it can no longer be reached from folder to folder.
        """
        path = self.path.joinpath(*place)
        if not _BY_HANDLE:  # Windows: a moment passes between the check and the removal
            if not self.is_there():
                raise PathChanged(str(self.path))
            for depth in range(1, len(place) + 1):
                _folder_status(self.path.joinpath(*place[:depth]))
            yield OpenFolder(path, None)
            return
        handle = _open_folder(str(self.path), None)
        try:
            if identity(os.fstat(handle)) != self.identity:
                raise PathChanged(str(self.path))
            for part in place:
                inner = _open_folder(part, handle)
                os.close(handle)
                handle = inner
            yield OpenFolder(path, handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class OpenFolder:
    """An open folder to remove files from. `handle` is None on systems that have no folder handles."""

    path: Path
    handle: int | None

    def remove(self, name: str, known: Identity) -> bool:
        """Remove a file, or a link itself; False if another file than the known one has that name."""
        with self._named(name):
            place = self._place(name)
            try:
                status = os.stat(place, dir_fd=self.handle, follow_symlinks=False)
                if identity(status) != known or (stat.S_ISDIR(status.st_mode) and not is_link(status)):
                    return False
                os.unlink(place, dir_fd=self.handle)
            except FileNotFoundError:  # already gone
                pass
        return True

    def remove_empty(self, name: str) -> bool:
        """Remove an empty folder; False if it does not exist or is not empty."""
        with self._named(name):
            try:
                os.rmdir(self._place(name), dir_fd=self.handle)
            except OSError as error:
                if error.errno not in _NOT_EMPTY:
                    raise
                return False
        return True

    def _place(self, name: str) -> str:
        return name if self.handle is not None else str(self.path / name)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Put the whole path into an error."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.path / name)
            raise


def _open_folder(name: str, parent: int | None) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in _CHANGED:
            raise PathChanged(name) from None
        raise


def _folder_status(path: Path) -> os.stat_result:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise PathChanged(str(path)) from None
    if is_link(status) or not stat.S_ISDIR(status.st_mode):
        raise PathChanged(str(path))
    return status
