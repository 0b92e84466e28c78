import pytest

from data_prep.tree.listing import content_fingerprint, list_frames, scan_tree
from groundwork.errors import DataError, UsageError


def fill(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"content")
    return root


def test_frame_trees_and_raw_trees_are_distinguished(tmp_path):
    frames = fill(tmp_path / "frames", "ann/cup/clean/v/v-00001.jpg", "ann/cup/clean/.w.part/w-00001.jpg")
    raw = fill(tmp_path / "raw", "ann/cup/clean/ann--cup--clean--v.mp4")
    assert [(kind, [f.video for f in found]) for kind, found in map(scan_tree, (frames, raw))] == [
        ("frames", ["v"]),
        ("raw", ["ann--cup--clean--v"]),
    ]


def test_an_empty_tree_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="holds neither frames"):
        scan_tree(fill(tmp_path, "notes/readme.txt"))
    with pytest.raises(UsageError, match="no such folder"):
        scan_tree(tmp_path / "nowhere")


def test_both_kinds_in_one_tree_are_rejected(tmp_path):
    with pytest.raises(DataError, match="both"):
        scan_tree(fill(tmp_path, "ann/cup/clean/v/v-00001.jpg", "ann/cup/clean/w.mp4"))


def test_both_kinds_are_detected_wherever_the_videos_are(tmp_path):
    for number, place in enumerate(["ann/mug/w.mp4", "ann/mug/messy/w.mp4"]):
        with pytest.raises(DataError, match="both"):
            scan_tree(fill(tmp_path / str(number), "ann/cup/clean/v/v-00001.jpg", place))


def test_an_unknown_video_type_is_rejected(tmp_path):
    with pytest.raises(DataError, match="found messy"):
        scan_tree(fill(tmp_path, "ann/cup/clean/v/v-00001.jpg", "ann/cup/messy/w/w-00001.jpg"))


def test_folders_of_frames_directly_in_an_objects_folder_are_clean(tmp_path):
    kind, found = scan_tree(fill(tmp_path, "ann/cup/v/v-00001.jpg", "ann/cup/clutter/w/w-00001.jpg", "ann/cup/x.jpg"))
    assert kind == "frames" and [(f.video, f.video_type) for f in found] == [("w", "clutter"), ("v", "clean")]


def test_one_users_folder_is_not_a_tree(tmp_path):
    """Its objects would be mistaken for users, and its types for objects."""
    with pytest.raises(UsageError, match=r"holds neither frames.*If ann is one user's folder, give its parent folder"):
        scan_tree(fill(tmp_path / "1" / "ann", "cup/clean/v/v-00001.jpg"))
    for place in ("cup/clean/a.mp4", "cup/b.mp4", "cup/clean/a.jpg"):
        with pytest.raises(DataError, match=rf"found {place}\. If ann is one user's folder, give its parent folder"):
            scan_tree(fill(tmp_path / place / "ann", place))


def test_listing_and_fingerprint_depend_on_names_and_sizes(tmp_path):
    fill(tmp_path, "v-00002.jpg", "v-00001.jpg", ".hidden.jpg", "notes.txt")
    files = list_frames(tmp_path)
    assert files == [("v-00001.jpg", 7), ("v-00002.jpg", 7)]
    others = [[("v-00001.jpg", 7)], [("v-00001.jpg", 7), ("v-00002.jpg", 8)], [("v-00001.jpg", 7), ("v-00003.jpg", 7)]]
    assert len({content_fingerprint(f) for f in [files, *others]}) == 4
