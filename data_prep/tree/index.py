"""The index of a tree: one row per video, so that 2.7 million frames are listed once and not at every start."""

import csv
import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from itertools import chain
from pathlib import Path

from data_prep.tree.layout import (
    INDEX_NAME,
    SHARDS,
    SPLITS,
    cache_folder,
    frame_file_name,
    nfc,
    refuses_writing,
    written_in_cache,
)
from data_prep.tree.listing import (
    Found,
    Kind,
    content_fingerprint,
    list_frames,
    not_frames_in,
    packed_videos,
    scan_tree,
)
from data_prep.tree.lock import hold_in_turn
from data_prep.tree.packed import archive_place
from data_prep.tree.portable import report_not_portable
from data_prep.tree.stills import is_stills
from groundwork.csv_cells import open_csv
from groundwork.errors import DataError, UsageError
from groundwork.files import csv_text, file_sha256, remove_parts, write_text
from groundwork.removal import Root
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

CLOCK_BACK_NS = 120 * 10**9  # clocks of network disks may be ahead by less than this
# A folder that changes while the index is built must count as newer; file systems round times by at most 2 s.
CLOCK_MARGIN_NS = 2_000_000_000


@dataclass(frozen=True)
class VideoRow:
    """One video. `path` is relative to the root, with `/`: a folder of frames, a raw file, or
    `USER.zip#OBJECT/TYPE/VIDEO` in a packed tree.

    `frames` counts frames at 30 fps; `fingerprint` hashes the names and sizes of the frames, or of the raw file.
    """

    split: str
    user: str
    object: str
    video_type: str
    video: str
    frames: int
    path: str
    fingerprint: str

    @property
    def place(self) -> str:
        """`[split/]USER/OBJECT/TYPE/VIDEO`: the same in a raw tree, the frame tree made of it and that one packed."""
        return "/".join(filter(None, (self.split, self.user, self.object, self.video_type, self.video)))

    @property
    def is_stills(self) -> bool:
        """Whether the frames are separate pictures, see stills.py."""
        return is_stills(self.video, self.frames)


@dataclass(frozen=True)
class Index:
    """All videos of one tree, sorted by place and name."""

    root: Path
    kind: Kind
    rows: tuple[VideoRow, ...]

    @property
    def fingerprint(self) -> str:
        """A hash of what a plan depends on: every video's place, name and number of frames. It is the same for a raw
        tree, the frame tree made from it, that one packed, and copies of these."""
        rows = sorted((r.split, r.user, r.object, r.video_type, r.video, r.frames) for r in self.rows)
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:32]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have videos, in ORBIT's order; ("",) without a split level."""
        found = {row.split for row in self.rows}
        return tuple(split for split in ("", *SPLITS) if split in found)

    def select(
        self,
        *,
        split: str | None = None,
        user: str | None = None,
        object: str | None = None,
        video_type: str | None = None,
    ) -> tuple[VideoRow, ...]:
        """The rows that match all given values."""
        wanted = {"split": split, "user": user, "object": object, "video_type": video_type}
        given = {name: value for name, value in wanted.items() if value is not None}
        return tuple(row for row in self.rows if all(getattr(row, name) == value for name, value in given.items()))

    def users(self, split: str | None = None) -> tuple[str, ...]:
        """Sorted names of the users of a split, or of all."""
        return tuple(sorted({row.user for row in self.select(split=split)}))


COLUMNS = tuple(field.name for field in fields(VideoRow))


def open_index(root: Path) -> Index:
    """Open the index of a tree of frames, of raw videos or of packed users: read and check it, or build it if missing.

    One process at a time builds it; others wait and then read it.

    The check compares the videos' places. It lists a video's frames only if its folder, or its user's archive, has
    changed since the last successful check. It does not notice a frame that was overwritten in place; `verify` reads
    everything.

    Raises:
        UsageError: if there is no such tree, or nothing in it, or another process has been building it for an hour.
        DataError: if the index contradicts the tree or can't be read, or the tree is malformed.
    """
    started_ns = time.time_ns() - CLOCK_MARGIN_NS
    kind, found = scan_tree(root)
    path = find_index(root)
    if path is None:
        with _alone(root):
            path = find_index(root)  # another process may have built it in the meantime
            if path is None:
                _LOG.info("index: %s has no %s yet; building it", root, INDEX_NAME)
                return _build_index(root, kind, found, started_ns)  # a second scan would repeat its notes
    index = Index(root, kind, read_rows(path))
    _check(index, found, path)
    return index


def build_index(root: Path) -> Index:
    """List a whole tree and write its index.csv into ROOT, or into the user's cache if ROOT is read-only.

    Raises:
        UsageError, DataError: as in `open_index`.
    """
    with _alone(root):
        started_ns = time.time_ns() - CLOCK_MARGIN_NS
        kind, found = scan_tree(root)
        return _build_index(root, kind, found, started_ns)


