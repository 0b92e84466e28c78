"""Reads ZIP files that can't be trusted: checks every member before unpacking one, and limits each to its stated size.

The limits suit JPEG frames, videos and annotations. A JPEG of a single color can be compressed much further (1080 px,
black, quality 95: 38 to 1), so a small member is never rejected for its ratio.
"""

import io
import logging
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self

from data_prep.tree.layout import nfc
from data_prep.tree.zip_members import DAMAGED, member_faults, overlaps
from data_prep.video import RAW_SUFFIXES
from groundwork.errors import DataError
from groundwork.words import listed

_LOG = logging.getLogger("data_prep")

JPEG_RATIO = 20.0  # unpacked to packed, for the whole archive: frames and videos are already compressed
JSON_RATIO = 300.0  # annotations repeat the same seven words for every frame
MEMBER_RATIO = 100.0
SMALL_BYTES = 1 << 20  # the ratio of a smaller member, or of an archive below 64 times this, is not checked
MOST_BYTES = 64 << 20  # one frame, or one video's annotations
MOST_VIDEO_BYTES = 16 << 30
SPACE_MARGIN_BYTES = 256 << 20
_BLOCK_BYTES = 4096  # the space that a file takes on disk is a multiple of this
_CHUNK_BYTES = 1 << 20
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*]|[. ]$|^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)', re.IGNORECASE)


class CheckedZip:
    """An archive whose members have all been checked: names, types, sizes, positions. Use it as a context manager.

    Threads may share it. The directory is in memory: about 0.9 KiB per member, so 1.5 GB for 1.6 million frames.
    """

    def __init__(self, path: Path, *, ratio: float = JPEG_RATIO) -> None:
        """Open an archive and check its directory; no member is read.

        Args:
            path: the archive.
            ratio: the largest allowed ratio of unpacked to packed bytes of the whole archive.

        Raises:
            DataError: if it is not a ZIP file, is cut off, or has a member that is not allowed.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror or error}).") from None
        except DAMAGED as error:
            raise DataError(f"{path}: not a ZIP file, or cut off ({error}). Get it again.") from None
        try:
            self._check(ratio)
        except BaseException:
            self._zip.close()
            raise
        self.members = tuple(member for member in self._zip.infolist() if not member.is_dir())

    def copy(self, member: zipfile.ZipInfo, target: BinaryIO) -> None:
        """Unpack one member into an open file and compare its checksum.

        Raises:
            DataError: if it is damaged, or holds fewer or more bytes than stated.
        """
        left = member.file_size
        try:
            with self._open(member) as source:
                # zipfile gives at most the stated size, and compares the checksum at the end.
                while chunk := source.read(min(_CHUNK_BYTES, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    target.write(chunk)
        except DAMAGED as error:
            raise DataError(f"{self._name(member)}: damaged ({error}). Get the archive again.") from None
        if left:
            raise DataError(f"{self._name(member)}: not the {member.file_size} bytes stated. Get the archive again.")

    def read(self, member: zipfile.ZipInfo) -> bytes:
        """The bytes of one small member. Raises DataError as `copy` does."""
        target = io.BytesIO()
        self.copy(member, target)
        return target.getvalue()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _open(self, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        """Open a member; zipfile counts its open members without a lock, so only one is opened or closed at a time."""
        with self._lock:
            source = self._zip.open(member)
        try:
            yield source
        finally:
            with self._lock:
                source.close()

    def _name(self, member: zipfile.ZipInfo) -> str:
        return f"{self.path}#{member.orig_filename!r}"

    def _check(self, ratio: float) -> None:
        members = self._zip.infolist()
        for member, fault in member_faults(members):
            if fault := fault or _size_fault(member):
                raise DataError(f"{self._name(member)}: {fault}. Nothing was unpacked.")
        unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
        if unpacked > 64 * SMALL_BYTES and unpacked > ratio * packed:
            raise DataError(
                f"{self.path}: {packed} bytes would become {unpacked}; frames do not compress that well."
                " Nothing was unpacked."
            )
        for member, fault in overlaps(members, self._zip.start_dir):
            raise DataError(f"{self._name(member)}: {fault}. Nothing was unpacked.")
        names = {nfc(member.filename).rstrip("/") for member in members} if os.name == "nt" else ()
        if strange := [name for name in names if not fits_windows(name)]:
            _LOG.warning("note: %s: names that Windows may refuse: %s", self.path, listed(strange))


def fits_windows(name: str) -> bool:
    """Whether a relative path is allowed on Windows without support for long paths."""
    return len(name) < 200 and not any(_NOT_ON_WINDOWS.search(part) for part in name.split("/"))


def refuse_little_space(folder: Path, sizes: Iterable[int], what: str) -> None:
    """Require that files of these sizes in bytes fit on the disk of `folder` (which exists), with some space left.

    Raises:
        DataError: if they don't fit.
    """
    needed = SPACE_MARGIN_BYTES + sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {what} needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free."
            " Make room, then run the same command again."
        )


def _size_fault(member: zipfile.ZipInfo) -> str | None:
    if member.is_dir():
        return None
    most = MOST_VIDEO_BYTES if member.filename.lower().endswith(RAW_SUFFIXES) else MOST_BYTES
    if member.file_size > most:
        return f"{member.file_size} bytes, expected {most} at most"
    if member.file_size > SMALL_BYTES and member.file_size > MEMBER_RATIO * member.compress_size:
        return f"{member.compress_size} bytes that would become {member.file_size}"
    return None
