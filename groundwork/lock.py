"""One process at a time at one place: a lock that ends with its process, however that ends."""

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
LONGEST_WAIT_S = 3600.0  # for what another process makes: an index of millions of frames on a slow disk takes minutes
_TELL_EVERY_S = 30.0
_LOOK_EVERY_S = 0.1
MOST_SHARES = 64
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if missing) for this process alone while the block runs.

    Nothing is held where the file system has no locks, as some shared disks of clusters have none.

    Raises:
        UsageError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    file = _acquire(path)
    if file is None:
        raise UsageError(f"{folder}: another run is writing here; wait for its end, or take another folder.")
    with _released(path, file):
        yield


@contextmanager
def only_writer(path: Path, named: str) -> Iterator[None]:
    """Hold the file at `path`, in a folder that exists, for writing by this process alone while the block runs.

    Raises:
        UsageError: if another process holds it; begins with `named`.
    """
    lock = lock_path(path)
    file = _acquire(lock)
    if file is None:
        raise UsageError(f"{named}: another command is writing this file; wait until it is done, or name another.")
    with _released(lock, file):
        yield


@contextmanager
def one_at_a_time(path: Path, what: str, *, longest_s: float = LONGEST_WAIT_S) -> Iterator[None]:
    """Hold what is made at `path`, in a folder that exists, for this process alone while the block runs.

    Another process that is at it is waited for, with a status line; the block then finds what that one made. Nothing is
    held where the file system has no locks.

    Args:
        path: the file to be made. The lock is beside it, see `lock_path`.
        what: begins the status lines.
        longest_s: how long to wait at most.

    Raises:
        UsageError: if the other process is not done in that time.
    """
    lock, started_s = lock_path(path), time.monotonic()
    told = 0
    while (file := _acquire(lock)) is None:
        waited_s = time.monotonic() - started_s
        if waited_s >= longest_s:
            raise UsageError(
                f"{path}: another process has been at it for {duration(waited_s)}; end it, or wait until it is done."
            )
        if waited_s >= told * _TELL_EVERY_S:
            since = f" for {duration(waited_s)}" if told else ""
            _LOG.info("%s: waiting%s for another process that is making %s", what, since, path)
            told += 1
        time.sleep(_LOOK_EVERY_S)
    with _released(lock, file):
        yield


def lock_path(path: Path) -> Path:
    """Where the lock of a file to be made stands: `a/b` gives `a/.b~lock.part`.

    Named as the rest of work that was cut off (`groundwork.files.is_part`), which it is if its process is killed.
    """
    return path.with_name(f".{path.name}~lock.part")


def try_lock(file: BinaryIO, *, shared: bool = False) -> bool | None:
    """Lock an open file without waiting: True if it is locked now, until it is closed; False if another holds it; None
    where the file system has no locks. `shared`: beside others that share it (at most `MOST_SHARES` on Windows)."""
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
    """Whether the file that is open is the one at `path`, and not one that was removed or renamed since."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def _lock_bytes(file: BinaryIO, start: int, count: int) -> bool:
        """Lock some bytes, there or not: Windows has no locks that are shared."""
        file.seek(start)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, count)
        except (BlockingIOError, PermissionError):
            return False
        return True


def _acquire(path: Path) -> BinaryIO | None:
    """The lock's file, open and locked; None if another process holds it."""
    while True:
        file = path.open("ab")
        try:
            if try_lock(file) is False:
                file.close()
                return None
            if is_still_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its last holder took it away between our opening and our locking


@contextmanager
def _released(path: Path, file: BinaryIO) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            _taken_away(path)
        except KeyboardInterrupt:  # a signal in this very moment, of which none follows for a while, see `Stopped`
            _taken_away(path)
            raise
        finally:
            file.close()


def _taken_away(path: Path) -> None:
    if os.name != "nt":  # Windows can't remove an open file, and needs it closed to be unlocked
        path.unlink(missing_ok=True)
