"""Finds the videos, photos and packed videos below a folder, whatever its subfolders are called."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from data_prep.tree.layout import is_junk
from data_prep.tree.left_aside import report_left_aside
from data_prep.tree.object_folder import holds_frames
from data_prep.tree.packed import ARCHIVE_SUFFIX, PackedUser, archive_place
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import DataError
from groundwork.words import natural_sort_key

_LOG = logging.getLogger("data_prep")


def is_folder_of_videos(path: Path) -> bool:
    """Whether a path may contain videos: an archive, or a folder that is not itself a video's folder of frames."""
    return _is_archive(path) or (path.is_dir() and not holds_frames(named(path)))


def named(folder: Path) -> Path:
    """The path of a folder that ends in its name, unlike `.` and `..`; no link is followed."""
    return Path(os.path.abspath(folder))


def is_packed_place(path: Path) -> bool:
    """Whether a path names a video of an existing archive: `USER.zip#OBJECT/TYPE/VIDEO`."""
    archive, place = archive_place(str(path))
    return bool(place) and Path(archive).is_file()


def videos_below(folder: Path) -> list[Path]:
    """All raw videos, photos and folders of frames below a folder, at any depth, including those of packed users.

    A video of `USER.zip` is named `USER.zip#OBJECT/TYPE/VIDEO`. Hidden files and folders are skipped. A link to a
    folder is followed only if it is a video's folder of frames.

    Args:
        folder: the folder, or one archive from `prep pack`.

    Returns:
        the paths, in natural order: `2.mp4` before `10.mp4`.

    Raises:
        DataError: if there are no videos, or the given archive is malformed.
    """
    found = list(_packed(folder) if _is_archive(folder) else _below(folder))
    if not found:
        raise DataError(f"{folder}: has no video, photo or folder of frames")
    if not _is_archive(folder):
        report_left_aside(folder, empty=False)
    return sorted(found, key=lambda path: ([natural_sort_key(part) for part in path.parts], str(path)))


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_junk(entry.name)]
    for entry in visible:
        path = folder / entry.name
        if entry.is_dir() and holds_frames(path):
            yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(path)
        elif entry.is_file() and (is_video_file(entry.name) or is_photo_file(entry.name)):
            yield path
        elif _is_archive(path):
            try:
                yield from _packed(path)
            except DataError as error:  # an unrelated archive
                _LOG.info("note: skipped: %s", error)


def _is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVE_SUFFIX) and path.is_file()


def _packed(archive: Path) -> list[Path]:
    with PackedUser(archive) as user:
        return [Path(f"{archive}#{place}") for place in user.videos]
