"""Where writing to a path leads: to a file, which can be replaced, or to a device or a pipe, written to as it is."""

import errno
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

STDOUT = Path("/dev/stdout")  # known by its name on every system
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40  # as Linux has it
_FOLLOWED: ContextVar[bool] = ContextVar("links followed", default=True)


@dataclass(frozen=True)
class Target:
    """Where a path leads.

    Attributes:
        path: the path itself, or the end of the links that it is; the end need not be there yet.
        stream: whether that is a device, a pipe, a socket or an open descriptor: written to in place.
        descriptor: of this process, if the path names one.
    """

    path: Path
    stream: bool = False
    descriptor: int | None = None


@contextmanager
def links_not_followed() -> Iterator[None]:
    """Inside the block nothing is written through a symbolic link: what is written takes the link's own place.

    For files that the kit changes by itself, such as those of a user who is to be forgotten: nobody has named the file
    that a link put there meanwhile leads to.
    """
    before = _FOLLOWED.set(False)
    try:
        yield
    finally:
        _FOLLOWED.reset(before)


def target(path: Path) -> Target:
    """Where writing to a path leads.

    Raises:
        OSError: if links lead in a circle, or a folder on the way may not be looked into.
    """
    if not _FOLLOWED.get():
        return Target(path)
    at = path
    for _ in range(_MOST_LINKS):
        absolute = at if at == STDOUT else Path(os.path.abspath(at))  # Windows would add a drive
        if (descriptor := _descriptor(absolute.as_posix())) is not None:
            return Target(at, stream=True, descriptor=descriptor)
        try:
            mode = os.lstat(at).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Target(at)
        if not stat.S_ISLNK(mode):
            return Target(at, stream=not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)))
        if (descriptor := _descriptor(Path(os.path.realpath(at.parent), at.name).as_posix())) is not None:
            return Target(at, stream=True, descriptor=descriptor)
        at = at.parent / os.readlink(at)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


@contextmanager
def open_stream(leads: Target, *, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a stream for writing; what it is stays as it is. A named pipe waits until somebody reads it."""
    if leads.descriptor is None:
        with open(leads.path, "wb", buffering=buffering) as file:
            yield file
        return
    flush_printed()
    with os.fdopen(os.dup(leads.descriptor), "wb", buffering=buffering) as file:
        yield file


def flush_printed() -> None:
    """Let what was printed before come before what is written to a descriptor."""
    for text in (sys.stdout, sys.stderr):
        text.flush()


@contextmanager
def spooled(leads: Target) -> Iterator[BinaryIO]:
    """A file to write that goes to a stream when the block ends without an error; with one, the stream gets nothing.

    Formats such as parquet are written back and forth, and some outputs are read back and checked first: a stream can
    take neither.
    """
    with tempfile.TemporaryDirectory(prefix="orbit-lite-") as folder:
        path = Path(folder, leads.path.name)
        with path.open("wb") as file:
            yield file
        with path.open("rb") as content, open_stream(leads) as stream:
            while chunk := content.read(1 << 20):
                stream.write(chunk)


def _descriptor(path: str) -> int | None:
    """The descriptor that an absolute path is the system's name for."""
    if path in _STANDARD:
        return _STANDARD[path]
    found = re.fullmatch(rf"(/dev/fd|/proc/(self|thread-self|{os.getpid()})/fd)/([0-9]+)", path)
    return int(found[3]) if found else None
