"""Detects files that are cut off, by the lengths that their container states.

The demuxer just stops at the end of such a file, for some containers without an error. A container that states no
length (MPEG-TS, MPEG-PS, FLV, GIF, a live Matroska between two blocks, a fragmented MP4 between two fragments) can be
cut without a trace.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"  # Matroska's only top-level element besides the head
_HEAD = b"\x1a\x45\xdf\xa3"
_OGG_HEAD_BYTES = 27
_ASF_HEAD = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FRAGMENT_BOXES = (b"moof", b"mdat", b"sidx")
_MOST_BOXES = 1_000_000


def shortfall(path: Path, format_name: str) -> str | None:
    """What is missing at a file's end, or within it, as a clause; None if nothing is, or if it can't be detected.

    Args:
        path: the file.
        format_name: libav's names of its container.
    """
    for name, check in _CHECKS.items():
        if name in format_name.split(","):
            with path.open("rb") as file:
                return check(file, os.fstat(file.fileno()).st_size)
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """Check the length of the segment (RFC 9559, 5.1)."""
    while True:
        found, length = file.read(4), _ebml_length(file)
        if found not in (_HEAD, _SEGMENT) or length is None:
            return None  # unknown length, as in live recordings, or damage, which the demuxer reports
        end = file.tell() + length
        if found == _SEGMENT:
            return _missing(end, size)
        file.seek(end)


def _ebml_length(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 8 - first[0].bit_length() + 1
    length = int.from_bytes(first + file.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if length == (1 << 7 * width) - 1 else length  # all ones mean unknown


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Check the pages (RFC 3533, 6): each must be whole, and no page of a stream may be missing."""
    numbers: dict[bytes, int] = {}
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(_OGG_HEAD_BYTES)
        lengths = file.read(head[26]) if len(head) == _OGG_HEAD_BYTES else b""
        if head[:4] != b"OggS"[: len(head[:4])]:
            return None  # other data after the last page, or damage that the demuxer reports
        end = position + len(head) + len(lengths) + sum(lengths)
        if len(head) < _OGG_HEAD_BYTES or len(lengths) < head[26] or end > size:
            return "it ends inside a page"
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        if stream in numbers and number > numbers[stream] + 1:
            return f"{number - numbers[stream] - 1} pages are missing before byte {position}"
        numbers[stream] = number
        position = end
    return None


def _avi(file: BinaryIO, size: int) -> str | None:
    """Check the lists of the first part (`movi` holds the pictures); it also lists later parts of a long file."""
    head = file.read(12)
    if head[:4] != b"RIFF":
        return None
    end = None
    for kind, start, length in _chunks(file, 12, size):
        if kind == b"LIST" and length not in (0, 0xFFFFFFFF) and file.read(4) == b"movi":
            end = start + length
    return None if end is None else _missing(end, size)


def _asf(file: BinaryIO, size: int) -> str | None:
    """Check the length of the data object (ASF specification, 5.1), which follows the head; live ones state none."""
    head = file.read(24)
    if head[:16] != _ASF_HEAD:
        return None
    start = int.from_bytes(head[16:], "little")
    file.seek(start)
    data = file.read(24)
    return _missing(start + int.from_bytes(data[16:], "little"), size) if data[:16] == _ASF_DATA else None


def _chunks(file: BinaryIO, position: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, the start of its content, and its length; the file position is at the start."""
    while position + 8 <= size:
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        yield head[:4], position + 8, length
        position += 8 + length + length % 2


def _mp4(file: BinaryIO, size: int) -> str | None:
    """Check the boxes of a fragmented file, and its index of fragments; other MP4 files list their pictures."""
    position, fragmented, promised = 0, False, None
    for _ in range(_MOST_BOXES):
        if position + 8 > size:
            break
        file.seek(position)
        head = file.read(16)
        length, kind, start = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), 16
        if fragmented and not kind.isalnum() and (kind != bytes(4) or any(file.read())):
            return f"there is no box at byte {position}, between two fragments"
        if length == 0 or length < start:
            break  # the box extends to the end of the file
        end = position + length
        fragmented = fragmented or kind == b"moof"
        if kind == b"sidx" and promised is None:
            file.seek(position + start)
            promised = _indexed_end(file.read(length - start), end)
        if fragmented and kind in _FRAGMENT_BOXES and end > size:
            return _missing(end, size)
        position = end
    return _missing(promised, size) if fragmented and promised is not None else None


def _indexed_end(box: bytes, end: int) -> int | None:
    """The end of the last fragment in a segment index (ISO 14496-12, 8.16.3); None if it can't be read."""
    wide = 8 if box[:1] == b"\x01" else 4
    start = 12 + 2 * wide
    count = int.from_bytes(box[start + 2 : start + 4], "big")
    entries = box[start + 4 : start + 4 + 12 * count]
    if len(entries) < 12 * count:
        return None
    first = int.from_bytes(box[12 + wide : 12 + 2 * wide], "big")
    return end + first + sum(int.from_bytes(entries[k : k + 4], "big") & 0x7FFFFFFF for k in range(0, 12 * count, 12))


def _missing(end: int, size: int) -> str | None:
    return f"{end - size} bytes are missing at its end" if end > size else None


_CHECKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "matroska": _matroska,
    "ogg": _ogg,
    "avi": _avi,
    "asf": _asf,
    "mp4": _mp4,
}
