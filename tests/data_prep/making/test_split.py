"""Merging and splitting the users of the unfiltered set, on small trees whose frames are a few bytes each."""

import json
import os
import shutil

import pytest

from data_prep.making.split import split_users
from data_prep.making.verify import verify
from data_prep.tree.index import open_index
from groundwork.errors import DataError, UsageError

NEW_USERS = {"P478": {"P120": ["bag", "my keys"], "P160": ["cup"]}, "P940": {"P610": ["cat"], "P834": ["mug"]}}
PLACES = {  # level/user/object/type/video: frames; the ids hold a dash, `--` and the collector's own name
    "train/P478/bag/clean/P478--bag--clean---a": 3,
    "train/P478/bag/clutter/P478--bag--clutter--xP478--b": 2,
    "train/P478/my keys/clean/P478--my-keys--clean--c": 12,
    "train/P100/pen/clean/P100--pen--clean--P478": 2,
    "test/P940/cat/clean/P940--cat--clean--d": 1,
    "other/P940/mug/clutter-pan/P940--mug--clutter-pan--e": 2,
    "other/P478/cup/clean/P478--cup--clean--f": 4,
    "other/P100/pen/clean/P100--pen--clean--g": 1,
    "other/P200/hat/clutter/P200--hat--clutter--h": 2,
}
SPLIT = {
    "P120/bag/clean/P120--bag--clean---a": 3,
    "P120/bag/clutter/P120--bag--clutter--xP478--b": 2,
    "P120/my keys/clean/P120--my-keys--clean--c": 12,
    "P100/pen/clean/P100--pen--clean--P478": 2,
    "P610/cat/clean/P610--cat--clean--d": 1,
    "P834/mug/clutter-pan/P834--mug--clutter-pan--e": 2,
    "P160/cup/clean/P160--cup--clean--f": 4,
    "P100/pen/clean/P100--pen--clean--g": 1,
    "P200/hat/clutter/P200--hat--clutter--h": 2,
}


