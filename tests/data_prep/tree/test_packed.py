import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data_prep.tree.packed import PackedUser
from groundwork.errors import DataError

GOOD = "cup/clean/v/v-00001.jpg"
PLACE = "cup/clean/v"


def archive(path, *members, method=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in members:
            target.writestr(name, data)
    return path


def frame(number):
    """Contents of many lengths that identify the frame."""
    return f"frame {number}|".encode() * (1 + number * 37 % 200)


@pytest.fixture
def packed(tmp_path):
    return archive(tmp_path / "ann.zip", *((f"{PLACE}/v-{k:05d}.jpg", frame(k)) for k in range(1, 101)))


@pytest.mark.parametrize("has_pread", [True, False])
def test_threads_share_an_archive(packed, has_pread, monkeypatch):
    if not has_pread:
        monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    numbers = np.random.default_rng(0).integers(1, 101, 4000).tolist()
    with PackedUser(packed) as user, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: user.read(PLACE, number), numbers))
    assert read == [frame(number) for number in numbers]


@pytest.mark.skipif(not (hasattr(os, "pread") and hasattr(os, "fork")), reason="needs os.pread and os.fork")
def test_forked_processes_share_an_archive(packed):
    with PackedUser(packed) as user:
        children = []
        for first in (1, 51):
            if not (child := os.fork()):
                right = all(user.read(PLACE, k) == frame(k) for _ in range(40) for k in range(first, first + 50))
                os._exit(0 if right else 1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


@pytest.mark.parametrize("extra_bytes", [0, 400, 2000])
def test_frames_behind_long_headers_are_read(tmp_path, extra_bytes):
    """An extra field, which other programs write, may be longer than one read."""
    member = zipfile.ZipInfo(GOOD)
    if extra_bytes:
        member.extra = b"\xfe\xca" + (extra_bytes - 4).to_bytes(2, "little") + bytes(extra_bytes - 4)
    with PackedUser(archive(tmp_path / "a.zip", (member, frame(7)))) as user:
        assert user.read(PLACE, 1) == frame(7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/cup/clean/v/v-00001.jpg", "an absolute path"),
        ("../clean/v/v-00001.jpg", "leads elsewhere"),
        ("cup/clean/../v-00001.jpg", "leads elsewhere"),
        ("../../folder/", "leads elsewhere"),
        ("cup/clean/v/notes.txt", "not a frame"),
        ("cup/clean/v/w-00001.jpg", "not a frame"),
        ("cup/messy/v/v-00001.jpg", "not a frame"),
        ("C:/clean/v/v-00001.jpg", "an absolute path"),  # Windows would write to that path
        ("cup/clean/v\n/v-00001.jpg", "control characters"),
        (GOOD, "duplicate name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_names_are_rejected(name, message, tmp_path):
    path = archive(tmp_path / "ann.zip", (GOOD, b"x"), (name, b""))
    with pytest.raises(DataError, match=message) as error:
        PackedUser(path)
    assert name in str(error.value) or "\n" in name


def test_links_compressed_and_encrypted_members_are_rejected(tmp_path):
    link = zipfile.ZipInfo(GOOD)
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DataError, match="a link"):
        PackedUser(archive(tmp_path / "a.zip", (link, b"/etc/passwd")))
    with pytest.raises(DataError, match="compressed"):
        PackedUser(archive(tmp_path / "b.zip", (GOOD, b"0" * 9999), method=zipfile.ZIP_DEFLATED))
    path = archive(tmp_path / "c.zip", (GOOD, b"x"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # flags in the directory: APPNOTE 4.3.12
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        PackedUser(path)


@pytest.mark.parametrize("size", [50, 10**6])
def test_sizes_that_do_not_fit_are_rejected(size, tmp_path):
    """Too long for the file, or reaching into the next member."""
    path = archive(tmp_path / "a.zip", (GOOD, b"x"), ("cup/clean/v/v-00002.jpg", b"y" * 100))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = size.to_bytes(4, "little") * 2
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"v-00001\.jpg: .* don't fit"):
        PackedUser(path)


@pytest.mark.parametrize("numbers", [[2, 3], [1, 3]])
def test_a_gap_in_the_frames_is_rejected(tmp_path, numbers):
    path = archive(tmp_path / "a.zip", *((f"{PLACE}/v-{k:05d}.jpg", b"x") for k in numbers))
    with pytest.raises(DataError, match="not in the archive, which has 2 frames of this video"):
        PackedUser(path)


def test_damage_in_the_directory_is_detected_or_harmless(tmp_path):
    """Whatever bytes overwrite it, the result is one kind of error or the right frame, never another frame's bytes."""
    path = archive(tmp_path / "a.zip", *((f"{PLACE}/v-{k:05d}.jpg", frame(k)) for k in range(1, 5)))
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(1500):
        data = bytearray(whole)
        data[rng.integers(start, len(data))] = rng.choice([0, 1, 255, rng.integers(256)])
        path.write_bytes(data)
        try:
            with PackedUser(path) as user:
                read = [user.read(PLACE, number) for number in range(1, 5)]
        except DataError:
            refused += 1
        else:
            assert read == [frame(number) for number in range(1, 5)]
    assert 0 < refused < 1500


def test_a_damaged_frame_is_named_and_the_others_are_read(packed):
    data = bytearray(packed.read_bytes())
    data[data.index(b"frame 2|") + 3] ^= 1
    packed.write_bytes(data)
    with PackedUser(packed) as user:
        assert user.read(PLACE, 12) == frame(12)
        with pytest.raises(DataError, match=r"00002\.jpg: damaged"):
            user.read(PLACE, 2)
        with pytest.raises(DataError, match=r"00101\.jpg: no such frame"):
            user.read(PLACE, 101)
        with pytest.raises(DataError, match=r"w-00001\.jpg: no such frame"):
            user.read("cup/clean/w", 1)


def test_a_file_that_is_not_an_archive_is_one_line(tmp_path):
    with pytest.raises(DataError, match="can't be opened"):
        PackedUser(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a ZIP file"):
        PackedUser(tmp_path / "b.zip")
