"""At what level of an archive the tree begins, and which members are unpacked."""

import zipfile

import pytest

from data_prep.archives import unzip
from data_prep.archives.contents import find_videos, refuse_foreign, write_annotations, write_videos
from data_prep.archives.unzip import CheckedZip
from groundwork.errors import DataError

VIDEOS = {
    "P1/my keys/clean/P1--my-keys--clean--a--b": 3,
    "P1/my keys/clutter/P1--my-keys--clutter---c": 2,
    "P2/cup/clean/P2--cup--clean--d": 1,
}


def frames(split):
    """Member names and content of a small split: `split` is the folder above USER."""
    above = f"{split}/" if split else ""
    return {
        f"{above}{place}/{place.rpartition('/')[2]}-{number:05d}.jpg": f"{place} {number}".encode()
        for place, count in VIDEOS.items()
        for number in range(1, count + 1)
    }


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return path


def unpack(path, out, split=""):
    out.mkdir(exist_ok=True)
    with CheckedZip(path) as opened:
        contents = find_videos(opened, split)
        return contents, write_videos(opened, contents.videos, out)


@pytest.mark.parametrize(
    ("above", "split"),
    [
        ("test", ""),
        ("test", "test"),
        ("", "test"),
        ("orbit_benchmark_224/test", ""),
        ("a/b/c/test", ""),
        ("test_224", "test"),
        ("test/test", ""),
    ],
)
def test_the_tree_may_begin_at_any_level(tmp_path, tree_bytes, above, split):
    contents, skipped = unpack(archive(tmp_path / "a.zip", frames(above)), tmp_path / "out", split)
    assert tree_bytes(tmp_path / "out") == frames("test")
    assert (contents.splits, contents.others, skipped) == (("test",), (), 0)


def test_several_splits_and_pans_in_one_archive(tmp_path, tree_bytes):
    pan = {"x/other/P9/cup/clutter-pan/v/v-00001.jpg": b"pan"}
    contents, _ = unpack(archive(tmp_path / "a.zip", frames("x/train") | frames("x/test") | pan), tmp_path / "out")
    there = {"other/P9/cup/clutter-pan/v/v-00001.jpg": b"pan"}
    assert tree_bytes(tmp_path / "out") == frames("train") | frames("test") | there
    assert contents.splits == ("train", "test", "other")


def test_junk_is_ignored_and_other_members_are_named(tmp_path, tree_bytes):
    place = "test/P2/cup/clean/P2--cup--clean--d"
    junk = ["__MACOSX/test/._P1", f"__MACOSX/{place}/P2--cup--clean--d-00001.jpg", f"{place}/._x.jpg", "test/.DS_Store"]
    others = ["readme.txt", f"{place}/other-00001.jpg", f"{place}/P2--cup--clean--d-1.jpg", "test/P1/notes.mp4"]
    members = frames("test") | dict.fromkeys([*junk, *others], b"x")
    contents, _ = unpack(archive(tmp_path / "a.zip", members), tmp_path / "out")
    assert tree_bytes(tmp_path / "out") == frames("test")
    assert sorted(contents.others) == sorted(others)


def test_raw_videos(tmp_path, tree_bytes):
    members = {"x/test/P1/cup/clean/one.mp4": b"1" * 10, "x/test/P1/cup/clutter/two.MOV": b"2"}
    contents, _ = unpack(archive(tmp_path / "a.zip", members), tmp_path / "out")
    assert [video.is_raw for video in contents.videos] == [True, True]
    assert tree_bytes(tmp_path / "out") == {name.removeprefix("x/"): data for name, data in members.items()}


def test_a_folder_named_like_a_file_is_a_folder(tmp_path):
    members = {"test/P1/cup/clean/v.mp4/v.mp4-00001.jpg": b"1"}
    unpack(archive(tmp_path / "a.zip", members), tmp_path / "out")
    assert (tmp_path / "out/test/P1/cup/clean/v.mp4/v.mp4-00001.jpg").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("members", "split", "message"),
    [
        (frames(""), "", "give it with --split"),
        (frames("test_224"), "", "give it with --split"),
        (frames("train"), "test", "is in split train, expected test"),
        (frames("a/test") | frames("b/test"), "", "a second member"),
        (frames("test") | {"test/P9/cup/clean/x.mp4": b""}, "", r"both frames \(.*\) and raw videos \(.*x\.mp4\)"),
        ({"readme.txt": b""}, "test", r"found neither: readme\.txt"),
        ({"test/P1/cup/messy/v/v-00001.jpg": b""}, "test", "found neither"),
        ({}, "test", "found neither"),
    ],
)
def test_archives_without_a_clear_split_are_rejected(tmp_path, members, split, message):
    with pytest.raises(DataError, match=message):
        unpack(archive(tmp_path / "a.zip", members), tmp_path / "out", split)
    assert list((tmp_path / "out").iterdir()) == []


