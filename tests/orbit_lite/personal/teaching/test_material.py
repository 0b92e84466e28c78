"""Reading a user's folder: videos are in order and used once, and unusable ones are errors that name them."""

import shutil

import pytest
import torch

from groundwork.errors import DataError
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.teaching.material import read_user_videos


@pytest.fixture(scope="module")
def recognizer():
    return build_recognizer("protonets", "tiny", weights="random", seed=3)


def things(user_dir):
    return sorted(path for path in user_dir.iterdir() if path.is_dir())


def clean(thing):
    return sorted((thing / "clean").iterdir())


def test_the_number_of_workers_changes_nothing(recognizer, user_dir):
    one, two = (read_user_videos(recognizer, user_dir, workers=workers, quiet=True) for workers in (1, 2))
    assert one.videos == two.videos
    assert all(torch.equal(a, b) for a, b in zip(one.tensors, two.tensors, strict=True))
    assert [video.object for video in one.videos] == sorted(video.object for video in one.videos)
    assert [len(tensor) for tensor in one.tensors] == [len(video.frames) for video in one.videos]


def test_a_learner_that_adapts_gets_images(user_dir):
    user_videos = read_user_videos(build_recognizer("cnaps", "tiny", weights="random"), user_dir, quiet=True)
    assert all(tensor.dtype == torch.uint8 and tensor.shape[1:] == (3, 224, 224) for tensor in user_videos.tensors)


def test_unreadable_videos_are_left_out_and_reported(recognizer, user_dir):
    whole = read_user_videos(recognizer, user_dir, quiet=True)
    (things(user_dir)[0] / "clean" / "zz.mp4").write_bytes(b"not a video")
    user_videos = read_user_videos(recognizer, user_dir, quiet=True)
    assert user_videos.videos == whole.videos
    (note,) = user_videos.notes
    assert note.startswith("left out, can't be read: ") and "zz.mp4" in note


def test_an_object_without_a_readable_video_is_an_error(recognizer, user_dir):
    for video in clean(things(user_dir)[1]):
        video.write_bytes(video.read_bytes()[:3000])
    name = things(user_dir)[1].name
    with pytest.raises(DataError, match=f"object {name!r} has no readable video \\(2 can't be read: "):
        read_user_videos(recognizer, user_dir, quiet=True)


def test_two_objects_with_the_same_video_are_an_error(recognizer, user_dir):
    first, second = things(user_dir)[:2]
    shutil.copy(clean(first)[0], second / "renamed.mp4")
    with pytest.raises(DataError, match=f"objects {first.name!r} and {second.name!r} have the same video"):
        read_user_videos(recognizer, user_dir, quiet=True)


def test_the_same_video_twice_counts_once(recognizer, user_dir):
    whole = read_user_videos(recognizer, user_dir, quiet=True)
    shutil.copy(clean(things(user_dir)[0])[0], things(user_dir)[0] / "renamed.mp4")
    user_videos = read_user_videos(recognizer, user_dir, quiet=True)
    assert sorted(v.digest for v in user_videos.videos) == sorted(v.digest for v in whole.videos)
    assert len(user_videos.notes) == 1 and "the same video was found 2 times and was used once" in user_videos.notes[0]
