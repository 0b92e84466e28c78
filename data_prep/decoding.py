"""Pictures of one video by their numbers: by decord, or by PyAV where decord is inexact, absent or would hold too much.

Both jump to key frames, but only where every key frame closes a group of pictures: with open groups, cut starts (edit
lists) and AVI, decord lands a few pictures off (measured), and PyAV reads those in order. decord decodes ahead without
bound, so each of its readers gets one part of a video; PyAV holds one picture.
The choice hangs on the file and the framing alone, so random access and reading in order agree.

Both turn a picture upright, show it through its own matrix and range, and scale it bilinearly over its area: pixel for
pixel what `ffmpeg -vf scale=WIDTH:HEIGHT:flags=bilinear` gives. Which reader it was shows only in 10-bit pictures at
full size and where one side alone is scaled, by less than 1 grey level on average (measured on 40 kinds of video).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.filter
import av.logging
import cv2  # noqa: F401  # before decord: the other way round, cv2.imread of a PNG gives None
import numpy as np
from numpy.typing import NDArray

from data_prep.decoder_log import DecordLog, tells_of_damage
from data_prep.framing import Framing, Picture
from data_prep.probe import VideoInfo, open_video
from groundwork.errors import FoundWrong

try:
    import decord

    DECORD_LOG = DecordLog(decord)
except (ImportError, AttributeError):  # no wheels for arm64; on Windows its log is out of reach: PyAV reads everything
    decord = None

SEGMENT_BYTES = 128 * 1024 * 1024  # what one reader may hold
# Codecs that decord was measured on. It lacks AV1, and passes over HEVC slices that don't parse without a word.
DECORD_CODECS = {"h264", "vp9", "mjpeg", "prores"}
LEAST_JUMP_PICTURES = 8  # to decode a few pictures for nothing is cheaper than a jump
ROW_ALIGNMENTS_PX = (16, 32, 64)  # libav rounds rows up, by the processor's width
# A side can grow far beyond the frame: 1080 x 2 pixels cropped to 224 are 120960 px wide first.
LONGEST_SIDE_PX = 32_768
# Degrees clockwise: libav's filters
_TURNS: dict[int, list[tuple[str, str]]] = {
    0: [],
    90: [("transpose", "clock")],
    180: [("hflip", ""), ("vflip", "")],
    270: [("transpose", "cclock")],
}


def reader_name(info: VideoInfo, framing: Framing) -> str:
    """`decord` or `pyav`."""
    width, _ = framing.decoded_size(info.width, info.height)
    if decord is None or not info.closed_groups or info.codec not in DECORD_CODECS or not _has_plain_rows(width):
        return "pyav"
    if info.rotation and "mov" not in info.container:  # decord does not see Matroska's
        return "pyav"
    longest = max(np.diff([*info.key_pictures, info.pictures]), default=info.pictures)
    return "decord" if longest <= _segment_pictures(info, framing) else "pyav"


def read_pictures(path: Path, info: VideoInfo, pictures: NDArray[np.int64], framing: Framing) -> Iterator[Picture]:
    """Give pictures of one video as square frames.

    Args:
        path: the video.
        info: what it holds.
        pictures: indices from 0, rising. Damage outside what these need may go unnoticed.
        framing: size, shape and scaling.

    Raises:
        FoundWrong: if the video is damaged, or can't be scaled like this.
    """
    width, height = framing.decoded_size(info.width, info.height)
    if max(width, height) > LONGEST_SIDE_PX:
        raise FoundWrong(
            f"{path}: {info.width} x {info.height} px can't be scaled to {width} x {height}, expected sides up to"
            f" {LONGEST_SIDE_PX} px. Pad or squash it instead of cropping, or leave this video out."
        )
    read = _read_by_decord if reader_name(info, framing) == "decord" else _read_by_pyav
    for picture in read(path, info, pictures, framing):
        if picture.shape != (height, width, 3):
            raise FoundWrong(f"{path}: a picture came out as {picture.shape}, expected {(height, width, 3)}.")
        yield framing.square(picture)


def _has_plain_rows(width: int) -> bool:
    """Whether decord understands rows of so many pixels: it takes a row whose rounded length in bytes is a multiple of
    its width for one of 4 bytes a pixel or more, and stops (72 px: 288 bytes, for 96 px)."""
    rounded = [-(-width // alignment) * alignment for alignment in ROW_ALIGNMENTS_PX]
    return all(length == width or 3 * length % width for length in rounded)


def _segment_pictures(info: VideoInfo, framing: Framing) -> int:
    width, height = framing.decoded_size(info.width, info.height)
    return SEGMENT_BYTES // (width * height * 3)


def _read_by_decord(path: Path, info: VideoInfo, pictures: NDArray[np.int64], framing: Framing) -> Iterator[Picture]:
    size = framing.decoded_size(info.width, info.height)
    for first, end in _segments(info, _segment_pictures(info, framing)):
        part = pictures[(pictures >= first) & (pictures < end)]
        if len(part):
            yield from _decord_batch(path, info, part, size)  # the reader is gone before the first is handed out


def _decord_batch(path: Path, info: VideoInfo, pictures: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
    got: NDArray[np.uint8] | str
    with DECORD_LOG.damage(info.codec) as lines:
        got = _decord_read(path, info, pictures, size)
    span = f"pictures {pictures[0] + 1} to {pictures[-1] + 1}"
    if isinstance(got, str) or lines:
        reason = lines[0] if lines else got
        raise FoundWrong(f"{path}: {span} of {info.pictures} are damaged ({reason}). Use another copy of the file.")
    return got


def _decord_read(
    path: Path, info: VideoInfo, pictures: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.uint8] | str:
    """The pictures, or why there are none. No error is raised, for it would keep the reader alive."""
    try:
        # One thread: extraction is parallel over videos, and it keeps decoding ahead small.
        reader: Any = decord.VideoReader(str(path), width=size[0], height=size[1], num_threads=1)
        if len(reader) != info.pictures:
            return f"the decoder finds {len(reader)}"
        return np.asarray(reader.get_batch(pictures).asnumpy(), dtype=np.uint8)
    except (decord.DECORDError, RuntimeError, AssertionError, IndexError, StopIteration):
        return "they do not decode"


def _segments(info: VideoInfo, limit: int) -> Iterator[tuple[int, int]]:
    """Cut a video at key frames into parts of at most `limit` pictures (a longer group makes a part of its own)."""
    first = 0
    ends = [*info.key_pictures[1:], info.pictures]
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - first > limit:
            yield first, end
            first = end


def _read_by_pyav(path: Path, info: VideoInfo, pictures: NDArray[np.int64], framing: Framing) -> Iterator[Picture]:
    scaler = _Scaler(framing.decoded_size(info.width, info.height), info.rotation)
    with open_video(path) as (container, stream):
        for start, part in _runs(info, pictures):
            if start:
                container.seek(info.stamp(start), stream=stream)
            wanted = set(part.tolist())
            index = start - 1
            for index, frame in enumerate(_decoded(path, info, container, stream), start=start):
                if index == start and start and frame.pts != info.stamp(start):
                    raise FoundWrong(f"{path}: picture {start + 1} is not found where the file says. Damaged.")
                if index in wanted:
                    yield scaler.scaled(frame)
                if index >= part[-1] and index + 1 < info.pictures:
                    break  # asked for no more of this run; damage further on is none of this call's business
            if index < part[-1] or index + 1 > info.pictures:
                raise FoundWrong(
                    f"{path}: {index + 1} pictures decode, expected {info.pictures}."
                    " Damaged; use another copy of the file."
                )


def _runs(info: VideoInfo, pictures: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Cut rising pictures where a jump pays; give (picture to start decoding at, the run's pictures)."""
    keys = np.asarray(info.key_pictures if info.closed_groups else (0,))
    starts = keys[np.searchsorted(keys, pictures, side="right") - 1]
    jumps = np.flatnonzero(starts[1:] - pictures[:-1] > LEAST_JUMP_PICTURES) + 1
    for part in np.split(np.arange(len(pictures)), jumps):
        yield int(starts[part[0]]), pictures[part]


