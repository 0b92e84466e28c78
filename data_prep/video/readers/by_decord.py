"""decord, or its fork decord2, which has the same import name: fast in sequence, last released in 2021.

It decodes ahead of its caller without limit, so this module reads in segments, each at once, with a reader that is
closed before the pictures are used. It can deadlock while holding Python's lock, so that no Python code of the process
runs any more; a watchdog in C then ends the process, whether or not its parent still exists.
"""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.video.framing import Picture
from data_prep.video.info import VideoInfo
from groundwork.errors import DataError

HANG_S = 300.0  # for one segment, which takes a few seconds
SEGMENT_BYTES = 64 * 1024 * 1024  # of pictures
LEAST_PICTURES, MOST_PICTURES = 32, 256  # per segment; each segment begins by reading the file's list of packets again
MOST_WHOLE_BYTES = 1024 * 1024 * 1024  # for all pictures of a video that can't be read in segments


def cannot_show(info: VideoInfo) -> str:
    """See `ReaderModule`. decord does not mirror pictures, and rotates them only in MP4."""
    if info.interlaced:
        return "interlaced video"
    if info.orientation.mirrored or info.rotation % 90:
        return "mirrored or slanted video"
    if info.rotation and "mov" not in info.container:
        return "rotated video outside MP4"
    return ""


def open_pictures(path: Path, info: VideoInfo, size: tuple[int, int]) -> "DecordVideo":
    """See `ReaderModule`.

    Raises:
        DataError: if its groups of pictures are open, and it is too long to be read without seeking.
    """
    return DecordVideo(path, info, size)


class DecordVideo:
    """One video. A seek into an open group gives different pictures than sequential reading (measured), so a video with
    open groups is read from its start by one reader, if all its pictures fit into memory."""

    def __init__(self, path: Path, info: VideoInfo, size: tuple[int, int]) -> None:
        """Open the video to count its pictures, and close it again."""
        self._path, self._size, self._in_segments = path, size, info.closed_groups
        picture_bytes = size[0] * size[1] * 3
        if not self._in_segments and info.pictures * picture_bytes > MOST_WHOLE_BYTES:
            raise DataError(
                f"{path}: {info.pictures} pictures without clean key frames, all of which decord would keep in memory;"
                f" expected at most {MOST_WHOLE_BYTES // picture_bytes}. Use --reader pyav."
            )
        self._most = max(LEAST_PICTURES, min(MOST_PICTURES, SEGMENT_BYTES // picture_bytes))
        with _watched():
            self.count = len(self._opened())

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """See `OpenedVideo`."""
        wanted = numbers if self._in_segments else np.arange(int(numbers[-1]) + 1 if len(numbers) else 0)
        reader = None if self._in_segments else self._opened()
        for start in range(0, len(wanted), self._most):
            with _watched():
                segment = self._read(reader or self._opened(), wanted[start : start + self._most])
            needed = np.isin(wanted[start : start + self._most], numbers)
            yield from segment[needed]

    def _read(self, reader: Any, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.asarray(reader.get_batch(numbers.tolist()).asnumpy(), dtype=np.uint8)

    def _opened(self) -> Any:
        import cv2  # noqa: F401  # import before decord: otherwise cv2.imread gives None for a PNG

        decord, (width, height) = import_module("decord"), self._size
        return decord.VideoReader(str(self._path), ctx=decord.cpu(0), width=width, height=height, num_threads=1)


@contextmanager
def _watched() -> Iterator[None]:
    """End the process if the block takes too long; this works without Python's lock."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(HANG_S, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