def test_unpacking_resumes_at_the_video(tmp_path, tree_bytes):
    path, out = archive(tmp_path / "a.zip", frames("test")), tmp_path / "out"
    unpack(path, out)
    kept = out / "test/P2/cup/clean/P2--cup--clean--d/P2--cup--clean--d-00001.jpg"
    inode = kept.stat().st_ino
    for name in ("P1--my-keys--clean--a--b", ".P1--my-keys--clean--a--b.part"):  # cut off in the middle of it
        folder = out / "test/P1/my keys/clean" / name
        if folder.exists():
            for frame in folder.iterdir():
                frame.unlink()
            folder.rmdir()
        else:
            folder.mkdir()
            (folder / "P1--my-keys--clean--a--b-00001.jpg").write_bytes(b"half")
    _, skipped = unpack(path, out)
    assert (skipped, kept.stat().st_ino) == (2, inode)
    assert tree_bytes(out) == frames("test") and not list(out.rglob("*.part"))


@pytest.mark.parametrize("change", ["size", "missing", "extra"])
def test_a_different_video_in_its_place_is_not_touched(tmp_path, tree_bytes, change):
    path, out = archive(tmp_path / "a.zip", frames("test")), tmp_path / "out"
    unpack(path, out)
    frame = out / "test/P1/my keys/clean/P1--my-keys--clean--a--b/P1--my-keys--clean--a--b-00003.jpg"
    if change == "missing":
        frame.unlink()
    else:
        (frame if change == "size" else frame.with_name("extra.jpg")).write_bytes(b"mine")
    before = tree_bytes(out)
    with pytest.raises(DataError, match=r"a--b: differs from what .*a\.zip has there\. Remove it"):
        unpack(path, out)
    assert tree_bytes(out) == before


def test_a_damaged_frame_leaves_no_half_video(tmp_path, tree_bytes):
    path, out = archive(tmp_path / "a.zip", frames("test")), tmp_path / "out"
    with CheckedZip(path) as opened:  # the second frame of the first video
        at = opened.members[1].header_offset + 30 + len(opened.members[1].filename.encode()) + 4
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"00002\.jpg.*damaged"):
        unpack(path, out)
    there = tree_bytes(out)
    assert there.items() <= frames("test").items() and not list(out.rglob("*.part"))
    assert not any("clean--a--b" in name for name in there)  # the damaged video is not left in part


def test_too_little_space_is_found_before_a_byte_is_written(tmp_path, monkeypatch):
    path, out = archive(tmp_path / "a.zip", frames("test")), tmp_path / "out"
    usage = unzip.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unzip.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"out: unpacking .*a\.zip needs .* are free"):
        unpack(path, out)
    assert list(out.iterdir()) == []


def test_foreign_videos(tmp_path):
    with CheckedZip(archive(tmp_path / "a.zip", frames("test"))) as opened:
        places = [(video.split, video.place) for video in find_videos(opened).videos]
    (tmp_path / "out/test/P7/cup/clean/v").mkdir(parents=True)
    (tmp_path / "out/train/P7/cup/clean/v").mkdir(parents=True)  # in another split
    (tmp_path / "out/test/P1/cup/clean/.v.part").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"contains videos that the archive does not have: test/P7/cup/clean/v\. Remove them"
    ):
        refuse_foreign(tmp_path / "out", places)
    refuse_foreign(tmp_path / "out", [*places, ("test", "P7/cup/clean/v")])


NAMES = ["P1--my-keys--clean--a--b.json", "P2--cup--clean--d.json"]


@pytest.mark.parametrize(("above", "split"), [("annotations/test/", ""), ("test/", ""), ("x/test/", ""), ("", "test")])
def test_annotations(tmp_path, tree_bytes, above, split):
    members = {above + name: name.encode() for name in NAMES}
    members |= {"lists/orbit_objects.json": b"{}", "__MACOSX/test/._a.json": b"", "readme.txt": b""}
    (tmp_path / "out").mkdir()
    with CheckedZip(archive(tmp_path / "a.zip", members)) as opened:
        for _ in range(2):
            assert write_annotations(opened, tmp_path / "out", split) == (2, ("readme.txt",))
    expected = {f"annotations/test/{name}": name.encode() for name in NAMES}
    assert tree_bytes(tmp_path / "out") == expected | {"annotations/orbit_objects.json": b"{}"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({NAMES[0]: b""}, "give it with --split"),
        ({f"other/{NAMES[0]}": b""}, "give it with --split"),
        ({f"a/test/{NAMES[0]}": b"", f"b/test/{NAMES[0]}": b""}, "a second member"),
        ({"test/readme.txt": b""}, "no annotations"),
    ],
)
def test_archives_without_valid_annotations_are_rejected(tmp_path, members, message):
    (tmp_path / "out").mkdir()
    with (
        CheckedZip(archive(tmp_path / "a.zip", members)) as opened,
        pytest.raises(DataError, match=message),
    ):
        write_annotations(opened, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