class _Scaler:
    """PyAV's frames upright, scaled, in RGB, by the very filters that decord uses."""

    def __init__(self, size: tuple[int, int], rotation: int) -> None:
        self._size, self._rotation = size, rotation
        self._graph: Any = None
        self._source: tuple[int, int, str] | None = None

    def scaled(self, frame: Any) -> Picture:
        source = (frame.width, frame.height, frame.format.name)
        if source != self._source:  # the first frame, or a stream that changes on its way
            self._graph, self._source = self._graph_for(frame), source
        self._graph.push(frame)
        return np.asarray(self._graph.pull().to_ndarray(), dtype=np.uint8)

    def _graph_for(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        turns = [graph.add(name, argument) for name, argument in _TURNS[self._rotation]]
        scale = graph.add("scale", f"{self._size[0]}:{self._size[1]}:flags=bilinear")
        rgb, sink = graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")
        graph.link_nodes(source, *turns, scale, rgb, sink).configure()
        return graph


def _decoded(path: Path, info: VideoInfo, container: Any, stream: Any) -> Iterator[Any]:
    """PyAV's frames in showing order; damage is raised where it shows."""
    packets = container.demux(stream)
    given = 0
    while True:
        with av.logging.Capture() as log:  # of this thread; never held while a caller works
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else []
        told = [text.strip() for level, source, text in log if tells_of_damage(level, source, text, info.codec)]
        told += ["parts of it were filled in" for frame in frames if frame.is_corrupt]
        if told:
            raise FoundWrong(
                f"{path}: about picture {given + 1} of {info.pictures} it is damaged ({told[0]})."
                " Use another copy of the file."
            )
        if packet is None:
            return
        yield from frames
        given += len(frames)
