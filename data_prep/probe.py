"""What a video file holds, by its packets: size, rotation, time stamps, key frames. Decodes the first picture only."""

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.logging

from groundwork.errors import FoundWrong

# decord seeks by time stamp, and finds its place again only in containers that store one for every picture.
_STAMPED = ("mov", "matroska")
_USUAL_STEP_S = 1 / 30
# Where a decoder can start afresh (ITU-T H.264 table 7-1, H.265 table 7-1). Other key frames (recovery points, CRA) may
# look closed by their time stamps and yet put decord's random access off by two pictures (measured).
_IDR_UNITS = {"h264": (0x1F, 0, {5}), "hevc": (0x7E, 1, {19, 20})}  # codec: mask and shift of the type, wanted types

av.logging.set_level(av.logging.PANIC)  # what libav has to say is raised by us, naming the file


@dataclass(frozen=True)
class VideoInfo:
    """What one video holds.

    Attributes:
        width, height: as shown, rotation applied, in pixels.
        rotation: degrees clockwise to turn the stored picture by: 0, 90, 180 or 270.
        pictures: how many are shown, >= 1.
        times_s: their time stamps, from the first, rising; times_s[0] == 0.
        last_duration_s: how long the last one is shown.
        codec: libav's name, `h264` or `hevc`.
        key_pictures: indices in showing order at which reading can start; the first is 0.
        closed_groups: whether every key frame stands between all earlier and all later pictures, none is cut away by an
            edit list, and the container stores time stamps: random access is then exact.
    """

    width: int
    height: int
    rotation: int
    pictures: int
    times_s: tuple[float, ...]
    last_duration_s: float
    codec: str
    key_pictures: tuple[int, ...]
    closed_groups: bool


@dataclass(frozen=True)
class _Packet:
    stamp: int | None
    duration: int
    key: bool
    sure: bool  # False for a key frame that a decoder can't start afresh at
    discarded: bool


def probe(path: Path) -> VideoInfo:
    """Look into a video. Repeated calls on an unchanged file cost one stat.

    Raises:
        FoundWrong: if it is no video, holds no picture, is cut off, or promises more pictures than it holds.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise FoundWrong(f"{path}: can't be read: {error.strerror}.") from None
    return _probe(path, found.st_size, found.st_mtime_ns)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first real video stream (a cover picture is none) as PyAV's (container, stream).

    Whatever libav raises inside the block becomes FoundWrong, naming the file.
    """
    try:
        with av.open(str(path)) as container:
            streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not streams:
                raise FoundWrong(f"{path}: holds no video stream, expected a video.")
            streams[0].codec_context.thread_count = 1  # videos are read in parallel; see the worker count
            yield container, streams[0]
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FoundWrong(
            f"{path}: does not decode ({reason}), expected a whole video. Damaged or no video; use another copy."
        ) from None


@lru_cache(maxsize=4096)
def _probe(path: Path, _size: int, _mtime_ns: int) -> VideoInfo:
    packets: list[_Packet] = []
    first: Any = None
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.size:
                if packet.is_corrupt:
                    raise FoundWrong(
                        f"{path}: ends within picture {len(packets) + 1}, expected {stream.frames}. Cut off."
                    )
                stamp = packet.dts if packet.pts is None else packet.pts
                key = packet.is_keyframe
                sure = not key or _starts_afresh(bytes(packet), stream.codec_context)
                packets.append(_Packet(stamp, packet.duration or 0, key, sure, packet.is_discard))
            if first is None:
                first = next(iter(packet.decode()), None)
        # Only MP4 and MOV list their pictures one by one; AVI's header counts fields.
        if "mov" in container.format.name and stream.frames > len(packets):
            raise FoundWrong(f"{path}: promises {stream.frames} pictures, holds {len(packets)}. Cut off or damaged.")
        stamped = any(name in container.format.name for name in _STAMPED)
        step_s = float(1 / stream.average_rate) if stream.average_rate else _USUAL_STEP_S
        codec, time_base = stream.codec_context.name, float(stream.time_base)
    shown = [packet for packet in packets if not packet.discarded]
    if first is None or not shown:
        raise FoundWrong(f"{path}: holds no picture that decodes, expected at least one.")
    rotation = round(-first.rotation / 90) % 4 * 90  # PyAV counts anticlockwise
    width, height = (first.width, first.height) if rotation % 180 == 0 else (first.height, first.width)
    times_s, last_duration_s = _times(shown, time_base, step_s)
    keys = _key_pictures(packets)
    return VideoInfo(
        width=width,
        height=height,
        rotation=rotation,
        pictures=len(shown),
        times_s=times_s,
        last_duration_s=last_duration_s,
        codec=codec,
        key_pictures=keys or (0,),
        closed_groups=bool(keys) and stamped and len(shown) == len(packets),
    )


def _times(shown: Sequence[_Packet], time_base: float, step_s: float) -> tuple[tuple[float, ...], float]:
    """Rising time stamps from the first, and the last picture's duration, in seconds."""
    stamps = sorted(packet.stamp for packet in shown if packet.stamp is not None)
    if len(stamps) < len(shown):  # a bare stream stores none: its stated rate is all there is
        return tuple(step_s * k for k in range(len(shown))), step_s
    last = max(shown, key=lambda packet: packet.stamp or 0)
    duration_s = last.duration * time_base if last.duration > 0 else step_s
    return tuple((stamp - stamps[0]) * time_base for stamp in stamps), duration_s


def _key_pictures(packets: Sequence[_Packet]) -> tuple[int, ...]:
    """Places of the key frames in decoding order (for a closed group, showing order too); () if one group is open."""
    stamps = [packet.stamp for packet in packets]
    if any(stamp is None for stamp in stamps) or len(set(stamps)) < len(stamps) or not packets[0].key:
        return ()
    if not all(packet.sure for packet in packets):
        return ()
    known = [stamp for stamp in stamps if stamp is not None]
    latest_before = list(itertools.accumulate(known, max))
    earliest_after = list(itertools.accumulate(reversed(known), min))[::-1]
    keys = [place for place, packet in enumerate(packets) if packet.key]
    for place in keys:
        if earliest_after[place] < known[place] or (place and latest_before[place - 1] > known[place]):
            return ()
    return tuple(keys)


def _starts_afresh(content: bytes, codec_context: Any) -> bool:
    """Whether a key frame's packet is one that nothing after it looks back beyond."""
    if codec_context.name not in _IDR_UNITS:
        return True
    mask, shift, wanted = _IDR_UNITS[codec_context.name]
    return any((first & mask) >> shift in wanted for first in _unit_starts(content, codec_context))


def _unit_starts(content: bytes, codec_context: Any) -> Iterator[int]:
    """The first byte of each NAL unit of a packet."""
    settings = bytes(codec_context.extradata or b"")
    place = {"h264": 4, "hevc": 21}[codec_context.name]
    if not settings or settings[0] != 1 or len(settings) <= place:  # units with start codes, as in a bare stream
        yield from (match.group(1)[0] for match in re.finditer(rb"\x00\x00\x01(.)", content, re.DOTALL))
        return
    prefix = (settings[place] & 3) + 1  # ISO 14496-15: each unit behind its length in so many bytes
    position = 0
    while position + prefix < len(content):
        length = int.from_bytes(content[position : position + prefix], "big")
        yield content[position + prefix]
        position += prefix + length
