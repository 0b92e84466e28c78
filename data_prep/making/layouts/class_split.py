"""Class folders whose split is a list of classes, as Meta-Dataset publishes them for its sets."""

from dataclasses import replace
from pathlib import Path

from data_prep.making.layouts.entries import class_name
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders, picture_order, scan_pictures, user_alone
from data_prep.tree.class_lists import read_class_lists
from groundwork.errors import DataError, UsageError
from groundwork.words import counted, listed, nearest


def read_class_split(request: LayoutRequest) -> PictureFolders:
    """Class folders below SRC, each in the split that `--list-file` has it in. Others are left aside.

    Raises:
        UsageError: if SRC has splits already, or the list can't be read.
        DataError: if it has a class in two splits, or names classes that SRC does not have.
    """
    if (path := request.list_file) is None:
        raise ValueError("a list is needed")
    source, user = request.source, user_alone(request.source, request.user)
    folders = scan_pictures(source, user=user)
    if any(picture.split for picture in folders.pictures):
        raise UsageError(f"{source}: has folders of splits already; leave --layout and --list-file out.")
    return in_class_splits(source, folders, path)


def in_class_splits(source: Path, folders: PictureFolders, path: Path) -> PictureFolders:
    """Pictures without splits, each in the split that a list has its class in; those of other classes are left out.

    Raises:
        UsageError: if the list can't be read.
        DataError: if it has a class in two splits, or names classes that there are not.
    """
    split_of = _splits(path)
    known = {picture.object for picture in folders.pictures}
    if missing := sorted(split_of.keys() - known):
        near = nearest(missing[0], known)
        raise DataError(
            f"{path}: names {counted(len(missing), 'class', 'classes')} of which {source} has no pictures:"
            f" {listed(missing)}{near}. Get what is missing, or take it out of the list."
        )
    notes = list(folders.notes)
    if others := sorted(known - split_of.keys()):
        several = counted(len(others), "class", "classes")
        notes.append(f"{source}: {several} left aside, not in {path.name}: {listed(others)}.")
    pictures = [replace(one, split=split_of[one.object]) for one in folders.pictures if one.object in split_of]
    if not pictures:
        raise DataError(f"{path}: names no class; expected those of {source}.")
    return PictureFolders(tuple(sorted(pictures, key=picture_order)), tuple(notes))


def _splits(path: Path) -> dict[str, str]:
    """The split of each class."""
    found: dict[str, str] = {}
    for split, names in read_class_lists(path).items():
        for name in names:
            label = class_name(str(path), name)
            if found.setdefault(label, split) != split:
                raise DataError(f"{path}: class {label!r} is in {found[label]} and in {split}; leave it in one.")
    return found
