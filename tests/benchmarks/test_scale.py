import os

import pytest

from benchmarks import evaluate, scale
from benchmarks.extract import write_video
from benchmarks.frames import VIDEO, make_frames
from benchmarks.frames import Workload as FramesWorkload
from benchmarks.scale import Workload, slow_to_seek
from data_prep.making.pack import pack
from data_prep.tree.index import open_index
from data_prep.tree.shard import Shard
from orbit_lite.data.frames import open_frames
from orbit_lite.models.choice import ModelChoice

PREDICTED = evaluate.Workload(users=2, objects=2, clean_videos=1, video_frames=60)
SMALL = Workload(videos=2, pictures=6, width_px=96, height_px=64, objects=2, frames=61, predicted=PREDICTED)


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the disk was waited for, in place of waiting."""
    waited = []
    monkeypatch.setattr(scale.time, "sleep", waited.append)
    return waited


def test_two_shards_have_as_many_videos_each(tmp_path):
    write_video(tmp_path / "one.mp4", SMALL.video)
    raw = scale._raw_of_two_shards(tmp_path, Workload(videos=6))
    places = [path.relative_to(raw).as_posix() for path in raw.rglob("*.mp4")]
    assert [sum(Shard(number, 2).owns(place) for place in places) for number in (1, 2)] == [3, 3]


@pytest.mark.slow
def test_two_shards_in_turn_and_at_once(tmp_path):
    write_video(tmp_path / "one.mp4", SMALL.video)
    compared = scale.shards(tmp_path, SMALL, repeats=1)
    assert compared.unit == "frames/s" and compared.ratio > 0


def test_time_and_size_of_all_that_is_made_of_a_user(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "EMBEDDED_START", ModelChoice("ridge", "tiny", "random"))
    compared = scale.per_frame_and_user(tmp_path, SMALL, repeats=1)
    metrics = [(each.metric, each.first[0], each.second[0]) for each in compared]
    assert metrics == [
        (scale.CPU_TIME, "extract", "quality"),
        (scale.CPU_TIME, "extract", "personalize"),
        (scale.FRAME_BYTES, "frame tree", "packed tree"),
        (scale.USER_BYTES, "videos as filmed", "personal file"),
    ]
    assert all(side[1].median > 0 for each in compared for side in (each.first, each.second))
    files, packed = compared[2].first[1].median, compared[2].second[1].median
    frames = [path.stat().st_size for path in (tmp_path / "alice-frames").rglob("*.jpg")]
    assert len(frames) == 4 * 6 and files == sum(frames) / len(frames) and packed > files


@pytest.mark.parametrize(("numbers", "files", "packed"), [(range(1, 61), 60, 3), (range(1, 62, 30), 3, 5)])
def test_a_slow_disk_is_waited_for_at_each_open_and_seek(tmp_path, waits, numbers, files, packed):
    """An archive is opened and its directory looked up, 2; then one seek in order, or one per frame with gaps."""
    make_frames(tmp_path / "tree/user/object/clean", FramesWorkload(frames=61))
    pack(tmp_path / "tree", tmp_path / "packed")
    for kind, expected in (("tree", files), ("packed", packed)):
        index = open_index(tmp_path / kind)
        del waits[:]
        with slow_to_seek(0.5):
            open_frames(index).read(VIDEO, numbers)
        assert sum(waits) == pytest.approx(0.5 * expected)
    assert open_frames(index).read(VIDEO, [1]).shape == (1, 224, 224, 3) and len(waits) in (2, 4)


def test_a_slow_disk_both_ways(waits):
    in_order, every_30th = scale.slow_disk(SMALL, repeats=1, delay_s=0.0)
    assert "61 of 61 frames" in in_order.setting and "3 of 61 frames" in every_30th.setting


def test_a_command_that_fails_is_named(tmp_path):
    with pytest.raises(scale.DataError, match="exit status 3; no luck"):
        scale._run_all([["-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]])


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="torchrun needs gloo over localhost")
def test_one_rank_and_two(tmp_path):
    compared = scale.predicting(tmp_path, SMALL, repeats=1)
    assert compared.first[1].median > 0 and compared.second[1].median > 0
