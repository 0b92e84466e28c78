"""Where pixels come from: one interface over a frame tree and a tree of raw videos, the same pixels out of both."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.index import Index
from data_prep.layout import frame_file_name
from data_prep.video import decode_jpeg, encode_jpeg, read_frames
from groundwork.errors import FoundWrong

Pictures = NDArray[np.uint8]  # (n, size, size, 3), RGB


class FrameSource(Protocol):
    """Reads frames of one tree. Small and picklable: every worker process has its own copy.

    `least_workers` processes must do the reading: 1 where a decoder may hang, for a process can be killed.
    """

    least_workers: int

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """Frames of a video by number (from 1, any order, repeats allowed), uint8 (n, size, size, 3), RGB.

        Raises:
            FoundWrong: if the video or a frame is not there, does not decode, or has another size.
        """
        ...


class FrameTree:
    """Frames as JPEG files."""

    least_workers = 0

    def __init__(self, root: Path, folders: dict[str, str], *, size_px: int) -> None:
        self._root, self._folders, self._size_px = root, folders, size_px

    def read(self, video: str, frames: Sequence[int]) -> Pictures:
        """See FrameSource."""
        folder = self._root / _place(self._folders, video, self._root)
        pictures = np.empty((len(frames), self._size_px, self._size_px, 3), np.uint8)
        for picture, number in zip(pictures, frames, strict=True):
            path = folder / frame_file_name(video, number)
            try:
                decoded = decode_jpeg(path.read_bytes())
            except FileNotFoundError:
                raise FoundWrong(f"{path}: no such frame; the tree has changed, run 'orbit-lite prep verify'") from None
            except FoundWrong as error:
                raise FoundWrong(f"{path}: {error}") from None
            if decoded.shape != picture.shape:
                height, width = decoded.shape[:2]
                raise FoundWrong(
                    f"{path}: {width}x{height} pixels, expected {self._size_px}x{self._size_px}; "
                    f"extract or resize the tree to {self._size_px}"
                )
            picture[:] = decoded
        return pictures


class RawVideos:
    """Frames straight from videos, as `prep extract` would write them: the JPEG step, too, so that pixels agree."""

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
    """The frame source that goes with an index's kind of tree.

    Raises:
        FoundWrong: if two videos share a name: predictions name videos, so they could not be told apart.
    """
    places = {row.video: row.path for row in index.rows}
    if len(places) < len(index.rows):
        name, times = Counter(row.video for row in index.rows).most_common(1)[0]
        raise FoundWrong(f"{index.root}: {times} videos are named {name!r}; a name must be one video's alone")
    kind = FrameTree if index.kind == "frames" else RawVideos
    return kind(index.root, places, size_px=size_px)


def _place(places: dict[str, str], video: str, root: Path) -> str:
    try:
        return places[video]
    except KeyError:
        raise FoundWrong(f"{root}: no video {video!r} in its index; were the tasks drawn from another tree?") from None
