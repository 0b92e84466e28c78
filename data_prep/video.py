"""Raw video to square RGB frames at a stated rate: what it holds, which picture each frame shows, and the pixels.

Frame k (from 0; file number k + 1) shows the last picture with a time stamp <= k / fps, counted from the first picture.
Pixels come from decord, which scales inside its decoder. It is exact only where every key frame closes a group of
pictures: with open groups, cut starts (edit lists) and AVI its random access lands a few pictures off (measured). Those
videos are read by PyAV in order. The choice hangs on the file alone, so random access and reading in order agree.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2  # before decord: the other way round, cv2.imread of a PNG gives None
import numpy as np
from numpy.typing import NDArray

from data_prep.probe import VideoInfo, open_video, probe
from groundwork.errors import FoundWrong

try:
    import decord
except ImportError:  # there are no wheels for arm64: PyAV reads everything there
    decord = None

DEFAULT_SIZE_PX = 224
DEFAULT_FPS = 30.0
JPEG_QUALITY = 95
STAMP_TOLERANCE_S = 1e-3  # Matroska rounds time stamps to milliseconds: frame 2 of 30 fps stands at 67 ms, not 66.67
SEGMENT_BYTES = 128 * 1024 * 1024  # what one reader may hold: decord decodes ahead without bound, so each gets one part

Picture = NDArray[np.uint8]  # (size, size, 3) RGB

if decord:
    decord.logging.set_level(decord.logging.QUIET)


def frame_pictures(times_s: Sequence[float], last_duration_s: float, fps: float = DEFAULT_FPS) -> NDArray[np.int64]:
    """Which picture each frame shows at a constant rate.

    Args:
        times_s: time stamps of the pictures from the first, rising, shape (pictures,), pictures >= 1.
        last_duration_s: how long the last picture is shown.
        fps: frames a second to give, above 0.

    Returns:
        picture index (from 0) of each frame, shape (frames,), frames >= 1, never falling.
    """
    times = np.asarray(times_s, dtype=np.float64)
    end_s = float(times[-1]) + last_duration_s
    frames = max(1, int(np.ceil((end_s - STAMP_TOLERANCE_S) * fps)))
    moments = np.arange(frames) / fps + STAMP_TOLERANCE_S
    return np.maximum(np.searchsorted(times, moments, side="right") - 1, 0).astype(np.int64)


def count_frames(info: VideoInfo, fps: float = DEFAULT_FPS) -> int:
    """How many frames a video gives at `fps`."""
    return len(frame_pictures(info.times_s, info.last_duration_s, fps))


def reader_name(info: VideoInfo, size_px: int = DEFAULT_SIZE_PX) -> str:
    """Which reader serves a video: `decord`, or `pyav` where it is absent, inexact or would hold too much memory."""
    if decord is None:
        return "pyav"
    longest = max(np.diff([*info.key_pictures, info.pictures]), default=info.pictures)
    return "decord" if info.closed_groups and longest <= _segment_pictures(info, size_px) else "pyav"


def read_frames(
    path: Path, numbers: Sequence[int] | None = None, *, size_px: int = DEFAULT_SIZE_PX, fps: float = DEFAULT_FPS
) -> NDArray[np.uint8]:
    """Read frames of one video by their numbers, as in frame file names.

    Args:
        path: the video.
        numbers: frame numbers from 1, in any order, repeats allowed; None gives all.
        size_px: side of the square frames: the shorter side is scaled to it, the longer cropped about its centre.
        fps: rate that the numbers count at.

    Returns:
        RGB, shape (n, size_px, size_px, 3).

    Raises:
        FoundWrong: if the video is damaged, or has no frame of a number asked for.
    """
    info = probe(path)
    pictures = frame_pictures(info.times_s, info.last_duration_s, fps)
    wanted = np.arange(len(pictures)) if numbers is None else np.asarray(numbers, dtype=np.int64) - 1
    if len(wanted) == 0:
        return np.empty((0, size_px, size_px, 3), dtype=np.uint8)
    if wanted.min() < 0 or wanted.max() >= len(pictures):
        raise FoundWrong(
            f"{path}: has frames 1 to {len(pictures)} at {fps:g} fps; {_outside(wanted, pictures)} asked for."
        )
    unique, places = np.unique(pictures[wanted], return_inverse=True)
    distinct = np.empty((len(unique), size_px, size_px, 3), dtype=np.uint8)
    for place, picture in enumerate(_read_pictures(path, info, unique, size_px)):
        distinct[place] = picture
    return distinct if np.array_equal(places, np.arange(len(unique))) else distinct[places]


def iterate_frames(
    path: Path, *, size_px: int = DEFAULT_SIZE_PX, fps: float = DEFAULT_FPS
) -> Iterator[tuple[int, Picture]]:
    """Give (frame number, picture) of a whole video in order, in bounded memory whatever its length.

    Raises:
        FoundWrong: if the video is damaged: at the frame where it shows, so a caller keeps nothing of it.
    """
    info = probe(path)
    pictures = frame_pictures(info.times_s, info.last_duration_s, fps)
    unique, places = np.unique(pictures, return_inverse=True)
    reading = _read_pictures(path, info, unique, size_px)
    shown, picture = -1, np.empty(0, dtype=np.uint8)
    for number, place in enumerate(places.tolist(), start=1):
        while shown < place:
            picture, shown = next(reading), shown + 1
        yield number, picture
    if (left := next(reading, None)) is not None:  # runs the reader to its end, where it counts what it got
        raise FoundWrong(f"{path}: gave a picture too many, of shape {left.shape}.")


def encode_jpeg(picture: Picture, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB picture (h, w, 3) as JPEG, without metadata. The same picture gives the same bytes."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} can't be encoded as JPEG")
    return bytes(content)


def decode_jpeg(content: bytes) -> Picture:
    """Decode a JPEG to RGB, shape (h, w, 3).

    Raises:
        FoundWrong: if it is no JPEG or is cut off. The caller names the file.
    """
    picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is None:
        raise FoundWrong(f"{len(content)} bytes that do not decode as a JPEG picture: cut off or damaged.")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _outside(wanted: NDArray[np.int64], pictures: NDArray[np.int64]) -> str:
    numbers = wanted[(wanted < 0) | (wanted >= len(pictures))] + 1
    return ", ".join(map(str, numbers[:3].tolist())) + ("" if len(numbers) <= 3 else f" and {len(numbers) - 3} more")


def _scaled_size(info: VideoInfo, size_px: int) -> tuple[int, int]:
    """Width and height with the shorter side at `size_px`."""
    scale = size_px / min(info.width, info.height)
    return max(size_px, round(info.width * scale)), max(size_px, round(info.height * scale))


def _segment_pictures(info: VideoInfo, size_px: int) -> int:
    width, height = _scaled_size(info, size_px)
    return SEGMENT_BYTES // (width * height * 3)


def _read_pictures(path: Path, info: VideoInfo, pictures: NDArray[np.int64], size_px: int) -> Iterator[Picture]:
    """Give the pictures of rising indices, square."""
    read = _read_by_decord if reader_name(info, size_px) == "decord" else _read_by_pyav
    width, height = _scaled_size(info, size_px)
    left, top = (width - size_px) // 2, (height - size_px) // 2
    for picture in read(path, info, pictures, (width, height)):
        if picture.shape != (height, width, 3):
            raise FoundWrong(f"{path}: a picture came out as {picture.shape}, expected {(height, width, 3)}.")
        yield np.ascontiguousarray(picture[top : top + size_px, left : left + size_px])


def _read_by_decord(
    path: Path, info: VideoInfo, pictures: NDArray[np.int64], size: tuple[int, int]
) -> Iterator[Picture]:
    limit = SEGMENT_BYTES // (size[0] * size[1] * 3)
    for first, end in _segments(info, limit):
        part = pictures[(pictures >= first) & (pictures < end)]
        if len(part):
            yield from _decord_batch(path, info, part, size)  # the reader is gone before the first is handed out


def _decord_batch(path: Path, info: VideoInfo, pictures: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
    got = f"pictures {pictures[0] + 1} to {pictures[-1] + 1} do not decode"
    try:
        # One thread: extraction is parallel over videos, and it keeps decoding ahead small.
        reader: Any = decord.VideoReader(str(path), width=size[0], height=size[1], num_threads=1)
        if len(reader) != info.pictures:
            got = f"the decoder finds {len(reader)}"
        else:
            return np.asarray(reader.get_batch(pictures).asnumpy(), dtype=np.uint8)
    except (decord.DECORDError, RuntimeError, AssertionError, IndexError, StopIteration):
        pass
    raise FoundWrong(f"{path}: {got}, expected {info.pictures} whole pictures. Damaged; use another copy of the file.")


def _segments(info: VideoInfo, limit: int) -> Iterator[tuple[int, int]]:
    """Cut a video at key frames into parts of at most `limit` pictures (a longer group makes a part of its own)."""
    first = 0
    ends = [*info.key_pictures[1:], info.pictures]
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - first > limit:
            yield first, end
            first = end


def _read_by_pyav(path: Path, info: VideoInfo, pictures: NDArray[np.int64], size: tuple[int, int]) -> Iterator[Picture]:
    wanted = iter(pictures.tolist())
    following = next(wanted, None)
    width, height = size if info.rotation % 180 == 0 else (size[1], size[0])
    index = -1
    with open_video(path) as (container, stream):
        for index, frame in enumerate(container.decode(stream)):
            if frame.is_corrupt:
                raise FoundWrong(
                    f"{path}: picture {index + 1} of {info.pictures} is damaged. Use another copy of the file."
                )
            if index == following:
                upright = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC")
                yield np.rot90(upright.to_ndarray(), k=-info.rotation // 90)
                following = next(wanted, None)
                if following is None and index + 1 < info.pictures:
                    return  # asked for no more; damage further on is none of this call's business
    if following is not None or index + 1 != info.pictures:
        raise FoundWrong(
            f"{path}: {index + 1} pictures decode, expected {info.pictures}. Damaged; use another copy of the file."
        )
