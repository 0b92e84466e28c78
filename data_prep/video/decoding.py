"""Reads pictures of one video by their numbers with PyAV: exactly these, as square frames, one in memory at a time.

If every key frame begins a closed group of pictures, it seeks to key frames; otherwise it reads in order (open groups,
starts cut by an edit list, AVI). The choice depends only on the file, so random access and sequential reading agree.

Pictures are deinterlaced if necessary, turned upright, converted to square pixels with their own color matrix and
range, and scaled bilinearly over their area, with exactly the pixels that `ffmpeg -vf
scale=WIDTH:HEIGHT:flags=bilinear` gives. HDR is then converted to the tones of ordinary video.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av import VideoFrame, VideoStream
from av.container import InputContainer
from av.filter import Graph
from numpy.typing import NDArray

from data_prep.video import photos
from data_prep.video.framing import Framing, Picture
from data_prep.video.info import VideoInfo
from data_prep.video.opening import open_video
from data_prep.video.stepping import Decoder
from data_prep.video.tones import shown_in_standard_range
from groundwork.errors import DataError

# The decoder's name in a frame tree's manifest
READER = f"PyAV {av.__version__} (libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))})"
LEAST_JUMP_PICTURES = 8  # decoding a few unneeded pictures is cheaper than a seek
# A side can become much longer than the frame: 1080 x 2 pixels, to be cropped to 224, are first scaled to 120960 px.
LONGEST_SIDE_PX = 32_768
# Completes the lines of interlaced frames from the moments before and after; the number of frames stays the same.
_DEINTERLACE = (("bwdif", "mode=send_frame:deint=interlaced"),)


def reader_of(info: VideoInfo) -> str:
    """The decoder of such a video, with versions."""
    return photos.PHOTO_READER if info.is_photo else READER


def read_pictures(
    path: Path, info: VideoInfo, pictures: NDArray[np.int64], framing: Framing, *, decode_all: bool = False
) -> Iterator[Picture]:
    """Yield pictures of one video as square frames.

    Args:
        path: the video.
        info: the result of `probe`.
        pictures: indices from 0, ascending. Damage in parts that these do not need may go unnoticed.
        framing: size, shape and scaling.
        decode_all: decode every picture, not only the given ones, so that damage anywhere is found.

    Raises:
        DataError: if the video is damaged, or can't be scaled this way.
    """
    if info.is_photo:
        yield replace(framing, resample="lanczos").square(photos.read_photo(path).picture)
        return
    width, height = framing.decoded_size(info.width, info.height)
    if max(width, height) > LONGEST_SIDE_PX:
        raise DataError(
            f"{path}: {info.width} x {info.height} px can't be scaled to {width} x {height}, expected sides up to"
            f" {LONGEST_SIDE_PX} px. Pad or squash it instead of cropping, or leave this video out."
        )
    runs = [(0, pictures)] if decode_all else _runs(info, pictures)
    for picture in _scaled_pictures(path, info, runs, framing, to_end=decode_all):
        if picture.shape != (height, width, 3):
            raise DataError(f"{path}: a decoded picture has shape {picture.shape}, expected {(height, width, 3)}.")
        yield as_frame(picture, info, framing)


def as_frame(picture: Picture, info: VideoInfo, framing: Framing) -> Picture:
    """Make a square frame from a decoded, scaled picture; HDR is converted to the tones of ordinary video."""
    if info.hdr:
        picture = shown_in_standard_range(picture, info.hdr, wide=info.has_wide_primaries)
    return framing.square(picture)


def check_whole(path: Path, info: VideoInfo) -> None:
    """Decode a whole video, unscaled, only to check it for damage and count its pictures.

    Raises:
        DataError: if it is damaged, or its number of pictures differs from that in `info`.
    """
    with open_video(path) as (container, stream):
        decoded = sum(1 for _ in _decoded(path, info, container, stream, 0))
    if decoded != info.pictures:
        raise DataError(
            f"{path}: {decoded} pictures decode, expected {info.pictures}. Damaged; use another copy of the file."
        )


def _scaled_pictures(
    path: Path, info: VideoInfo, runs: Iterable[tuple[int, NDArray[np.int64]]], framing: Framing, *, to_end: bool
) -> Iterator[Picture]:
    scaler = _Scaler(framing.decoded_size(info.width, info.height), info)
    with open_video(path) as (container, stream):
        for start, part in runs:
            wanted = set(part.tolist())
            index = start - 1
            for index, frame in _numbered(path, info, container, stream, start):
                if scaler.takes_all or index in wanted:
                    yield from (picture for number, picture in scaler.scaled(index, frame) if number in wanted)
                if not to_end and index >= part[-1] + scaler.lag and index + 1 < info.pictures:
                    break  # no more pictures of this run are needed; later damage does not matter here
            if index < (info.pictures - 1 if to_end else part[-1]) or index + 1 > info.pictures:
                raise DataError(
                    f"{path}: {index + 1} pictures decode, expected {info.pictures}."
                    " Damaged; use another copy of the file."
                )
            yield from (picture for number, picture in scaler.rest() if number in wanted)


def _runs(info: VideoInfo, pictures: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Split the pictures where a seek is worthwhile; gives (picture to start decoding at, the run's pictures)."""
    keys = np.asarray(info.key_pictures if info.closed_groups else (0,))
    starts = keys[np.searchsorted(keys, pictures, side="right") - 1]
    jumps = np.flatnonzero(starts[1:] - pictures[:-1] > LEAST_JUMP_PICTURES) + 1
    for part in np.split(np.arange(len(pictures)), jumps):
        yield int(starts[part[0]]), pictures[part]


