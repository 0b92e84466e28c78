"""The binary version of CIFAR-10 and CIFAR-100 (cs.toronto.edu/~kriz/cifar.html): labels, then 3 x 32 x 32 bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.making.layouts.entries import Entry, class_name, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from data_prep.making.raw_pixels import RawPixels
from groundwork.errors import DataError, UsageError
from groundwork.words import listed

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """names: the file with the names of the classes. files: by split. labels: number of label bytes before the pixels;
    the last one is used."""

    names: str
    files: dict[str, tuple[str, ...]]
    labels: int


_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_VERSIONS = (
    _Version("batches.meta.txt", {"train": _BATCHES, "test": ("test_batch.bin",)}, 1),
    _Version("fine_label_names.txt", {"train": ("train.bin",), "test": ("test.bin",)}, 2),  # coarse, then fine
)
_PICKLES = ("batches.meta", "data_batch_1", "test_batch", "meta", "train", "test")


def read_cifar(request: LayoutRequest) -> PictureFolders:
    """Pictures of CIFAR-10, or of CIFAR-100 with its 100 fine classes.

    Raises:
        UsageError: if SRC holds neither, or holds the Python version, which consists of pickles.
        DataError: if a file is missing or damaged.
    """
    source = request.source
    version = next((known for known in _VERSIONS if (source / known.names).is_file()), None)
    if version is None:
        pickles = [name for name in _PICKLES if (source / name).is_file()]
        why = f"{listed(pickles)} are pickles, which can run code and are not opened" if pickles else "no CIFAR"
        raise UsageError(
            f"{source}: {why}; expected the binary version, with {_VERSIONS[0].names} or {_VERSIONS[1].names}."
        )
    names = _names(source / version.names)
    entries = [
        entry
        for split, files in version.files.items()
        for name in files
        for entry in _entries(source / name, split, names, version.labels)
    ]
    return pictures_of(source, request.user, entries)


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_bytes()[: 1 << 16].decode().split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text. Get the file again.") from None
    return [class_name(str(path), line) for line in lines if line.strip()]


def _entries(path: Path, split: str, names: Sequence[str], labels: int) -> Iterator[Entry]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Unpack the archive again.")
    record, size = labels + _PIXELS, path.stat().st_size
    if not size or size % record:
        raise DataError(f"{path}: {size} bytes, expected a multiple of {record}. Get the file again.")
    found = np.memmap(path, np.uint8, "r", shape=(size // record, record))[:, labels - 1].tolist()
    if max(found) >= len(names):
        raise DataError(f"{path}: label {max(found)}, but only {len(names)} class names. Get the files again.")
    for index, label in enumerate(found):
        pixels = RawPixels(index * record + labels, _SHAPE, (1, 2, 0))
        yield Entry(split, names[label], f"{path.name}/{index + 1}", path, pixels)
