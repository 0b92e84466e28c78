"""Finds every file under a user's name in a tree, and tells by name and place which files are this kit's.

A file is the kit's if it has a place and a name that the layout gives to files:

    USER/OBJECT/[TYPE/]VIDEO/VIDEO-00001.jpg      a frame, in the folder of its own video
    USER/OBJECT/[TYPE/]NAME.mp4                   a raw video, by its suffix
    USER/OBJECT/[TYPE/]NAME.jpg                   a photo that the index lists; others may not belong to the kit
    USER--label--technique--random.mp4            a raw video that ORBIT-Camera exported
    USER.zip                                      an archive that holds only frames, or one that the index lists

The same holds for partial files of interrupted work (`.NAME.part`) and for the AppleDouble files ("twins") that macOS
writes (`._NAME`). No symbolic link is followed to a file to be removed. A link itself is theirs if it has the name of
such a file, or if a video of theirs is found by reading through it.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_prep.forgetting.plan import Removable
from data_prep.forgetting.user_places import is_exported
from data_prep.tree.layout import TREE_TYPES, frame_file_name, is_junk, nfc, parse_frame_file_name, place_user
from data_prep.tree.packed import ARCHIVE_SUFFIX, PackedUser
from data_prep.video import RAW_SUFFIXES, is_photo_file
from groundwork.errors import DataError
from groundwork.files import final_name, is_part
from groundwork.removal import identity, is_link
from groundwork.words import counted

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_TWIN, _TWIN_MAGIC = "._", b"\x00\x05\x16\x07"  # AppleDouble

Level = Literal["user", "object", "type", "video", ""]  # a folder's role in the layout; "": none
Place = tuple[str, ...]  # a path below the tree's root, spelled as on disk


@dataclass(frozen=True)
class UserFile(Removable):
    """One file of theirs. `linked`: it has another hard link on this disk. `leads_to`: target of a symbolic link."""

    size_bytes: int = 0
    linked: bool = False
    leads_to: Path | None = None
    is_twin: bool = False


@dataclass(frozen=True)
class LeftAlone:
    """A file, link or folder that does not seem to be the kit's, and is left alone."""

    path: Path
    why: str
    files: int = 1

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass
class UserContent:
    """What is under a user's name: an archive, file or link, or a folder with everything in it.

    Attributes:
        path: its path.
        files: the user's files.
        left: other files, links and folders.
        folders: folders to remove after the files, because nothing else is in them.
        videos: the number of the user's videos, as far as known.
        names: the names of their videos.
    """

    path: Path
    files: list[UserFile] = field(default_factory=list)
    left: list[LeftAlone] = field(default_factory=list)
    folders: list[Place] = field(default_factory=list)
    videos: int = 0
    names: set[str] = field(default_factory=set)

    @property
    def is_theirs(self) -> bool:
        """Whether any of it is the kit's; a twin is no proof."""
        return any(not file.is_twin for file in self.files)

    @property
    def is_empty(self) -> bool:
        return not self.files and not self.folders

    def add(self, inner: "UserContent") -> None:
        """Add the content of a folder or file in this folder."""
        self.files += inner.files
        self.left += inner.left
        self.folders += inner.folders
        self.videos += inner.videos
        self.names |= inner.names

    def __str__(self) -> str:
        if not self.files:
            return f"{self.path}: an empty folder"
        if len(self.files) == 1 and not self.folders and (target := self.files[0].leads_to):
            return f"{self.path}: a symbolic link; the link is removed, its target ({target}) stays"
        videos = f"{counted(self.videos, 'video')}, " if self.videos else ""
        size_bytes = sum(file.size_bytes for file in self.files)
        unit, size = next(((name, size) for name, size in _UNITS if size_bytes >= size), _UNITS[-1])
        return f"{self.path}: {videos}{counted(len(self.files), 'file')}, {size_bytes / size:.1f} {unit}"


