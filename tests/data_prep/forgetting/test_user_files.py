"""Which files under a user's name are recognized as the kit's, and which are left."""

import os

import pytest

from data_prep.forgetting.user_files import UserFiles
from data_prep.tree.packed import ARCHIVE_SUFFIX

APPLE_DOUBLE = b"\x00\x05\x16\x07"


def touch(root, *places):
    for place in places:
        path = root / place
        if place.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(APPLE_DOUBLE if path.name.startswith("._") else b"x")
    return root


def found(root, user="ann", level="", indexed=()):
    """The user's files, the other files, and the folders to remove, as paths below the root."""
    contents = UserFiles(root, user, indexed).find(level)
    theirs = ["/".join(file.place) for content in contents for file in content.files]
    left = [alone.path.relative_to(root).as_posix() for content in contents for alone in content.left]
    return theirs, left, sorted("/".join(place) for content in contents for place in content.folders)


@pytest.mark.parametrize(
    "place",
    [
        "ann/cup/clean/v/v-00001.jpg",
        "ann/cup/clutter-pan/v/v-123456.jpg",
        "ann/cup/v/v-00001.jpg",
        "ann/cup/clean/any name.MOV",
        "ann/cup/any name.mp4",
        "ann--cup--T--a--b.mp4",
        "ann/cup/clean/.v.part/v-00001.jpg",
        "ann/cup/clean/.any name.mp4.part",
        ".ann.part/cup/clean/v/v-00001.jpg",
        ".ann.zip.part",
        "._ann",
        "._ann.zip",
    ],
)
def test_files_with_a_name_and_place_of_the_layout_are_theirs(place, tmp_path):
    theirs, left, _ = found(touch(tmp_path, place))
    assert (theirs, left) == ([place], [])


def test_a_photo_is_theirs_only_if_the_index_lists_it(tmp_path):
    touch(tmp_path, "ann/cup/a.jpg", "ann/cup/clutter/b.HEIC", "ann/cup/c.jpg", "ann/mug/d.mp4")
    theirs, left, _ = found(tmp_path, indexed=["ann/cup/a.jpg", "ann/cup/clutter/b.HEIC", "ann/mug/d.mp4"])
    assert (theirs, left) == (["ann/cup/a.jpg", "ann/cup/clutter/b.HEIC", "ann/mug/d.mp4"], ["ann/cup/c.jpg"])


@pytest.mark.parametrize(
    "place",
    [
        "ann/cup/clean/holiday.txt",
        "ann/cup/clean/v/w-00001.jpg",  # a frame of another video
        "ann/cup/clean/v/v-1.jpg",
        "ann/cup/clean/v/v-000001.jpg",  # six digits instead of five
        "ann/cup/clean/v/v-00000.jpg",
        "ann/cup/clean/v/v-00001.png",
        "ann/cup/clean/v/clip.mp4",
        "ann/cup/clean/v/deep/v-00001.jpg",
        "ann/cup/clean/v-00001.jpg",
        "ann/v-00001.jpg",
        "ann/clip.mp4",
        "ann/.cup/clean/v/v-00001.jpg",
        "ann/cup/clean/.hidden.mp4",
        "ann/.git/config",
        "ann/cup/clean/.DS_Store",
        "ann",
        "ann.zip",  # not an archive
        "ann/cup/clean/v/sub.zip",
    ],
)
def test_everything_else_is_left_and_named(place, tmp_path):
    theirs, [left], folders = found(touch(tmp_path, place))
    assert (theirs, folders) == ([], [])
    assert place.startswith(left)


@pytest.mark.parametrize("place", ["anna/cup/clean/v/v-00001.jpg", "anna.zip", "anna--cup--T--a.mp4", "b/ann/v.mp4"])
def test_other_users_files_are_ignored(place, tmp_path):
    assert found(touch(tmp_path, place)) == ([], [], [])


def test_in_a_mixed_folder_only_the_kits_files_are_removed(tmp_path):
    theirs, left, folders = found(
        touch(
            tmp_path,
            "ann/cup/clean/v/v-00001.jpg",
            "ann/cup/clean/v/v-00002.jpg",
            "ann/cup/clean/w/w-00001.jpg",
            "ann/cup/clean/w/notes.txt",
            "ann/letters/2024/to my sister.txt",
            "ann/letters/2024/to my brother.txt",
            "ann/mug/clutter/a.mp4",
            "ann/empty/clean/",
        )
    )
    assert theirs == [
        "ann/cup/clean/v/v-00001.jpg",
        "ann/cup/clean/v/v-00002.jpg",
        "ann/cup/clean/w/w-00001.jpg",
        "ann/mug/clutter/a.mp4",
    ]
    assert left == ["ann/cup/clean/w/notes.txt", "ann/letters/2024"]
    # not ann, ann/cup, ann/cup/clean and .../w, which are not empty
    assert folders == ["ann/cup/clean/v", "ann/empty", "ann/empty/clean", "ann/mug", "ann/mug/clutter"]


