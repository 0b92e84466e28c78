"""Finding all videos below any folder."""

from pathlib import Path

import pytest

from data_prep.making.pack import pack
from data_prep.tree.videos_below import is_folder_of_videos, is_packed_place, videos_below
from groundwork.errors import DataError


@pytest.fixture
def put(tmp_path):
    def write(*places):
        for place in places:
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return write


def places(folder):
    return [path.relative_to(folder).as_posix() for path in videos_below(folder)]


def test_videos_photos_and_folders_of_frames_at_any_depth_in_natural_order(put):
    folder = put(
        *("IMG_10.MP4", "IMG_2.mov", "b.txt", "index.csv", ".hidden.mp4", "photo.JPG", "photo 2.heic"),
        *("mug/clutter/v10/v10-00001.jpg", "mug/clutter/v10/v10-00002.jpg", "mug/clutter/v9/v9-00001.jpg"),
        *("mug/clean/a.png", "mug/deeper/and/deeper/still.webm", ".trash/old.mp4", "mug/v9/note.md"),
    )
    assert places(folder) == [
        *("IMG_2.mov", "IMG_10.MP4"),
        *("mug/clean/a.png", "mug/clutter/v9", "mug/clutter/v10", "mug/deeper/and/deeper/still.webm"),
        *("photo 2.heic", "photo.JPG"),
    ]


def test_a_folder_of_frames_is_a_video_and_not_a_folder_of_videos(put):
    folder = put("v/v-00001.jpg", "other/IMG_00001.jpg", "v-00001.jpg")
    assert not is_folder_of_videos(folder / "v")
    assert is_folder_of_videos(folder / "other") and is_folder_of_videos(folder)
    assert places(folder / "other") == ["IMG_00001.jpg"]  # photos, not frames of a video
    assert not is_folder_of_videos(folder / "v-00001.jpg")


def test_the_current_folder(put, monkeypatch):
    monkeypatch.chdir(put("v/v-00001.jpg", "a.mp4") / "v")
    assert not is_folder_of_videos(Path())
    put("v/deep/a.txt")
    monkeypatch.chdir("deep")
    assert not is_folder_of_videos(Path(".."))
    monkeypatch.chdir("../..")
    assert is_folder_of_videos(Path())
    assert videos_below(Path()) == [Path("a.mp4"), Path("v")]


def test_packed_users_have_videos_and_other_archives_are_skipped(pocket_frames, tmp_path, put, reported):
    pack(pocket_frames, tmp_path / "packed")
    (archive,) = sorted((tmp_path / "packed/train").glob("*.zip"))[:1]
    frames = sorted(path for path in (pocket_frames / "train" / archive.stem).glob("*/*/*"))
    expected = {
        Path(f"{archive}#{path.relative_to(pocket_frames / 'train' / archive.stem).as_posix()}") for path in frames
    }
    assert set(videos_below(archive)) == expected
    assert expected < set(videos_below(tmp_path / "packed"))
    assert is_folder_of_videos(archive)
    assert all(map(is_packed_place, expected))
    assert not is_packed_place(archive) and not is_packed_place(Path("no.zip#mug/clean/v"))
    folder = put("mine/a.mp4", "mine/holiday.zip")
    assert places(folder / "mine") == ["a.mp4"]
    assert "holiday.zip" in reported()[-1]
    with pytest.raises(DataError, match=r"holiday\.zip"):
        videos_below(folder / "mine/holiday.zip")


def test_links_to_folders_are_not_followed(put):
    folder = put("a/one.mp4")
    (folder / "a/round").symlink_to(folder)
    (folder / "two.mp4").symlink_to(folder / "a/one.mp4")
    assert places(folder) == ["a/one.mp4", "two.mp4"]


def test_a_link_to_a_video_is_a_video(put, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "v-00001.jpg").write_bytes(b"x")
    folder = put("a.mp4")
    (folder / "v").symlink_to(elsewhere)
    assert places(folder) == ["a.mp4", "v"]


def test_a_folder_without_videos_is_named(put):
    folder = put("notes/a.txt")
    with pytest.raises(DataError, match="notes: has no video, photo or folder of frames"):
        videos_below(folder / "notes")
