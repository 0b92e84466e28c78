"""A user out of a tree: their frames, raw videos or archive, and all that this kit made of them there.

Their folder is renamed to a hidden part in one step; then goes what was derived, then the part, and last the index,
which says whose the videos were. So the same call finishes what was cut off, wherever that was.
"""

import difflib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep import index, naming, tree_run
from data_prep.download import FOLDER_NAME as DOWNLOADS
from data_prep.download import RECORD_NAME, lower_count
from data_prep.holdings import (
    Holding,
    counted,
    find_holdings,
    refuse_strange,
    told,
    user_levels,
    user_name,
    users_in,
    visible,
)
from data_prep.index import VideoRow, find_index, read_rows
from data_prep.layout import ANNOTATIONS, INDEX_NAME, MANIFEST_NAME, plain
from data_prep.naming import listed
from data_prep.traces import QUALITY_TABLES, SUMMARY_TABLES, drop_annotations, drop_rows, drop_summary, mentions
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.lock import only_run
from groundwork.progress import Progress

EVERYWHERE = (
    "other trees: the raw videos that frames came from, trees resized, packed, split or copied; forget them in each",
    "runs that were not named, models trained on their videos, personal recognisers, tables written elsewhere",
    "what was shared, backups and snapshots, and freed blocks of the disk until they are written over",
)
_KNOWN = {INDEX_NAME, MANIFEST_NAME, RECORD_NAME, *QUALITY_TABLES, *SUMMARY_TABLES}


@dataclass(frozen=True)
class Forgotten:
    """What was removed of a user, and where something of theirs may still be; a line each."""

    removed: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()

    def __add__(self, other: "Forgotten") -> "Forgotten":
        unreachable = dict.fromkeys((*self.unreachable, *other.unreachable))
        return Forgotten((*self.removed, *other.removed), tuple(unreachable))

    def __str__(self) -> str:
        told = (("removed", self.removed), ("could not reach", self.unreachable))
        return "\n".join(f"{what}: {line}" for what, lines in told for line in lines)


@dataclass(frozen=True)
class _Case:
    """Who is to be forgotten where. `rows` are all users' rows, by the place whose index has them."""

    root: Path
    user: str
    levels: tuple[str, ...]
    holdings: tuple[Holding, ...]
    rows: dict[Path, tuple[VideoRow, ...]]

    @property
    def every_row(self) -> list[VideoRow]:
        return [row for of_place in self.rows.values() for row in of_place]


def forget_user(root: Path, user: str) -> Forgotten:
    """Remove a user from a tree of frames, raw videos or packed users, with or without splits.

    With them go, in ROOT, beside it and in the cache: their annotations, their rows in the index and in the tables of
    quality and summary, their entries in the manifest, in a journal and in the private file of names, and what work
    that was cut off has left of theirs. Nothing of the other users changes.

    Args:
        root: the tree. It does not know of other trees, not even of the one that it was made from.
        user: the name as it stands in the tree.

    Raises:
        AskedWrong: there is no such folder, this is no user's name, or another run is at the tree.
        FoundWrong: the tree holds nothing of such a user; what bears the name is no user's; or the index, the manifest
            or the file of names can't be read. Their videos are as they were then.
    """
    forgotten = remove_user(root, user)
    if not forgotten.removed:
        raise nothing_of(root, user)
    return forgotten


def remove_user(root: Path, user: str) -> Forgotten:
    """As `forget_user`, but there may be nothing of them."""
    user = user_name(user)
    if not root.is_dir():
        raise AskedWrong(f"{root}: no such folder; expected a tree of frames, raw videos or packed users.")
    levels = user_levels(root)
    if user in (*levels, ANNOTATIONS):
        raise AskedWrong(f"{root / user}: a part of the tree, not a user.")
    with only_run(root):
        rows = {place: read_rows(path) for place in _places(root, levels) if (path := find_index(place))}
        case = _Case(root, user, levels, tuple(find_holdings(root, levels, user)), rows)
        if not any(row.user == user for row in case.every_row):
            for holding in case.holdings:
                refuse_strange(holding)
        return Forgotten(tuple(_remove(case)), tuple(_unreachable(case)))


def nothing_of(root: Path, user: str) -> FoundWrong:
    """The error where a tree holds nothing of a user: it names the nearest user, or the first few."""
    users = sorted(users_in(root, user_levels(root)))
    near = difflib.get_close_matches(plain(user), users, n=1)
    told = f" (did you mean {near[0]!r}?)" if near else f"; its users: {listed(users) or 'none'}"
    return FoundWrong(f"{root}: holds nothing of user {user!r}{told}.")