def test_a_twin_is_removed_with_its_file_and_is_no_proof(tmp_path):
    touch(tmp_path, "ann/cup/clean/v/v-00001.jpg", "ann/cup/clean/v/._v-00001.jpg", "ann/._cup")
    touch(tmp_path, "ann/letters/a.txt", "ann/._letters")
    theirs, left, _ = found(tmp_path)
    assert theirs == ["ann/._cup", "ann/cup/clean/v/._v-00001.jpg", "ann/cup/clean/v/v-00001.jpg"]
    assert left == ["ann/._letters", "ann/letters/a.txt"]
    touch(tmp_path, "bob/2023/._a.txt", "bob/2023/a.txt", "._bob")
    theirs, left, _ = found(tmp_path, "bob")
    assert theirs == [] and left == ["._bob", "bob/2023"]
    (tmp_path / "ann/._cup").write_bytes(b"not a twin")
    assert "ann/._cup" in found(tmp_path)[1]


def test_an_archive_must_hold_frames_or_be_in_the_index(tmp_path):
    touch(tmp_path, f"test/ann{ARCHIVE_SUFFIX}")
    assert found(tmp_path, level="test") == ([], ["test/ann.zip"], [])
    assert found(tmp_path, level="test", indexed=["test/ann.zip"]) == (["test/ann.zip"], [], [])


def test_empty_folders_of_the_layout_are_removed(tmp_path):
    assert found(touch(tmp_path, "ann/cup/")) == ([], [], ["ann", "ann/cup"])


def test_a_users_content_is_counted(tmp_path):
    touch(
        tmp_path, "ann/cup/clean/v/v-00001.jpg", "ann/cup/clean/v/v-00002.jpg", "ann/cup/clean/a.mp4", "ann/notes.txt"
    )
    [content] = UserFiles(tmp_path, "ann").find("")
    assert (content.videos, len(content.files), content.names) == (2, 3, {"v"})
    assert str(content) == f"{tmp_path / 'ann'}: 2 videos, 3 files, 0.0 kB"
    assert [str(alone) for alone in content.left] == [f"{tmp_path / 'ann/notes.txt'}: not this kit's"]


@pytest.mark.parametrize(
    ("link", "behind", "fits"),
    [
        ("ann", "cup/clean/v/v-00001.jpg", True),
        ("ann", "2023/clean/holiday.txt", False),
        ("ann/cup", "clean/v/v-00001.jpg", True),
        ("ann/cup", "v/v-00001.jpg", True),
        ("ann/cup", "letter.txt", False),
        ("ann/cup/clean", "a.mp4", True),
        ("ann/cup/clean", "a.txt", False),
        ("ann/cup/clean/v", "v-00001.jpg", True),
        ("ann/cup/clean/v", "w-00001.jpg", False),
    ],
)
def test_a_link_to_a_folder_is_theirs_if_a_video_of_theirs_is_behind_it(link, behind, fits, tmp_path):
    touch(tmp_path / "away", behind)
    root = tmp_path / "root"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(tmp_path / "away")
    theirs, left, _ = found(root)
    assert (theirs, left) == (([link], []) if fits else ([], [link]))


@pytest.mark.parametrize(
    ("link", "fits"),
    [
        ("ann/cup/clean/v/v-00001.jpg", True),
        ("ann/cup/clean/a.mp4", True),
        ("ann/cup/clean/v/notes.txt", False),
        ("ann/cup/clean/v", False),
        ("ann", False),
    ],
)
@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_to_a_file_is_theirs_by_its_name(link, fits, dangling, tmp_path):
    root = tmp_path / "root"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(tmp_path / "away")
    if not dangling:
        (tmp_path / "away").write_text("x")
    theirs, left, _ = found(root)
    assert (theirs, left) == (([link], []) if fits else ([], [link]))


def test_a_broken_link_is_theirs_if_the_index_has_it(tmp_path):
    os.symlink(tmp_path / "gone", tmp_path / "ann")
    assert found(tmp_path) == ([], ["ann"], [])
    assert found(tmp_path, indexed=["ann/cup/clean/v"]) == (["ann"], [], [])


def test_a_circle_of_links_ends(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/cup").symlink_to(tmp_path / "ann")
    (tmp_path / "ann/mug").symlink_to(tmp_path / "ann/mug")
    assert found(tmp_path)[0] == []
