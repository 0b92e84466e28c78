import shutil
import stat
import zipfile

import pytest

from data_prep.archive import PackedUser
from data_prep.index import build_index, open_index
from data_prep.pack import pack, unpack
from groundwork.errors import AskedWrong, FoundWrong

PLACES = {
    "test/zoë/my keys/clean/zoë--my-keys--clean--a": 3,
    "test/zoë/cup/clutter/zoë--cup--clutter--b--c": 2,
    "train/bob/cup/clean/bob--cup--clean---e": 12,
}
GOOD = "cup/clean/v/v-00001.jpg"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for place, frames in PLACES.items():
        folder = root / place
        folder.mkdir(parents=True)
        for k in range(1, frames + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(f"{place} {k}".encode() * k)
    (root / "annotations/test").mkdir(parents=True)
    (root / "annotations/test/zoë--my-keys--clean--a.json").write_text("{}")
    build_index(root)
    return root


def content(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def archive(path, *members, method=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in members:
            target.writestr(name, data)
    return path


def test_round_trip_byte_for_byte(tree, tmp_path):
    summary = pack(tree, tmp_path / "packed")
    assert (summary.users, summary.videos, summary.frames, summary.skipped) == (2, 3, 17, 0)
    assert {name for name in content(tmp_path / "packed") if name.endswith(".zip")} == {"test/zoë.zip", "train/bob.zip"}
    unpack(tmp_path / "packed", tmp_path / "again")
    assert content(tmp_path / "again") == content(tree)


def test_archives_are_standard_and_the_same_every_time(tree, tmp_path):
    pack(tree, tmp_path / "a")
    shutil.copytree(tree, tmp_path / "copy")  # other times
    pack(tmp_path / "copy", tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "a/test/zoë.zip") as target:
        assert target.testzip() is None and target.namelist() == sorted(target.namelist())
        assert {m.compress_type for m in target.infolist()} == {zipfile.ZIP_STORED}


def test_pack_goes_on_by_user_and_mends_a_cut_off_archive(tree, tmp_path):
    out = tmp_path / "packed"
    pack(tree, out)
    whole = content(out)
    kept = (out / "train/bob.zip").stat().st_ino
    cut = out / "test/zoë.zip"
    cut.write_bytes(cut.read_bytes()[:-30])
    assert pack(tree, out).skipped == 1
    assert content(out) == whole and (out / "train/bob.zip").stat().st_ino == kept


def test_the_index_is_the_trees_and_notices_change(tree, tmp_path):
    out = tmp_path / "packed"
    pack(tree, out)
    index = open_index(out)
    assert index.kind == "packed" and index.fingerprint == open_index(tree).fingerprint
    assert "test/zoë.zip#my keys/clean/zoë--my-keys--clean--a" in {row.path for row in index.rows}
    assert {row.fingerprint for row in index.rows} == {row.fingerprint for row in open_index(tree).rows}
    archive(out / "train/bob.zip", (GOOD, b"x"))
    with pytest.raises(FoundWrong, match=r"bob\.zip#cup/clean/.*run 'orbit-lite prep index"):
        open_index(out)
    (out / "train/bob.zip").unlink()
    with pytest.raises(FoundWrong, match=r"bob\.zip: in index\.csv, not on disk"):
        open_index(out)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/cup/clean/v/v-00001.jpg", "leads elsewhere"),
        ("../clean/v/v-00001.jpg", "leads elsewhere"),
        ("cup/clean/../v-00001.jpg", "leads elsewhere"),
        ("../../folder/", "leads elsewhere"),
        ("cup/clean/v/notes.txt", "not a frame"),
        ("cup/clean/v/w-00001.jpg", "not a frame"),
        ("cup/messy/v/v-00001.jpg", "not a frame"),
        (GOOD, "twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_names_are_refused(name, says, tmp_path):
    path = archive(tmp_path / "in/ann.zip", (GOOD, b"x"), (name, b""))
    with pytest.raises(FoundWrong, match=says) as error:
        PackedUser(path)
    assert name in str(error.value)
    with pytest.raises(FoundWrong, match=says):
        unpack(tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_links_compressed_and_encrypted_members_are_refused(tmp_path):
    link = zipfile.ZipInfo(GOOD)
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(FoundWrong, match="a link"):
        PackedUser(archive(tmp_path / "a.zip", (link, b"/etc/passwd")))
    with pytest.raises(FoundWrong, match="compressed"):
        PackedUser(archive(tmp_path / "b.zip", (GOOD, b"0" * 9999), method=zipfile.ZIP_DEFLATED))
    path = archive(tmp_path / "c.zip", (GOOD, b"x"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # flags in the directory: APPNOTE 4.3.12
    path.write_bytes(data)
    with pytest.raises(FoundWrong, match="encrypted"):
        PackedUser(path)


@pytest.mark.parametrize("size", [50, 10**6])
def test_sizes_that_do_not_fit_are_refused(size, tmp_path):
    """Too long for the file, or reaching into the next member."""
    path = archive(tmp_path / "a.zip", (GOOD, b"x"), ("cup/clean/v/v-00002.jpg", b"y" * 100))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = size.to_bytes(4, "little") * 2
    path.write_bytes(data)
    with pytest.raises(FoundWrong, match=r"v-00001\.jpg: .* don't fit"):
        PackedUser(path)


def test_a_damaged_frame_is_named_and_the_others_are_read(tree, tmp_path):
    pack(tree, tmp_path / "packed")
    path, place = tmp_path / "packed/train/bob.zip", "cup/clean/bob--cup--clean---e"
    data = bytearray(path.read_bytes())
    data[data.index(b"00002.jpg") + 12] ^= 1
    path.write_bytes(data)
    with PackedUser(path) as user:
        assert user.read(place, 12) == content(tree)[f"train/bob/{place}/bob--cup--clean---e-00012.jpg"]
        with pytest.raises(FoundWrong, match=r"00002\.jpg: damaged"):
            user.read(place, 2)
        with pytest.raises(FoundWrong, match=r"00013\.jpg: no such frame"):
            user.read(place, 13)


def test_a_foreign_folder_and_another_kind_are_refused(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(AskedWrong, match=r"notes\.txt"):
        pack(tree, tmp_path / "out")
    with pytest.raises(AskedWrong, match="expected a packed tree"):
        unpack(tree, tmp_path / "out2")
    with pytest.raises(AskedWrong, match="outside"):
        pack(tree, tree / "packed")
