"""A single file gets the same estimates as `prep quality` gives for the same video in a tree."""

import pytest

from data_prep.quality.estimate import quality
from data_prep.quality.single import judge, picture
from data_prep.video import decode_jpeg
from groundwork.errors import DataError


def test_the_verdict_equals_that_of_prep_quality(pocket_raw, pocket_frames):
    expected = next(video for video in quality(pocket_raw, workers=1) if video.split == "test")
    path = pocket_raw / "test" / expected.user / expected.object / "clean"
    (found,) = (judge(one) for one in path.iterdir() if one.stem == expected.video)
    (verdict,) = found
    assert (verdict.frames, verdict.issues) == (expected.frames, expected.issues)
    assert verdict.seconds == expected.frames / 30
    (stored,) = judge(pocket_frames / "test" / expected.user / expected.object / "clean" / expected.video)
    assert stored == verdict


def test_a_picture_is_judged_like_the_first_frame(pocket_raw, pocket_frames):
    folder = next(pocket_frames.glob("test/*/*/clean/*"))
    (content,) = picture(folder)
    assert decode_jpeg(content).shape == (224, 224, 3)


def test_a_file_that_is_not_a_video_is_refused_and_named(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"film\.mp4"):
        list(judge(tmp_path / "film.mp4"))
