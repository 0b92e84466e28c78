"""Streams of frames from a camera, or of raw frames from a pipe: either every frame, or always the latest one.

In a live stream, a thread keeps reading while a frame is being recognized, and keeps only the newest frame. So the
recognizer never falls behind; frames that it has no time for are dropped and counted. Memory holds three frames: one
being read, one waiting, one being recognized.
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
WAKE_S = 0.5  # longest single wait, because on some systems Ctrl-C has no effect during one


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """A frame as it arrived.

    number: from 1, counting dropped frames. time_s: seconds since the first frame. arrived_s: when the frame was
    complete, on the system's monotonic clock. picture: uint8 (h, w, 3), RGB.
    """

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
        """After the end: what was wrong with the way the stream ended, or None."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...


def _silence_opencv() -> Callable[[], object]:
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return partial(cv2.utils.logging.setLogLevel, before)


_OPENCV_SILENT = ProcessSetting(_silence_opencv)  # OpenCV prints its own lines if a camera is missing


class Camera:
    """A camera given by its number, through OpenCV; a frame's time is when it arrives."""

    def __init__(self, device: int | str) -> None:
        """Open the camera. The path of a video file also works; its frames come as fast as they are read.

        Raises:
            DataError: if it can't be opened, or a path is not a video file but an address or a playlist.
        """
        self.name = f"camera {device}"
        if isinstance(device, str):
            probe(Path(device))
            device = os.path.abspath(device)
        with _OPENCV_SILENT:
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise DataError(
                f"{self.name}: can't be opened. Is it plugged in, is its number right, or is another program using it?"
            )
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
        """See Source; a camera should never end."""
        if self._number == 0:
            return f"{self.name}: opened, but sends no frames. Is another program using it?"
        return f"{self.name}: sends no more frames. Was it unplugged?"

    def close(self) -> None:
        """See Source."""
        self._capture.release()


class RawFrames:
    """Raw RGB frames from a file descriptor, with nothing between them; their times follow from the rate."""

    def __init__(self, descriptor: int, width: int, height: int, *, fps: float, name: str = "stdin") -> None:
        """Prepare to read; `fps` is the frames' rate.

        Raises:
            UsageError: if the size is out of range.
        """
        if not (1 <= width <= LONGEST_SIDE_PX and 1 <= height <= LONGEST_SIDE_PX):
            raise UsageError(f"{name}: frames of {width}x{height} px; expected sides from 1 to {LONGEST_SIDE_PX}")
        self.name = name
        # Unbuffered: a thread that waits in a buffered read holds a lock, which makes Python crash at exit.
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
        """See Source; the bytes must end with a complete frame."""
        height, width, _ = self._shape
        expected = f"{3 * height * width} bytes per frame ({width}x{height}, rgb24)"
        if self._number == 0 and self._bytes_left_over == 0:
            return f"{self.name}: no frame arrived; expected {expected}"
        if self._bytes_left_over:
            return f"{self.name}: the last frame is cut off after {self._bytes_left_over} bytes; expected {expected}"
        return None

    def close(self) -> None:
        """See Source; the descriptor belongs to the caller and stays open."""
        self._file.close()


class EveryFrame:
    """A context manager for all frames of a source, one after another; the writer waits while a frame is processed."""

    dropped = 0

    def __init__(self, source: Source) -> None:
        """Prepare to read."""
        self._source = source

    def __enter__(self) -> Iterator[StreamFrame]:
        """Begin to read."""
        return iter(self._source.read, None)

    def __exit__(self, *_: object) -> None:
        """Close the source."""
        self._source.close()


class LatestFrames:
    """A context manager for the newest frame of a source at each step; frames replaced by a newer one are dropped. A
    thread reads the source until the block ends."""

    def __init__(self, source: Source) -> None:
        """Prepare; the thread starts when the block is entered."""
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
        """Stop reading. A read that never returns is abandoned and ends with the process."""
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
        """The thread's work."""
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
            self._source.close()  # here, because a device must not be closed while it is read
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify()


def recognizer_square(picture: Picture, size_px: int) -> Picture:
    """The recognizer's input for a stream's frame: the central square, scaled, and passed through JPEG as for videos.

    Extraction scales bilinearly in the decoder; this averages over areas. The two differ by 1 to 2 of 255 gray levels
    on average (measured on synthetic videos of 256 and 1080 px).
    """
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    scaled = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return decode_jpeg(encode_jpeg(np.asarray(scaled, dtype=np.uint8)))
