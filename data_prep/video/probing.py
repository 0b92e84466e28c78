"""Finds the facts about a video file: size, orientation, time stamps, key frames. If each packet is one picture, this
is done by the packets, and only the first picture is decoded, for its size and color coding; otherwise all are
decoded."""

import os
from functools import lru_cache
from pathlib import Path

import av
from av import VideoFrame, VideoStream

from data_prep.video.containers import shortfall
from data_prep.video.counting import Shown, shown_by_decoding, shown_by_packets
from data_prep.video.info import USUAL_STEP_S, VideoInfo, photo_info
from data_prep.video.opening import open_video
from data_prep.video.orientation import orientation_of
from data_prep.video.photos import is_animation, read_photo
from data_prep.video.rationals import as_fraction
from data_prep.video.scanning import key_pictures, scan
from data_prep.video.suffixes import is_photo_file
from groundwork.errors import DataError

# Color coding, in the numbers of ITU-T H.273, as libav uses them.
_TRANSFERS = {16: "PQ", 18: "HLG"}  # table 3; all others are SDR
_BT2020_PRIMARIES = 9  # table 2
_BT2020_MATRICES = {9, 10}  # table 4
# Matrices that libav's scaler applies: RGB, BT.709, unspecified, FCC, BT.601 (two), SMPTE 240M, BT.2020. It rejects all
# others that were tried (YCgCo, BT.2020 with constant luminance); an older libav showed them in wrong colors.
_READABLE_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
# A seek goes to a time stamp, and is exact only in containers that store one for every picture.
_STAMPED = ("mov", "matroska")
_LEAST_ASPECT, _MOST_ASPECT = 1 / 8, 8.0  # of a pixel; other values are errors, not anamorphic film


def probe(path: Path) -> VideoInfo:
    """Find the facts about a video or a photo. Repeated calls for an unchanged file cost one stat.

    Raises:
        UsageError: if a photo needs a package that is not installed.
        DataError: if it is not a video, has no picture, is cut off, or has fewer pictures than it states.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}.") from None
    return _probe(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4096)
def _probe(path: Path, _size: int, _mtime_ns: int) -> VideoInfo:
    if is_photo_file(path.name) and not is_animation(path):
        photo = read_photo(path)
        height, width, _ = photo.picture.shape
        return photo_info(width, height, photo.format)
    with open_video(path) as (container, stream):
        format_name = str(container.format.name)
        if (missing := shortfall(path, format_name)) is not None:
            raise DataError(f"{path}: {missing}. Cut off or damaged; use another copy of the file.")
        promised = _promised(format_name, stream)
        scanned = scan(path, container, stream)
        if promised > scanned.given:
            raise DataError(f"{path}: states {promised} pictures, but has {scanned.given}. Cut off or damaged.")
        tick_s = as_fraction(stream.time_base)
        if tick_s is None:
            raise DataError(f"{path}: does not state the unit of its time stamps. Damaged; use another copy.")
        rate = as_fraction(stream.average_rate)
        step_s = float(1 / rate) if rate else USUAL_STEP_S
        codec, time_base = stream.codec_context.name, float(tick_s)
        aspect, stated_s = _pixel_aspect(stream), (container.duration or 0) / av.time_base
    shown = shown_by_packets(scanned)
    by_decoding = shown is None
    if shown is None:
        shown = shown_by_decoding(path)
    first = scanned.first or shown.first
    if first is None or not shown.pictures:
        raise DataError(f"{path}: has no picture that can be decoded, expected at least one.")
    if first.colorspace not in _READABLE_MATRICES:
        raise DataError(
            f"{path}: color matrix {first.colorspace} (number in ITU-T H.273) can't be converted to true colors here."
            " Convert the video to BT.709 first."
        )
    orientation, interlaced = orientation_of(first), shown.interlaced or first.interlaced_frame
    width, height = max(1, round(first.width * aspect)), first.height
    if orientation.swaps_sides:
        width, height = height, width
    times_s, last_duration_s = _times(shown, time_base, step_s)
    keys = () if by_decoding or interlaced else key_pictures(scanned.packets)
    stamped = any(name in format_name for name in _STAMPED)
    return VideoInfo(
        width=width,
        height=height,
        orientation=orientation,
        pictures=shown.pictures,
        times_s=times_s,
        first_stamp=min((stamp for stamp in shown.stamps if stamp is not None), default=0),
        tick_s=time_base,
        last_duration_s=last_duration_s,
        container=format_name,
        codec=codec,
        key_pictures=keys or (0,),
        closed_groups=bool(keys)
        and stamped
        and shown.pictures == sum(packet.pictures != 0 for packet in scanned.packets),
        color=_describe_color(first),
        interlaced=interlaced,
        pixel_aspect=aspect,
        stated_s=stated_s,
    )


def _promised(format_name: str, stream: VideoStream) -> int:
    """How many pictures the container lists: MP4 and MOV list each, AVI has an index (its header may count fields). 0
    if it has no list."""
    if "mov" in format_name:  # an edit list (a trimmed start) removes pictures from libav's index, not from the number
        return min(stream.frames, len(stream.index_entries))
    if format_name == "avi" and stream.codec_context.pix_fmt != "pal8":  # pal8 also lists palettes
        return sum(entry.size > 0 for entry in stream.index_entries)
    return 0


def _pixel_aspect(stream: VideoStream) -> float:
    """Width of a stored pixel over its height; 1.0 if the file states none or an impossible one."""
    aspect = float(as_fraction(stream.sample_aspect_ratio) or 1)
    return aspect if _LEAST_ASPECT <= aspect <= _MOST_ASPECT else 1.0


def _describe_color(frame: VideoFrame) -> str:
    """Transfer, wide primaries and bits of a PyAV frame: `SDR 8-bit`, `HLG BT.2020 10-bit`, `PQ BT.2020 10-bit`, …"""
    wide = frame.color_primaries == _BT2020_PRIMARIES or frame.colorspace in _BT2020_MATRICES
    parts = [
        _TRANSFERS.get(frame.color_trc, "SDR"),
        "BT.2020" if wide else "",
        f"{frame.format.components[0].bits}-bit",
    ]
    return " ".join(part for part in parts if part)


def _times(shown: Shown, time_base: float, step_s: float) -> tuple[tuple[float, ...], float]:
    """Ascending time stamps since the first, and the last picture's duration, in seconds."""
    stamps = sorted(stamp for stamp in shown.stamps if stamp is not None)
    if len(stamps) < shown.pictures:  # a bare stream stores none, so only its stated rate is known
        return tuple(step_s * k for k in range(shown.pictures)), step_s
    duration_s = shown.last_duration * time_base if shown.last_duration > 0 else step_s
    return tuple((stamp - stamps[0]) * time_base for stamp in stamps), duration_s
