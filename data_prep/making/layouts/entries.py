"""Turns the entries of a data set's files into pictures of classes; checks names, splits and paths for all layouts."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_prep.making.picture_folders import PictureFile, PictureFolders, picture_order, user_alone
from data_prep.making.raw_pixels import RawPixels
from data_prep.tree.layout import SPLIT_NAMES, TREE_TYPES, is_junk, nfc
from data_prep.tree.object_folder import LOOSE_TYPE
from data_prep.tree.portable import is_text
from data_prep.video import is_photo_file
from groundwork.errors import DataError
from groundwork.words import counted, listed, nearest, quoted

_MOST_NAME = 200  # characters of a class's name; file systems allow 255 bytes


@dataclass(frozen=True)
class Entry:
    """One picture as a data set's files describe it.

    Attributes:
        split: train, validation or test; "" in a set without splits.
        label: the class's name, as `class_name` gives it.
        relative: its path below SRC, or its place in a file there, for messages.
        path: its file.
        pixels: its position in that file; None if the file is the picture.
    """

    split: str
    label: str
    relative: str
    path: Path
    pixels: RawPixels | None = None


def pictures_of(source: Path, user: str, entries: Iterable[Entry], notes: Sequence[str] = ()) -> PictureFolders:
    """Entries as one user's pictures, in order.

    Raises:
        UsageError: if the user's name is not allowed.
        DataError: if there is no entry, only some have a split, or a picture appears twice.
    """
    name = user_alone(source, user)
    found = [PictureFile(e.split, name, e.label, LOOSE_TYPE, nfc(e.relative), e.path, e.pixels) for e in entries]
    if not found:
        raise DataError(f"{source}: no pictures are named; expected at least one of each class.")
    splits = {picture.split for picture in found}
    if "" in splits and len(splits) > 1:
        bare = next(picture.relative for picture in found if not picture.split)
        raise DataError(f"{source}: {bare} is in no split, but others are; name a split for all pictures or for none.")
    places: dict[str, PictureFile] = {}
    for picture in found:
        other = places.setdefault(picture.relative, picture)
        if other is not picture:
            raise DataError(
                f"{source}: {picture.relative} is named twice, as {_class_and_split(other)} and as"
                f" {_class_and_split(picture)}. Keep one of the two."
            )
    return PictureFolders(tuple(sorted(found, key=picture_order)), tuple(notes))


def class_name(where: str, text: str) -> str:
    """A class's name as the name of an object in a frame tree: `n/nested name` becomes `n nested name`.

    Raises:
        DataError: if it can't be a folder's name; the message begins with `where`.
    """
    parts = nfc(text).strip().strip("/").split("/")
    name = " ".join(parts)
    bad = not name or len(name) > _MOST_NAME or not is_text(name) or not name.isprintable() or "\\" in name
    if bad or name in TREE_TYPES or any(not part.strip() or is_junk(part) for part in parts):
        raise DataError(
            f"{where}: {quoted(text)} can't be a class's name; expected 1 to {_MOST_NAME} characters, no backslash, no"
            f" dot at the beginning, and none of {', '.join(TREE_TYPES)}."
        )
    return name


def split_name(where: str, text: str) -> str:
    """A split's name in a frame tree; "" stays "".

    Raises:
        DataError: for an unknown split; the message begins with `where`.
    """
    if text and text not in SPLIT_NAMES:
        raise DataError(
            f"{where}: unknown split {quoted(text)}{nearest(text, SPLIT_NAMES)}; expected {', '.join(SPLIT_NAMES)}."
        )
    return SPLIT_NAMES[text] if text else ""


@dataclass
class NamedFiles:
    """Looks up the files that a list names, below SRC. Problems are collected and reported together."""

    source: Path
    named_by: Path
    _missing: list[str] = field(default_factory=list)
    _refused: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _folders: dict[str, str] = field(default_factory=dict)

    def find(self, place: str) -> Path:
        """The picture's file. A path that leads out of SRC, by itself or by a link, is not opened."""
        parts = PurePosixPath(place).parts
        path = self.source.joinpath(*parts) if parts and parts[0] != "/" else self.source
        if not place or "\0" in place or "\\" in place or ".." in parts or parts[0] == "/":
            self._refused["not a path below SRC"].append(quoted(place))
        elif not is_photo_file(place):
            self._refused["not a picture by its suffix"].append(quoted(place))
        else:
            self._look(place, path)
        return path

    def require_all(self) -> None:
        """Require that every named file was found.

        Raises:
            DataError: otherwise; names all of them in one line.
        """
        for why, places in self._refused.items():
            raise DataError(
                f"{self.named_by}: names {counted(len(places), 'file')} that can't be used, {why}: {listed(places)};"
                f" expected pictures below {self.source}."
            )
        if self._missing:
            raise DataError(
                f"{self.named_by}: names {counted(len(self._missing), 'file')} that {self.source} does not have:"
                f" {listed(self._missing)}. Get the missing files, or remove them from the list."
            )

    def _look(self, place: str, path: Path) -> None:
        try:
            mode = os.lstat(path).st_mode
            folder = os.path.dirname(path)
            real = os.path.realpath(path) if stat.S_ISLNK(mode) else self._real_folder(folder)
            inside = os.path.commonpath([real, self._real_folder(str(self.source))])
            if inside != self._real_folder(str(self.source)):
                self._refused["a link that leads out of SRC"].append(quoted(place))
            elif not os.path.isfile(path):
                self._missing.append(quoted(place))
        except (OSError, ValueError):
            self._missing.append(quoted(place))

    def _real_folder(self, folder: str) -> str:
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder]


def _class_and_split(picture: PictureFile) -> str:
    return f"{picture.object} ({picture.split})" if picture.split else picture.object