class _Scaler:
    """Converts PyAV's frames by ffmpeg's own filters: deinterlaced if necessary, upright, in square pixels, scaled,
    RGB.

    Attributes:
        takes_all: whether it needs every frame, because deinterlacing uses the neighbors of each.
        lag: by how many frames its output is delayed.
    """

    def __init__(self, size: tuple[int, int], info: VideoInfo) -> None:
        self.takes_all, self.lag = info.interlaced, int(info.interlaced)
        self._filters = [*(_DEINTERLACE if info.interlaced else ()), *info.orientation.filters]
        self._size = size
        self._graph: Graph | None = None
        self._source: tuple[int, int, str] | None = None
        self._inside: deque[int] = deque()

    def scaled(self, number: int, frame: VideoFrame) -> Iterator[tuple[int, Picture]]:
        """Add a frame, and yield the pictures that are ready, with their numbers."""
        source = (frame.width, frame.height, frame.format.name)
        if self._graph is None or source != self._source:  # the first frame, or a stream whose format changes
            yield from self.rest()
            self._graph, self._source = self._graph_for(frame), source
        self._graph.push(frame)
        self._inside.append(number)
        yield from self._ready(self._graph)

    def rest(self) -> Iterator[tuple[int, Picture]]:
        """Yield the pictures that are still waiting for another frame."""
        graph, self._graph = self._graph, None if self.lag else self._graph
        if graph is not None and self._inside:
            graph.push(None)
            yield from self._ready(graph)

    def _ready(self, graph: Graph) -> Iterator[tuple[int, Picture]]:
        while self._inside:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self._inside.popleft(), np.asarray(frame.to_ndarray(), dtype=np.uint8)

    def _graph_for(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        filters = [graph.add(name, argument) for name, argument in self._filters]
        scale = graph.add("scale", f"{self._size[0]}:{self._size[1]}:flags=bilinear")
        rgb, sink = graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")
        graph.link_nodes(source, *filters, scale, rgb, sink).configure()
        return graph


def _numbered(
    path: Path, info: VideoInfo, container: InputContainer, stream: VideoStream, start: int
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with their numbers, from key picture `start`, or from an earlier one if the seek ends there: MP4's index
    is in decoding order, and at a variable rate libav may seek up to one group too far back (measured)."""
    if start:
        container.seek(info.stamp(start), stream=stream)
    frames = _decoded(path, info, container, stream, start)
    first = next(frames, None)
    if first is None:
        return
    if start:
        keys = {info.stamp(key): key for key in info.key_pictures if key <= start}
        if first.pts not in keys:
            raise DataError(f"{path}: picture {start + 1} is not at the position that the file states. Damaged.")
        start = keys[first.pts]
    yield from enumerate(itertools.chain([first], frames), start=start)


def _decoded(
    path: Path, info: VideoInfo, container: InputContainer, stream: VideoStream, start: int
) -> Iterator[VideoFrame]:
    """PyAV's frames in display order, from about picture `start`; raises DataError at the first damage."""
    decoder, given = Decoder(stream), start
    for packet in container.demux(stream):
        frames, damage = decoder.step(packet)
        if damage:
            raise DataError(
                f"{path}: damaged near picture {given + 1} of {info.pictures} ({damage[0]})."
                " Use another copy of the file."
            )
        yield from frames
        given += len(frames)