def _places(root: Path, levels: tuple[str, ...]) -> list[Path]:
    """The folders that may have been taken for a tree, and so have an index: the root, and each split."""
    return [root, *(root / level for level in levels if level)]


def _remove(case: _Case) -> list[str]:
    """Do it, in the order that the module's docstring says; a line for each thing removed."""
    root, user, places = case.root, case.user, _places(case.root, case.levels)
    removed = [str(holding) for holding in case.holdings]
    for place in places:
        removed += told(f"{place / MANIFEST_NAME} and journal", tree_run.drop_user(place, user), "entry", "entries")
        removed += told(f"private names of {place}'s videos", naming.drop_user(place, user), "name")
    for holding in case.holdings:
        if holding.part != holding.path:
            shutil.rmtree(holding.part, ignore_errors=True)  # of a call that was cut off before they came back
            holding.path.rename(holding.part)
    removed += told(root / ANNOTATIONS, drop_annotations(root, _is_theirs(case)), "file")
    for place in places:
        for name in QUALITY_TABLES:
            removed += told(place / name, drop_rows(place / name, user), "row")
        others = [row for row in case.rows.get(place, ()) if row.user != user]
        if drop_summary(place, user, others):
            removed.append(f"{place}: {listed(SUMMARY_TABLES)}{'; written anew without them' if others else ''}")
    if (root / RECORD_NAME).is_file():
        for level, gone in _videos_gone(case).items():
            if lower_count(root, level, gone):
                removed.append(f"{root / RECORD_NAME}: {counted(gone, 'video')} of {level}, not to be had again")
    if case.holdings:
        with Progress("files", sum(holding.files for holding in case.holdings)) as progress:
            for holding in case.holdings:
                _delete(holding.part, progress)
    for place in places:
        removed += told(place / INDEX_NAME, index.drop_user(place, user), "row")
    return removed


def _is_theirs(case: _Case) -> Callable[[str], bool]:
    """Tells by a video's name whether it is the user's: tree or index have it so, or else its beginning says."""
    own = {row.video for row in case.every_row if row.user == case.user}
    own |= {name for holding in case.holdings for name in holding.names}
    others = {row.video for row in case.every_row if row.user != case.user}
    users = users_in(case.root, case.levels) | {row.user for row in case.every_row}
    longer = tuple(f"{user}--" for user in users if user.startswith(f"{case.user}--"))

    def is_theirs(video: str) -> bool:
        begins = video.startswith(f"{case.user}--") and not video.startswith(longer)
        return (begins or video in own) and video not in others

    return is_theirs


def _videos_gone(case: _Case) -> Counter[str]:
    """How many videos of each split are the user's, as the disk has them; or the index, after a call was cut off."""
    on_disk, in_index = Counter[str](), Counter[str]()
    for holding in case.holdings:
        on_disk[holding.level] += holding.videos
    for place, rows in case.rows.items():
        in_index.update(row.split or place.name for row in rows if row.user == case.user)
    return on_disk | in_index  # the larger of each two


def _delete(path: Path, progress: Progress) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        progress.advance()
        return
    for folder, _, files in os.walk(path):
        for name in files:
            os.unlink(os.path.join(folder, name))
            progress.advance()
    shutil.rmtree(path)


def _unreachable(case: _Case) -> Iterator[str]:
    root = case.root
    if linked := sum(holding.linked for holding in case.holdings):
        yield (
            f"{counted(linked, 'file')} of theirs in {root} had another name on this disk (a hard link, as 'prep split'"
            " makes them) and still stand under it; forget them in that tree too"
        )
    for holding in case.holdings:
        for place in holding.led_to:
            yield f"{place}: symbolic links led there from {holding.path}; the links are gone, what is there is not"
    for archive in visible(root / DOWNLOADS):
        yield f"{archive}: a published archive holds all its users; remove it"
    if (root / RECORD_NAME).is_file():
        yield f"{root} was downloaded: unpacking the published archives again brings them back"
    if (root / MANIFEST_NAME).is_file():
        yield f"{root} was made from another tree: going on from one that still has them brings them back"
    for place in _places(root, case.levels):
        for path in mentions(place, case.user, known=_KNOWN):
            yield f"{path}: not written by this kit, and names {case.user}; look into it"
    yield from EVERYWHERE
