"""SVHN's cropped digits (format 2, ufldl.stanford.edu/housenumbers): {train,test}_32x32.mat."""

from collections.abc import Iterator

from data_prep.making.layouts.bounded import copy
from data_prep.making.layouts.entries import Entry, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.layouts.mat_file import open_mat_array, read_mat_numbers
from data_prep.making.picture_folders import PictureFolders
from data_prep.making.raw_pixels import RawPixels
from groundwork.errors import DataError, UsageError

_SPLITS = ("train", "test")
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_MOST = 10_000_000  # pictures


def read_svhn(request: LayoutRequest) -> PictureFolders:
    """Digits by split; label 10 is the digit 0. The extra digits are skipped.

    Raises:
        UsageError: if a file is missing, or is a MATLAB file of version 7.3.
        DataError: if a file is damaged.
    """
    if not any((request.source / f"{split}_32x32.mat").is_file() for split in _SPLITS):
        raise UsageError(
            f"{request.source}: no {{{','.join(_SPLITS)}}}_32x32.mat. For pictures of whole house numbers (format 1,"
            " HDF5), make class folders."
        )
    entries = [entry for split in _SPLITS for entry in _entries(request, split)]
    extra = request.source / "extra_32x32.mat"
    notes = [f"{extra}: skipped, it belongs to neither split."] if extra.is_file() else []
    return pictures_of(request.source, request.user, entries, notes)


def _entries(request: LayoutRequest, split: str) -> Iterator[Entry]:
    path = request.source / f"{split}_32x32.mat"
    labels = read_mat_numbers(path, "y", most=_MOST).tolist()
    unpacked = request.scratch / f"{split}.pixels"
    with open_mat_array(path, "X") as array, unpacked.open("wb") as file:
        if array.shape != (_SIDE, _SIDE, 3, len(labels)) or array.dtype != "u1":
            raise ValueError(f"X has shape {array.shape} and type {array.dtype}, but there are {len(labels)} labels")
        copy(array.reader, file, array.count)
    if wrong := [label for label in labels if not 1 <= label <= 10]:
        raise DataError(f"{path}: label {wrong[0]}, expected 1 to 10. Get the file again.")
    for index, label in enumerate(labels):
        pixels = RawPixels(index * _PIXELS, (3, _SIDE, _SIDE), (2, 1, 0))  # stored by column
        yield Entry(split, str(label % 10), f"{path.name}/{index + 1}", unpacked, pixels)
