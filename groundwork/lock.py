"""Locks between processes. A lock is released when its process ends, however it ends."""

import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from groundwork.errors import UsageError
from groundwork.progress import duration

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOG = logging.getLogger("groundwork")

LOCK_NAME = ".lock"
LONGEST_WAIT_S = 3600.0  # for another process: an index of millions of frames on a slow disk takes minutes
_REPORT_EVERY_S = 30.0
_POLL_EVERY_S = 0.1
MOST_SHARES = 64
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Lock `folder` (created if missing) for this process alone while the block runs.

    Does nothing on a file system without locks, such as some shared disks of clusters.

    Raises:
        UsageError: if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    file = _acquire(path)
    if file is None:
        raise UsageError(f"{folder}: another run is writing here; wait until it ends, or use another folder.")
    with _released(path, file):
        yield


@contextmanager
def shared_run(folder: Path) -> Iterator[None]:
    """Lock `folder` (created if missing) while the block runs: for several processes that work on parts of one result.

    It keeps `only_run` out, and is kept out by it. The lock file stays until the next `only_run` ends: a process that
    removed it would have to lock it alone for a moment, which would keep out one that is just starting. Does nothing
    on a file system without locks.

    Raises:
        UsageError: if a process holds the folder for itself alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _acquire(folder / LOCK_NAME, shared=True)
    if file is None:
        raise UsageError(f"{folder}: another run is writing here; wait until it ends, or use another folder.")
    with file:
        yield


def is_being_written(path: Path) -> bool:
    """Whether a process holds `only_writer` on this file; False on a file system without locks."""
    try:
        file = lock_path(path).open("r+b")
    except FileNotFoundError:
        return False
    with file:
        return try_lock(file) is False


@contextmanager
def only_writer(path: Path, named: str) -> Iterator[None]:
    """Lock the file `path`, in a folder that exists, so that only this process writes it while the block runs.

    Raises:
        UsageError: if another process holds the lock; the message begins with `named`.
    """
    lock = lock_path(path)
    file = _acquire(lock)
    if file is None:
        raise UsageError(f"{named}: another command is writing this file; wait until it is done, or use another file.")
    with _released(lock, file):
        yield


@contextmanager
def one_at_a_time(path: Path, what: str, *, longest_s: float = LONGEST_WAIT_S) -> Iterator[None]:
    """Lock `path`, in a folder that exists, so that only this process makes that file while the block runs.

    If another process is making it, waits for that process and reports so in a status line; the block then finds the
    finished file. Does nothing on a file system without locks.

    Args:
        path: the file to be made. The lock file is next to it, see `lock_path`.
        what: begins the status lines.
        longest_s: how long to wait at most.

    Raises:
        UsageError: if the other process is not done in that time.
    """
    lock, started_s = lock_path(path), time.monotonic()
    reports = 0
    while (file := _acquire(lock)) is None:
        waited_s = time.monotonic() - started_s
        if waited_s >= longest_s:
            raise UsageError(
                f"{path}: another process has been making it for {duration(waited_s)}; wait for it, or end it."
            )
        if waited_s >= reports * _REPORT_EVERY_S:
            so_far = f" (for {duration(waited_s)} so far)" if reports else ""
            _LOG.info("%s: waiting%s for another process that is making %s", what, so_far, path)
            reports += 1
        time.sleep(_POLL_EVERY_S)
    with _released(lock, file):
        yield


def lock_path(path: Path) -> Path:
    """The lock file for a file to be made: `a/.b~lock.part` for `a/b`.

    It is named like a partial file (`groundwork.files.is_part`), because it is a leftover if its process is killed.
    """
    return path.with_name(f".{path.name}~lock.part")


def try_lock(file: BinaryIO, *, shared: bool = False) -> bool | None:
    """Lock an open file without waiting; the lock lasts until the file is closed.

    Args:
        file: the open file.
        shared: allow other shared locks at the same time (at most `MOST_SHARES` on Windows).

    Returns:
        True if it is locked now, False if another process holds a lock, None if the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            if shared:
                return any(_lock_bytes(file, start, 1) for start in range(MOST_SHARES))
            return _lock_bytes(file, 0, MOST_SHARES)
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def is_still_at(path: Path, file: BinaryIO) -> bool:
    """Whether the open file is still the one at `path`, and was not removed or renamed."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def _lock_bytes(file: BinaryIO, start: int, count: int) -> bool:
        """Lock some bytes, whether the file has them or not: Windows has no shared locks, so each sharer takes one."""
        file.seek(start)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, count)
        except (BlockingIOError, PermissionError):
            return False
        return True


def _acquire(path: Path, *, shared: bool = False) -> BinaryIO | None:
    """The lock file, open and locked; None if another process holds it."""
    while True:
        file = path.open("a+b")  # over NFS, a shared lock needs a file that is open for reading
        try:
            if try_lock(file, shared=shared) is False:
                file.close()
                return None
            if is_still_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the last holder removed it between our opening and our locking


@contextmanager
def _released(path: Path, file: BinaryIO) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            _remove_lock_file(path)
        except KeyboardInterrupt:  # a signal just now; the next ones are ignored for a while, see `command_streams`
            _remove_lock_file(path)
            raise
        finally:
            file.close()


def _remove_lock_file(path: Path) -> None:
    if os.name != "nt":  # Windows can't remove an open file, and unlocks it only by closing it
        path.unlink(missing_ok=True)
