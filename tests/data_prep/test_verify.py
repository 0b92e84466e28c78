import json
import shutil

import cv2
import numpy as np
import pytest

from data_prep.index import build_index
from data_prep.verify import verify
from data_prep.video import encode_jpeg
from groundwork.errors import AskedWrong

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


def test_a_tree_in_order_has_no_faults(tree):
    assert verify(tree) == []


def test_every_fault_is_listed_at_once(tree):
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


def test_a_frame_overwritten_in_place_is_noticed(tree):
    (tree / PLACE / name(2)).write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
    assert found(tree) == {(PLACE, "changed")}


def test_missing_and_extra_frames_at_the_end_are_noticed(tree):
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


def test_a_damaged_index_is_a_fault_among_the_others(tree):
    (tree / "index.csv").write_text("nonsense")
    (tree / PLACE / name(2)).write_bytes(b"")
    assert found(tree) == {("index.csv", "index"), (f"{PLACE}/{name(2)}", "unreadable")}


def test_raw_videos_are_read_to_their_end(small_raw, tmp_path, encode_video):
    raw = tmp_path / "raw"
    shutil.copytree(small_raw, raw)
    build_index(raw)
    assert verify(raw) == []
    path = raw / "ben/cup/clean/four.mp4"
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 600
    content[middle : middle + 1000] = bytes(1000)  # the size stays, so the index can't tell
    path.write_bytes(bytes(content))
    kinds = {(fault.path, fault.kind) for fault in verify(raw)}
    assert ("ben/cup/clean/four.mp4", "unreadable") in kinds


def test_no_tree_is_a_wrong_request(tmp_path):
    with pytest.raises(AskedWrong):
        verify(tmp_path)
