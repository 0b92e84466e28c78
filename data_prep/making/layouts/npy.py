"""One .npy file for each class, as Quick, Draw! publishes its bitmaps: uint8, (pictures, 784).

Only the header is read here, by hand-set limits; arrays of objects, which are pickles, are never opened.
"""

from collections.abc import Iterator
from math import isqrt, prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data_prep.making.layouts.bounded import read_faults
from data_prep.making.layouts.class_split import in_class_splits
from data_prep.making.layouts.entries import Entry, class_name, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from data_prep.making.raw_pixels import RawPixels
from data_prep.tree.layout import is_junk
from data_prep.video.framing import MOST_PIXELS
from groundwork.errors import AskedWrong

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MOST_HEADER = 4096  # bytes
_PREFIX = "full_numpy_bitmap_"  # as the files of Quick, Draw! begin if they come from its folder by name


def read_npy(request: LayoutRequest) -> PictureFolders:
    """Pictures of SRC/CLASS.npy: gray (n, height * width) of squares or (n, height, width), or RGB
    (n, height, width, 3). With `--list-file` each class is in the split that the list has it in.

    Raises:
        AskedWrong: if SRC has no such file.
        FoundWrong: if one is damaged, or of other numbers, or the list does not fit.
    """
    paths = sorted(path for path in request.source.glob("*.npy") if not is_junk(path.name) and path.is_file())
    if not paths:
        raise AskedWrong(f"{request.source}: no .npy files; expected CLASS.npy, uint8, for each class.")
    entries = [entry for path in paths for entry in _entries(path)]
    folders = pictures_of(request.source, request.user, entries)
    return in_class_splits(request.source, folders, request.list_file) if request.list_file else folders


def _entries(path: Path) -> Iterator[Entry]:
    label = class_name(str(path), path.stem.removeprefix(_PREFIX))
    with path.open("rb") as file, read_faults(path):
        shape = _picture_shape(file)
        count, start = shape[0], file.tell()
        if path.stat().st_size != start + prod(shape):
            raise ValueError(f"{path.stat().st_size} bytes, its header says {start + prod(shape)}")
    axes = (0, 1, 2)[: len(shape) - 1]
    for index in range(count):
        yield Entry(
            "", label, f"{path.name}/{index + 1}", path, RawPixels(start + index * prod(shape[1:]), shape[1:], axes)
        )


def _picture_shape(file: BinaryIO) -> tuple[int, ...]:
    """(pictures, height, width) or (pictures, height, width, 3)."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version}, expected 1.0 or 2.0")
    shape, by_column, dtype = _READERS[version](file, max_header_size=_MOST_HEADER)
    if dtype != np.uint8 or by_column:
        raise ValueError(f"numbers of type {dtype}{' by column' * by_column}, expected uint8 by row")
    if len(shape) == 2 and isqrt(shape[1]) ** 2 == shape[1]:
        shape = (shape[0], isqrt(shape[1]), isqrt(shape[1]))
    fits = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if not fits or min(shape) < 1 or prod(shape[1:]) > 3 * MOST_PIXELS:
        raise ValueError(f"an array of shape {shape}, expected (n, side * side), (n, height, width) or with 3 colors")
    return shape
