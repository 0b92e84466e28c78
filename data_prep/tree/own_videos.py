"""Lists the videos in a new user's own folder without opening them: no splits, no annotations, no fixed names.

    USER/OBJECT/[clean/]NAME.mp4                   raw videos, or photos if an object has no videos
    USER/OBJECT/[clean/]VIDEO/VIDEO-00001.jpg      folders of frames
    USER.zip                                       the same frames, packed

Clutter videos (USER/OBJECT/clutter/...) are for trying a recognizer, not for teaching it. If USER/results has no video,
it is not an object: `studio` keeps the user's recognizer, checks and answers there.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from data_prep.tree.layout import SPLITS, TREE_TYPES, frame_file_name, nfc
from data_prep.tree.left_aside import report_left_aside
from data_prep.tree.listing import Kind, list_frames, not_frames_in
from data_prep.tree.object_folder import (
    LOOSE_TYPE,
    report_photos_aside,
    video_entries,
    visible_entries,
    without_photos_beside_videos,
)
from data_prep.tree.packed import ARCHIVE_SUFFIX, PackedUser
from data_prep.tree.portable import require_text_names
from data_prep.tree.stills import is_stills
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import DataError, UsageError
from groundwork.words import counted, listed

if TYPE_CHECKING:
    from data_prep.video import VideoInfo

RESULTS_NAME = "results"
LEAST_SIDE_PX = 32  # smaller pictures do not show an object
EXPECTED = "OBJECT/FILE.mp4 (or .mov, .jpg, ...), OBJECT/clean/FILE.mp4, or folders of frames instead of the files"


@dataclass(frozen=True)
class OwnVideo:
    """One video of one object. `place`, relative to the folder or archive `root` and with `/`, identifies it."""

    object: str
    root: Path
    place: str
    kind: Kind

    @property
    def path(self) -> Path:
        """The file or the folder of frames; for a packed video, the archive and the place within it."""
        return Path(f"{self.root}#{self.place}") if self.kind == "packed" else self.root / self.place

    def is_stills(self, frames: int) -> bool:
        """Whether its frames (their number is `frames`) are separate pictures, all of them useful for teaching; see
        stills.py."""
        return is_stills(PurePosixPath(self.place).name, frames)


@dataclass(frozen=True)
class OwnFolder:
    """What one user filmed: the videos for teaching, by object and place, and the number of clutter videos."""

    user: str
    path: Path
    videos: tuple[OwnVideo, ...]
    clutter_videos: int

    @property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects: the class indices."""
        return tuple(sorted({video.object for video in self.videos}))


def scan_own(path: Path) -> OwnFolder:
    """Find a user's videos.

    Args:
        path: the user's folder, or one user's archive from `prep pack`.

    Raises:
        UsageError: if there is no such folder or archive.
        DataError: if a folder in it has no video, or videos are in wrong places.
    """
    if path.is_file() and path.name.endswith(ARCHIVE_SUFFIX):
        return _scan_packed(path)
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder; expected a user's folder with {EXPECTED}")
    loose = sorted(entry.name for entry in visible_entries(path) if is_video_file(entry.name) and entry.is_file())
    if loose:
        raise DataError(f"{path}: {listed(loose)} not in an object's folder; expected {EXPECTED}")
    folders = sorted((entry for entry in visible_entries(path) if entry.is_dir()), key=lambda entry: entry.name)
    twice = [name for name, count in Counter(nfc(entry.name) for entry in folders).items() if count > 1]
    if twice:
        raise DataError(f"{path}: the same name in two Unicode forms (NFC and NFD): {listed(twice)}. Rename one.")
    _refuse_splits(path)
    videos: list[OwnVideo] = []
    clutter = 0
    for folder in folders:
        thing = Path(folder.path)
        of_object = [*_teaching_videos(path, thing)]
        if not of_object and folder.name == RESULTS_NAME and not _misplaced(path, thing):
            continue
        if not of_object:
            raise DataError(f"{thing}: has no video; expected {EXPECTED}{_hint(thing)}{_other_files(thing)}")
        if misplaced := _misplaced(path, thing):
            raise DataError(f"{path}: {listed(misplaced)} in a wrong place; expected {EXPECTED}")
        videos += of_object
        clutter += sum(video_type in TREE_TYPES[1:] for video_type, _ in video_entries(thing))
    if not videos:
        raise DataError(f"{path}: has no object's folder; expected {EXPECTED}")
    require_text_names(path, [path.resolve().name, *(video.place for video in videos)])
    videos, aside = without_photos_beside_videos(videos, photo=_is_photo, group=lambda video: video.object)
    report_photos_aside(path, [photo.place for photo in aside])
    report_left_aside(path, empty=False)
    return OwnFolder(nfc(path.resolve().name), path, _in_order(videos), clutter)


