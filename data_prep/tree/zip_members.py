"""Checks of the members of a ZIP file, shared by all readers.

Names, types and positions are checked from the directory alone, before a byte of a member is read.
"""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence

from data_prep.tree.layout import nfc

LONGEST_NAME_BYTES = 255  # of one file or folder
HEADER_BYTES = 30  # of a member, without name and extra field (APPNOTE.TXT 6.3.10, section 4.3.7)
# What zipfile and zlib raise if a file is damaged, cut off or not a ZIP file
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits 0, 6 and 13: encryption, strong encryption, encrypted directory
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def member_faults(
    members: Sequence[zipfile.ZipInfo], *, stored_alone: bool = False
) -> Iterator[tuple[zipfile.ZipInfo, str | None]]:
    """Check the members one by one; gives each with what is wrong with it, or None.

    Args:
        members: all members of an archive.
        stored_alone: whether they must be uncompressed; otherwise they may be deflated.
    """
    seen: set[str] = set()
    for member in members:
        name = nfc(member.filename).rstrip("/")
        fault = name_fault(member.orig_filename) or _kind_fault(member, stored_alone)
        yield member, fault or ("a duplicate name" if name in seen else None)
        seen.add(name)


def overlaps(members: Sequence[zipfile.ZipInfo], end: int) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The members that overlap another one or the directory, each with what is wrong with it: with overlaps, a small
    file could unpack to any size.

    Args:
        members: all members of an archive.
        end: the position where its directory begins.
    """
    in_file = sorted(members, key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in in_file[1:]), end]
    for member, following in zip(in_file, ends, strict=False):  # one end too many in an empty archive
        least = member.header_offset + HEADER_BYTES + len(member.filename) + member.compress_size
        if member.header_offset < 0 or least > following:
            yield member, f"{member.compress_size} bytes at {member.header_offset} don't fit before {following}"


def name_fault(name: str) -> str | None:
    """What is wrong with a member's name in the archive; None if it stays inside the folder where it is unpacked."""
    if _CONTROL.search(name):
        return "control characters in its name"
    if "\\" in name:
        return "a backslash in its name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "an absolute path"
    longest = max(len(part.encode(errors="surrogateescape")) for part in name.split("/"))
    if longest > LONGEST_NAME_BYTES:
        return f"a name of {longest} bytes, but file systems allow {LONGEST_NAME_BYTES}"
    if any(not part.strip(". ") for part in name.removesuffix("/").split("/")):
        return "a path that leads elsewhere"
    return None


def _kind_fault(member: zipfile.ZipInfo, stored_alone: bool) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.filename != member.orig_filename:
        return f"a name in two forms ({member.orig_filename!r})"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.is_dir():
        return "a folder with content" if member.file_size or kind not in (0, stat.S_IFDIR) else None
    if kind not in (0, stat.S_IFREG):
        return "a link" if kind == stat.S_IFLNK else "not a plain file"
    if stored_alone and member.compress_type != zipfile.ZIP_STORED:
        return "compressed"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {member.compress_type}, which is not supported; unpack it with another program"
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        return f"{member.file_size} bytes stated, {member.compress_size} stored"
    return None
