"""Who works with a folder or file, and who takes it away: many share it, or one has it alone.

A lock of what is written (`groundwork.lock`) does not keep what was read from being removed meanwhile: then what is
made of it appears after its removal. So whoever reads it shares it until the result is written, and whoever removes or
renames it has it alone.
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
_WAIT_S = 0.5  # for somebody who has just finished, and is about to remove the lock's file
_LOOK_EVERY_S = 0.02


@contextmanager
def shared_use(paths: Iterable[Path]) -> Iterator[None]:
    """Share folders or files with others that use them while the block runs; nobody can take them away.

    Nothing is held where no lock's file can be made, as on a disk that is read only, or the file system has no locks.

    Raises:
        UsageError: if one is being taken away.
    """
    with _held(paths, shared=True, fault="it is being removed or renamed by another command"):
        yield


@contextmanager
def exclusive_use(paths: Iterable[Path]) -> Iterator[None]:
    """Have folders or files for this block alone, to take them away. Nothing is held where `shared_use` holds nothing.

    Raises:
        UsageError: if somebody uses one of them.
    """
    with _held(paths, shared=False, fault="another command is using it"):
        yield


def use_path(path: Path) -> Path:
    """Where the lock's file of a folder or file stands: beside it, also when that is removed.

    Its name does not say whose it is: one that a killed process leaves may outlive what was forgotten.
    """
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{USE_SUFFIX}")


def is_use_lock(name: str) -> bool:
    """Whether a file's name is one that `use_path` gives."""
    return name.startswith(".") and name.endswith(USE_SUFFIX)


def remove_abandoned_locks(folder: Path) -> None:
    """Remove the locks' files in a folder that nobody holds: a killed process left them."""
    with suppress(OSError):
        for place in [path for path in folder.iterdir() if is_use_lock(path.name)]:
            if (file := _acquire(place, shared=False)) is not None:
                _release(place, file, shared=False)


@contextmanager
def _held(paths: Iterable[Path], *, shared: bool, fault: str) -> Iterator[None]:
    with ExitStack() as held:
        for path in sorted({Path(os.path.realpath(path)) for path in paths}):
            if path.name:  # the root of a disk has no place beside it
                held.enter_context(_one(path, shared=shared, fault=fault))
        yield


@contextmanager
def _one(path: Path, *, shared: bool, fault: str) -> Iterator[None]:
    place, until = use_path(path), time.monotonic() + _WAIT_S
    file = None
    with suppress(OSError):
        while (file := _acquire(place, shared=shared)) is None:
            if time.monotonic() >= until:
                raise UsageError(f"{path}: {fault}; nothing was changed. Wait until it is done, then try again.")
            time.sleep(_LOOK_EVERY_S)
    try:
        yield
    finally:
        if file is not None:
            _release(place, file, shared=shared)


def _acquire(place: Path, *, shared: bool) -> BinaryIO | None:
    """The lock's file, open and locked; None if it can't be locked now."""
    file = place.open("ab")
    try:
        if try_lock(file, shared=shared) is not False and is_still_at(place, file):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _release(place: Path, file: BinaryIO, *, shared: bool) -> None:
    """The last one who leaves removes the file."""
    try:
        if os.name != "nt" and (not shared or try_lock(file)) and is_still_at(place, file):
            place.unlink(missing_ok=True)
    finally:
        file.close()
        if os.name == "nt":  # an open file can't be removed there, nor one that another has open
            with suppress(OSError):
                place.unlink()
