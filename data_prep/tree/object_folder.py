"""The places of an object's videos in its folder: one rule for all readers.

    OBJECT/FILE.mp4      OBJECT/VIDEO/VIDEO-00001.jpg           directly in the object's folder: clean
    OBJECT/TYPE/FILE.mp4 OBJECT/TYPE/VIDEO/VIDEO-00001.jpg      of that type

A photo is a video of one picture. If an object has videos of a type, its photos of that type are skipped: they may be
thumbnails, or taken by the phone during the video, and so be copies of its frames.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from data_prep.tree.layout import TREE_TYPES, VIDEO_TYPES, is_junk, nfc, parse_frame_file_name
from data_prep.video import is_photo_file, is_video_file
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

LOOSE_TYPE = VIDEO_TYPES[0]
EntryT = TypeVar("EntryT")


def video_type_at(thing: str, folders: Sequence[str]) -> str | None:
    """The type of a video below an object's folder.

    Args:
        thing: the object's name.
        folders: names of the folders between the object's and the video.

    Returns:
        one of TREE_TYPES; None if this is not a place for a video. An object can't have the name of a type: otherwise
        one user's folder could be mistaken for a tree.
    """
    if thing in TREE_TYPES:
        return None
    if not folders:
        return LOOSE_TYPE
    return folders[0] if len(folders) == 1 and folders[0] in TREE_TYPES else None


def video_entries(thing: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Each entry at a place for an object's videos, with the type of videos at that place.

    Entries of a folder that is neither a type nor a video's folder of frames come with that folder's name instead of a
    type: it is not a place for videos.
    """
    for entry in visible_entries(thing):
        name, path = nfc(entry.name), Path(entry.path)
        if entry.is_dir() and (name in TREE_TYPES or not holds_frames(path)):
            for inner in visible_entries(path):
                yield name, inner
        else:
            yield LOOSE_TYPE, entry


def holds_frames(folder: Path) -> bool:
    """Whether a folder holds a frame that is named after the folder."""
    return any(is_frame_of(folder.name, entry.name) for entry in visible_entries(folder))


def is_frame_of(video: str, name: str) -> bool:
    """Whether a file's name is that of a frame of this video."""
    try:
        return parse_frame_file_name(nfc(name))[0] == nfc(video)
    except ValueError:
        return False


def one_user_hint(root: Path) -> str:
    """A hint if one user's folder seems to have been given instead of a tree; otherwise ""."""
    for thing in visible_entries(root):
        for entry in visible_entries(Path(thing.path)):
            if (entry.name in TREE_TYPES and entry.is_dir()) or is_video_file(entry.name) or is_photo_file(entry.name):
                return f" If {root.resolve().name} is one user's folder, give its parent folder."
    return ""


def visible_entries(folder: Path) -> list["os.DirEntry[str]"]:
    """The visible entries of a folder; none if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_junk(entry.name)]


def leads_nowhere(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a link whose target is missing, such as a file that git-annex has not fetched yet."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def without_photos_beside_videos(
    videos: Iterable[EntryT], *, photo: Callable[[EntryT], bool], group: Callable[[EntryT], object]
) -> tuple[list[EntryT], list[EntryT]]:
    """Separate videos that count from photos that are skipped.

    Args:
        videos: raw videos, photos and folders of frames.
        photo: tells whether one is a photo.
        group: gives its object and type; photos count if all of a group are photos.

    Returns:
        the videos that count and those that are skipped, both in order.
    """
    groups: dict[object, list[EntryT]] = defaultdict(list)
    for video in videos:
        groups[group(video)].append(video)
    kept: list[EntryT] = []
    aside: list[EntryT] = []
    for same in groups.values():
        photos = [video for video in same if photo(video)]
        if len(photos) == len(same):
            kept += same
        else:
            kept += [video for video in same if not photo(video)]
            aside += photos
    return kept, aside


def report_photos_aside(where: Path, places: Sequence[str]) -> None:
    """Report the photos that are skipped because there are videos next to them."""
    if places:
        photos = counted(len(places), "photo")
        _LOG.info("note: %s: %s skipped, next to videos of the same object: %s", where, photos, listed(sorted(places)))
