"""One run at a time in one folder: a lock that ends with its process, however that ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from groundwork.errors import AskedWrong

LOCK_NAME = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if missing) for this process alone while the block runs.

    Nothing is held where the file system has no locks, as some shared disks of clusters have none.

    Raises:
        AskedWrong: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    while True:
        file = path.open("ab")
        if not _lock(file):
            file.close()
            raise AskedWrong(f"{folder}: another run is writing here; wait for its end, or take another folder.")
        if _stands_at(path, file):
            break
        file.close()  # its last holder took it away between our opening and our locking
    try:
        yield
    finally:
        if os.name != "nt":  # Windows can't remove an open file, and needs it closed to be unlocked
            path.unlink(missing_ok=True)
        file.close()


def _stands_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO) -> bool:
    """Take the lock without waiting; False if it is taken."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
