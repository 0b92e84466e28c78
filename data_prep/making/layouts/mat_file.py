"""Arrays of numbers in MATLAB files of version 5 (MAT-File Format, MathWorks), read piece by piece.

Sizes in these files can't be trusted, and scipy would allocate memory for them; here only requested bytes are read.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from data_prep.making.layouts.bounded import Reader, exactly, read_faults
from groundwork.errors import DataError, UsageError
from groundwork.words import quoted

_HEADER, _CHUNK = 128, 1 << 16
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = range(6, 16)  # double to uint64: plain numbers
_MOST_NAME, _MOST_AXES = 64, 8


@dataclass(frozen=True)
class MatArray:
    """An array whose numbers can be read from `reader`, first axis fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    reader: Reader

    @property
    def count(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


class _Inflated:
    """Reads the decompressed content of a compressed element."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._unpacking = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._unpacking.eof:
            packed = self._unpacking.unconsumed_tail
            if not packed:
                packed = self._file.read(min(self._left, _CHUNK))
                self._left -= len(packed)
            if found := self._unpacking.decompress(packed, size):
                return found
            if not packed:
                break
        return b""


@contextmanager
def open_mat_array(path: Path, name: str) -> Iterator[MatArray]:
    """Find an array of numbers by its name.

    Raises:
        UsageError: if there is no such file, or it has another version.
        DataError: if it is damaged, or has no such array.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected one that holds the array {name!r}.")
    with path.open("rb") as file, read_faults(path):
        order = _byte_order(path, file.read(_HEADER))
        size, start, others = path.stat().st_size, _HEADER, []
        while start + 8 <= size:
            file.seek(start)
            kind, length = struct.unpack(f"{order}II", exactly(file, 8))
            if kind in (_MATRIX, _COMPRESSED):
                reader: Reader = file
                if kind == _COMPRESSED:
                    reader = _Inflated(file, length)
                    kind, _ = struct.unpack(f"{order}II", exactly(reader, 8))
                found = _array(reader, order) if kind == _MATRIX else None
                if found is not None and found[0] == name:
                    yield found[1]
                    return
                others += [found[0]] if found else []
            start += 8 + length
    has = f"it has {quoted(', '.join(others))}" if others else "it has none"
    raise DataError(f"{path}: no array of numbers named {name!r}; {has}. Get the file again.")


def read_mat_numbers(path: Path, name: str, *, most: int) -> NDArray[np.int64]:
    """A vector of whole numbers.

    Raises:
        UsageError, DataError: as in `open_mat_array`; also if there are more than `most` numbers or other values.
    """
    with open_mat_array(path, name) as array:
        if array.count > most or array.count != max(array.shape):
            raise ValueError(f"{name} has shape {array.shape}, expected a vector of at most {most} numbers")
        content = exactly(array.reader, array.count * array.dtype.itemsize)
        numbers = np.frombuffer(content, array.dtype).astype(np.float64)
        if not np.all(np.isfinite(numbers) & (numbers == np.rint(numbers)) & (np.abs(numbers) < 2**31)):
            raise ValueError(f"{name} has values that are not whole numbers")
        return numbers.astype(np.int64)


def _byte_order(path: Path, header: bytes) -> str:
    if header.startswith(b"\x89HDF") or b"MATLAB 7.3" in header[:116]:
        raise UsageError(f"{path}: a MATLAB file of version 7.3 (HDF5), expected version 5; save it again with -v7.")
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128], "")
    if not order or header[124:126] not in (b"\x00\x01", b"\x01\x00"):
        raise UsageError(f"{path}: not a MATLAB file of version 5; older versions and other files can't be read.")
    return order


def _array(reader: Reader, order: str) -> tuple[str, MatArray] | None:
    """Name and array of a matrix element; None for text, cells, structures, complex and sparse arrays."""
    _, flags = _element(reader, order, most=8)
    bits = int(np.frombuffer(flags, f"{order}u4", 1)[0]) if len(flags) == 8 else 0
    _, axes = _element(reader, order, most=4 * _MOST_AXES)
    shape = tuple(np.frombuffer(axes, f"{order}i4", len(axes) // 4).tolist())
    _, name = _element(reader, order, most=_MOST_NAME)
    if bits & 0xFF not in _CLASSES or bits & 0x800 or not shape or min(shape) < 1:
        return None
    kind, small = _tag(reader, order)
    if kind not in _TYPES:
        raise ValueError(f"numbers of unknown type {kind}")
    dtype = np.dtype(f"{order}{_TYPES[kind]}")
    length = len(small) if isinstance(small, bytes) else small
    if length != prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} in {length} bytes")
    return name.decode("latin-1"), MatArray(shape, dtype, _Few(small) if isinstance(small, bytes) else reader)


class _Few:
    """Reads the bytes of an element that are stored in its tag."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        found, self._left = self._left[:size], self._left[size:]
        return found


def _tag(reader: Reader, order: str) -> tuple[int, int | bytes]:
    """An element's type, and its length or, if that is stored in the tag, its content."""
    head = exactly(reader, 8)
    kind, length = struct.unpack(f"{order}II", head)
    if kind >> 16:
        if kind >> 16 > 4:
            raise ValueError("a small element of more than 4 bytes")
        return kind & 0xFFFF, head[4 : 4 + (kind >> 16)]
    return kind, length


def _element(reader: Reader, order: str, *, most: int) -> tuple[int, bytes]:
    kind, content = _tag(reader, order)
    if isinstance(content, bytes):
        return kind, content
    if content > most:
        raise ValueError(f"an element of {content} bytes, expected at most {most}")
    found = exactly(reader, content)
    exactly(reader, -content % 8)  # padding to a multiple of 8 bytes
    return kind, found
