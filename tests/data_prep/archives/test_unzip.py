"""Hostile and damaged ZIP files are rejected before anything is unpacked."""

import io
import shutil
import stat
import struct
import zipfile

import pytest

from data_prep.archives import unzip
from data_prep.archives.unzip import CheckedZip, fits_windows, refuse_little_space
from groundwork.errors import DataError

FRAME = "test/P1/cup/clean/v/v-00001.jpg"
DIRECTORY_ENTRY = b"PK\x01\x02"


def archive(path, *members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in members:
            target.writestr(name, data)
    return path


def linked(name, mode):
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (mode | 0o777) << 16
    return member


def patched(path, at, value):
    """Overwrite a field of the first entry of the directory (APPNOTE.TXT 4.3.12)."""
    data = bytearray(path.read_bytes())
    start = data.index(DIRECTORY_ENTRY) + at
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


def test_members_are_unpacked_unchanged(tmp_path):
    path = archive(tmp_path / "a.zip", ("test/", b""), (FRAME, b"frame" * 999), ("test/readme.txt", b""))
    with CheckedZip(path) as opened:
        assert [member.filename for member in opened.members] == [FRAME, "test/readme.txt"]
        target = io.BytesIO()
        opened.copy(opened.members[0], target)
        assert target.getvalue() == opened.read(opened.members[0]) == b"frame" * 999


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.jpg", "leads elsewhere"),
        ("test/../../evil.jpg", "leads elsewhere"),
        ("test/..", "leads elsewhere"),
        ("test/.. /evil.jpg", "leads elsewhere"),  # Windows drops the space
        ("./a.jpg", "leads elsewhere"),
        ("test//a.jpg", "leads elsewhere"),
        ("../folder/", "leads elsewhere"),
        ("", "leads elsewhere"),
        ("/etc/passwd", "absolute"),
        ("C:/evil.jpg", "absolute"),
        ("c:evil.jpg", "absolute"),
        ("test\\..\\evil.jpg", "backslash"),
        ("a\x00.jpg", "control"),
        ("a\n.jpg", "control"),
        (FRAME, "duplicate name"),
        (FRAME + "/", "duplicate name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_names(tmp_path, name, message):
    member = zipfile.ZipInfo("x")
    member.filename = name  # ZipInfo would cut it at the NUL
    path = archive(tmp_path / "a.zip", (FRAME, b"x"), (member, b""))
    with pytest.raises(DataError, match=f"{message}.*Nothing was unpacked"):
        CheckedZip(path)


def test_two_unicode_forms_of_one_name_are_the_same_name(tmp_path):
    path = archive(tmp_path / "a.zip", ("caf\u00e9", b""), ("cafe\u0301", b""))
    with pytest.raises(DataError, match="duplicate name"):
        CheckedZip(path)


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        (FRAME, stat.S_IFLNK, "a link"),
        ("test/link/", stat.S_IFLNK, "folder"),
        (FRAME, stat.S_IFIFO, "not a plain file"),
        (FRAME, stat.S_IFCHR, "not a plain file"),
        (FRAME, stat.S_IFDIR, "not a plain file"),
    ],
)
def test_links_and_devices(tmp_path, name, mode, message):
    with pytest.raises(DataError, match=message):
        CheckedZip(archive(tmp_path / "a.zip", (linked(name, mode), b"" if name.endswith("/") else b"/etc/passwd")))


def test_encrypted(tmp_path):
    with pytest.raises(DataError, match="encrypted"):
        CheckedZip(patched(archive(tmp_path / "a.zip", (FRAME, b"x")), 8, b"\x01"))


def test_methods_that_are_not_read(tmp_path):
    with pytest.raises(DataError, match="method 14"):
        CheckedZip(archive(tmp_path / "a.zip", (FRAME, b"x"), method=zipfile.ZIP_LZMA))
    with pytest.raises(DataError, match="method 9"):  # what Windows makes of large files
        CheckedZip(patched(archive(tmp_path / "b.zip", (FRAME, b"x")), 10, b"\x09\x00"))


def test_one_member_that_is_a_bomb(tmp_path):
    with pytest.raises(DataError, match="bytes that would become 20971520"):
        CheckedZip(archive(tmp_path / "a.zip", (FRAME, bytes(20 << 20))))


def test_many_small_members_that_are_a_bomb_together(tmp_path):
    members = [(f"{number}.jpg", bytes(1 << 20)) for number in range(65)]
    with pytest.raises(DataError, match="would become 68157440; frames do not compress that well"):
        CheckedZip(archive(tmp_path / "a.zip", *members))


def test_a_frame_too_large(tmp_path):
    too_large = struct.pack("<II", (64 << 20) + 1, (64 << 20) + 1)
    with pytest.raises(DataError, match="67108865 bytes, expected 67108864 at most"):
        CheckedZip(patched(archive(tmp_path / "a.zip", (FRAME, b"x"), method=zipfile.ZIP_STORED), 20, too_large))


