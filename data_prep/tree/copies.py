"""Finds stills of a tree that are copies of one another, byte for byte: a picture under two names, or a link to it."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import frame_file_name
from data_prep.tree.packed import PackedUser, archive_place
from groundwork.errors import DataError
from groundwork.files import file_sha256
from groundwork.progress import Progress

TAIL_BYTES = 512  # the end of a compressed picture, which with its size identifies nearly all pictures

Key = tuple[object, ...]


def find_copies(index: Index, rows: Iterable[VideoRow]) -> dict[str, str]:
    """Find the videos that have copies among the same user's videos.

    Compares the stored files of stills (videos of less than a second); longer videos are assumed not to be copies. A
    file is read in full only if its size and its last bytes are those of another.

    Args:
        index: the index of the videos.
        rows: the videos to compare, of any splits and users.

    Returns:
        the name of each video that has copies, with the name of the first of the identical videos in the order of
        (split, name), which may be itself.

    Raises:
        DataError: if a file can't be read.
    """
    stills = sorted((row for row in rows if row.is_stills), key=lambda row: (row.split, row.video))
    with ExitStack() as opened, Progress("images compared", len(stills)) as progress:
        quick, whole = _readers(index, opened)
        groups: dict[Key, list[VideoRow]] = defaultdict(list)
        for row in stills:
            groups[row.user, quick(row)].append(row)
            progress.advance()
        copies: dict[str, str] = {}
        for alike in groups.values():
            if len(alike) > 1:
                copies |= _same_in(alike, whole)
    return copies


def _same_in(rows: list[VideoRow], whole: Callable[[VideoRow], Key]) -> dict[str, str]:
    groups: dict[Key, list[str]] = defaultdict(list)
    for row in rows:
        groups[whole(row)].append(row.video)
    return {video: same[0] for same in groups.values() if len(same) > 1 for video in same}


def _readers(index: Index, opened: ExitStack) -> tuple[Callable[[VideoRow], Key], Callable[[VideoRow], Key]]:
    """Two functions that give a video's key: a quick one, which may be equal by chance, and one over all its bytes."""
    if index.kind == "packed":
        archives: dict[str, PackedUser] = {}

        def opened_at(row: VideoRow) -> tuple[PackedUser, str]:
            archive, place = archive_place(row.path)
            if archive not in archives:
                archives[archive] = PackedUser(index.root / archive)
                opened.callback(archives[archive].close)
            return archives[archive], place

        def in_directory(row: VideoRow) -> Key:
            archive, place = opened_at(row)
            if place not in archive.videos:
                raise DataError(f"{archive.path}#{place}: no such video in the archive; the tree has changed.")
            video = archive.videos[place]
            return video.sizes.tobytes(), video.checksums.tobytes()

        def read(row: VideoRow) -> Key:
            archive, place = opened_at(row)
            frames = (archive.read(place, number) for number in range(1, row.frames + 1))
            return tuple(hashlib.sha256(frame).digest() for frame in frames)

        return in_directory, read

    def files(row: VideoRow) -> list[str]:  # with the root
        path = f"{index.root}/{row.path}"
        if index.kind == "raw":
            return [path]
        return [f"{path}/{frame_file_name(row.video, number)}" for number in range(1, row.frames + 1)]

    return (
        lambda row: tuple(map(_size_and_tail, files(row))),
        lambda row: tuple(file_sha256(Path(path)) for path in files(row)),
    )


def _size_and_tail(path: str) -> tuple[int, bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - TAIL_BYTES, 0))
            return size, file.read(TAIL_BYTES)
    except OSError as error:
        raise DataError(
            f"{path}: can't be read ({error.strerror}); the tree has changed, run 'orbit-lite prep verify'."
        ) from None
