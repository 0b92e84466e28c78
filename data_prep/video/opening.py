"""Opens a video: only as a local file, only in one of a list of real containers, at its best video stream.

libav opens much more than videos: network addresses, playlists and concat scripts that show other files of this
machine, numbered pictures, devices. None of these is opened here, whatever a file's name or content says.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av import VideoStream
from av.container import InputContainer

from data_prep.video.damage import decoder_lines, description, is_early_end
from data_prep.video.sniffing import foreign_kind
from groundwork.errors import DataError, KitError, raise_shortage

# libav's demuxers for files that contain video themselves; not hls, dash, concat, image2 and the `_pipe` ones.
CONTAINERS = (
    *("mov", "matroska", "avi", "ogg", "mpegts", "mpeg", "flv", "asf", "gif", "mxf", "nut", "dv", "rm", "ivf"),
    *("mpegvideo", "m4v", "h264", "hevc", "obu", "mjpeg", "vc1"),  # bare streams
)
_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
# Tags that are not UTF-8 must not stop a video. PyAV 19 and later always accept them.
_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
_CODEC = re.compile(r"Video: ([^,(]+(?:\([^)]*\) ?)*)")
_DEFAULT_STREAM = 5_000_000  # a stream marked as default counts as this many more pixels, as in the ffmpeg command


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best real video stream (not a cover picture) as PyAV's (container, stream).

    Errors of libav and PyAV inside the block become DataError, which names the file.

    Raises:
        DataError: if it is not a video, ends within its header, is encrypted, or has no stream that can be decoded.
    """
    try:
        with decoder_lines() as log:
            # with the protocol in front, a colon in a name is an ordinary character
            container = av.open(f"file:{path}", container_options=_OPTIONS, **_TAGS)
        with container:
            if lines := [text.strip() for level, source, text in log if is_early_end(level, source, text)]:
                raise DataError(f"{path}: the file is cut off or damaged ({lines[0]}). Use another copy of the file.")
            stream = _best_stream(path, container)
            stream.codec_context.thread_count = 1  # videos are read in parallel; see the worker count
            yield container, stream
    except KitError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise_shortage(error, path)
        if (kind := foreign_kind(path)) is not None:
            raise DataError(f"{path}: {kind}") from None
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: does not decode ({reason}), expected a whole video. Damaged or not a video; use another copy."
        ) from None


def _best_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that the ffmpeg command would choose: the default one first, then the largest."""
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        raise DataError(f"{path}: has no video stream, expected a video.")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise DataError(
            f"{path}: its codec can't be decoded here ({_codec_name(container, streams[0])}), expected a common codec"
            " such as H.264, HEVC or VP9. Convert the video, or export it again as H.264."
        )
    best = max(known, key=_rank)
    if _is_encrypted(best):
        raise DataError(
            f"{path}: is encrypted (copy protection), expected a video that any player can open."
            " Use the file as it was filmed."
        )
    return best


def _rank(stream: VideoStream) -> int:
    default = bool(stream.disposition & av.stream.Disposition.default)
    return _DEFAULT_STREAM * default + (stream.codec_context.width or 0) * (stream.codec_context.height or 0)


def _is_encrypted(stream: VideoStream) -> bool:
    """MP4 marks encryption by the name of the sample entry, Matroska by naming a key."""
    return stream.codec_context.codec_tag == "encv" or "enc_key_id" in stream.metadata


def _codec_name(container: InputContainer, stream: VideoStream) -> str:
    """libav's name of a codec that it can't decode, and its four letters: `none (zzz1 / 0x317A7A7A)`."""
    lines = description(container).splitlines()
    found = (_CODEC.search(line) for line in lines if f"#0:{stream.index}" in line)
    return next((match[1] for match in found if match), "unknown")