def probe_own(path: Path) -> "VideoInfo":
    """Probe a user's own video.

    Raises:
        DataError: as in `probe`; or if its pictures are too small to show an object.
    """
    from data_prep.video import probe  # a scan should not load decoders

    found = probe(path)
    if min(found.width, found.height) < LEAST_SIDE_PX:
        raise DataError(
            f"{path}: pictures of {found.width}x{found.height} pixels, too small to show an object;"
            f" expected {LEAST_SIDE_PX} or more on each side. Film it again, or use the original file."
        )
    return found


def frame_count(video: OwnVideo) -> int:
    """The number of frames of a video, at 30 per second.

    Raises:
        DataError: if it can't be read, its pictures are too small, or its frames are not numbered without a gap.
    """
    if video.kind == "raw":
        from data_prep.video import count_frames

        return count_frames(probe_own(video.path))
    if video.kind == "packed":
        with PackedUser(video.root) as user:
            return len(user.videos[video.place].sizes)
    names = [name for name, _ in list_frames(video.path)]
    if names != [frame_file_name(video.path.name, number) for number in range(1, len(names) + 1)]:
        raise DataError(
            f"{video.path}: {counted(len(names), 'picture')}, expected numbers without a gap from "
            f"{frame_file_name(video.path.name, 1)} on; extract this video again"
        )
    return len(names)


def _scan_packed(path: Path) -> OwnFolder:
    with PackedUser(path) as user:
        clean = [video for video in user.videos.values() if video.video_type == "clean"]
        videos = [OwnVideo(video.object, path, video.place, "packed") for video in clean]
        clutter = len(user.videos) - len(clean)
    if not videos:
        raise DataError(f"{path}: has no clean video; expected members OBJECT/clean/VIDEO/VIDEO-00001.jpg")
    return OwnFolder(nfc(path.name.removesuffix(ARCHIVE_SUFFIX)), path, _in_order(videos), clutter)


def _in_order(videos: list[OwnVideo]) -> tuple[OwnVideo, ...]:
    return tuple(sorted(videos, key=lambda video: (video.object, video.place)))


def _teaching_videos(root: Path, folder: Path) -> Iterator[OwnVideo]:
    """An object's clean videos and photos."""
    for video_type, entry in video_entries(folder):
        if video_type != LOOSE_TYPE:
            continue
        place = Path(entry.path).relative_to(root).as_posix()
        if entry.is_dir():
            if list_frames(Path(entry.path)):
                yield OwnVideo(nfc(folder.name), root, place, "frames")
        elif _is_raw(entry):
            yield OwnVideo(nfc(folder.name), root, place, "raw")


def _misplaced(root: Path, folder: Path) -> list[str]:
    """Places of videos and photos in subfolders of an object that are neither types nor videos."""
    entries = [entry for video_type, entry in video_entries(folder) if video_type not in TREE_TYPES]
    return sorted(Path(entry.path).relative_to(root).as_posix() for entry in entries if _is_raw(entry))


def _is_raw(entry: "os.DirEntry[str]") -> bool:
    return (is_video_file(entry.name) or is_photo_file(entry.name)) and entry.is_file()


def _is_photo(video: OwnVideo) -> bool:
    return video.kind == "raw" and is_photo_file(video.place)


def _other_files(folder: Path) -> str:
    """A hint about other files at the place of frames."""
    places = [Path(entry.path) for video_type, entry in video_entries(folder) if video_type == LOOSE_TYPE]
    return next((f".{hint}" for place in places if (hint := not_frames_in(place))), "")


def _refuse_splits(path: Path) -> None:
    """Refuse a tree with SPLIT/USER/OBJECT. An object with a split's name has no folders of folders, except by type."""
    for split in SPLITS:
        users = (entry.name for entry in visible_entries(path / split) if entry.is_dir())
        for user in sorted(set(users) - set(TREE_TYPES)):
            if any(entry.is_dir() for entry in visible_entries(path / split / user)):
                raise DataError(
                    f"{path}: a tree with splits; expected one user's folder, such as {path / split / user}"
                )


def _hint(folder: Path) -> str:
    """A hint if a whole tree of users seems to have been given, or only clutter was filmed."""
    inner = [entry.name for entry in visible_entries(folder) if entry.is_dir()]
    if set(inner) & set(TREE_TYPES[1:]):
        return ". Clutter videos are not used for teaching: film the object by itself"
    if inner:
        return f". If {folder.name} is a user and {inner[0]} one of their objects, give {folder}"
    return ". Put a video there, or remove the folder"
