"""Packets partly overwritten with zeros: a lost sector of a disk, a block of a download that never came.

Many decoders show something for such a packet and say nothing. No codec below writes so many zeros by itself: 24 in a
row never stood in 75 videos of black, still, drawn and noisy pictures at high and low rates, but in MJPEG (measured).
"""

import re
from collections.abc import Callable, Iterator

from av.video.codeccontext import VideoCodecContext

from data_prep.video.packets import lengths_in_front

# Three zero bytes in a row can't stand within a unit of H.264 or HEVC (H.264 7.4.1, H.265 7.4.2), nor can a length
# begin with more. Room is left for careless encoders; a lost sector or block is 512 bytes and more.
_ZEROS = 64
_HOLE = bytes(_ZEROS)
# Between start codes any number may stand in front of the next one (MPEG-2 6.2.1): no hole if that follows.
_HOLE_BEFORE_OTHERS = re.compile(rb"\x00{%d}[^\x00\x01\x80-\x83]" % _ZEROS)
# An arithmetic coder gives zeros where all goes as it expects; so much of that at once is no picture.
_LONG_HOLE = bytes(128)
_JPEG_SCAN = re.compile(rb"\xff\xda(.*?)(?:\xff\xd9|$)", re.DOTALL)
_JPEG_TABLES = b"\xff\xc4"


def has_hole(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether part of a packet was overwritten with zeros. Always False where the codec allows them.

    Zeros at the end alone don't count: some encoders fill up with them.
    """
    if lengths_in_front(codec_context):
        filled = content.rstrip(b"\0")
        return not filled or _HOLE in filled
    check = _CHECKS.get(codec_context.name)
    return check is not None and len(content) > _ZEROS and check(content.rstrip(b"\0"))


def _between_start_codes(content: bytes) -> bool:
    return _HOLE_BEFORE_OTHERS.search(content) is not None


def _in_arithmetic_code(content: bytes) -> bool:
    return _LONG_HOLE in content


def _in_jpeg(content: bytes) -> bool:
    """In the coded pictures alone, for cameras leave room in the segments before them."""
    return any(_HOLE in scan for scan in _JPEG_SCAN.findall(content)) and not _writes_zeros(content)


def _writes_zeros(content: bytes) -> bool:
    """Whether a JPEG's Huffman tables give zeros for a flat area: the code of all zeros is "nothing follows" in each.
    In the usual tables, which a JPEG without any means, it is not."""
    firsts = list(_first_symbols(content))
    return bool(firsts) and not any(firsts)


def _first_symbols(content: bytes) -> Iterator[int]:
    """What the code of all zeros means in each Huffman table (ITU-T T.81, B.2.4.2)."""
    position = content.find(_JPEG_TABLES)
    while position >= 0:
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        at = position + 4
        while at + 17 < end:
            yield content[at + 17]
            at += 17 + sum(content[at + 1 : at + 17])
        position = content.find(_JPEG_TABLES, max(end, position + 2))


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    **dict.fromkeys(("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv"), _between_start_codes),
    **dict.fromkeys(("vp8", "vp9", "libdav1d", "av1", "theora", "wmv1", "wmv2", "msmpeg4"), _in_arithmetic_code),
    "mjpeg": _in_jpeg,
}
