import shutil

import pytest

from benchmarks.extract import Workload, repeat_video, run, write_video
from data_prep.video import probe

SMALL = Workload(videos=2, pictures=6, width_px=320, height_px=180, frame_size_px=32)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_both_sides_are_timed_and_a_longer_video_is_read():
    speed, memory = run(SMALL, repeats=1)
    assert speed.metric == "speed" and speed.first[1].median > 0 and speed.second[1].median > 0
    assert memory.metric == "memory" and memory.second[0] == "10 times as long"


def test_a_repeated_video_holds_all_its_pictures_at_one_pace(tmp_path):
    write_video(tmp_path / "one.mp4", SMALL)
    repeat_video(tmp_path / "one.mp4", tmp_path / "long.mp4", 3)
    info = probe(tmp_path / "long.mp4")
    assert info.pictures == 18 and info.times_s == pytest.approx([k / 30 for k in range(18)], abs=1e-3)
