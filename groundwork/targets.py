"""What a path to write leads to: a file, which can be replaced, or a device or a pipe, which is written to directly."""

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

STDOUT = Path("/dev/stdout")  # the kit knows this name on every system
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40  # as on Linux
_FOLLOWED: ContextVar[bool] = ContextVar("links followed", default=True)


@dataclass(frozen=True)
class Target:
    """Where a path leads.

    Attributes:
        path: the path itself, or, for a link, where the chain of links ends; it need not exist yet.
        stream: whether that is a device, a pipe, a socket or an open descriptor, which is written to directly.
        descriptor: the file descriptor of this process that the path names, if any.
    """

    path: Path
    stream: bool = False
    descriptor: int | None = None


@contextmanager
def links_not_followed() -> Iterator[None]:
    """In the block, writing to a symbolic link replaces the link itself and not the file that it points to.

    For files that the kit changes on its own, such as those of a user to be forgotten: the user did not name the file
    behind a link that appeared in the meantime.
    """
    before = _FOLLOWED.set(False)
    try:
        yield
    finally:
        _FOLLOWED.reset(before)


def target(path: Path) -> Target:
    """Find out what writing to a path leads to.

    Raises:
        OSError: if links form a circle, or a folder on the path can't be read.
    """
    if not _FOLLOWED.get():
        return Target(path)
    current = path
    for _ in range(_MOST_LINKS):
        absolute = current if current == STDOUT else Path(os.path.abspath(current))  # Windows would add a drive
        if (descriptor := _descriptor(absolute.as_posix())) is not None:
            return Target(current, stream=True, descriptor=descriptor)
        try:
            mode = os.lstat(current).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Target(current)
        if not stat.S_ISLNK(mode):
            return Target(current, stream=not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)))
        real = Path(os.path.realpath(current.parent), current.name)
        if (descriptor := _descriptor(real.as_posix())) is not None:
            return Target(current, stream=True, descriptor=descriptor)
        current = current.parent / os.readlink(current)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


@contextmanager
def open_stream(destination: Target, *, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a stream for writing. Opening a named pipe waits until another process reads it."""
    if destination.descriptor is None:
        with open(destination.path, "wb", buffering=buffering) as file:
            yield file
        return
    flush_printed()
    with os.fdopen(os.dup(destination.descriptor), "wb", buffering=buffering) as file:
        yield file


def flush_printed() -> None:
    """Flush printed text, so that it comes before what is then written to a file descriptor."""
    for text in (sys.stdout, sys.stderr):
        text.flush()


@contextmanager
def spooled(destination: Target) -> Iterator[BinaryIO]:
    """A temporary file to write, which is copied to a stream when the block ends without an error.

    A stream can't be written at random positions, as some formats such as parquet are, nor read back for a check.
    """
    with tempfile.TemporaryDirectory(prefix="orbit-lite-") as folder:
        path = Path(folder, destination.path.name)
        with path.open("wb") as file:
            yield file
        with path.open("rb") as content, open_stream(destination) as stream:
            while chunk := content.read(1 << 20):
                stream.write(chunk)


def _descriptor(path: str) -> int | None:
    """The file descriptor that an absolute path names, as /dev/fd/3 does; None if it names none."""
    if path in _STANDARD:
        return _STANDARD[path]
    found = re.fullmatch(rf"(/dev/fd|/proc/(self|thread-self|{os.getpid()})/fd)/([0-9]+)", path)
    return int(found[3]) if found else None
