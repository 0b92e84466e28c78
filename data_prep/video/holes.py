"""Detects packets that were partly overwritten with zeros: a lost disk sector, or a missing block of a download.

Many decoders show something for such a packet without an error. The codecs below do not write so many zeros themselves:
in 75 videos of black, still, drawn and noisy pictures at high and low rates, 24 zeros in a row appeared only in MJPEG
(measured).
"""

import re
from collections.abc import Callable, Iterator

from av.video.codeccontext import VideoCodecContext

from data_prep.video.packets import has_length_prefixes

# A unit of H.264 or HEVC can't contain three zero bytes in a row (H.264 7.4.1, H.265 7.4.2), nor can a length begin
# with more. The limit leaves room for careless encoders; a lost sector or block has 512 bytes or more.
_ZEROS = 64
_HOLE = bytes(_ZEROS)
# Any number of zeros may precede a start code (MPEG-2 6.2.1), so zeros are not a hole if one follows.
_HOLE_BEFORE_OTHERS = re.compile(rb"\x00{%d}[^\x00\x01\x80-\x83]" % _ZEROS)
# An arithmetic coder writes zeros for content as predicted; so many of them at once are not a picture.
_LONG_HOLE = bytes(128)
_JPEG_SCAN = re.compile(rb"\xff\xda(.*?)(?:\xff\xd9|$)", re.DOTALL)
_JPEG_TABLES = b"\xff\xc4"


def has_hole(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether part of a packet was overwritten with zeros. Always False if the codec allows them.

    Zeros at the end don't count: some encoders pad with them.
    """
    if has_length_prefixes(codec_context):
        filled = content.rstrip(b"\0")
        return not filled or _HOLE in filled
    check = _CHECKS.get(codec_context.name)
    return check is not None and len(content) > _ZEROS and check(content.rstrip(b"\0"))


def _between_start_codes(content: bytes) -> bool:
    return _HOLE_BEFORE_OTHERS.search(content) is not None


def _in_arithmetic_code(content: bytes) -> bool:
    return _LONG_HOLE in content


def _in_jpeg(content: bytes) -> bool:
    """Check only the coded pictures, because cameras leave empty space in the segments before them."""
    return any(_HOLE in scan for scan in _JPEG_SCAN.findall(content)) and not _writes_zeros(content)


def _writes_zeros(content: bytes) -> bool:
    """Whether a JPEG's Huffman tables give zeros for a flat area, that is, the code of all zeros means "end of block"
    in each. In the standard tables, which apply to a JPEG without tables, it does not."""
    firsts = list(_first_symbols(content))
    return bool(firsts) and not any(firsts)


def _first_symbols(content: bytes) -> Iterator[int]:
    """The symbol of the code of all zeros in each Huffman table (ITU-T T.81, B.2.4.2)."""
    position = content.find(_JPEG_TABLES)
    while position >= 0:
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        table = position + 4
        while table + 17 < end:
            yield content[table + 17]
            table += 17 + sum(content[table + 1 : table + 17])
        position = content.find(_JPEG_TABLES, max(end, position + 2))


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    **dict.fromkeys(("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv"), _between_start_codes),
    **dict.fromkeys(("vp8", "vp9", "libdav1d", "av1", "theora", "wmv1", "wmv2", "msmpeg4"), _in_arithmetic_code),
    "mjpeg": _in_jpeg,
}
