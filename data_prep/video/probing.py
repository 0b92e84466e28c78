"""What a video file holds, by its packets: size, rotation, time stamps, key frames. Decodes the first picture only, for
its size and for how its colors are coded."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
from av import VideoFrame, VideoStream
from av.container import InputContainer

from data_prep.video.damage import decoder_lines, demuxer_stumbles
from data_prep.video.info import USUAL_STEP_S, VideoInfo, photo_info
from data_prep.video.packets import has_hole, starts_afresh
from data_prep.video.photos import read_photo
from data_prep.video.suffixes import is_photo_file
from groundwork.errors import FoundWrong

# How colors are coded: numbers of ITU-T H.273, as libav has them. Nothing converts them: a decoder's own matrix makes
# RGB, without tone mapping, so HLG and PQ pictures come out flat, as coded, dimmer and paler than on the phone.
_TRANSFERS = {16: "PQ", 18: "HLG"}  # table 3; all others are SDR
_BT2020_PRIMARIES = 9  # table 2
_BT2020_MATRICES = {9, 10}  # table 4
# Matrices that libav's scaler applies: RGB, BT.709, unstated, FCC, BT.601 (two), SMPTE 240M, BT.2020. Of the others it
# refuses all that were tried (YCgCo, BT.2020 with constant luminance); an older libav showed them in wrong colors.
_READABLE_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
# A jump goes to a time stamp; its place is found again only in containers that store one for every picture.
_STAMPED = ("mov", "matroska")


@dataclass(frozen=True)
class _Packet:
    stamp: int | None
    duration: int
    key: bool
    sure: bool  # False for a key frame that a decoder can't start afresh at
    discarded: bool


def probe(path: Path) -> VideoInfo:
    """Look into a video, or a photo. Repeated calls on an unchanged file cost one stat.

    Raises:
        AskedWrong: if a photo takes a package that is not installed.
        FoundWrong: if it is no video, holds no picture, is cut off, or promises more pictures than it holds.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise FoundWrong(f"{path}: can't be read: {error.strerror}.") from None
    return _probe(path, found.st_size, found.st_mtime_ns)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
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
    if is_photo_file(path.name):
        photo = read_photo(path)
        height, width, _ = photo.picture.shape
        return photo_info(width, height, photo.format)
    with open_video(path) as (container, stream):
        packets, first = _scan(path, container, stream)
        format_name = str(container.format.name)
        # Only MP4 and MOV list their pictures one by one; AVI's header counts fields.
        if "mov" in format_name and stream.frames > len(packets):
            raise FoundWrong(f"{path}: promises {stream.frames} pictures, holds {len(packets)}. Cut off or damaged.")
        stamped = any(name in format_name for name in _STAMPED)
        step_s = float(1 / stream.average_rate) if stream.average_rate else USUAL_STEP_S
        if stream.time_base is None:
            raise FoundWrong(f"{path}: does not say what its time stamps count. Damaged; use another copy.")
        codec, time_base = stream.codec_context.name, float(stream.time_base)
    shown = [packet for packet in packets if not packet.discarded and not _leads(packet, packets[0])]
    if first is None or not shown:
        raise FoundWrong(f"{path}: holds no picture that decodes, expected at least one.")
    if first.colorspace not in _READABLE_MATRICES:
        raise FoundWrong(
            f"{path}: color matrix {first.colorspace} (as ITU-T H.273 counts) can't be shown in its true colors here."
            " Convert the video to BT.709 first."
        )
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
        first_stamp=min((packet.stamp for packet in shown if packet.stamp is not None), default=0),
        tick_s=time_base,
        last_duration_s=last_duration_s,
        container=format_name,
        codec=codec,
        key_pictures=keys or (0,),
        closed_groups=bool(keys) and stamped and len(shown) == len(packets),
        colour=_describe_color(first),
    )


def _describe_color(frame: VideoFrame) -> str:
    """Transfer, wide primaries and bits of a PyAV frame: `SDR 8-bit`, `HLG BT.2020 10-bit`, `PQ BT.2020 10-bit`, …"""
    wide = frame.color_primaries == _BT2020_PRIMARIES or frame.colorspace in _BT2020_MATRICES
    parts = [
        _TRANSFERS.get(frame.color_trc, "SDR"),
        "BT.2020" if wide else "",
        f"{frame.format.components[0].bits}-bit",
    ]
    return " ".join(part for part in parts if part)


def _scan(path: Path, container: InputContainer, stream: VideoStream) -> tuple[list[_Packet], VideoFrame | None]:
    """All packets in decoding order, and the first picture decoded, or None.

    Finds what no decoder need tell: a file that ends early, pictures whose bytes are partly zeroed, a container (other
    than MP4, whose list tells) that its demuxer stumbles over.
    """
    found: list[_Packet] = []
    first: VideoFrame | None = None
    packets = container.demux(stream)
    while True:
        with decoder_lines() as log:
            packet = next(packets, None)
        told = [text.strip() for level, source, text in log if demuxer_stumbles(level, source)]
        if told:
            raise FoundWrong(f"{path}: after picture {len(found)} the file is damaged or cut off ({told[0]}).")
        if packet is None:
            return found, first
        if packet.size:
            number = len(found) + 1
            if packet.is_corrupt:
                raise FoundWrong(f"{path}: ends within picture {number}, expected {stream.frames or 'more'}. Cut off.")
            content = bytes(packet)
            if has_hole(content, stream.codec_context):
                raise FoundWrong(f"{path}: picture {number} is overwritten with zeros. Damaged; use another copy.")
            stamp = packet.dts if packet.pts is None else packet.pts
            sure = not packet.is_keyframe or starts_afresh(content, stream.codec_context)
            found.append(_Packet(stamp, packet.duration or 0, packet.is_keyframe, sure, packet.is_discard))
        if first is None:
            first = next(iter(packet.decode()), None)


def _leads(packet: _Packet, first: _Packet) -> bool:
    """Whether a picture is shown before the first in the file (Matroska then has no stamp for it) and can't be decoded:
    it looks back to pictures that a cut between key frames took away. Players don't show it either."""
    if first.sure or first.stamp is None:
        return False
    return packet.stamp is None or packet.stamp < first.stamp


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
