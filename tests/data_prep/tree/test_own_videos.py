"""A user's own folder: every accepted layout gives the same objects; misplaced files are named."""

import shutil
from pathlib import Path

import pytest

from data_prep.making.pack import pack
from data_prep.tree.own_videos import frame_count, scan_own
from groundwork.errors import DataError, UsageError


@pytest.fixture
def put(tmp_path):
    """Makes a file of a few bytes below alice/."""

    def make(*places):
        for place in places:
            path = tmp_path / "alice" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path / "alice"

    return make


def found(folder):
    return [(video.object, video.place, video.kind) for video in folder.videos]


def test_files_with_and_without_the_clean_level(put):
    folder = scan_own(put("mug/b.MP4", "mug/clean/a.mov", "my keys/clean/c.mkv", "mug/._b.mp4", "mug/notes.txt"))
    assert found(folder) == [
        ("mug", "mug/b.MP4", "raw"),
        ("mug", "mug/clean/a.mov", "raw"),
        ("my keys", "my keys/clean/c.mkv", "raw"),
    ]
    assert (folder.user, folder.objects, folder.clutter_videos) == ("alice", ("mug", "my keys"), 0)


def test_folders_of_frames(put):
    folder = scan_own(put("mug/v1/v1-00001.jpg", "mug/clean/v2/v2-00001.jpg", "mug/clean/v2/v2-00002.jpg"))
    assert found(folder) == [("mug", "mug/clean/v2", "frames"), ("mug", "mug/v1", "frames")]
    assert [frame_count(video) for video in folder.videos] == [2, 1]


def test_clutter_is_only_counted(put):
    folder = scan_own(put("mug/a.mp4", "mug/clutter/b.mp4", "mug/clutter/c.mp4", "mug/clutter-pan/d.mp4"))
    assert found(folder) == [("mug", "mug/a.mp4", "raw")]
    assert folder.clutter_videos == 3


def test_photos_are_used_if_an_object_has_no_videos(put, reported):
    folder = scan_own(put("mug/a.jpg", "mug/clean/b.HEIC", "keys/c.mp4", "keys/c.jpg", "keys/clutter/d.jpg"))
    assert found(folder) == [
        ("keys", "keys/c.mp4", "raw"),
        ("mug", "mug/a.jpg", "raw"),
        ("mug", "mug/clean/b.HEIC", "raw"),
    ]
    assert folder.clutter_videos == 1
    assert [line for line in reported() if "skipped" in line and "keys/c.jpg" in line]


def test_stills_are_recognized_by_name_or_number_of_frames(put):
    stills, film = "alice--mug--clean--stills-0001", "alice--mug--clean--x"
    (first, second) = scan_own(put(f"mug/{stills}/{stills}-00001.jpg", f"mug/clean/{film}/{film}-00001.jpg")).videos
    assert [video.is_stills(30) for video in (first, second)] == [True, False]
    assert [video.is_stills(29) for video in (first, second)] == [True, True]


def test_a_packed_user_gives_the_videos_of_its_folder(pocket_frames, tmp_path):
    pack(pocket_frames, tmp_path / "packed")
    user = sorted((pocket_frames / "test").iterdir())[0]
    frames, packed = scan_own(user), scan_own(tmp_path / "packed" / "test" / f"{user.name}.zip")
    assert [(v.object, v.place) for v in packed.videos] == [(v.object, v.place) for v in frames.videos]
    assert (packed.user, packed.clutter_videos) == (frames.user, frames.clutter_videos)
    assert list(map(frame_count, packed.videos)) == list(map(frame_count, frames.videos))


def test_the_folder_can_be_named_in_any_way(put, tmp_path, monkeypatch):
    place = put("mug/a.mp4")
    monkeypatch.chdir(place)
    names = {scan_own(path).user for path in (place, place / ".." / "alice", Path("."))}
    assert names == {"alice"}


def test_misplaced_files_are_named(put, tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        scan_own(tmp_path / "nobody")
    with pytest.raises(DataError, match=r"loose\.mp4 not in an object's folder"):
        scan_own(put("loose.mp4", "mug/a.mp4"))
    (tmp_path / "alice" / "loose.mp4").unlink()
    put("shoe/readme.txt")
    with pytest.raises(DataError, match=r"shoe: has no video.*remove the folder"):
        scan_own(tmp_path / "alice")
    shutil.rmtree(tmp_path / "alice")
    (tmp_path / "alice").mkdir()
    with pytest.raises(DataError, match="has no object's folder"):
        scan_own(tmp_path / "alice")


def test_a_whole_tree_given_instead_of_a_user(put, tmp_path):
    put("mug/clean/a.mp4", "keys/clean/b.mp4")
    with pytest.raises(DataError, match=r"If alice is a user and (mug|keys) one of their objects, give .*alice"):
        scan_own(tmp_path)


@pytest.mark.parametrize("video", ["a.mp4", "clean/a.mp4", "clean/v/v-00001.jpg"])
def test_a_tree_with_splits_given_instead_of_a_user(put, tmp_path, video):
    put(f"test/P1/mug/{video}", "annotations/test/a.json")
    with pytest.raises(DataError, match=r"alice: a tree with splits; expected one user's folder, such as .*test/P1$"):
        scan_own(tmp_path / "alice")


@pytest.mark.parametrize("video", ["a.mp4", "clean/a.mp4", "clean/v/v-00001.jpg", "v/v-00001.jpg"])
def test_an_object_may_be_called_test(put, video):
    assert scan_own(put(f"test/{video}")).objects == ("test",)


@pytest.mark.parametrize("place", ["mug/old/b.mp4", "mug/old/b.jpg"])
def test_videos_in_wrong_places_are_named_not_skipped(put, place):
    with pytest.raises(DataError, match=rf"{place} in a wrong place"):
        scan_own(put("mug/a.mp4", place))


def test_clutter_alone_is_not_enough(put):
    with pytest.raises(DataError, match="film the object by itself"):
        scan_own(put("mug/clutter/a.mp4"))


def test_the_same_name_in_two_forms(put):
    with pytest.raises(DataError, match="in two Unicode forms"):
        scan_own(put("caf\u00e9/a.mp4", "cafe\u0301/b.mp4"))


def test_frames_with_a_gap(put):
    (video,) = scan_own(put("mug/v/v-00001.jpg", "mug/v/v-00003.jpg")).videos
    with pytest.raises(DataError, match=r"expected numbers without a gap from v-00001\.jpg"):
        frame_count(video)


def test_a_folder_of_results_is_an_object_only_with_videos(tmp_path):
    video = tmp_path / "P1" / "mug" / "a.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"x")
    (tmp_path / "P1" / "results" / "check").mkdir(parents=True)
    (tmp_path / "P1" / "results" / "check" / "check.html").write_text("x")
    assert scan_own(tmp_path / "P1").objects == ("mug",)
    (tmp_path / "P1" / "results" / "b.mp4").write_bytes(b"x")
    assert scan_own(tmp_path / "P1").objects == ("mug", "results")
    (tmp_path / "P1" / "empty").mkdir()
    with pytest.raises(DataError, match="has no video"):
        scan_own(tmp_path / "P1")
