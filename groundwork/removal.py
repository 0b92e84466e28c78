"""Files removed by name below one folder, without following a symbolic link, not even one that appears meanwhile.

A file to be removed is noted with its identity first. Later each folder on the way to it is opened as a folder and
not as a link, each from the one above, and the file is removed only if it is still the one that was noted.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Identity = tuple[int, int]  # device, and number on it: the same as long as it is the same file

_BY_HANDLE = hasattr(os, "O_NOFOLLOW") and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
_LINK_TAGS = (0xA000000C, 0xA0000003)  # what Windows calls symbolic links, and junctions
_CHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT)


class WayChanged(Exception):
    """A folder on the way is gone, or something else stands in its place, such as a link."""


def is_link(status: os.stat_result) -> bool:
    """Whether what `os.lstat` looked at leads elsewhere: a symbolic link, or a junction on Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in _LINK_TAGS


def identity(status: os.stat_result) -> Identity:
    """Which file a status is of."""
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Root:
    """A folder that things are removed below, and nowhere else. `path` is resolved."""

    path: Path
    identity: Identity

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The folder as it is now. It may be reached through links: what is named is what is meant."""
        path = folder.resolve()
        return cls(path, identity(os.lstat(path)))

    def is_there(self) -> bool:
        """Whether the folder still stands at its path, and nothing else does."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return identity(status) == self.identity

    def link_on_way(self, place: Sequence[str]) -> Path | None:
        """The first symbolic link on the way to a place below the root, the place itself included."""
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
        """A folder below the root, to remove things from.

        Raises:
            WayChanged: if it can't be reached from folder to folder any more.
        """
        path = self.path.joinpath(*place)
        if not _BY_HANDLE:  # Windows: what is looked at and what is removed lie a moment apart
            if not self.is_there():
                raise WayChanged(str(self.path))
            for depth in range(1, len(place) + 1):
                _folder_status(self.path.joinpath(*place[:depth]))
            yield OpenFolder(path, None)
            return
        handle = _open_folder(str(self.path), None)
        try:
            if identity(os.fstat(handle)) != self.identity:
                raise WayChanged(str(self.path))
            for part in place:
                inner = _open_folder(part, handle)
                os.close(handle)
                handle = inner
            yield OpenFolder(path, handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class OpenFolder:
    """A folder that things can be removed from. `handle` is None where the system has no such thing."""

    path: Path
    handle: int | None

    def remove(self, name: str, known: Identity) -> bool:
        """Remove a file, or a link as a link; False if something else than the one known stands there."""
        with self._named(name):
            place = self._place(name)
            try:
                status = os.stat(place, dir_fd=self.handle, follow_symlinks=False)
                if identity(status) != known or (stat.S_ISDIR(status.st_mode) and not is_link(status)):
                    return False
                os.unlink(place, dir_fd=self.handle)
            except FileNotFoundError:  # gone already
                pass
        return True

    def remove_empty(self, name: str) -> bool:
        """Remove an empty folder; False if it is not there, or not empty."""
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
        """Let an error name the whole path."""
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
            raise WayChanged(name) from None
        raise


def _folder_status(path: Path) -> os.stat_result:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise WayChanged(str(path)) from None
    if is_link(status) or not stat.S_ISDIR(status.st_mode):
        raise WayChanged(str(path))
    return status
