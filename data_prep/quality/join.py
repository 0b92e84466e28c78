"""Joins the tables of the shards of `quality` into the tables that a single run writes, byte for byte."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from data_prep.tree.index import VideoRow, open_index
from data_prep.tree.layout import VIDEO_TYPES
from data_prep.tree.shard import Shard, files_of_shards, shard_of_video
from groundwork.csv_cells import csv_lines, open_csv
from groundwork.errors import DataError, UsageError
from groundwork.files import whole_file
from groundwork.words import counted, listed

VIDEOS, FRAMES = "quality_videos.csv", "quality_frames.csv"


@dataclass(frozen=True)
class JoinedVideo:
    """One video of the joined tables, with the facts that `quality_text` needs."""

    split: str
    user: str
    object: str
    issues: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """The result of joining: videos, tables and the number of shards."""

    videos: tuple[JoinedVideo, ...]
    tables: tuple[Path, ...]
    shards: int


def join_tables(root: Path, folder: Path, *, video_type: str = "clean") -> Joined:
    """Join the tables of all shards in a folder into quality_videos.csv and quality_frames.csv, and remove the former.

    Args:
        root: the tree that the shards have judged.
        folder: the folder with their tables.
        video_type: the type that the shards were given.

    Raises:
        UsageError: if there are no tables of shards, or of different numbers of shards.
        DataError: if a shard's table is missing, or does not fit the tree's index.
    """
    if video_type not in VIDEO_TYPES:
        raise UsageError(f"type {video_type!r}: expected {' or '.join(VIDEO_TYPES)}.")
    rows = open_index(root).select(video_type=video_type)
    parts = {name: files_of_shards(folder, name) for name in (VIDEOS, FRAMES)}
    count = _count(folder, {**parts[VIDEOS], **parts[FRAMES]})
    for name, found in parts.items():
        if missing := [f"shard {s}" for number in range(1, count + 1) if (s := Shard(number, count)) not in found]:
            raise DataError(f"{folder}: no {name} of {listed(missing)}. Run 'prep quality --shard' for each.")
    videos: list[JoinedVideo] = []
    with whole_file(folder / VIDEOS) as of_videos, whole_file(folder / FRAMES) as of_frames:  # both appear, or neither
        _join(of_videos, parts[VIDEOS], rows, count, rows_of=lambda row: 1, videos=videos)
        _join(of_frames, parts[FRAMES], rows, count, rows_of=lambda row: row.frames)
    for path in (*parts[FRAMES].values(), *parts[VIDEOS].values()):
        path.unlink()
    return Joined(tuple(videos), (folder / VIDEOS, folder / FRAMES), count)


def _join(
    file: BinaryIO,
    parts: Mapping[Shard, Path],
    rows: Sequence[VideoRow],
    count: int,
    *,
    rows_of: Callable[[VideoRow], int],
    videos: list[JoinedVideo] | None = None,
) -> None:
    """Write one table. Each part has its rows in the index's order, so only the rows of one video are in memory."""
    with ExitStack() as opened:
        tables = {shard: opened.enter_context(_rows(path)) for shard, path in parts.items()}
        headings = [next(table, []) for table in tables.values()]
        for heading, path in zip(headings, parts.values(), strict=True):
            if heading != headings[0] or not heading:
                raise DataError(
                    f"{path}: its first line differs from that of {next(iter(parts.values())).name}, or is missing."
                    " Run these shards of 'prep quality' again, with the same version."
                )
        file.write(csv_lines(headings[:1]).encode(errors="surrogateescape"))
        for row in rows:
            owner = shard_of_video(row.place, count)
            found = _next_rows(tables[owner], row, rows_of(row), parts[owner])
            file.write(csv_lines(found).encode(errors="surrogateescape"))
            if videos is not None:
                issues = dict(zip(headings[0], found[0], strict=False)).get("issues", "")
                videos.append(JoinedVideo(row.split, row.user, row.object, tuple(issues.split())))
        for shard, table in tables.items():
            if next(table, None) is not None:
                raise _does_not_fit(parts[shard], "more rows than those")


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """A table's rows, heading first; raises DataError if it is not a table."""

    def checked(rows: Iterator[list[str]]) -> Iterator[list[str]]:
        try:
            yield from rows
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not a table ({error}). Run this shard of 'prep quality' again.") from None

    with open_csv(path, any_bytes=True) as rows:
        yield checked(rows)


def _count(folder: Path, found: Mapping[Shard, Path]) -> int:
    counts = sorted({shard.count for shard in found})
    if not counts:
        raise UsageError(f"{folder}: no tables of shards; expected files such as {Shard(1, 2).file_name(VIDEOS)}.")
    if len(counts) > 1:
        raise UsageError(
            f"{folder}: tables of {listed([f'{count} shards' for count in counts])}; remove those of all but one."
        )
    return counts[0]


def _next_rows(table: Iterator[list[str]], row: VideoRow, number: int, path: Path) -> list[list[str]]:
    """The next rows of a shard's table; they must belong to this video."""
    place = [row.split, row.user, row.object, row.video_type, row.video]
    found = list(islice(table, number))
    if len(found) < number or any(cells[:5] != place for cells in found):
        raise _does_not_fit(path, f"not the {counted(number, 'row')} of {row.path}")
    return found


def _does_not_fit(path: Path, why: str) -> DataError:
    return DataError(
        f"{path}: {why} that the tree's index has. If the shards had --type, join them with the same; otherwise run"
        " this shard of 'prep quality' again."
    )
