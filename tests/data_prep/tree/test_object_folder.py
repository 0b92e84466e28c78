"""One rule for the places of an object's videos, in trees and in one user's folder."""

import pytest

from data_prep.tree.object_folder import holds_frames, video_entries, video_type_at, without_photos_beside_videos


@pytest.mark.parametrize(
    ("thing", "folders", "video_type"),
    [
        ("cup", [], "clean"),
        ("cup", ["clean"], "clean"),
        ("cup", ["clutter"], "clutter"),
        ("cup", ["clutter-pan"], "clutter-pan"),
        ("cup", ["Clean"], None),
        ("cup", ["messy"], None),
        ("cup", ["clean", "clean"], None),
        ("clean", [], None),
    ],
)
def test_the_folders_between_object_and_video_give_the_type(thing, folders, video_type):
    assert video_type_at(thing, folders) == video_type


def test_every_entry_comes_with_the_type_of_its_place(tmp_path):
    cup = tmp_path / "cup"
    places = ["a.mp4", "clean/b.mp4", "clutter/w/w-00001.jpg", "v/v-00001.jpg", "messy/c.mp4", ".hidden/d.mp4"]
    for place in places:
        (cup / place).parent.mkdir(parents=True, exist_ok=True)
        (cup / place).write_bytes(b"x")
    found = sorted((video_type, entry.name) for video_type, entry in video_entries(cup))
    assert found == [("clean", "a.mp4"), ("clean", "b.mp4"), ("clean", "v"), ("clutter", "w"), ("messy", "c.mp4")]


@pytest.mark.parametrize(("name", "holds"), [("v-00001.jpg", True), ("w-00001.jpg", False), ("v.jpg", False)])
def test_frames_are_named_after_their_folder(tmp_path, name, holds):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / name).write_bytes(b"x")
    assert holds_frames(tmp_path / "v") is holds


def test_photos_count_if_all_of_a_group_are_photos():
    videos = ["cup 1.jpg", "cup 2.mp4", "mug 3.jpg", "mug 4.jpg", "key 5.mov"]
    kept, aside = without_photos_beside_videos(
        videos, photo=lambda name: name.endswith(".jpg"), group=lambda name: name.split()[0]
    )
    assert (sorted(kept), aside) == (["cup 2.mp4", "key 5.mov", "mug 3.jpg", "mug 4.jpg"], ["cup 1.jpg"])
