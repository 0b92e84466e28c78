"""One .npy file per class, as Quick, Draw! publishes its bitmaps: uint8, (pictures, 784).

The header is parsed in the form that numpy writes (NEP 1) and never evaluated; object arrays, which are pickles, are
rejected.
"""

import re
from collections.abc import Iterator
from math import isqrt, prod
from pathlib import Path
from typing import BinaryIO

from data_prep.making.layouts.bounded import exactly, read_faults
from data_prep.making.layouts.class_split import in_class_splits
from data_prep.making.layouts.entries import Entry, class_name, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from data_prep.making.raw_pixels import RawPixels
from data_prep.tree.layout import is_junk
from data_prep.video.framing import MOST_PIXELS
from groundwork.errors import UsageError

_MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which numpy writes whenever possible
_HEADER = re.compile(
    rb"\{'descr': (?P<type>.*), 'fortran_order': (?P<by_column>True|False), 'shape': \((?P<shape>[0-9, ]*)\), \} *\n"
)
_MOST_DIGITS = 15
_PREFIX = "full_numpy_bitmap_"  # the beginning of the file names in one of Quick, Draw!'s folders


def read_npy(request: LayoutRequest) -> PictureFolders:
    """Pictures in SRC/CLASS.npy: gray squares (n, side * side), gray (n, height, width), or RGB (n, height, width, 3).
    `--list-file` gives the split of each class.

    Raises:
        UsageError: if SRC has no such file.
        DataError: if a file is damaged or has another type, or the list does not fit.
    """
    paths = sorted(path for path in request.source.glob("*.npy") if not is_junk(path.name) and path.is_file())
    if not paths:
        raise UsageError(f"{request.source}: no .npy files; expected CLASS.npy (uint8) for each class.")
    entries = [entry for path in paths for entry in _entries(path)]
    folders = pictures_of(request.source, request.user, entries)
    return in_class_splits(request.source, folders, request.list_file) if request.list_file else folders


def _entries(path: Path) -> Iterator[Entry]:
    label = class_name(str(path), path.stem.removeprefix(_PREFIX))
    with path.open("rb") as file, read_faults(path):
        shape = _picture_shape(file)
        count, start = shape[0], file.tell()
        if path.stat().st_size != start + prod(shape):
            raise ValueError(f"{path.stat().st_size} bytes, its header states {start + prod(shape)}")
    axes = (0, 1, 2)[: len(shape) - 1]
    for index in range(count):
        yield Entry(
            "", label, f"{path.name}/{index + 1}", path, RawPixels(start + index * prod(shape[1:]), shape[1:], axes)
        )


def _picture_shape(file: BinaryIO) -> tuple[int, ...]:
    """(pictures, height, width) or (pictures, height, width, 3)."""
    magic, length = exactly(file, len(_MAGIC)), int.from_bytes(exactly(file, 2), "little")
    match = _HEADER.fullmatch(exactly(file, length)) if magic == _MAGIC else None
    if match is None:
        raise ValueError("not a .npy file of version 1.0 as numpy writes it")
    if (match["type"], match["by_column"]) != (b"'|u1'", b"False"):
        by_column = " by column" * (match["by_column"] == b"True")
        raise ValueError(f"numbers of type {match['type'].decode('latin-1')}{by_column}, expected '|u1' by row, bytes")
    sizes = [size.strip() for size in match["shape"].decode().split(",")]
    if any(len(size) > _MOST_DIGITS or " " in size for size in sizes):
        raise ValueError("its shape is not valid")
    shape = tuple(int(size) for size in sizes if size)
    if len(shape) == 2 and isqrt(shape[1]) ** 2 == shape[1]:
        shape = (shape[0], isqrt(shape[1]), isqrt(shape[1]))
    fits = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if not fits or min(shape) < 1 or prod(shape[1:]) > 3 * MOST_PIXELS:
        raise ValueError(f"an array of shape {shape}, expected (n, side * side), (n, height, width) or with 3 colors")
    return shape