def _build_index(root: Path, kind: Kind, found: Sequence[Found], started_ns: int) -> Index:
    """Write the index of a tree that was scanned after the moment `started_ns`."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        rows = _in_order(chain.from_iterable(pool.map(lambda video: _rows(root, kind, video), found)))
    report_not_portable(root, [row.path for row in rows])
    if (root / SHARDS).is_dir():
        _LOG.warning(
            "note: %s: made by shards, which are not joined yet; when all are done, run their command without --shard",
            root,
        )
    text = csv_text(COLUMNS, map(astuple, rows))
    path = root / INDEX_NAME
    try:
        write_text(path, text)
    except OSError as error:
        if not refuses_writing(error):
            raise
        beside, path = index_places(root)
        with written_in_cache(beside, path):
            write_text(path, text)
    _record_check(root, path, started_ns)
    return Index(root, kind, rows)


def find_index(root: Path) -> Path | None:
    """The path of the tree's index, if there is one: in ROOT or in the user's cache, whichever is newer."""
    places = [path for path in index_places(root) if path.is_file()]
    return max(places, key=lambda path: path.stat().st_mtime_ns, default=None)


def count_user(path: Path, user: str) -> int:
    """The number of a user's rows in an index.csv; 0 if there is no such file. Raises DataError if it can't be read."""
    return sum(row.user == user for row in read_rows(path)) if path.is_file() else 0


def drop_user(root: Path, path: Path, user: str) -> int:
    """Remove a user's rows from one of a tree's indexes; gives their number.

    The other rows and the time of the last check are kept. An index without rows is removed.

    Args:
        root: the tree.
        path: one of `index_places(root)`.
        user: the user's name.

    Raises:
        DataError: if the index can't be read.
    """
    rows = read_rows(path) if path.is_file() else ()
    kept = [row for row in rows if row.user != user]
    if len(kept) == len(rows):
        return 0
    remove_parts(path)
    checked_ns = _last_checked(root, path)
    _remove_stamp(root)  # it belongs to the old index
    if kept:
        write_text(path, csv_text(COLUMNS, map(astuple, kept)))
        _record_check(root, path, checked_ns)
    else:
        path.unlink()
    return len(rows) - len(kept)


def _alone(root: Path) -> AbstractContextManager[None]:
    """Keep other processes from building the tree's index while the block runs."""
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; expected a tree of frames, raw videos or packed users.")
    return hold_in_turn(index_places(root), f"index of {root}")


def index_places(root: Path) -> tuple[Path, Path]:
    """The possible paths of a tree's index: in the tree, and in the user's cache."""
    return root / INDEX_NAME, cache_folder(root) / INDEX_NAME


def read_rows(path: Path) -> tuple[VideoRow, ...]:
    """Read an index.csv.

    Raises:
        DataError: if it is not an index.
    """
    try:
        with open_csv(path, strict=True) as lines:
            if (header := tuple(next(lines, ()))) != COLUMNS:
                raise ValueError(f"columns {','.join(header) or 'none'}")
            rows: list[VideoRow] = []
            places: set[str] = set()
            for cells in lines:
                if len(cells) != len(COLUMNS) or int(cells[5]) < 1 or not all(cells[1:]):
                    raise ValueError(f"line {lines.line_num}")
                split, user, thing, video_type, video, frames, place, fingerprint = cells
                if place in places:
                    raise ValueError(f"line {lines.line_num}: {place} is there twice")
                places.add(place)
                rows.append(VideoRow(split, user, thing, video_type, video, int(frames), place, fingerprint))
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: not an index ({error}); expected columns {','.join(COLUMNS)}."
            f" Run 'orbit-lite prep index {path.parent}'."
        ) from None
    return _in_order(rows)


def _in_order(rows: Iterable[VideoRow]) -> tuple[VideoRow, ...]:
    """Sort by place and name, not by path, so that a raw tree's rows have the same order as its frame tree's."""
    return tuple(sorted(rows, key=lambda row: (row.split, row.user, row.object, row.video_type, row.video)))


def _rows(root: Path, kind: Kind, found: Found) -> list[VideoRow]:
    if kind != "packed":
        return [_row(root, kind, found)]
    return [_frames_row(root, video, files) for video, files in packed_videos(found)]


def _row(root: Path, kind: Kind, found: Found) -> VideoRow:
    place = (found.split, found.user, found.object, found.video_type, found.video)
    relative = found.path.relative_to(root).as_posix()
    if kind == "raw":
        from data_prep.video import count_frames, probe  # a check of a frame tree should not load decoders

        return VideoRow(*place, count_frames(probe(found.path)), relative, _raw_fingerprint(found))
    return _frames_row(root, found, list_frames(found.path))


def _frames_row(root: Path, found: Found, files: Sequence[tuple[str, int]]) -> VideoRow:
    place = (found.split, found.user, found.object, found.video_type, found.video)
    expected = sorted(frame_file_name(found.video, number) for number in range(1, len(files) + 1))
    if not files or [name for name, _ in files] != expected:
        last = frame_file_name(found.video, max(len(files), 1))
        missing = listed(sorted(set(expected) - {name for name, _ in files})) or "no frame"
        raise DataError(
            f"{found.path}: {counted(len(files), 'frame')}, expected frames numbered without a gap up to {last};"
            f" missing: {missing}.{('' if files else not_frames_in(found.path)) or ' Extract this video again.'}"
        )
    return VideoRow(*place, len(files), found.path.relative_to(root).as_posix(), content_fingerprint(files))


