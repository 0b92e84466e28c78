"""What stands in a tree under one user's name: their folder, the part of one, their archive, their exported files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.archive import ARCHIVE_SUFFIX, PackedUser
from data_prep.collectors import OTHER
from data_prep.layout import ANNOTATIONS, RAW_SUFFIXES, TREE_TYPES, is_junk, place_user, plain, tree_splits
from data_prep.own_videos import scan_own
from groundwork.errors import AskedWrong, FoundWrong, KitError
from groundwork.files import is_part, part_path

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


@dataclass(frozen=True)
class Holding:
    """One thing that stands under a user's name.

    Attributes:
        level: the folder of the tree that it stands in: a split, `other`, or "" for the root.
        videos: how many videos are in it, as far as can be told.
        names: of its folders of frames.
        linked: how many of its files have another name on this disk.
        led_to: folders that symbolic links in it lead to, or where it leads itself.
    """

    level: str
    path: Path
    is_folder: bool = False
    files: int = 1
    size_bytes: int = 0
    videos: int = 0
    names: frozenset[str] = frozenset()
    linked: int = 0
    led_to: tuple[Path, ...] = ()

    @property
    def part(self) -> Path:
        """Where it is while it is deleted: a folder is renamed first, so that half of it never counts as whole."""
        return part_path(self.path) if self.is_folder and not is_part(self.path.name) else self.path

    def __str__(self) -> str:
        videos = f"{counted(self.videos, 'video')}, " if self.videos else ""
        unit, size = next(((name, size) for name, size in _UNITS if self.size_bytes >= size), _UNITS[-1])
        return f"{self.path}: {videos}{counted(self.files, 'file')}, {self.size_bytes / size:.1f} {unit}"


def user_name(user: str) -> str:
    """A user's name as trees have it (NFC). It becomes part of paths that are removed, so it must not lead elsewhere.

    Raises:
        AskedWrong: if it can't be a single folder's name.
    """
    name = plain(user)
    if not name.strip() or is_junk(name) or Path(name).name != name or set(name) & set("/\\\0"):
        raise AskedWrong(f"user {user!r}: expected the name of one user's folder, such as P177.")
    return name


def user_levels(root: Path) -> tuple[str, ...]:
    """The folders that users stand in: the splits, and `other` beside them or beside users; "" is the root itself."""
    other = root / OTHER
    is_user = any((thing / video_type).is_dir() for thing in _folders(other) for video_type in TREE_TYPES)
    return (*tree_splits(root), *((OTHER,) if other.is_dir() and not is_user else ()))


def users_in(root: Path, levels: Sequence[str]) -> set[str]:
    """Names of all users whose folders, archives or exported files stand in these levels."""
    found = set()
    for level in levels:
        for path in visible(root / level):
            name = plain(path.name)
            if path.is_dir() and name not in (*levels, ANNOTATIONS):
                found.add(name)
            elif name.endswith(ARCHIVE_SUFFIX):
                found.add(name.removesuffix(ARCHIVE_SUFFIX))
            elif _is_exported(name):
                found.add(place_user(name))
    return found


def find_holdings(root: Path, levels: Sequence[str], user: str) -> list[Holding]:
    """Everything under a user's name, parts of work that was cut off and macOS's `._` twins too. Links are not
    followed."""
    own = [user, f"{user}{ARCHIVE_SUFFIX}"]
    names = {*own, *(part_path(Path(name)).name for name in own), *(f"._{name}" for name in own)}
    return [
        _look(level, path)
        for level in levels
        for path in sorted((root / level).iterdir())
        if (name := plain(path.name)) in names or (_is_exported(name) and place_user(name) == user)
    ]


def refuse_strange(holding: Holding) -> None:
    """See that what bears a user's name is a user's: a mistyped ROOT must not cost anybody their documents.

    Raises:
        FoundWrong: if it is not.
    """
    path = holding.path
    if is_junk(path.name) or path.is_symlink() or not holding.files or (holding.videos and not holding.is_folder):
        return
    if not holding.is_folder:
        raise FoundWrong(f"{path}: not one user's archive of frames, so it was left alone; remove it by hand.")
    types = {plain(folder.name) for thing in _folders(path) for folder in _folders(thing)}
    if types and types <= set(TREE_TYPES):
        return
    try:
        scan_own(path)
    except KitError as error:
        raise FoundWrong(f"{path}: not a user's folder, so it was left alone; remove it by hand. ({error})") from None


def visible(folder: Path) -> list[Path]:
    """What stands in a folder and is not hidden, sorted; nothing if there is no such folder."""
    return [path for path in sorted(folder.iterdir()) if not is_junk(path.name)] if folder.is_dir() else []


def counted(count: int, one: str, several: str = "") -> str:
    """`1 video`, `2 videos`."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def told(what: Path | str, count: int, one: str, several: str = "") -> list[str]:
    """The line that says how much of something was removed, in a list; an empty one if it was nothing."""
    return [f"{what}: {counted(count, one, several)}"] if count else []


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir()]


def _is_exported(name: str) -> bool:
    """Whether a file's name is one that ORBIT-Camera gives: participant--label--technique--random.mp4."""
    return name.lower().endswith(RAW_SUFFIXES) and name.count("--") >= 3 and not is_junk(name)


def _look(level: str, path: Path) -> Holding:
    if path.is_symlink():
        return Holding(level, path, led_to=(path.resolve(),))
    if path.is_dir():
        return _look_into(level, path)
    videos = 0 if is_junk(path.name) else _packed_videos(path) if path.name.endswith(ARCHIVE_SUFFIX) else 1
    status = path.stat()
    return Holding(level, path, size_bytes=status.st_size, videos=videos, linked=int(status.st_nlink > 1))


def _look_into(level: str, path: Path) -> Holding:
    files = size_bytes = raw = linked = 0
    names, led_to = set(), set()
    for folder, inner, here in os.walk(path):
        led_to |= {Path(folder, name).resolve().parent for name in (*inner, *here) if Path(folder, name).is_symlink()}
        for name in here:
            status = os.lstat(os.path.join(folder, name))
            files, size_bytes = files + 1, size_bytes + status.st_size
            linked += status.st_nlink > 1
            raw += name.lower().endswith(RAW_SUFFIXES)
        if any(name.endswith(".jpg") for name in here):
            names.add(plain(Path(folder).name))
    return Holding(
        level,
        path,
        is_folder=True,
        files=files,
        size_bytes=size_bytes,
        videos=raw + len(names),
        names=frozenset(names),
        linked=linked,
        led_to=tuple(sorted(led_to)),
    )


def _packed_videos(path: Path) -> int:
    """How many videos an archive holds; 0 if it is not one user's frames."""
    try:
        with PackedUser(path) as archive:
            return len(archive.videos)
    except FoundWrong:
        return 0