def make(root, places):
    for place, frames in places.items():
        folder = root / place
        folder.mkdir(parents=True)
        for k in range(1, frames + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(f"{folder.parts[-3:-1]} {k}".encode() * k)
    return root


def annotate(root, level, video, frames):
    path = root / "annotations" / level / f"{video}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({f"{video}-{k:05d}.jpg": {"blur_issue": None, "k": k} for k in range(1, frames + 1)}))


@pytest.fixture
def tree(tmp_path):
    root = make(tmp_path / "unfiltered", PLACES)
    annotate(root, "train", "P478--bag--clutter--xP478--b", 2)
    annotate(root, "train", "P100--pen--clean--P478", 2)
    return root


@pytest.fixture
def users_json(tmp_path):
    path = tmp_path / "users.json"
    path.write_text(json.dumps(NEW_USERS))
    return path


def content(root):
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert not [name for name in files if "/." in f"/{name}"]  # no part and no lock is left
    return files


def videos(root):
    return {row.path: row.frames for row in open_index(root).rows}


def test_users_are_merged_and_split_and_everything_is_renamed(tree, tmp_path, users_json):
    before = content(tree)
    summary = split_users(tree, tmp_path / "out", users_json=users_json)
    assert videos(tmp_path / "out") == SPLIT
    assert (summary.users, summary.videos, summary.frames, summary.skipped) == (6, 9, 29, 0)
    assert content(tree) == before
    assert verify_names(tmp_path / "out") == []
    pictures = [name for name in before if name.endswith(".jpg")]
    for old, new in zip(PLACES, SPLIT, strict=True):
        frames = sorted(name for name in pictures if name.startswith(f"{old}/"))
        renamed = sorted(path for path in (tmp_path / "out" / new).iterdir())
        assert [path.read_bytes() for path in renamed] == [before[name] for name in frames]
        assert [path.name for path in renamed] == [
            f"{path.parent.name}-{k:05d}.jpg" for k, path in enumerate(renamed, 1)
        ]


def verify_names(root):
    """Faults except those of the pictures, which are not real pictures."""
    return [fault for fault in verify(root) if fault.kind != "unreadable"]


def test_annotations_are_renamed_with_their_videos_including_keys(tree, tmp_path, users_json):
    split_users(tree, tmp_path / "out", users_json=users_json)
    folder = tmp_path / "out/annotations"
    video = "P120--bag--clutter--xP478--b"
    assert {path.name for path in folder.iterdir()} == {f"{video}.json", "P100--pen--clean--P478.json"}
    entries = {f"{video}-{k:05d}.jpg": {"blur_issue": None, "k": k} for k in (1, 2)}
    assert json.loads((folder / f"{video}.json").read_text()) == entries


def test_frames_are_links(tree, tmp_path, users_json):
    assert split_users(tree, tmp_path / "out", users_json=users_json).copied == 0
    old, new = (next(iter(places)) for places in (PLACES, SPLIT))
    assert os.path.samefile(
        tree / old / f"{old.rpartition('/')[2]}-00001.jpg",
        tmp_path / "out" / new / f"{new.rpartition('/')[2]}-00001.jpg",
    )


def test_frames_are_copied_if_links_are_not_possible(tree, tmp_path, users_json, monkeypatch):
    def no_links(*_):  # no file system without hard links is available here
        raise OSError("links are not supported")

    monkeypatch.setattr(os, "link", no_links)
    assert split_users(tree, tmp_path / "out", users_json=users_json).copied == 29
    monkeypatch.undo()
    split_users(tree, tmp_path / "linked", users_json=users_json)
    assert content(tmp_path / "out") == content(tmp_path / "linked")


def test_a_symbolic_link_becomes_its_file(tree, tmp_path, users_json):
    frame = tree / "train/P100/pen/clean/P100--pen--clean--P478/P100--pen--clean--P478-00001.jpg"
    frame.rename(tmp_path / "away.jpg")
    frame.symlink_to("../../../../../../away.jpg")
    assert split_users(tree, tmp_path / "deep/er/out", users_json=users_json).copied == 1
    moved = tmp_path / "deep/er/out/P100/pen/clean/P100--pen--clean--P478/P100--pen--clean--P478-00001.jpg"
    assert not moved.is_symlink() and moved.read_bytes() == (tmp_path / "away.jpg").read_bytes()


def test_repeating_changes_nothing_and_splitting_twice_equals_once(tree, tmp_path, users_json):
    split_users(tree, tmp_path / "out", users_json=users_json)
    before = content(tmp_path / "out")
    assert split_users(tree, tmp_path / "out", users_json=users_json).skipped == 9
    assert content(tmp_path / "out") == before
    split_users(tmp_path / "out", tmp_path / "twice", users_json=users_json)
    assert content(tmp_path / "twice") == before


@pytest.mark.parametrize("level", ["", "validation"])
def test_the_level_of_a_user_makes_no_difference(tmp_path, users_json, tree, level):
    """The published download script puts users into the root, next to `other`."""
    moved = {f"{level}/{place.split('/', 1)[1]}" if place[:5] != "other" else place: n for place, n in PLACES.items()}
    make(tmp_path / "moved", {place.lstrip("/"): frames for place, frames in moved.items()})
    shutil.copytree(tree / "annotations", tmp_path / "moved/annotations")
    split_users(tmp_path / "moved", tmp_path / "a", users_json=users_json)
    split_users(tree, tmp_path / "b", users_json=users_json)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_all_differences_between_tree_and_file_are_listed_at_once(tree, tmp_path, users_json):
    shutil.rmtree(tree / "train/P478/bag")
    make(tree, {"other/P940/spoon/clean/P940--spoon--clean--i": 1, "train/P478/pin/clean/P478--pin--clean--j": 1})
    users_json.write_text(json.dumps(NEW_USERS | {"P5": {"P6": ["rug"]}}))
    with pytest.raises(DataError) as error:
        split_users(tree, tmp_path / "out", users_json=users_json)
    for difference in (
        "P478/bag in the file, not in the tree",
        "P478/pin in the tree, not in the file",
        "P940/spoon in the tree, not in the file",
        "P5 in the file, but neither it nor P6 in the tree",
    ):
        assert difference in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kill_after", ["copy", "one user"])
def test_a_tree_partly_split_by_the_published_script_is_rejected(tree, tmp_path, users_json, kill_after):
    """That script copies each new user's objects, removes the collector, then takes the next collector."""
    make(tree, {"P120/bag/clean/P478--bag--clean---a": 3} if kill_after == "copy" else SPLIT)
    if kill_after == "one user":
        for folder in ("train/P478", "other", "P610", "P834", "P100"):
            shutil.rmtree(tree / folder)
    with pytest.raises(DataError, match=r"only partly split.*(both P478 and P120|P478 split, P940 not)"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    assert not (tmp_path / "out").exists()


def test_a_split_tree_that_lost_an_object_is_refused(tree, tmp_path, users_json):
    split_users(tree, tmp_path / "out", users_json=users_json)
    shutil.rmtree(tmp_path / "out/P160")
    with pytest.raises(DataError, match="P160/cup in the file, not in the tree"):
        split_users(tmp_path / "out", tmp_path / "twice", users_json=users_json)


def test_a_killed_run_resumes(tree, tmp_path, users_json, run_killed):
    make(tree, {f"train/P100/pen/clean/P100--pen--clean--{k:03d}": 20 for k in range(40)})
    split_users(tree, tmp_path / "whole", users_json=users_json)
    out = tmp_path / "out"
    code = (
        "from pathlib import Path; from data_prep.making.split import split_users;"
        "split_users(Path(sys.argv[1]), Path(sys.argv[2]), users_json=Path(sys.argv[3]))"
    )
    run_killed(code, tree, out, users_json, place="/P100/pen/clean/P", count=21)
    there = list(out.glob("P*/*/*/P*"))
    sizes = {path.name: len(list(path.iterdir())) for path in (tmp_path / "whole").glob("P*/*/*/P*")}
    assert len(there) >= 20 and all(len(list(path.iterdir())) == sizes[path.name] for path in there)
    summary = split_users(tree, out, users_json=users_json)
    assert summary.skipped >= 20
    assert content(out) == content(tmp_path / "whole")


def test_a_duplicate_or_misnamed_video_is_rejected(tree, tmp_path, users_json):
    make(tree, {"other/P100/pen/clean/P100--pen--clean--P478": 2, "test/P940/cat/clean/holiday": 1})
    with pytest.raises(DataError, match=r"holiday.*begins with P940--.*both be the video P100--pen--clean--P478"):
        split_users(tree, tmp_path / "out", users_json=users_json)


def test_videos_with_gaps_are_named_and_the_others_are_made(tree, tmp_path, users_json, reported):
    frame = tree / "train/P478/my keys/clean/P478--my-keys--clean--c/P478--my-keys--clean--c-00007.jpg"
    frame.rename(tmp_path / "away.jpg")
    with pytest.raises(DataError, match="1 of 9 videos failed: train/P478/my keys/clean/P478--my-keys--clean--c"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    assert any("c-00007.jpg" in line for line in reported())
    shutil.move(tmp_path / "away.jpg", frame)
    assert split_users(tree, tmp_path / "out", users_json=users_json).skipped == 8
    assert videos(tmp_path / "out") == SPLIT


def test_out_with_something_else_in_it_is_refused(tree, tmp_path, users_json):
    split_users(tree, tmp_path / "out", users_json=users_json)
    make(tmp_path / "out", {"P100/pen/clean/mine": 1})
    with pytest.raises(UsageError, match="P100/pen/clean/mine"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    shutil.rmtree(tmp_path / "out/P100/pen/clean/mine")
    (tmp_path / "out/P100/pen/clean/P100--pen--clean--g/P100--pen--clean--g-00002.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="P100--pen--clean--g"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    (tmp_path / "home/letters").mkdir(parents=True)
    with pytest.raises(UsageError, match="letters"):
        split_users(tree, tmp_path / "home", users_json=users_json)
    for nested in (tree / "out", tmp_path):
        with pytest.raises(UsageError, match="is not inside"):
            split_users(tree, nested, users_json=users_json)


def test_a_folder_that_is_not_a_frame_tree_is_rejected(tree, tmp_path, users_json):
    with pytest.raises(UsageError, match="no such folder"):
        split_users(tmp_path / "nothere", tmp_path / "out", users_json=users_json)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no frames"):
        split_users(tmp_path / "empty", tmp_path / "out", users_json=users_json)
    (tree / "other/P200/hat/clean").mkdir()
    (tree / "other/P200/hat/clean/P200--hat--clean--i.mp4").write_bytes(b"video")
    with pytest.raises(UsageError, match=r"raw video.*prep extract"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    (tree / "other/P200/hat/clean").rename(tree / "other/P200/hat/zoom")
    (tree / "other/P200/hat/zoom/P200--hat--clean--i.mp4").unlink()
    (tree / "other/P200/hat/zoom/P200--hat--zoom--i").mkdir()
    with pytest.raises(DataError, match="found zoom"):
        split_users(tree, tmp_path / "out", users_json=users_json)


def test_two_annotation_files_for_one_video_are_refused(tree, tmp_path, users_json, reported):
    annotate(tree, "", "P100--pen--clean--P478", 2)
    with pytest.raises(DataError, match="1 of 9"):
        split_users(tree, tmp_path / "out", users_json=users_json)
    assert any("two files for one video" in line for line in reported())


def test_objects_given_to_nobody_can_be_left_out(tmp_path, tree, users_json):
    make(tree, {"other/P478/pin/clean/P478--pin--clean--z": 2})
    split_users(tree, tmp_path / "out", users_json=users_json, leave_out_unnamed=True)
    rows = open_index(tmp_path / "out").rows
    assert {(row.user, row.object) for row in rows if row.object == "pin" or row.user == "P478"} == set()
    assert len(rows) == len(SPLIT)
