"""One user to be forgotten in one tree, with all that belongs to them by files, names and the index."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.forgetting.user_files import UserContent, UserFiles
from data_prep.forgetting.user_places import user_levels, users_in
from data_prep.tree.index import VideoRow, find_index, read_rows
from data_prep.tree.layout import ANNOTATIONS, TREE_TYPES, cache_folder, is_junk, nfc
from data_prep.tree.packed import ARCHIVE_SUFFIX, archive_place
from groundwork.errors import UsageError
from groundwork.removal import Root


@dataclass(frozen=True)
class ForgetCase:
    """One user in one tree.

    Attributes:
        root: the tree.
        below: the same folder as the `Root` of removals.
        user: the user's name.
        levels: the folders that contain users' folders, except symbolic links.
        behind_links: those that are symbolic links.
        contents: what is under the user's name in `levels`.
        rows: all users' rows, by the folder that the index belongs to.
    """

    root: Path
    below: Root
    user: str
    levels: tuple[str, ...]
    behind_links: tuple[str, ...] = ()
    contents: tuple[UserContent, ...] = ()
    rows: dict[Path, tuple[VideoRow, ...]] | None = None

    @property
    def places(self) -> list[Path]:
        """The folders that may have an index because they were used as a tree: the root and each split."""
        return [self.root, *(self.root / level for level in self.levels if level)]

    @property
    def every_row(self) -> list[VideoRow]:
        return [row for rows in (self.rows or {}).values() for row in rows]

    def other_rows(self, place: Path) -> list[VideoRow]:
        """The other users' rows in the index of one place."""
        return [row for row in (self.rows or {}).get(place, ()) if row.user != self.user]

    def anchored(self, path: Path) -> tuple[Root, tuple[str, ...]]:
        """The root that a file is removed below (the tree, the cache or the parent folder), and its path below that."""
        cache = cache_folder(self.root).parent.parent
        if path.is_relative_to(self.root):
            return self.below, path.relative_to(self.root).parts
        if path.is_relative_to(cache):
            return Root.of(cache), path.relative_to(cache).parts
        return Root.of(path.parent), (path.name,)

    def videos_gone(self) -> Counter[str]:
        """The number of the user's videos in each split, on disk or in the index, whichever is larger."""
        on_disk, in_index = Counter[str](), Counter[str]()
        for content in self.contents:
            parts = content.path.relative_to(self.root).parts
            on_disk[parts[0] if len(parts) > 1 else ""] += content.videos
        for place, rows in (self.rows or {}).items():
            in_index.update(row.split or place.name for row in rows if row.user == self.user)
        return on_disk | in_index  # the larger of each pair

    def ownership(self) -> Callable[[str], bool]:
        """A function that tells whether a video is the user's, by the tree, the index or the video's name."""
        own = {row.video for row in self.every_row if row.user == self.user}
        own |= {name for content in self.contents for name in content.names}
        others = {row.video for row in self.every_row if row.user != self.user}
        others |= set() if self.root in (self.rows or {}) else self._other_folders()
        users = users_in(self.root, self.levels) | {row.user for row in self.every_row}
        longer = tuple(f"{user}--" for user in users if user.startswith(f"{self.user}--"))

        def is_theirs(video: str) -> bool:
            named = _is_named(video, self.user) and not video.startswith(longer)
            return (named or video in own) and video not in others

        return is_theirs

    def _other_folders(self) -> set[str]:
        """The names of all other users' video folders, for trees without an index."""
        found = set()
        for level in self.levels:
            for pattern in ("*/*/*", "*/*/*/*"):  # directly in the object's folder, or in a type folder
                for path in (self.root / level).glob(pattern):
                    parts = path.relative_to(self.root / level).parts
                    if nfc(parts[0]) not in (self.user, *self.levels, ANNOTATIONS) and not any(map(is_junk, parts)):
                        found.add(nfc(path.name))
        return found


def open_case(root: Path, user: str) -> ForgetCase:
    """Look for a user in a tree; changes nothing.

    Args:
        root: the tree. If it is a symbolic link, the folder that it points to is meant.
        user: the name, as `user_name` gives it.

    Raises:
        UsageError: there is no such folder, or the name can't be a user's.
        DataError: an index can't be read.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; expected a tree of frames, raw videos or packed users.")
    root = root.resolve() if root.is_symlink() else root
    below, levels = Root.of(root), user_levels(root)
    if user in (*levels, ANNOTATIONS):
        raise UsageError(f"{root / user}: is a part of the tree, not a user.")
    links = tuple(level for level in levels if level and below.link_on_way([level]))
    case = ForgetCase(root, below, user, tuple(level for level in levels if level not in links), links)
    rows = {place: read_rows(path) for place in case.places if (path := find_index(place))}
    indexed = [
        (place / _path_of(row)).relative_to(root).as_posix()
        for place, of_place in rows.items()
        for row in of_place
        if row.user == user
    ]
    files = UserFiles(root, user, indexed)
    return replace(case, contents=tuple(found for level in case.levels for found in files.find(level)), rows=rows)


def _path_of(row: VideoRow) -> str:
    return archive_place(row.path)[0] if f"{ARCHIVE_SUFFIX}#" in row.path else row.path


def _is_named(video: str, user: str) -> bool:
    """Whether a video's name is USER--OBJECT--TYPE--ID."""
    parts = video.removeprefix(f"{user}--").split("--", 2)
    return video.startswith(f"{user}--") and len(parts) == 3 and all(parts) and parts[1] in TREE_TYPES
