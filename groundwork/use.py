"""Locks for data in use: many commands may use a folder or file at once, or one command may remove it.

A lock on an output (`groundwork.lock`) does not keep the inputs from being removed in the meantime; a result could then
appear after its input was removed. So a reader holds shared use of the input until the result is written, and a command
that removes or renames the input holds exclusive use of it.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from groundwork.errors import UsageError
from groundwork.lock import is_still_at, try_lock

USE_SUFFIX = "~use.part"
_WAIT_S = 0.5  # for a command that has just finished and is about to remove its lock file
_POLL_EVERY_S = 0.02


@contextmanager
def shared_use(paths: Iterable[Path]) -> Iterator[None]:
    """Hold folders or files in shared use while the block runs, so that no command removes them.

    Does nothing where no lock file can be made, as on a read-only disk, and on a file system without locks.

    Raises:
        UsageError: if one is being removed or renamed.
    """
    with _held(paths, shared=True, fault="it is being removed or renamed by another command"):
        yield


@contextmanager
def exclusive_use(paths: Iterable[Path]) -> Iterator[None]:
    """Hold folders or files in exclusive use while the block removes or renames them. Has the limits of `shared_use`.

    Raises:
        UsageError: if another command is using one of them.
    """
    with _held(paths, shared=False, fault="another command is using it"):
        yield


def use_path(path: Path) -> Path:
    """The lock file of a folder or file: it is next to it, and stays when that is removed.

    Its name is a hash and names no user: a killed process may leave it behind after the user was forgotten.
    """
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{USE_SUFFIX}")


def is_use_lock(name: str) -> bool:
    """Whether a file's name is one that `use_path` gives."""
    return name.startswith(".") and name.endswith(USE_SUFFIX)


def remove_abandoned_locks(folder: Path) -> None:
    """Remove the lock files in a folder that killed processes have left."""
    with suppress(OSError):
        for lock in [path for path in folder.iterdir() if is_use_lock(path.name)]:
            if (file := _acquire(lock, shared=False)) is not None:
                _release(lock, file, shared=False)


@contextmanager
def _held(paths: Iterable[Path], *, shared: bool, fault: str) -> Iterator[None]:
    with ExitStack() as held:
        for path in sorted({Path(os.path.realpath(path)) for path in paths}):
            if path.name:  # the root of a disk has no parent folder for a lock file
                held.enter_context(_held_path(path, shared=shared, fault=fault))
        yield


@contextmanager
def _held_path(path: Path, *, shared: bool, fault: str) -> Iterator[None]:
    lock, until = use_path(path), time.monotonic() + _WAIT_S
    file = None
    with suppress(OSError):
        while (file := _acquire(lock, shared=shared)) is None:
            if time.monotonic() >= until:
                raise UsageError(f"{path}: {fault}; nothing was changed. Wait until it is done, then try again.")
            time.sleep(_POLL_EVERY_S)
    try:
        yield
    finally:
        if file is not None:
            _release(lock, file, shared=shared)


def _acquire(lock: Path, *, shared: bool) -> BinaryIO | None:
    """The lock file, open and locked; None if it can't be locked now."""
    file = lock.open("a+b")  # over NFS, a shared lock needs a file that is open for reading
    try:
        if try_lock(file, shared=shared) is not False and is_still_at(lock, file):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _release(lock: Path, file: BinaryIO, *, shared: bool) -> None:
    """Release the lock; the last holder removes the lock file."""
    try:
        if os.name != "nt" and (not shared or try_lock(file)) and is_still_at(lock, file):
            lock.unlink(missing_ok=True)
    finally:
        file.close()
        if os.name == "nt":  # Windows can't remove a file that any process has open
            with suppress(OSError):
                lock.unlink()
