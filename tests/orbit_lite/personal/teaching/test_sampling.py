"""Teaching frames: sampled as by own-videos, the same from every kind of folder; unreadable videos are reported."""

import shutil

import av
import numpy as np
import pytest

from data_prep.making.pack import pack
from data_prep.tree.own_videos import scan_own
from orbit_lite.config import load_protocol
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.personal.teaching.sampling import SampledVideo, Sampling, Unreadable, sample_video, sample_videos


def test_frames_are_those_of_the_protocol():
    sampling = Sampling.of_protocol(224)
    assert sampling.frames(100, stills=False) == (1, 31, 61, 91)
    assert sampling.frames(1, stills=True) == (1,)
    assert sampling.frames(40, stills=True) == tuple(range(1, 41))  # a burst of 40 photos
    assert sampling.frames(10**6, stills=False)[-1] == 2971  # only from the first 3,000, however long the video is
    assert len(sampling.frames(10**6, stills=False)) == 100


def test_frames_are_those_that_evaluate_takes(user_dir, pocket_frames):
    """The same user's support set, drawn as a task of own-videos."""
    from data_prep.tree.index import build_index

    tree = user_dir.parent / "own"
    frames = pocket_frames / "test" / user_dir.name
    shutil.copytree(frames, tree / user_dir.name)
    task = TaskSampler(build_index(tree), load_protocol("own-videos"), split="test", seed=0).draw(user_dir.name, 0)
    sampled = [sample_video(video, Sampling.of_protocol(224)) for video in scan_own(tree / user_dir.name).videos]
    assert [(plan.video, plan.frames) for plan in task.support] == [(s.video.path.name, s.frames) for s in sampled]


def test_raw_videos_frames_and_packed_frames_give_the_same_pixels(user_dir, pocket_frames, tmp_path):
    pack(pocket_frames, tmp_path / "packed")
    folders = [user_dir, pocket_frames / "test" / user_dir.name, tmp_path / "packed" / "test" / f"{user_dir.name}.zip"]
    sampled = [[sample_video(v, Sampling.of_protocol(224)) for v in scan_own(folder).videos] for folder in folders]
    first, *others = sampled
    for other in others:
        assert [s.digest for s in other] == [s.digest for s in first]
        assert [(s.frames, s.length, s.quality.issues) for s in other] == [
            (s.frames, s.length, s.quality.issues) for s in first
        ]
        assert all(np.array_equal(a.pictures, b.pictures) for a, b in zip(first, other, strict=True))


def test_unreadable_videos_are_reported_and_do_not_affect_others(user_dir):
    things = sorted(user_dir.iterdir())
    (things[0] / "broken.mp4").write_bytes(b"no video at all")
    found = list(sample_videos(scan_own(user_dir).videos, Sampling.of_protocol(224), workers=2))
    (bad,) = [each for each in found if isinstance(each, Unreadable)]
    assert bad.video.path.name == "broken.mp4" and str(bad.video.path) in bad.reason
    assert sum(isinstance(each, SampledVideo) for each in found) == len(found) - 1 == 6  # 3 objects, 2 clean videos


@pytest.mark.parametrize("damage", ["cut", "empty", "sound alone", "two pixels"])
def test_damage_is_named(user_dir, damage):
    video = scan_own(user_dir).videos[0]
    if damage == "cut":
        video.path.write_bytes(video.path.read_bytes()[:2000])
    elif damage == "empty":
        video.path.write_bytes(b"")
    elif damage == "two pixels":
        make_pictures(video.path, size_px=2)
    else:
        make_sound(video.path)
    (found,) = sample_videos([video], Sampling.of_protocol(224), workers=1)
    assert isinstance(found, Unreadable) and str(video.path) in found.reason and "\n" not in found.reason


def test_the_smallest_usable_pictures(user_dir):
    video = scan_own(user_dir).videos[0]
    make_pictures(video.path, size_px=32)
    (found,) = sample_videos([video], Sampling.of_protocol(224), workers=1)
    assert not isinstance(found, Unreadable) and found.length == 30


def make_pictures(path, size_px):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width = stream.height = size_px
        stream.pix_fmt = "yuv420p"
        for level in range(30):
            picture = np.full((size_px, size_px, 3), 8 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))


def make_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
