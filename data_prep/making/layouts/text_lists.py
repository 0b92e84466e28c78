"""Data sets with text files that list one picture per line: SUN397 and the Oxford-IIIT pets."""

import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.making.layouts.entries import Entry, NamedFiles, class_name, pictures_of
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from groundwork.errors import DataError, UsageError
from groundwork.words import quoted

_MOST_BYTES = 1 << 28
_SUN_PLACE = re.compile(r"/?[a-z]/(?P<label>.+)/[^/]+")
_PET = re.compile(r"(?P<stem>(?P<label>[^/\s]+)_[0-9]+)\s.*")


def read_sun397(request: LayoutRequest) -> PictureFolders:
    """SUN397 by one of its own partitions: SRC/Training_01.txt and Testing_01.txt, or those of `--list-file`.

    Lines are like `/a/abbey/sun_aaa.jpg`, whose class is `abbey`.

    Raises:
        UsageError: if a list is missing.
        DataError: if it is not such a list, or pictures are missing.
    """
    training = request.list_file or request.source / "Training_01.txt"
    if not training.name.startswith("Training_"):
        raise UsageError(f"{training}: expected one of SUN397's partitions, Training_01.txt to Training_10.txt.")
    testing = training.with_name(training.name.replace("Training", "Testing"))
    entries = [
        entry
        for split, path in (("train", training), ("test", testing))
        for entry in _sun_entries(request.source, split, path)
    ]
    return pictures_of(request.source, request.user, entries)


def read_pets(request: LayoutRequest) -> PictureFolders:
    """The Oxford-IIIT pets: images/*.jpg, split by annotations/trainval.txt (for train) and test.txt; a class is a
    breed.

    Raises:
        UsageError: if a list is missing.
        DataError: if it is not such a list, or pictures are missing.
    """
    entries = [
        entry
        for split, name in (("train", "trainval.txt"), ("test", "test.txt"))
        for entry in _pet_entries(request.source, split, request.source / "annotations" / name)
    ]
    return pictures_of(request.source, request.user, entries)


def _sun_entries(source: Path, split: str, path: Path) -> Iterator[Entry]:
    files = NamedFiles(source, path)
    for where, line in _lines(path, "/a/abbey/sun_aaa.jpg"):
        match = _SUN_PLACE.fullmatch(line)
        if match is None:
            raise DataError(f"{where}: {quoted(line)}; expected /LETTER/CLASS/FILE.jpg.")
        place = line.removeprefix("/")
        yield Entry(split, class_name(where, match["label"]), place, files.find(place))
    files.require_all()


def _pet_entries(source: Path, split: str, path: Path) -> Iterator[Entry]:
    files = NamedFiles(source, path)
    for where, line in _lines(path, "Abyssinian_100 1 1 1"):
        if line.startswith("#"):
            continue
        match = _PET.fullmatch(line)
        if match is None:
            raise DataError(f"{where}: {quoted(line)}; expected BREED_NUMBER and numbers.")
        place = f"images/{match['stem']}.jpg"
        yield Entry(split, class_name(where, match["label"]), place, files.find(place))
    files.require_all()


def _lines(path: Path, example: str) -> Iterator[tuple[str, str]]:
    """Each line that is not empty, and where it is."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: more than {_MOST_BYTES} bytes; expected lines like {example!r}.")
        lines = path.read_bytes().decode().split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; expected lines like {example!r}.") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); expected lines like {example!r}.") from None
    for number, line in enumerate(lines, start=1):
        if text := line.strip():
            yield f"{path}: line {number}", text
