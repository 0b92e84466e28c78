import errno
import json
import os
import shutil
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from data_prep.making.pack import pack
from data_prep.making.verify import verify
from data_prep.tree.index import build_index
from data_prep.video import encode_jpeg
from groundwork.errors import UsageError

VIDEO = "ann--cup--clean--a"
PLACE = f"test/ann/cup/clean/{VIDEO}"
FRAMES = 5


def name(number):
    return f"{VIDEO}-{number:05d}.jpg"


@pytest.fixture
def tree(tmp_path):
    """A tree of one annotated video and one without annotations, indexed."""
    rng = np.random.default_rng(1)
    for place in (PLACE, "test/ann/cup/clutter/ann--cup--clutter--b"):
        folder = tmp_path / "tree" / place
        folder.mkdir(parents=True)
        for number in range(1, FRAMES + 1):
            picture = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (64, 64))
            (folder / f"{folder.name}-{number:05d}.jpg").write_bytes(encode_jpeg(picture))
    annotations = tmp_path / "tree/annotations/test" / f"{VIDEO}.json"
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps({name(n): {"blur_issue": False} for n in range(1, FRAMES + 1)}))
    build_index(tmp_path / "tree")
    return tmp_path / "tree"


def found(root):
    return {(fault.path, fault.kind) for fault in verify(root)}


def test_a_correct_tree_has_no_faults(tree):
    assert verify(tree) == []


