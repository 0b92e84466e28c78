"""Frames that come by themselves: a camera's, or raw ones from a pipe; every one of them, or always the latest.

Of a live stream the latest frame wins: a thread reads on while a frame is being recognized, and keeps the newest one
only. So the recognizer never falls behind; what it is too slow for is dropped, and counted. Memory is three frames: one
being read, one waiting, one in work.
"""

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from data_prep.video import Picture, decode_jpeg, encode_jpeg, probe
from groundwork.errors import DataError, UsageError
from groundwork.process_setting import ProcessSetting

LONGEST_SIDE_PX = 8192
WAKE_S = 0.5  # how often a wait looks up: on some systems Ctrl-C is not heard in the midst of one


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """A frame as it came. number: from 1, dropped ones counted. time_s: since the first. arrived_s: of the system's
    monotonic clock, when it was whole. picture: uint8 (h, w, 3), RGB."""

    number: int
    time_s: float
    arrived_s: float
    picture: Picture


class Source(Protocol):
    """Where frames come from."""

    name: str

    def read(self) -> StreamFrame | None:
        """Wait for the next frame; None at the end."""
        ...

    def end_fault(self) -> str | None:
        """What is wrong with the way it ended, if anything; to be asked after the end."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


def _silence_opencv() -> Callable[[], object]:
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return partial(cv2.utils.logging.setLogLevel, before)


_OPENCV_SILENT = ProcessSetting(_silence_opencv)  # it prints lines of its own about a camera that is not there


class Camera:
    """A camera by its number, through OpenCV; frames are timed by when they come."""

    def __init__(self, device: int | str) -> None:
        """Open it. A video file's path does as well, and gives its frames as fast as they are asked for.

        Raises:
            DataError: if it is not there; or if a path is no video file, but an address or a list of others.
        """
        self.name = f"camera {device}"
        if isinstance(device, str):
            probe(Path(device))
            device = os.path.abspath(device)
        with _OPENCV_SILENT:
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise DataError(f"{self.name}: can't be opened; is it plugged in, free, and this its number?")
        self._number, self._first_s = 0, 0.0

    def read(self) -> StreamFrame | None:
        """See Source."""
        with _OPENCV_SILENT:
            there, picture = self._capture.read()
        if not there:
            return None
        now_s = time.monotonic()
        if self._number == 0:
            self._first_s = now_s
        self._number += 1
        rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return StreamFrame(self._number, now_s - self._first_s, now_s, rgb)

    def end_fault(self) -> str | None:
        """See Source: a camera has no end."""
        if self._number == 0:
            return f"{self.name}: opened, but gives no frame; does another program use it?"
        return f"{self.name}: gives no more frames; was it unplugged?"

    def close(self) -> None:
        """See Source."""
        self._capture.release()


class RawFrames:
    """Raw RGB frames, one after another without anything between them, from a file descriptor; timed by their rate."""

    def __init__(self, descriptor: int, width: int, height: int, *, fps: float, name: str = "stdin") -> None:
        """Nothing is read yet. `fps` is the frames' rate.

        Raises:
            UsageError: if the size is none.
        """
        if not (1 <= width <= LONGEST_SIDE_PX and 1 <= height <= LONGEST_SIDE_PX):
            raise UsageError(f"{name}: frames of {width}x{height} px; expected sides of 1 to {LONGEST_SIDE_PX}")
        self.name = name
        # Unbuffered: a thread that waits in a buffered read holds its lock, which Python's end then trips over.
        self._file = io.FileIO(descriptor, closefd=False)
        self._shape, self._fps = (height, width, 3), fps
        self._number = self._bytes_left_over = 0

    def read(self) -> StreamFrame | None:
        """See Source."""
        picture = np.empty(self._shape, np.uint8)
        left = picture.reshape(-1).data
        while left:
            got = self._file.readinto(left)
            if not got:
                self._bytes_left_over = picture.nbytes - len(left)
                return None
            left = left[got:]
        self._number += 1
        return StreamFrame(self._number, (self._number - 1) / self._fps, time.monotonic(), picture)

    def end_fault(self) -> str | None:
        """See Source: the bytes must end with a frame."""
        height, width, _ = self._shape
        expected = f"{3 * height * width} bytes a frame ({width}x{height}, rgb24)"
        if self._number == 0 and self._bytes_left_over == 0:
            return f"{self.name}: no frame came; expected {expected}"
        if self._bytes_left_over:
            return f"{self.name}: the last frame is cut off after {self._bytes_left_over} bytes; expected {expected}"
        return None

    def close(self) -> None:
        """See Source; the descriptor stays open, for it is not ours."""
        self._file.close()


class EveryFrame:
    """All frames of a source, one after another; who writes them waits while one is in work. A context manager, too."""

    dropped = 0

    def __init__(self, source: Source) -> None:
        """Nothing is read yet."""
        self._source = source

    def __enter__(self) -> Iterator[StreamFrame]:
        """Begin to read."""
        return iter(self._source.read, None)

    def __exit__(self, *_: object) -> None:
        """Let go of the source."""
        self._source.close()


class LatestFrames:
    """The newest frame of a source each time one is asked for; those that a newer one replaced are dropped. A thread
    reads; it ends with the block that this is the context manager of."""

    def __init__(self, source: Source) -> None:
        """The thread starts when the block is entered."""
        self._source = source
        self._changed = threading.Condition()
        self._newest: StreamFrame | None = None
        self._error: Exception | None = None
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._read_on, name="latest-frames", daemon=True)
        self.dropped = 0

    def __enter__(self) -> Iterator[StreamFrame]:
        """Begin to read."""
        self._thread.start()
        return iter(self._take, None)

    def __exit__(self, *_: object) -> None:
        """Stop reading. A read that nothing comes of is left to itself, and ends with the process."""
        self._stopped = True
        self._thread.join(timeout=2 * WAKE_S)

    def _take(self) -> StreamFrame | None:
        with self._changed:
            while self._newest is None and not self._ended:
                self._changed.wait(WAKE_S)
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def _read_on(self) -> None:
        """Runs in the thread."""
        error: Exception | None = None
        try:
            while not self._stopped and (frame := self._source.read()) is not None:
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = frame
                    self._changed.notify()
        except Exception as caught:
            error = caught
        finally:
            self._source.close()  # here: a device must not be let go of while it is read
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify()


def seen_square(picture: Picture, size_px: int) -> Picture:
    """What the recognizer is given of a stream's frame: the central square at its size, through JPEG as everywhere.

    Extraction scales inside the decoder, bilinearly over the area; this averages over the area. The two are 1 to 2 of
    255 gray levels apart in the mean (measured on made videos of 256 and 1080 px).
    """
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    scaled = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return decode_jpeg(encode_jpeg(np.asarray(scaled, dtype=np.uint8)))
