import shutil
import zipfile

import pytest

from data_prep.making.pack import pack, unpack
from data_prep.tree.index import build_index, open_index
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run

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


def archive(path, *members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as target:
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
    shutil.copytree(tree, tmp_path / "copy")  # different modification times
    pack(tmp_path / "copy", tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "a/test/zoë.zip") as target:
        assert target.testzip() is None and target.namelist() == sorted(target.namelist())
        assert {m.compress_type for m in target.infolist()} == {zipfile.ZIP_STORED}


def test_pack_resumes_by_user_and_replaces_an_incomplete_archive(tree, tmp_path):
    out = tmp_path / "packed"
    pack(tree, out)
    whole = content(out)
    kept = (out / "train/bob.zip").stat().st_ino
    cut = out / "test/zoë.zip"
    cut.write_bytes(cut.read_bytes()[:-30])
    assert pack(tree, out).skipped == 1
    assert content(out) == whole and (out / "train/bob.zip").stat().st_ino == kept


def test_the_index_matches_the_tree_and_detects_changes(tree, tmp_path):
    out = tmp_path / "packed"
    pack(tree, out)
    index = open_index(out)
    assert index.kind == "packed" and index.fingerprint == open_index(tree).fingerprint
    assert "test/zoë.zip#my keys/clean/zoë--my-keys--clean--a" in {row.path for row in index.rows}
    assert {row.fingerprint for row in index.rows} == {row.fingerprint for row in open_index(tree).rows}
    archive(out / "train/bob.zip", (GOOD, b"x"))
    with pytest.raises(DataError, match=r"bob\.zip#cup/clean/.*run 'orbit-lite prep index"):
        open_index(out)
    (out / "train/bob.zip").unlink()
    with pytest.raises(DataError, match=r"bob\.zip: in index\.csv, not on disk"):
        open_index(out)


def test_a_hostile_archive_writes_nothing(tmp_path):
    """The cases that `PackedUser` rejects are in test_packed.py."""
    archive(tmp_path / "in/ann.zip", (GOOD, b"x"), ("../../v-00002.jpg", b""))
    with pytest.raises(DataError, match="leads elsewhere"):
        unpack(tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_damaged_frame_stops_unpacking_at_its_video(tree, tmp_path):
    pack(tree, tmp_path / "packed")
    path = tmp_path / "packed/train/bob.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"00002.jpg") + 12] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bob\.zip#cup/clean/.*00002\.jpg: damaged"):
        unpack(tmp_path / "packed", tmp_path / "out")
    assert set(content(tmp_path / "out")) == {name for name in content(tree) if name.startswith("test/")}


def test_a_folder_with_other_files_and_another_kind_of_tree_are_rejected(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        pack(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=r"expected a packed tree .*, found a frame tree"):
        unpack(tree, tmp_path / "out2")
    with pytest.raises(UsageError, match="is not inside"):
        pack(tree, tree / "packed")


def test_two_runs_can_not_write_at_once(tree, tmp_path):
    with only_run(tmp_path / "packed"), pytest.raises(UsageError, match="another run"):
        pack(tree, tmp_path / "packed")
    pack(tree, tmp_path / "packed")
    with only_run(tmp_path / "again"), pytest.raises(UsageError, match="another run"):
        unpack(tmp_path / "packed", tmp_path / "again")


# --- interrupted


USERS, FRAMES, FRAME_BYTES = 6, 20, 500
CODE = """
from pathlib import Path
from data_prep.making.pack import {verb}
{verb}(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture
def large(tmp_path):
    """A frame tree of several users with one video each."""
    root = tmp_path / "large"
    for user in range(USERS):
        folder = root / f"P{user:03d}/cup/clean/P{user:03d}--cup--clean--a"
        folder.mkdir(parents=True)
        for k in range(1, FRAMES + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(f"{user} {k} ".encode() * (FRAME_BYTES // 6))
    build_index(root)
    return root


def test_pack_killed_halfway_and_run_again_gives_the_same_bytes(large, tmp_path, run_killed):
    pack(large, tmp_path / "whole")
    whole, out = content(tmp_path / "whole"), tmp_path / "out"
    run_killed(CODE.format(verb="pack"), large, out, place=r"/P\d+\.zip$", count=4)
    archives = list(out.glob("P*.zip"))
    assert len(archives) == 3 and all(path.read_bytes() == whole[path.name] for path in archives)
    assert not (out / "index.csv").exists()
    assert pack(large, out).skipped == len(archives)
    assert content(out) == whole  # including hidden files: no part is left


def test_unpack_killed_halfway_and_run_again_gives_the_same_bytes(large, tmp_path, run_killed):
    packed, out = tmp_path / "packed", tmp_path / "out"
    pack(large, packed)
    run_killed(CODE.format(verb="unpack"), packed, out, place=r"/P\d+--cup--clean--a$", count=4)
    videos = list(out.glob("P*/cup/clean/P*"))
    assert len(videos) == 3
    assert all(content(video) == content(large / video.relative_to(out)) for video in videos)
    assert not (out / "index.csv").exists()
    assert unpack(packed, out).skipped == len(videos)
    assert content(out) == content(large)


@pytest.mark.parametrize(("verb", "part"), [(pack, ".P*.zip.part"), (unpack, "*/cup/clean/.P*.part")])
def test_an_archive_or_video_interrupted_by_a_kill_does_not_count(large, tmp_path, run_killed, verb, part):
    """The kill comes right before a frame in the middle is opened for reading or writing."""
    pack(large, tmp_path / "packed")
    source, whole = (large, tmp_path / "packed") if verb is pack else (tmp_path / "packed", large)
    out = tmp_path / "out"
    run_killed(CODE.format(verb=verb.__name__), source, out, event="open", place=r"-00010\.jpg$", count=3)
    assert any(out.glob(part))
    verb(source, out)
    assert content(out) == content(whole)
