"""Bounded reads from files that can't be trusted: never more bytes than requested, whatever a file claims."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from groundwork.errors import DataError

_CHUNK = 1 << 20
MOST_UNPACKED = 1 << 32  # bytes of one file, 4 GiB


class Reader(Protocol):
    """Something to read bytes from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""


@contextmanager
def read_faults(path: Path) -> Iterator[None]:
    """Turn the errors of reading a damaged file into one line.

    Raises:
        DataError: names the file.
    """
    try:
        yield
    except (EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise DataError(f"{path}: damaged ({reason}). Get the file again.") from None


def exactly(reader: Reader, size: int) -> bytes:
    """Read exactly `size` bytes.

    Raises:
        EOFError: if there are fewer.
    """
    parts = []
    while size > 0:
        part = reader.read(min(size, _CHUNK))
        if not part:
            raise EOFError("it ends too early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def copy(reader: Reader, into: IO[bytes], size: int) -> None:
    """Copy `size` bytes to another file, chunk by chunk.

    Raises:
        EOFError: if there are fewer.
        ValueError: if `size` is more than any such file should hold.
    """
    if size > MOST_UNPACKED:
        raise ValueError(f"{size} bytes, expected at most {MOST_UNPACKED}")
    while size > 0:
        part = exactly(reader, min(size, _CHUNK))
        into.write(part)
        size -= len(part)
