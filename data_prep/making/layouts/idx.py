"""idx files of MNIST, Fashion-MNIST, KMNIST and EMNIST, compressed by gzip or not.

A file has a magic number, the sizes of its axes (big-endian, 4 bytes each), and the values, one byte each
(yann.lecun.com/exdb/mnist). EMNIST stores its pictures transposed.
"""

import gzip
import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import BinaryIO

from data_prep.making.layouts.bounded import copy, exactly, read_faults
from data_prep.making.layouts.entries import Entry, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from data_prep.making.raw_pixels import RawPixels
from data_prep.video.framing import MOST_PIXELS
from groundwork.errors import DataError, UsageError
from groundwork.words import listed

_NAME = re.compile(r"(?P<variant>(emnist-[a-z]+-)?)(?P<part>train|t10k|test)-images[-.]idx3-ubyte(\.gz)?")
_SPLITS = {"train": "train", "t10k": "test", "test": "test"}
_MAGIC = {1: b"\0\0\x08\x01", 3: b"\0\0\x08\x03"}  # unsigned bytes, by the number of axes


def read_idx(request: LayoutRequest) -> PictureFolders:
    """Pictures and labels of one data set, in SRC or, as torchvision stores them, in SRC/raw. A class is named by its
    number.

    Raises:
        UsageError: if there are no such files, or those of several data sets.
        DataError: if a file is damaged, or has no labels for its pictures.
    """
    entries = [
        entry
        for number, (split, variant, images) in enumerate(_found(request.source))
        for entry in _entries(request, split, images, transposed=bool(variant), number=number)
    ]
    return pictures_of(request.source, request.user, entries)


def _found(source: Path) -> list[tuple[str, str, Path]]:
    """Split, variant and path of each file of pictures; if a file is there compressed and uncompressed, the latter."""
    folder = source / "raw" if (source / "raw").is_dir() else source
    found: dict[str, tuple[str, str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match["part"], (_SPLITS[match["part"]], match["variant"], path))
            if found[match["part"]][1] != match["variant"]:
                raise UsageError(f"{folder}: files of several data sets; put each data set into a separate folder.")
    if not found or len(found) > len(set(_SPLITS.values())):
        raise UsageError(
            f"{folder}: {'two files of the same split' if found else 'no idx files'}; expected"
            " {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte, with or without .gz."
        )
    return list(found.values())


def _entries(request: LayoutRequest, split: str, images: Path, *, transposed: bool, number: int) -> Iterator[Entry]:
    labels = _labels(images)
    with read_faults(images), _opened(images) as file:
        count, height, width = _sizes(file, axes=3)
        if not 0 < height * width <= MOST_PIXELS:
            raise ValueError(f"pictures of {width} x {height} pixels")
        path, start = images, 16
        if images.suffix == ".gz":
            path, start = request.scratch / f"{number}.pixels", 0
            with path.open("wb") as unpacked:
                copy(file, unpacked, count * height * width)
            if file.read(1):
                raise ValueError(f"more than the {count} pictures that its header states")
    if count != len(labels):
        raise DataError(f"{images}: {count} pictures but {len(labels)} labels. Get the files again.")
    size = path.stat().st_size
    if size != start + count * height * width:
        raise DataError(f"{images}: {size} bytes, its header states {start + count * height * width}. Get it again.")
    place = images.relative_to(request.source).as_posix()
    axes = (1, 0) if transposed else (0, 1)
    for index, label in enumerate(labels):
        pixels = RawPixels(start + index * height * width, (height, width), axes)
        yield Entry(split, str(label), f"{place}/{index + 1}", path, pixels)


def _labels(images: Path) -> bytes:
    stem = images.name.replace("-images", "-labels").replace("idx3", "idx1").removesuffix(".gz")
    path = next((p for p in (images.with_name(stem), images.with_name(f"{stem}.gz")) if p.is_file()), None)
    if path is None:
        raise DataError(f"{images}: no labels next to it; expected {stem}, with or without .gz.")
    with read_faults(path), _opened(path) as file:
        (count,) = _sizes(file, axes=1)
        found = exactly(file, count)
        if file.read(1):
            raise ValueError(f"more than the {count} labels that its header states")
    return found


def _opened(path: Path) -> BinaryIO:
    try:
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None


def _sizes(file: BinaryIO, *, axes: int) -> tuple[int, ...]:
    magic, sizes = exactly(file, 4), exactly(file, 4 * axes)
    if magic != _MAGIC[axes]:
        raise ValueError(f"begins with {magic.hex()}, expected {_MAGIC[axes].hex()}, {axes} axes of bytes")
    found = tuple(int.from_bytes(sizes[start : start + 4], "big") for start in range(0, 4 * axes, 4))
    if not prod(found):
        raise ValueError(f"is empty, its sizes are {listed([*map(str, found)])}")
    return found