def test_black_frames_are_no_bomb(tmp_path):
    """A black frame of 1080 px, quality 95, is 19,123 bytes and deflates 38 to 1 (measured)."""
    members = [(f"{number}.jpg", b"\xff\xd8" + bytes(19_000)) for number in range(2000)]
    with CheckedZip(archive(tmp_path / "a.zip", *members)) as opened:
        assert len(opened.members) == 2000


def test_members_that_share_bytes(tmp_path):
    """One kernel, many directory entries: how a small file unpacks to anything (Fifield 2019, "A better zip bomb")."""
    path = archive(tmp_path / "a.zip", ("aa", b"x" * 99), ("bb", b"y" * 99))
    data = bytearray(path.read_bytes())
    second = data.rindex(DIRECTORY_ENTRY)
    data[second + 42 : second + 46] = bytes(4)  # the second member's header is the first's
    path.write_bytes(data)
    with pytest.raises(DataError, match="don't fit before 0"):
        CheckedZip(path)


def test_a_member_that_reaches_into_the_next(tmp_path):
    path = archive(tmp_path / "a.zip", ("aa", b"x" * 99), ("bb", b"y" * 99), method=zipfile.ZIP_STORED)
    with pytest.raises(DataError, match="don't fit before 131"):  # 30 + 2 + 99
        CheckedZip(patched(path, 20, struct.pack("<II", 120, 120)))


@pytest.mark.parametrize("size", [98, 100])
def test_more_or_less_than_stated_is_found_while_unpacking(tmp_path, size):
    path = patched(archive(tmp_path / "a.zip", (FRAME, b"x" * 99)), 24, struct.pack("<I", size))
    target = io.BytesIO()
    with CheckedZip(path) as opened:
        with pytest.raises(DataError, match=r"v-00001\.jpg.*damaged|not the 100 bytes stated"):
            opened.copy(opened.members[0], target)
        with pytest.raises(DataError, match=r"v-00001\.jpg.*damaged|not the 100 bytes stated"):
            opened.read(opened.members[0])
    assert len(target.getvalue()) <= size


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_found_while_unpacking(tmp_path, method):
    path = archive(tmp_path / "a.zip", (FRAME, bytes(range(256))), method=method)
    data = bytearray(path.read_bytes())
    data[100] ^= 4
    path.write_bytes(data)
    with CheckedZip(path) as opened, pytest.raises(DataError, match=r"v-00001\.jpg.*damaged"):
        opened.copy(opened.members[0], io.BytesIO())


def test_a_header_that_names_another_file_is_found(tmp_path):
    path = archive(tmp_path / "a.zip", (FRAME, b"x"))
    path.write_bytes(path.read_bytes().replace(FRAME.encode(), b"../" + FRAME[3:].encode(), 1))
    with CheckedZip(path) as opened, pytest.raises(DataError, match="damaged"):
        opened.copy(opened.members[0], io.BytesIO())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>", b"PK\x05\x06" + bytes(18)[:-1]])
def test_no_zip_at_all(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="not a ZIP file, or cut off"):
        CheckedZip(tmp_path / "a.zip")


def test_a_cut_off_archive(tmp_path):
    path = archive(tmp_path / "a.zip", (FRAME, b"x" * 999))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="cut off"):
        CheckedZip(path)
    with pytest.raises(DataError, match="can't be read"):
        CheckedZip(tmp_path / "missing.zip")


def test_any_damage_to_a_directory_is_a_clear_line(tmp_path):
    """Every byte of a small archive's directory, changed in turn: refused, or unpacked as stated; nothing else."""
    path = archive(tmp_path / "a.zip", (FRAME, b"x" * 99), ("test/", b""), ("test/b", b"y" * 9))
    good = path.read_bytes()
    refused = 0
    for at in range(good.index(DIRECTORY_ENTRY), len(good)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
            try:
                with CheckedZip(path) as opened:
                    for member in opened.members:
                        opened.copy(member, io.BytesIO())
            except DataError:
                refused += 1
    assert refused > 100


def test_too_little_space(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unzip.shutil, "disk_usage", lambda folder: usage._replace(free=300 << 20))
    refuse_little_space(tmp_path, [4096] * 10_000, "this")  # 41 MB, and 268 MB of room
    with pytest.raises(DataError, match=r"this needs 0\.4 GB, 0\.3 GB are free\. Make room"):
        refuse_little_space(tmp_path, [1] * 20_000, "this")  # small files take a block each


@pytest.mark.parametrize("name", ["a/con/b", "a/NUL.jpg", "a?/b", "a/b.", "a /b", "a:b", "x" * 250])
def test_names_windows_refuses(name):
    assert not fits_windows(name)


def test_names_windows_takes():
    assert fits_windows("test/P177/my keys/clean/P177--my-keys--clean--a_b/P177--my-keys--clean--a_b-00001.jpg")