def test_all_faults_are_listed_at_once(tree):
    folder, annotations = tree / PLACE, tree / "annotations/test"
    content = (folder / name(1)).read_bytes()
    (folder / name(1)).write_bytes(content[: len(content) // 2])
    (folder / name(2)).write_bytes(b"no picture")
    (folder / name(3)).write_bytes(encode_jpeg(np.zeros((32, 64, 3), np.uint8)))
    (folder / name(4)).unlink()
    (folder / "stranger.jpg").write_bytes(content)
    (annotations / "ann--mug--clean--x.json").write_text("{}")
    shutil.copytree(folder, folder.with_name("ann--cup--clean--new"))
    shutil.rmtree(tree / "test/ann/cup/clutter/ann--cup--clutter--b")
    assert {fault for fault in found(tree) if "clean--new" not in fault[0]} == {
        (f"{PLACE}/{name(1)}", "unreadable"),
        (f"{PLACE}/{name(2)}", "unreadable"),
        (f"{PLACE}/{name(3)}", "size"),
        (f"{PLACE}/{name(4)}", "sequence"),
        (f"{PLACE}/stranger.jpg", "sequence"),
        (PLACE, "changed"),
        (f"annotations/test/{VIDEO}.json", "annotation"),
        ("annotations/test/ann--mug--clean--x.json", "annotation"),
        ("test/ann/cup/clutter/ann--cup--clutter--b", "missing"),
    }
    assert ("test/ann/cup/clean/ann--cup--clean--new", "extra") in found(tree)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_frame_cut_off_anywhere_is_unreadable(tree, share):
    path = tree / PLACE / name(2)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert (f"{PLACE}/{name(2)}", "unreadable") in found(tree)


def test_an_overwritten_frame_is_detected(tree):
    (tree / PLACE / name(2)).write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
    assert found(tree) == {(PLACE, "changed")}


def test_missing_and_extra_frames_at_the_end_are_detected(tree):
    last = tree / PLACE / name(FRAMES)
    content = last.read_bytes()
    last.unlink()
    assert found(tree) == {(PLACE, "missing"), (f"annotations/test/{VIDEO}.json", "annotation")}
    last.write_bytes(content)
    (tree / PLACE / name(FRAMES + 1)).write_bytes(content)
    assert found(tree) == {(PLACE, "extra"), (f"annotations/test/{VIDEO}.json", "annotation")}


@pytest.mark.parametrize("change", [{"no-such-00009.jpg": {}}, {name(FRAMES + 1): {}}], ids=["another video", "beyond"])
def test_an_annotation_without_a_frame_is_a_fault(tree, change):
    path = tree / "annotations/test" / f"{VIDEO}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (fault,) = verify(tree)
    assert fault.kind == "annotation" and next(iter(change)) in fault.detail


def test_a_frame_without_its_annotation_is_a_fault(tree):
    path = tree / "annotations/test" / f"{VIDEO}.json"
    content = json.loads(path.read_text())
    del content[name(3)]
    path.write_text(json.dumps(content))
    (fault,) = verify(tree)
    assert (fault.kind, fault.detail) == ("annotation", f"{name(3)}: frame without an entry")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_annotations_that_are_not_json_are_a_fault(tree, text):
    (tree / "annotations/test" / f"{VIDEO}.json").write_text(text)
    assert found(tree) == {(f"annotations/test/{VIDEO}.json", "annotation")}


def test_a_damaged_index_is_one_fault_among_others(tree):
    (tree / "index.csv").write_text("nonsense")
    (tree / PLACE / name(2)).write_bytes(b"")
    assert found(tree) == {("index.csv", "index"), (f"{PLACE}/{name(2)}", "unreadable")}


@pytest.mark.parametrize("numbers", [(7, 8), (10**12,)])
def test_a_gap_of_missing_frames_is_one_fault(tree, numbers):
    """A very large number, such as a date in a file name, must not be counted up to."""
    build_index(tree)
    content = (tree / PLACE / name(1)).read_bytes()
    for number in numbers:
        (tree / PLACE / name(number)).write_bytes(content)
    (gap,) = [fault for fault in verify(tree) if fault.kind == "sequence"]
    assert gap.path == f"{PLACE}/{name(FRAMES + 1)}" and f"there is a frame {numbers[0]}" in gap.detail


def test_a_folder_that_can_not_be_listed_is_one_fault(tree, monkeypatch):
    listing = os.scandir

    def fails(place="."):
        if str(place).endswith(VIDEO):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(place))  # simulates a bad disk
        return listing(place)

    monkeypatch.setattr("data_prep.tree.listing.os.scandir", fails)
    (tree / "test/ann/cup/clutter/ann--cup--clutter--b/ann--cup--clutter--b-00002.jpg").write_bytes(b"")
    assert {kind for _, kind in found(tree)} == {"unreadable", "changed"}
    assert (PLACE, "unreadable") in found(tree)


# --- packed


def as_packed(place):
    """The path of a fault in the packed tree, from that in the frame tree."""
    return place.replace("test/ann/", "test/ann.zip#", 1)


def test_a_correct_packed_tree_has_no_faults(tree, tmp_path):
    pack(tree, tmp_path / "packed")
    assert verify(tmp_path / "packed") == []


def test_packed_frames_are_read_like_files(tree, tmp_path):
    """Faults of frames are reported in the same words for a packed tree."""
    folder = tree / PLACE
    content = (folder / name(1)).read_bytes()
    (folder / name(1)).write_bytes(content[: len(content) // 2])
    (folder / name(2)).write_bytes(b"no picture")
    (folder / name(3)).write_bytes(encode_jpeg(np.zeros((32, 64, 3), np.uint8)))
    (folder / name(4)).write_bytes(content[:-2])
    annotations = tree / "annotations/test"
    (annotations / f"{VIDEO}.json").write_text(json.dumps({name(n): {} for n in range(2, FRAMES + 2)}))
    (annotations / "ann--mug--clean--x.json").write_text("{}")
    build_index(tree)
    pack(tree, tmp_path / "packed")
    faults = verify(tree)
    assert [fault.kind for fault in faults].count("unreadable") == 3 and len(faults) == 7
    assert verify(tmp_path / "packed") == [replace(fault, path=as_packed(fault.path)) for fault in faults]


@pytest.mark.parametrize("has_pread", [True, False])
def test_every_damaged_member_is_listed_and_the_others_are_read(tree, tmp_path, has_pread, monkeypatch):
    if not has_pread:
        monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    pack(tree, tmp_path / "packed")
    path = tmp_path / "packed/test/ann.zip"
    data = bytearray(path.read_bytes())
    for number in (2, 5):
        data[data.index(f"{VIDEO}-{number:05d}.jpg".encode()) + 60] ^= 1
    path.write_bytes(data)
    faults = verify(tmp_path / "packed")
    assert [(fault.path, fault.kind) for fault in faults] == [
        (as_packed(f"{PLACE}/{name(number)}"), "unreadable") for number in (2, 5)
    ]
    assert all(fault.detail.startswith("damaged") for fault in faults)


@pytest.mark.parametrize("indexed", [True, False])
def test_an_unreadable_archive_is_one_fault_and_the_others_are_read(tree, tmp_path, indexed):
    bob = tree / "test/bob/cup/clean/bob--cup--clean--c"
    shutil.copytree(tree / PLACE, bob)
    for path in list(bob.iterdir()):
        path.rename(bob / path.name.replace(VIDEO, bob.name))
    (bob / f"{bob.name}-00003.jpg").write_bytes(b"no picture")
    build_index(tree)
    packed = tmp_path / "packed"
    pack(tree, packed)
    if not indexed:
        (packed / "index.csv").unlink()
    path = packed / "test/ann.zip"
    path.write_bytes(path.read_bytes()[:-30])
    assert found(packed) == {
        ("test/ann.zip", "unreadable"),
        (f"test/bob.zip#cup/clean/{bob.name}/{bob.name}-00003.jpg", "unreadable"),
    }


def test_a_packed_tree_is_compared_with_its_index(tree, tmp_path):
    packed = tmp_path / "packed"
    pack(tree, packed)
    shutil.copyfile(packed / "test/ann.zip", packed / "test/eve.zip")
    with zipfile.ZipFile(packed / "test/ann.zip") as whole:
        *kept, last = [(name, whole.read(name)) for name in sorted(whole.namelist()) if VIDEO in name]
    for members, kind in ((kept, "missing"), ([*kept, (last[0], kept[0][1])], "changed")):
        with zipfile.ZipFile(packed / "test/ann.zip", "w") as target:
            for member in members:
                target.writestr(*member)
        assert {(path, kind) for path, kind in found(packed) if kind != "annotation"} == {
            (as_packed(PLACE), kind),
            ("test/ann.zip#cup/clutter/ann--cup--clutter--b", "missing"),
            ("test/eve.zip#cup/clean/ann--cup--clean--a", "extra"),
            ("test/eve.zip#cup/clutter/ann--cup--clutter--b", "extra"),
        }


# --- raw


def test_raw_videos_are_read_to_their_end(small_raw, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(small_raw, raw)
    build_index(raw)
    assert verify(raw) == []
    path = raw / "ben/cup/clean/four.mp4"
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 600
    content[middle : middle + 1000] = bytes(1000)  # the size is the same, so the index does not show it
    path.write_bytes(bytes(content))
    (fault,) = verify(raw)
    assert (fault.path, fault.kind) == ("ben/cup/clean/four.mp4", "unreadable")


def test_annotations_of_an_undecodable_raw_video_are_not_checked(small_raw, tmp_path):
    """Its frames are unknown, so there is one fault, and not another one for every entry."""
    raw = tmp_path / "raw"
    shutil.copytree(small_raw, raw)
    row = next(row for row in build_index(raw).rows if row.path == "ben/cup/clean/four.mp4")
    (raw / "annotations").mkdir()
    entries = {f"{row.video}-{number:05d}.jpg": {} for number in range(1, row.frames + 1)}
    (raw / f"annotations/{row.video}.json").write_text(json.dumps(entries))
    assert verify(raw) == []
    path = raw / row.path
    path.write_bytes(path.read_bytes()[:-500])
    assert found(raw) == {(row.path, "unreadable"), (row.path, "changed")}


def test_a_raw_video_that_takes_too_long_is_a_fault(encode_video, tmp_path):
    """No known file hangs all versions of the decoders, so the test uses a short limit."""
    encode_video(tmp_path / "raw/ann/cup/clean/long.mp4", pictures=2000)
    (fault,) = verify(tmp_path / "raw", time_limit_s=0.1)
    assert (fault.path, fault.kind) == ("ann/cup/clean/long.mp4", "unreadable")
    assert fault.detail.startswith("not finished after 0 s")


def test_a_missing_tree_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError):
        verify(tmp_path)
