"""Lists the videos of a tree (folders of frames, raw files or packed users) without opening them."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from data_prep.tree.layout import TREE_TYPES, VIDEO_TYPES, is_junk, nfc, tree_splits
from data_prep.tree.left_aside import report_lost_links
from data_prep.tree.naming import name_videos, scan_raw
from data_prep.tree.object_folder import leads_nowhere, one_user_hint, video_entries, visible_entries
from data_prep.tree.packed import ARCHIVE_SUFFIX, PackedUser
from data_prep.tree.portable import require_text_names
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import DataError, UsageError
from groundwork.words import counted, listed

FRAME_SUFFIX = ".jpg"
Kind = Literal["frames", "raw", "packed"]


@dataclass(frozen=True)
class Found:
    """A video found on disk, not yet opened; in a packed tree, a user's archive, whose object, video_type and video are
    "" until `packed_videos` opens it."""

    split: str
    user: str
    object: str
    video_type: str
    video: str
    path: Path


def scan_tree(root: Path) -> tuple[Kind, list[Found]]:
    """Find every video (in a packed tree: every archive) without opening it; sorted by path.

    Raises:
        UsageError: if the folder is missing or has no videos of any kind.
        DataError: if it has two kinds, or videos in wrong places.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; expected a tree of frames, raw videos or packed users.")
    folders, has_files, lost = [], False, []
    for split in tree_splits(root):
        for user in folders_in(root / split):
            for thing in folders_in(user):
                place = (split, nfc(user.name), nfc(thing.name))
                if place[-1] in TREE_TYPES:  # one user's folder was given instead of a tree
                    continue
                for video_type, entry in video_entries(thing):
                    if entry.is_dir():
                        folders.append(Found(*place, video_type, nfc(entry.name), Path(entry.path)))
                    elif is_video_file(entry.name):
                        has_files = True
                    elif leads_nowhere(entry):
                        lost.append(nfc(Path(entry.path).relative_to(root).as_posix()))
    if folders and has_files:
        raise DataError(f"{root}: holds both raw videos and folders of frames; put each kind into a separate tree.")
    archives = _archives(root)
    require_text_names(root, [found.path.relative_to(root).as_posix() for found in (*folders, *archives)])
    if archives and (folders or has_files):
        other = "folders of frames" if folders else "raw videos"
        raise DataError(f"{root}: holds both {other} and {archives[0].path.name}; put each kind into a separate tree.")
    if folders:
        report_lost_links(root, lost)
        unknown = listed(sorted({found.video_type for found in folders} - set(TREE_TYPES)))
        if unknown:
            raise DataError(f"{root}: expected folders {' and '.join(VIDEO_TYPES)} below each object, found {unknown}.")
        return "frames", sorted(folders, key=lambda found: found.path.as_posix())
    if archives:
        return "packed", archives
    raw = scan_raw(root)
    if not raw:
        raise UsageError(
            f"{root}: holds neither frames (USER/OBJECT/clean/VIDEO/VIDEO-00001.jpg)"
            f" nor videos or photos (USER/OBJECT/FILE.mp4, USER/OBJECT/clean/FILE.mp4) nor packed users"
            f" (USER{ARCHIVE_SUFFIX}).{one_user_hint(root)}"
        )
    names = name_videos(root, raw)
    return "raw", [Found(v.split, v.user, v.object, v.video_type, names[v.relative], v.path) for v in raw]


def packed_videos(archive: Found) -> list[tuple[Found, list[tuple[str, int]]]]:
    """A packed user's videos, each with the names and sizes of its frames; paths are `USER.zip#OBJECT/TYPE/VIDEO`.

    Raises:
        DataError: if the archive is malformed.
    """
    with PackedUser(archive.path) as user:
        return [
            (
                replace(
                    archive,
                    object=video.object,
                    video_type=video.video_type,
                    video=video.video,
                    path=Path(f"{archive.path}#{video.place}"),
                ),
                video.files,
            )
            for video in user.videos.values()
        ]


def list_frames(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes in bytes of a folder's JPEG files, sorted by name; hidden and other files are skipped."""
    with os.scandir(folder) as entries:
        return sorted(
            (nfc(entry.name), entry.stat().st_size)
            for entry in entries
            if entry.name.endswith(FRAME_SUFFIX) and not is_junk(entry.name)
        )


def not_frames_in(folder: Path) -> str:
    """A sentence, with a leading space, on the files that a folder has instead of frames, and what to do; "" if there
    are none."""
    if not folder.is_dir():  # in an archive
        return ""
    kinds: Counter[str] = Counter()
    for entry in visible_entries(folder):
        if entry.is_file() and not entry.name.endswith(FRAME_SUFFIX):
            kinds[Path(entry.name).suffix] += 1
    if not kinds:
        return ""
    files = " and ".join(f"{counted(count, 'file')} {suffix or 'without a suffix'}" for suffix, count in kinds.items())
    if any(suffix.lower() == FRAME_SUFFIX for suffix in kinds):
        return f" It holds {files}: a frame's name must end in {FRAME_SUFFIX}, in lower case; rename them."
    if any(is_photo_file(f"x{suffix}") for suffix in kinds):
        return f" It holds {files}: frames are JPEG files; 'orbit-lite prep images' makes frames from other pictures."
    return f" It holds {files}."


def content_fingerprint(files: Sequence[tuple[str, int]]) -> str:
    """A hash of names and sizes, without times, so that a copy has the same hash."""
    lines = "".join(f"{name}\t{size}\n" for name, size in files)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()[:16]


def _archives(root: Path) -> list[Found]:
    found = []
    for split in tree_splits(root):
        with os.scandir(root / split) as entries:
            for entry in entries:
                if entry.name.endswith(ARCHIVE_SUFFIX) and entry.is_file() and not is_junk(entry.name):
                    user = nfc(entry.name.removesuffix(ARCHIVE_SUFFIX))
                    found.append(Found(split, user, "", "", "", Path(entry.path)))
    return sorted(found, key=lambda archive: archive.path.as_posix())


def folders_in(folder: Path) -> list[Path]:
    """The visible subfolders of a folder, in any order."""
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir() and not is_junk(entry.name)]
