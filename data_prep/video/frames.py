"""Square RGB frames at a given rate from raw video: which picture each frame shows, the frames, and their JPEG files.

Frame k (from 0; file number k + 1) shows the last picture with a time stamp <= k / fps, counted from the first picture.
Colors are converted with the video's own matrix and range (see probing.py).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.video import decoding
from data_prep.video.framing import MOST_PIXELS, Framing, Picture
from data_prep.video.info import VideoInfo
from data_prep.video.probing import probe
from data_prep.video.readers import read_checked
from data_prep.video.readers.table import DEFAULT_READER
from groundwork.errors import DataError

DEFAULT_SIZE_PX = 224
DEFAULT_FPS = 30.0
JPEG_QUALITY = 95
STAMP_TOLERANCE_S = 1e-3  # Matroska rounds time stamps to milliseconds: frame 2 at 30 fps is at 67 ms, not 66.67


def frame_pictures(times_s: Sequence[float], last_duration_s: float, fps: float = DEFAULT_FPS) -> NDArray[np.int64]:
    """Which picture each frame shows at a constant rate.

    Args:
        times_s: time stamps of the pictures since the first, ascending, shape (pictures,), pictures >= 1.
        last_duration_s: how long the last picture is shown.
        fps: frames per second, above 0.

    Returns:
        picture index (from 0) of each frame, shape (frames,), frames >= 1, never decreasing.
    """
    times = np.asarray(times_s, dtype=np.float64)
    end_s = float(times[-1]) + last_duration_s
    frames = max(1, int(np.ceil((end_s - STAMP_TOLERANCE_S) * fps)))
    moments = np.arange(frames) / fps + STAMP_TOLERANCE_S
    return np.maximum(np.searchsorted(times, moments, side="right") - 1, 0).astype(np.int64)


def count_frames(info: VideoInfo, fps: float = DEFAULT_FPS) -> int:
    """The number of frames of a video at `fps`."""
    return len(frame_pictures(info.times_s, info.last_duration_s, fps))


def read_frames(
    path: Path,
    numbers: Sequence[int] | None = None,
    *,
    size_px: int = DEFAULT_SIZE_PX,
    fps: float = DEFAULT_FPS,
    shape: str = "crop",
    resample: str = "decoder",
) -> NDArray[np.uint8]:
    """Read frames of one video by their numbers, as in frame file names.

    Args:
        path: the video.
        numbers: frame numbers from 1, in any order, repeats allowed; None gives all.
        size_px: side of the square frames.
        fps: the rate for the frame numbers.
        shape: `crop` (the shorter side becomes size_px, the longer is cropped around its center), `pad` (the longer
            side becomes size_px, black bars) or `squash` (both sides become size_px).
        resample: `decoder` (scaled inside the decoder) or `lanczos` (decoded at full size, then Pillow; slower).

    Returns:
        RGB, uint8, shape (n, size_px, size_px, 3).

    Raises:
        UsageError: for an unknown shape or resampling method.
        DataError: if the video is damaged, or does not have a requested frame. Damage outside of the requested frames
            may go unnoticed.
    """
    framing = Framing(size_px, shape, resample)
    info = probe(path)
    pictures = frame_pictures(info.times_s, info.last_duration_s, fps)
    wanted = np.arange(len(pictures)) if numbers is None else np.asarray(numbers, dtype=np.int64) - 1
    if len(wanted) == 0:
        return np.empty((0, size_px, size_px, 3), dtype=np.uint8)
    if wanted.min() < 0 or wanted.max() >= len(pictures):
        raise DataError(
            f"{path}: has frames 1 to {len(pictures)} at {fps:g} fps; requested: {_outside(wanted, pictures)}."
        )
    unique, places = np.unique(pictures[wanted], return_inverse=True)
    distinct = np.empty((len(unique), size_px, size_px, 3), dtype=np.uint8)
    for place, picture in enumerate(decoding.read_pictures(path, info, unique, framing)):
        distinct[place] = picture
    return distinct if np.array_equal(places, np.arange(len(unique))) else distinct[places]


def iterate_frames(
    path: Path,
    *,
    size_px: int = DEFAULT_SIZE_PX,
    fps: float = DEFAULT_FPS,
    shape: str = "crop",
    resample: str = "decoder",
    reader: str = DEFAULT_READER,
) -> Iterator[tuple[int, Picture]]:
    """Yield (frame number, picture) for a whole video in order, in bounded memory for any length.

    Arguments as for `read_frames`, and `reader`, a name in READERS. Use readers other than PyAV only in a process that
    can be killed.

    Raises:
        UsageError: for an unknown shape, resampling method or reader.
        DataError: if the video is damaged. It is raised at the damaged frame; the caller must discard earlier frames.
    """
    framing = Framing(size_px, shape, resample)
    info = probe(path)
    pictures = frame_pictures(info.times_s, info.last_duration_s, fps)
    unique, places = np.unique(pictures, return_inverse=True)
    reading = read_checked.read_pictures(path, info, unique, framing, reader=reader)
    shown, picture = -1, np.empty(0, dtype=np.uint8)
    for number, place in enumerate(places.tolist(), start=1):
        while shown < place:
            picture, shown = next(reading), shown + 1
        yield number, picture
    if (extra := next(reading, None)) is not None:  # runs the reader to its end, where it checks its count
        raise DataError(f"{path}: the reader gave one picture too many, of shape {extra.shape}.")


def encode_jpeg(picture: Picture, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB picture (h, w, 3) as JPEG, without metadata. The same picture gives the same bytes."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} can't be encoded as JPEG")
    return bytes(content)


def decode_jpeg(content: bytes) -> Picture:
    """Decode a JPEG to RGB, shape (h, w, 3).

    Raises:
        DataError: if it is not a JPEG, is cut off, or states more than MOST_PIXELS (checked before decoding). The
            caller names the file.
    """
    width, height = _stated_size(content)
    if width * height > MOST_PIXELS:
        raise DataError(f"{width}x{height} pixels, expected at most {MOST_PIXELS // 1_000_000} million.")
    try:
        picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR_RGB) if content else None
    except cv2.error:
        picture = None
    if picture is None:
        raise DataError(f"{len(content)} bytes do not decode as a JPEG picture: cut off or damaged.")
    return np.asarray(picture, dtype=np.uint8)


def _stated_size(content: bytes) -> tuple[int, int]:
    """Width and height from a JPEG's header (ITU T.81, B.2.2); zeros if it has none."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = content[place + 5 : place + 7], content[place + 7 : place + 9]
            return int.from_bytes(width), int.from_bytes(height)
        place += 1 if marker == 0xFF else 2 + length  # any number of fill bytes may precede a marker
    return 0, 0


def _outside(wanted: NDArray[np.int64], pictures: NDArray[np.int64]) -> str:
    numbers = wanted[(wanted < 0) | (wanted >= len(pictures))] + 1
    return ", ".join(map(str, numbers[:3].tolist())) + ("" if len(numbers) <= 3 else f" and {len(numbers) - 3} more")