def _raw_fingerprint(found: Found) -> str:
    return content_fingerprint([(nfc(found.path.name), found.path.stat().st_size)])


def _check(index: Index, found: Sequence[Found], path: Path) -> None:
    """Compare an index with its tree; see `open_index`."""
    started_ns = time.time_ns() - CLOCK_MARGIN_NS
    checked_ns = _last_checked(index.root, path)
    again = f"The tree has changed; run 'orbit-lite prep index {index.root}' again."
    if index.kind == "packed":
        if _check_archives(index, found, checked_ns, again):
            _record_check(index.root, path, started_ns)
        return
    on_disk = {video.path.relative_to(index.root).as_posix(): video for video in found}
    in_index = {row.path: row for row in index.rows}
    for relative in sorted(on_disk.keys() ^ in_index.keys()):
        where = f"on disk, not in {INDEX_NAME}" if relative in on_disk else f"in {INDEX_NAME}, not on disk"
        raise DataError(f"{index.root / relative}: {where}. {again}")
    listed_any = False
    for relative, video in on_disk.items():
        row = in_index[relative]
        if row.video != video.video:
            raise DataError(f"{video.path}: named {video.video}, but {row.video} in {INDEX_NAME}. {again}")
        if index.kind == "raw":
            if _raw_fingerprint(video) != row.fingerprint:
                raise DataError(f"{video.path}: its size on disk differs from that in {INDEX_NAME}. {again}")
            continue
        if not _changed_since(video.path, checked_ns):
            continue
        listed_any = True
        files = list_frames(video.path)
        if len(files) != row.frames:
            raise DataError(
                f"{video.path}: {counted(len(files), 'frame')} on disk, {row.frames} in {INDEX_NAME}. {again}"
            )
        if content_fingerprint(files) != row.fingerprint:
            raise DataError(f"{video.path}: names or sizes of frames differ from those in {INDEX_NAME}. {again}")
    if listed_any:
        _record_check(index.root, path, started_ns)


def _check_archives(index: Index, found: Sequence[Found], checked_ns: int, again: str) -> bool:
    """Compare a packed tree's archives by name, and the content of changed ones; whether any was opened."""
    in_index: dict[str, dict[str, VideoRow]] = defaultdict(dict)
    for row in index.rows:
        in_index[archive_place(row.path)[0]][row.path] = row
    on_disk = {archive.path.relative_to(index.root).as_posix(): archive for archive in found}
    for relative in sorted(on_disk.keys() ^ in_index.keys()):
        where = f"on disk, not in {INDEX_NAME}" if relative in on_disk else f"in {INDEX_NAME}, not on disk"
        raise DataError(f"{index.root / relative}: {where}. {again}")
    opened = False
    for relative, archive in on_disk.items():
        if not _changed_since(archive.path, checked_ns):
            continue
        opened = True
        rows = {row.path: row for row in _rows(index.root, "packed", archive)}
        for place in sorted(rows.keys() | in_index[relative].keys()):
            if rows.get(place) != in_index[relative].get(place):
                raise DataError(f"{index.root / place}: differs from {INDEX_NAME}. {again}")
    return opened


def _changed_since(path: Path, moment_ns: int) -> bool:
    times = path.stat()
    # The change time, too: unlike the modification time, a copying program can't set it back.
    return max(times.st_mtime_ns, times.st_ctime_ns) >= moment_ns


def _stamp_path(root: Path) -> Path:
    return cache_folder(root) / "index-checked"


def _remove_stamp(root: Path) -> None:
    """Remove this user's record of the check, unless a link leads to it: its target may not be this kit's."""
    stamp = _stamp_path(root)
    cache = stamp.parent.parent.parent
    if stamp.is_file() and not Root.of(cache).link_on_way(stamp.relative_to(cache).parts):
        stamp.unlink()


def _last_checked(root: Path, path: Path) -> int:
    """The time of the last successful check, in ns: the time of the index, or of this user's record of this content."""
    checked_ns = path.stat().st_mtime_ns
    stamp = _stamp_path(root)
    if stamp.is_file() and stamp.read_text() == file_sha256(path):
        checked_ns = max(checked_ns, stamp.stat().st_mtime_ns)
    # If the clock was set back since, changes made now would seem older than that check, so the check does not count.
    return checked_ns if checked_ns <= time.time_ns() + CLOCK_BACK_NS else 0


def _record_check(root: Path, path: Path, moment_ns: int) -> None:
    try:
        os.utime(path, ns=(moment_ns, moment_ns))
    except OSError:  # another user's file, or read-only: keep the time in this user's cache
        write_text(_stamp_path(root), file_sha256(path))
        os.utime(_stamp_path(root), ns=(moment_ns, moment_ns))
