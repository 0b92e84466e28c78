"""Class folders with a list of each split's classes, as Meta-Dataset publishes for its data sets."""

from dataclasses import replace
from pathlib import Path

from data_prep.making.layouts.entries import class_name
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders, picture_order, scan_pictures, user_alone
from data_prep.tree.class_lists import read_class_lists
from groundwork.errors import DataError, UsageError
from groundwork.words import counted, listed, nearest


def read_class_split(request: LayoutRequest) -> PictureFolders:
    """Class folders below SRC, each in the split that `--list-file` gives. Classes not in the list are skipped.

    Raises:
        UsageError: if SRC has splits already, or the list can't be read.
        DataError: if it has a class in two splits, or names classes that SRC does not have.
    """
    if (path := request.list_file) is None:
        raise ValueError("a list is needed")
    source, user = request.source, user_alone(request.source, request.user)
    folders = scan_pictures(source, user=user)
    if any(picture.split for picture in folders.pictures):
        raise UsageError(f"{source}: already has folders of splits; omit --layout and --list-file.")
    return in_class_splits(source, folders, path)


def in_class_splits(source: Path, folders: PictureFolders, path: Path) -> PictureFolders:
    """Put pictures without splits into the splits that a list gives to their classes; skip other classes.

    Raises:
        UsageError: if the list can't be read.
        DataError: if it has a class in two splits, or names classes that do not exist.
    """
    split_of = _splits(path)
    known = {picture.object for picture in folders.pictures}
    if missing := sorted(split_of.keys() - known):
        near = nearest(missing[0], known)
        raise DataError(
            f"{path}: names {counted(len(missing), 'class', 'classes')} of which {source} has no pictures:"
            f" {listed(missing)}{near}. Get the missing pictures, or remove the class from the list."
        )
    notes = list(folders.notes)
    if others := sorted(known - split_of.keys()):
        several = counted(len(others), "class", "classes")
        notes.append(f"{source}: {several} skipped, not in {path.name}: {listed(others)}.")
    pictures = [replace(p, split=split_of[p.object]) for p in folders.pictures if p.object in split_of]
    if not pictures:
        raise DataError(f"{path}: names no class; expected the classes of {source}.")
    return PictureFolders(tuple(sorted(pictures, key=picture_order)), tuple(notes))


def _splits(path: Path) -> dict[str, str]:
    """The split of each class."""
    found: dict[str, str] = {}
    for split, names in read_class_lists(path).items():
        for name in names:
            label = class_name(str(path), name)
            if found.setdefault(label, split) != split:
                raise DataError(f"{path}: class {label!r} is in {found[label]} and in {split}; keep it in one.")
    return found
