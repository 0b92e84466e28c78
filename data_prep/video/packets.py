"""H.264 and HEVC packets by their NAL units: where a decoder can start afresh, and zeroed holes it may never see."""

import re
from collections.abc import Iterator

from av.video.codeccontext import VideoCodecContext

# Where a decoder can start afresh (ITU-T H.264 table 7-1, H.265 table 7-1). Other key frames (recovery points, CRA) may
# look closed by their time stamps while pictures after them still look back beyond them.
_IDR_UNITS = {"h264": (0x1F, 0, {5}), "hevc": (0x7E, 1, {19, 20})}  # codec: mask and shift of the type, wanted types
# Where the settings say how many bytes a unit's length takes (ISO 14496-15, avcC and hvcC).
_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}
# Three zero bytes in a row can't stand within a unit (H.264 7.4.1, H.265 7.4.2), nor can a length begin with more. Room
# is left for careless encoders; a sector of a disk or a lost block of a download is 512 bytes and more.
_HOLE = bytes(64)


def starts_afresh(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether a key frame's packet is one that nothing after it looks back beyond."""
    if codec_context.name not in _IDR_UNITS:
        return True
    mask, shift, wanted = _IDR_UNITS[codec_context.name]
    return any((first & mask) >> shift in wanted for first in _unit_starts(content, codec_context))


def has_hole(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether part of a packet was overwritten with zeros. Always False where the codec allows them.

    Zeros at the end alone don't count: some encoders fill up with them.
    """
    if not _lengths_in_front(codec_context):
        return False
    filled = content.rstrip(b"\0")
    return not filled or _HOLE in filled


def _lengths_in_front(codec_context: VideoCodecContext) -> bool:
    """Whether units stand behind their lengths, as in MP4 and Matroska, and not between start codes."""
    settings = bytes(codec_context.extradata or b"")
    return codec_context.name in _IDR_UNITS and len(settings) > _LENGTH_SIZE_AT[codec_context.name] and settings[0] == 1


def _unit_starts(content: bytes, codec_context: VideoCodecContext) -> Iterator[int]:
    """The first byte of each NAL unit of a packet."""
    if not _lengths_in_front(codec_context):
        yield from (match.group(1)[0] for match in re.finditer(rb"\x00\x00\x01(.)", content, re.DOTALL))
        return
    prefix = (bytes(codec_context.extradata or b"")[_LENGTH_SIZE_AT[codec_context.name]] & 3) + 1
    position = 0
    while position + prefix < len(content):
        length = int.from_bytes(content[position : position + prefix], "big")
        yield content[position + prefix]
        position += prefix + length
