"""Oxford Flowers 102 (robots.ox.ac.uk/~vgg/data/flowers/102): jpg/, imagelabels.mat, setid.mat."""

from collections.abc import Iterator
from pathlib import Path

from data_prep.making.layouts.entries import Entry, NamedFiles, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.layouts.mat_file import read_mat_numbers
from data_prep.making.picture_folders import PictureFolders
from groundwork.errors import DataError

_SPLITS = {"trnid": "train", "valid": "validation", "tstid": "test"}
_MOST = 99_999  # pictures: their numbers have five digits


def read_flowers(request: LayoutRequest) -> PictureFolders:
    """Flowers in the data set's own splits of images; a class is named by its number, with three digits.

    Raises:
        UsageError: if one of the two files is missing, or is a MATLAB file of version 7.3.
        DataError: if one is damaged, or pictures are missing.
    """
    return pictures_of(request.source, request.user, list(_entries(request.source)))


def _entries(source: Path) -> Iterator[Entry]:
    splits = source / "setid.mat"
    labels = read_mat_numbers(source / "imagelabels.mat", "labels", most=_MOST).tolist()
    files = NamedFiles(source, splits)
    for name, split in _SPLITS.items():
        for number in read_mat_numbers(splits, name, most=_MOST).tolist():
            if not 1 <= number <= len(labels):
                raise DataError(f"{splits}: picture {number}, but only {len(labels)} labels. Get the files again.")
            place = f"jpg/image_{number:05d}.jpg"
            yield Entry(split, f"{labels[number - 1]:03d}", place, files.find(place))
    files.require_all()