class UserFiles:
    """Finds what is under one user's name below a tree's root; changes nothing.

    Args:
        root: the tree.
        user: the user's name.
        indexed: paths of their videos in the tree's indexes, relative to the root, with `/`.
    """

    def __init__(self, root: Path, user: str, indexed: Collection[str] = ()) -> None:
        self._root, self._user = root, user
        split = [place.split("/") for place in indexed]
        self._indexed = {"/".join(parts[:depth]) for parts in split for depth in range(1, len(parts) + 1)}

    def find(self, level: str) -> list[UserContent]:
        """Everything under their name in a split, in `other`, or in the root (level "")."""
        above: Place = (level,) if level else ()
        found = {
            name: self._look((*above, entry), "user" if _whole(name) == self._user else "", self._is_file(name, above))
            for entry in sorted(os.listdir(self._root.joinpath(*above)))
            if self._bears_name(name := nfc(entry))
        }
        return self._judge_twins(found)

    def _bears_name(self, name: str) -> bool:
        whole = _whole(name.removeprefix(_TWIN))
        return whole in (self._user, f"{self._user}{ARCHIVE_SUFFIX}") or self._is_exported(whole)

    def _is_exported(self, name: str) -> bool:
        return is_exported(name) and place_user(name) == self._user

    def _is_file(self, name: str, above: Place) -> bool:
        """Whether a file of this name, next to users' folders, is theirs."""
        whole = _whole(name)
        if whole == f"{self._user}{ARCHIVE_SUFFIX}" and not is_part(name):
            return "/".join((*above, name)) in self._indexed or _packed_names(self._root.joinpath(*above, name)) != ()
        return whole == f"{self._user}{ARCHIVE_SUFFIX}" or self._is_exported(whole)

    def _is_indexed_photo(self, place: Place) -> bool:
        """Whether the index lists a photo as a video of theirs: its name and place alone are no proof."""
        return is_photo_file(place[-1]) and "/".join(map(nfc, place)) in self._indexed

    def _look(self, place: Place, level: Level, is_file: bool) -> UserContent:
        """What is at one place.

        Args:
            place: the file, folder or link.
            level: the role of a folder at this place.
            is_file: whether a file of this name is theirs at this place.
        """
        path, name = self._root.joinpath(*place), nfc(place[-1])
        status = os.lstat(path)
        if is_link(status):
            return self._look_at_link(place, level, is_file)
        if stat.S_ISDIR(status.st_mode):
            if level:
                return self._look_into(place, level)
            files = sum(len(names) for _, _, names in os.walk(path))
            return UserContent(
                path, left=[LeftAlone(path, f"a folder of {counted(files, 'file')}, not this kit's", files)]
            )
        is_twin = is_twin_file(path)
        if not stat.S_ISREG(status.st_mode) or not (is_file or is_twin):
            return UserContent(path, left=[LeftAlone(path, "not this kit's")])
        file = UserFile(place, identity(status), status.st_size, linked=status.st_nlink > 1, is_twin=is_twin)
        names = _packed_names(path) if name.endswith(ARCHIVE_SUFFIX) and not is_twin else ()
        videos = 0 if is_junk(name) else len(names) if name.endswith(ARCHIVE_SUFFIX) else 1
        return UserContent(path, [file], videos=videos, names=set(names))

    def _look_into(self, place: Place, level: Level) -> UserContent:
        path, name = self._root.joinpath(*place), _whole(nfc(place[-1]))
        content, inside = UserContent(path), dict[str, UserContent]()
        for entry in sorted(os.listdir(path)):  # the first frame is removed first: half a video never looks complete
            inner, below = nfc(entry), (*place, entry)
            is_file = _is_file_in(level, name, inner) or (level in ("object", "type") and self._is_indexed_photo(below))
            inside[entry] = self._look(below, _level_below(level, inner), is_file)
        for found in self._judge_twins(inside):
            content.add(found)
        if level == "video" and content.is_theirs:
            content.videos, content.names = int(not is_part(place[-1])), {name}
        if not content.left:
            content.folders.append(place)
        elif not content.is_theirs:
            return UserContent(path, left=_together(content))
        return content

    def _look_at_link(self, place: Place, level: Level, is_file: bool) -> UserContent:
        path = self._root.joinpath(*place)
        target = Path(os.path.realpath(path))
        behind = self._look_into(place, level) if level and path.is_dir() else UserContent(path)
        if is_file or behind.is_theirs or "/".join(map(nfc, place)) in self._indexed:
            file = UserFile(place, identity(os.lstat(path)), leads_to=target)
            return UserContent(path, [file], videos=behind.videos, names=behind.names)
        return UserContent(
            path, left=[LeftAlone(path, f"a symbolic link to {target}, which holds nothing of this kit's")]
        )

    def _judge_twins(self, found: Mapping[str, UserContent]) -> list[UserContent]:
        """A twin is the kit's if its file is; a twin without its file is removed."""
        judged = []
        for content in found.values():
            if len(content.files) == 1 and content.files[0].is_twin:
                base = found.get(content.path.name.removeprefix(_TWIN))
                if base is not None and not base.is_theirs and base.left:
                    content = UserContent(content.path, left=[LeftAlone(content.path, "not this kit's")])
            judged.append(content)
        return judged


def _whole(name: str) -> str:
    """`NAME` for `NAME` and for `.NAME.part`; "" for other hidden files."""
    if is_part(name):
        name = final_name(name)
    return "" if is_junk(name) else name


def _level_below(level: Level, name: str) -> Level:
    """The role of a folder of this name inside a folder of that level."""
    if level == "user":
        return "" if is_junk(name) else "object"
    if level == "object" and name in TREE_TYPES:
        return "type"
    return "video" if level in ("object", "type") and _whole(name) else ""


def _is_file_in(level: Level, folder: str, name: str) -> bool:
    """Whether a file of this name is the kit's inside a folder of that level and name."""
    whole = _whole(name)
    if level in ("object", "type"):
        return whole.lower().endswith(RAW_SUFFIXES)
    if level != "video":
        return False
    try:
        video, number = parse_frame_file_name(whole)
    except ValueError:
        return False
    return video == folder and number >= 1 and whole == frame_file_name(video, number)


def is_twin_file(path: Path) -> bool:
    """Whether a file is an AppleDouble file, which macOS writes next to another: `._NAME` next to `NAME`."""
    if not path.name.startswith(_TWIN) or is_link(os.lstat(path)) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_TWIN_MAGIC)) == _TWIN_MAGIC


def _packed_names(path: Path) -> tuple[str, ...]:
    """The videos in an archive; none if it does not hold one user's frames."""
    try:
        with PackedUser(path) as archive:
            return tuple(video.video for video in archive.videos.values())
    except DataError:
        return ()


def _together(content: UserContent) -> list[LeftAlone]:
    """One line for a folder in which nothing is the kit's; if it has a single entry, that entry's line."""
    if len(content.left) == 1 and not content.files:
        return content.left
    files = sum(alone.files for alone in content.left) + len(content.files)
    return [LeftAlone(content.path, f"a folder of {counted(files, 'file')}, none of them this kit's", files)]
