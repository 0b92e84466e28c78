import pytest

from benchmarks.recognize import Workload, run


@pytest.mark.long
def test_video_stream_and_memory_are_measured():
    video, stream, answering, reading = run(Workload(40, 320, 180, (("protonets", "tiny"),), "torch"), repeats=1)
    assert (video.second[0], stream.second[0]) == ("recognize", "one by one")
    assert all(c.unit == "frames/s" and min(c.first[1].median, c.second[1].median) > 0 for c in (video, stream))
    assert all(c.unit == "MB" and c.second[0] == "10 times as long" for c in (answering, reading))
