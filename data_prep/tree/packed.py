"""One user's frames in one standard, uncompressed ZIP file; each frame is read at its offset, without unpacking.

    ROOT/[split/]USER.zip with members OBJECT/TYPE/VIDEO/VIDEO-00001.jpg

An archive can't be trusted, so every member's name, type, size and position are checked before a byte is read.
"""

import os
import struct
import threading
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.layout import (
    TREE_TYPES,
    VIDEO_TYPES,
    frame_file_name,
    is_junk,
    nfc,
    parse_frame_file_name,
)
from data_prep.tree.zip_members import DAMAGED, member_faults, name_fault, overlaps
from groundwork.errors import DataError

ARCHIVE_SUFFIX = ".zip"
EXPECTED_MEMBER = f"OBJECT/{{{','.join(VIDEO_TYPES)}}}/VIDEO/VIDEO-00001.jpg"
# Local file header (APPNOTE.TXT 6.3.10, section 4.3.7): signature, method at 8, lengths of name and extra field at 26.
_HEADER = struct.Struct("<4s4xH16xHH")
_SIGNATURE = b"PK\x03\x04"
_SLACK_BYTES = 512  # for a member's name and extra field, so that one read gets header and frame


@dataclass(frozen=True, eq=False)
class PackedVideo:
    """The positions of one video's frames in an archive; entry k-1 of each array belongs to frame k."""

    object: str
    video_type: str
    video: str
    offsets: NDArray[np.int64]  # of the member's header
    sizes: NDArray[np.uint32]  # bytes of JPEG
    checksums: NDArray[np.uint32]  # CRC-32

    @property
    def place(self) -> str:
        """`OBJECT/TYPE/VIDEO`, the key within its user."""
        return f"{self.object}/{self.video_type}/{self.video}"

    @property
    def files(self) -> list[tuple[str, int]]:
        """Names and sizes of the frames, sorted by name, as `tree.list_frames` gives them for a folder."""
        return sorted((frame_file_name(self.video, k), int(size)) for k, size in enumerate(self.sizes, start=1))


class PackedUser:
    """One archive, open for reading. Its directory is read once and kept as arrays: 16 bytes per frame.

    Threads and forked processes may share it, because `os.pread` does not move the file position. Windows has no
    `pread`: there, reads move the position under a lock, and processes do not fork.
    """

    def __init__(self, path: Path) -> None:
        """Open an archive and check its directory.

        Raises:
            DataError: if it can't be opened, or is not a valid ZIP file with only frames, all uncompressed.
        """
        self.path = path
        self._moving = threading.Lock()
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: can't be opened ({error.strerror}); expected an archive of frames.") from None
        try:
            self.videos = _read_directory(path)
        except BaseException:
            self._file.close()
            raise

    def read(self, place: str, number: int) -> bytes:
        """The JPEG file of one frame.

        Args:
            place: `OBJECT/TYPE/VIDEO`.
            number: the frame's number, from 1.

        Raises:
            DataError: if there is no such frame, or it is damaged.
        """
        video = self.videos.get(place)
        if video is None or not 1 <= number <= len(video.sizes):
            name = frame_file_name(place.rpartition("/")[2], number)
            raise DataError(f"{self.path}#{place}/{name}: no such frame in the archive.")
        offset, size = int(video.offsets[number - 1]), int(video.sizes[number - 1])
        head = self._read_at(offset, _HEADER.size + _SLACK_BYTES + size)
        content = b""
        if len(head) >= _HEADER.size:
            signature, method, name_bytes, extra_bytes = _HEADER.unpack_from(head)
            start = _HEADER.size + name_bytes + extra_bytes
            if signature == _SIGNATURE and method == zipfile.ZIP_STORED:
                content = head[start : start + size]
                if len(content) < size:  # an extra field longer than the slack
                    content = self._read_at(offset + start, size)
        if len(content) != size or zlib.crc32(content) != int(video.checksums[number - 1]):
            raise DataError(
                f"{self.path}#{place}/{frame_file_name(video.video, number)}: damaged (size or checksum differs from"
                " the archive's directory). Pack this user again, or copy the archive again."
            )
        return content

    def _read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes; fewer at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, offset)
        with self._moving:
            self._file.seek(offset)
            return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def archive_place(row_path: str) -> tuple[str, str]:
    """Split a path of the index: `test/P177.zip#bag/clean/VIDEO` gives `test/P177.zip` and `bag/clean/VIDEO`."""
    archive, _, place = row_path.partition(f"{ARCHIVE_SUFFIX}#")
    return archive + ARCHIVE_SUFFIX, place


def member_fault(name: str) -> str | None:
    """What is wrong with a member's name; None if it is the name of a frame."""
    parts = name.split("/")
    if fault := name_fault(name):
        return fault
    if len(parts) != 4 or parts[1] not in TREE_TYPES or any(is_junk(part) for part in parts):
        return "not a frame's place"
    try:
        video, number = parse_frame_file_name(parts[3])
    except ValueError:
        return "not a frame's name"
    if number < 1 or video != parts[2] or frame_file_name(video, number) != parts[3]:
        return "not a frame of its folder's video"
    return None


def _read_directory(path: Path) -> dict[str, PackedVideo]:
    try:
        with zipfile.ZipFile(path) as archive:
            members, end = archive.infolist(), archive.start_dir
    except DAMAGED as error:
        raise DataError(f"{path}: not a ZIP file, or cut off ({error}). Pack or copy it again.") from None
    frames: dict[str, dict[int, zipfile.ZipInfo]] = defaultdict(dict)
    for member, fault in member_faults(members, stored_alone=True):
        name = nfc(member.filename)
        if fault := fault or (None if member.is_dir() else member_fault(name)):  # other programs add folders
            raise DataError(f"{path}#{name}: {fault}; expected only uncompressed files {EXPECTED_MEMBER}.")
        if not member.is_dir():
            place, _, file_name = name.rpartition("/")
            frames[place][parse_frame_file_name(file_name)[1]] = member
    if not frames:
        raise DataError(f"{path}: an archive without frames; expected {EXPECTED_MEMBER}.")
    for member, fault in overlaps(members, end):
        raise DataError(f"{path}#{nfc(member.filename)}: {fault}. The archive is damaged; pack or copy it again.")
    return {place: _video(path, place, numbered) for place, numbered in sorted(frames.items())}


def _video(path: Path, place: str, numbered: dict[int, zipfile.ZipInfo]) -> PackedVideo:
    thing, video_type, video = place.split("/")
    numbers = range(1, len(numbered) + 1)
    for number in numbers:
        if number not in numbered:
            raise DataError(
                f"{path}#{place}/{frame_file_name(video, number)}: not in the archive, which has {len(numbered)} frames"
                " of this video. Pack this user again."
            )
    members = [numbered[number] for number in numbers]
    return PackedVideo(
        thing,
        video_type,
        video,
        np.array([member.header_offset for member in members], np.int64),
        np.array([member.file_size for member in members], np.uint32),
        np.array([member.CRC for member in members], np.uint32),
    )
