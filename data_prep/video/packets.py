"""Facts about packets from their bytes: how many pictures each shows, and where a decoder can start cleanly."""

import re
from collections.abc import Iterator

from av.video.codeccontext import VideoCodecContext

from data_prep.video.sps import frames_only

# Units where a decoder can start cleanly (ITU-T H.264 table 7-1, H.265 table 7-1). Other key frames (recovery points,
# CRA) may look closed by their time stamps, but later pictures still refer to pictures before them.
_IDR_UNITS = {"h264": (0x1F, 0, {5}), "hevc": (0x7E, 1, {19, 20})}  # codec: mask and shift of the type, wanted types
# Units that contain picture data, and the length of a unit's header (same tables).
_PICTURE_UNITS = {"h264": ({1, 2, 5}, 1), "hevc": (set(range(32)), 2)}
_H264_SETTINGS = 7
# Position in the settings of the number of bytes of a unit's length (ISO 14496-15, avcC and hvcC).
_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}
_AVCC_SETS_AT = 6  # position of avcC's parameter sets, each preceded by a length of two bytes
_START_CODE = re.compile(rb"\x00\x00\x01(?=.)", re.DOTALL)
_UNIT_BYTES = 256  # longer than a parameter set, except one with many scaling lists
# Codecs in which every packet is one picture, and codecs whose packets show it in their bytes
_WHOLE_PICTURES = ("libdav1d", "av1", "mjpeg", "prores", "dvvideo", "dnxhd")
_VPX = ("vp8", "vp9")


def pictures_in(content: bytes, codec_context: VideoCodecContext) -> int | None:
    """How many pictures a packet shows, by its bytes: 0 if its picture is never shown, or if it has only settings. None
    if only a decoder can tell: in other codecs, and in H.264 that may be coded in fields."""
    codec = codec_context.name
    if codec in _WHOLE_PICTURES:
        return 1
    if codec in _VPX:
        return _shown_vp8(content) if codec == "vp8" else _shown_vp9(content)
    if codec not in _PICTURE_UNITS or (codec == "h264" and _may_have_fields(content, codec_context)):
        return None
    return sum(_begins_picture(unit, codec) for unit in _units(content, codec_context))


def has_only_settings(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether a packet of H.264 or HEVC has no part of any picture; False in other codecs."""
    codec = codec_context.name
    if codec not in _PICTURE_UNITS:
        return False
    mask, shift, _ = _IDR_UNITS[codec]
    return not any((unit[0] & mask) >> shift in _PICTURE_UNITS[codec][0] for unit in _units(content, codec_context))


def is_clean_start(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether no picture after this key frame refers to a picture before it."""
    if codec_context.name not in _IDR_UNITS:
        return True
    mask, shift, wanted = _IDR_UNITS[codec_context.name]
    return any((unit[0] & mask) >> shift in wanted for unit in _units(content, codec_context))


def has_length_prefixes(codec_context: VideoCodecContext) -> bool:
    """Whether units are preceded by their lengths, as in MP4 and Matroska, and not separated by start codes."""
    settings = bytes(codec_context.extradata or b"")
    return codec_context.name in _IDR_UNITS and len(settings) > _LENGTH_SIZE_AT[codec_context.name] and settings[0] == 1


def _units(content: bytes, codec_context: VideoCodecContext) -> Iterator[bytes]:
    """The first bytes of each NAL unit of a packet: a whole parameter set, or enough to recognize the type."""
    if not has_length_prefixes(codec_context):
        yield from (content[match.end() : match.end() + _UNIT_BYTES] for match in _START_CODE.finditer(content))
        return
    prefix = (bytes(codec_context.extradata or b"")[_LENGTH_SIZE_AT[codec_context.name]] & 3) + 1
    position = 0
    while position + prefix < len(content):
        length = int.from_bytes(content[position : position + prefix], "big")
        yield content[position + prefix : position + prefix + min(length, _UNIT_BYTES)] or b"\0"
        position += prefix + length


def _begins_picture(unit: bytes, codec: str) -> bool:
    """Whether a unit has the first slice of a picture of the base layer."""
    mask, shift, _ = _IDR_UNITS[codec]
    types, header = _PICTURE_UNITS[codec]
    if (unit[0] & mask) >> shift not in types or len(unit) <= header:
        return False
    if codec == "hevc" and ((unit[0] & 1) << 5 | unit[1] >> 3):  # nuh_layer_id
        return False
    return bool(unit[header] & 0x80)  # first_mb_in_slice is 0; first_slice_segment_in_pic_flag


def _may_have_fields(content: bytes, codec_context: VideoCodecContext) -> bool:
    """Whether H.264's settings allow pictures to be coded as two fields, or can't be read."""
    sets = [unit for unit in _units(content, codec_context) if unit[0] & 0x1F == _H264_SETTINGS]
    sets += _sets_ahead(codec_context)
    try:
        return not all(map(frames_only, sets))
    except ValueError:
        return True


def _sets_ahead(codec_context: VideoCodecContext) -> list[bytes]:
    """H.264's sequence parameter sets that the container stores before all packets."""
    settings = bytes(codec_context.extradata or b"")
    if not has_length_prefixes(codec_context):
        starts = [match.end() for match in _START_CODE.finditer(settings)]
        return [settings[start:] for start in starts if settings[start] & 0x1F == _H264_SETTINGS]
    length = int.from_bytes(settings[_AVCC_SETS_AT : _AVCC_SETS_AT + 2], "big")
    first = settings[_AVCC_SETS_AT + 2 : _AVCC_SETS_AT + 2 + length]
    return [first] if settings[_AVCC_SETS_AT - 1] & 0x1F and first else []


def _shown_vp8(content: bytes) -> int:
    """The number of shown pictures, from the frame tag (RFC 6386, 9.1)."""
    return int(bool(content[0] & 0x10)) if content else 0


def _shown_vp9(content: bytes) -> int:
    """The number of shown pictures, from the uncompressed header of each frame of a superframe (VP9 bitstream
    specification, 6.2 and annex B)."""
    return sum(map(_is_shown_vp9, _superframe(content)))


def _is_shown_vp9(frame: bytes) -> bool:
    if len(frame) < 2:
        return False
    bits = int.from_bytes(frame[:2], "big")
    bit = 11  # the bit after marker and profile
    if (bits >> 12) & 3 == 3:
        bit -= 1  # profile 3 has a reserved bit
    return bool((bits >> bit) & 1) or bool((bits >> (bit - 2)) & 1)  # show_existing_frame; frame_type, show_frame


def _superframe(content: bytes) -> list[bytes]:
    marker = content[-1] if content else 0
    if marker & 0xE0 != 0xC0:
        return [content]
    width, count = (marker >> 3 & 3) + 1, (marker & 7) + 1
    index = content[-(2 + width * count) :]
    if len(index) != 2 + width * count or index[0] != marker:
        return [content]
    frames, position = [], 0
    for number in range(count):
        size = int.from_bytes(index[1 + number * width : 1 + (number + 1) * width], "little")
        frames.append(content[position : position + size])
        position += size
    return frames
