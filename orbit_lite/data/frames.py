"""Reads pixels from frame trees, packed trees and raw videos through one interface; all three give the same pixels."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.index import Index
from data_prep.tree.layout import frame_file_name
from data_prep.tree.listing import Kind
from data_prep.tree.own_videos import OwnVideo
from data_prep.tree.packed import PackedUser, archive_place
from data_prep.video import decode_jpeg, encode_jpeg, read_frames
from groundwork.errors import DataError

Pictures = NDArray[np.uint8]  # (n, size, size, 3), RGB
# Archives that a process keeps open, since reopening is slow: all 67 of ORBIT take 43 MB, 16 bytes per frame.
KEPT_ARCHIVES = 80


class FrameSource(Protocol):
    """Reads the frames of one tree. It is small and picklable: every worker process has its own copy.

    least_workers: how many worker processes reading needs at least; 1 if a decoder may hang, since a process can be
        killed.
    """

    least_workers: int

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """Read frames of a video by number (from 1, any order, repeats allowed): uint8 (n, size, size, 3), RGB.

        Raises:
            DataError: if the video or a frame is missing, can't be decoded, or has another size.
        """
        ...


class FrameTree:
    """Frames as JPEG files."""

    least_workers = 0

    def __init__(self, root: Path, folders: dict[str, str], *, size_px: int) -> None:
        self._root, self._folders, self._size_px = root, folders, size_px

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """See FrameSource."""
        folder = str(self._root / _place(self._folders, video, self._root))
        pictures = np.empty((len(frames), self._size_px, self._size_px, 3), np.uint8)
        for picture, number in zip(pictures, frames, strict=True):
            path = f"{folder}/{frame_file_name(video, number)}"
            try:
                with open(path, "rb", buffering=0) as file:  # a third faster than pathlib's read_bytes
                    content = file.read()
            except FileNotFoundError:
                raise DataError(f"{path}: no such frame. The tree has changed; run 'orbit-lite prep verify'") from None
            _decode_into(picture, content, path)
        return pictures


class PackedFrames:
    """Frames as JPEG files in one archive per user, read by offset."""

    least_workers = 0

    def __init__(self, root: Path, places: dict[str, str], *, size_px: int) -> None:
        self._root, self._places, self._size_px = root, places, size_px
        self._open: OrderedDict[str, PackedUser] = OrderedDict()
        self._one_at_a_time = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open archives out: each process opens its own."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_one_at_a_time")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See __getstate__."""
        self.__dict__ |= state | {"_open": OrderedDict(), "_one_at_a_time": Lock()}

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """See FrameSource. Threads may call this at the same time; they wait for each other."""
        with self._one_at_a_time:
            return self._read(video, frames)

    def _read(self, video: str, frames: Sequence[int]) -> Pictures:
        archive, place = archive_place(_place(self._places, video, self._root))
        user = self._user(archive)
        pictures = np.empty((len(frames), self._size_px, self._size_px, 3), np.uint8)
        for picture, number in zip(pictures, frames, strict=True):
            where = f"{self._root / archive}#{place}/{frame_file_name(video, number)}"
            _decode_into(picture, user.read(place, number), where)
        return pictures

    def _user(self, archive: str) -> PackedUser:
        if archive in self._open:
            self._open.move_to_end(archive)
            return self._open[archive]
        while len(self._open) >= KEPT_ARCHIVES:
            self._open.popitem(last=False)[1].close()
        self._open[archive] = PackedUser(self._root / archive)
        return self._open[archive]


class RawVideos:
    """Frames decoded from videos, including the JPEG step of `prep extract`, so that the pixels are the same."""

    least_workers = 1

    def __init__(self, root: Path, files: dict[str, str], *, size_px: int) -> None:
        self._root, self._files, self._size_px = root, files, size_px

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """See FrameSource."""
        distinct = sorted(set(frames))
        pictures = read_frames(self._root / _place(self._files, video, self._root), distinct, size_px=self._size_px)
        stored = np.stack([decode_jpeg(encode_jpeg(picture)) for picture in pictures])
        return stored[np.searchsorted(distinct, frames)]


def open_frames(index: Index, *, size_px: int = 224) -> FrameSource:
    """The frame source for an index's kind of tree.

    Raises:
        DataError: if two videos have the same name: predictions identify videos by name.
    """
    places = {row.video: row.path for row in index.rows}
    if len(places) < len(index.rows):
        name, times = Counter(row.video for row in index.rows).most_common(1)[0]
        raise DataError(f"{index.root}: {times} videos are named {name!r}; each video needs its own name")
    return KINDS[index.kind](index.root, places, size_px=size_px)


KINDS: dict[Kind, type[FrameTree | RawVideos | PackedFrames]] = {
    "frames": FrameTree,
    "raw": RawVideos,
    "packed": PackedFrames,
}


def own_frames(video: OwnVideo, *, size_px: int) -> FrameSource:
    """The frames of a single video; the source knows it by the last part of its path."""
    name = Path(video.place).name
    if video.kind == "packed":  # the source's name of a packed video is USER.zip#PATH, relative to the tree's root
        return PackedFrames(video.root.parent, {name: f"{video.root.name}#{video.place}"}, size_px=size_px)
    return KINDS[video.kind](video.root, {name: video.place}, size_px=size_px)


def _decode_into(picture: Pictures, content: bytes, where: str) -> None:
    try:
        decoded = decode_jpeg(content)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if decoded.shape != picture.shape:
        (height, width), size_px = decoded.shape[:2], len(picture)
        raise DataError(
            f"{where}: {width}x{height} pixels, expected {size_px}x{size_px}; extract or resize the tree to {size_px}"
        )
    picture[:] = decoded


def _place(places: dict[str, str], video: str, root: Path) -> str:
    try:
        return places[video]
    except KeyError:
        raise DataError(
            f"{root}: no video {video!r} in its index; the tasks may have been drawn from another tree"
        ) from None
