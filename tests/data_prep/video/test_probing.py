from pathlib import Path

import pytest

from data_prep.video.probing import probe
from groundwork.errors import DataError


def test_a_plain_video_is_described(encode_video, tmp_path):
    info = probe(encode_video(tmp_path / "a.mp4", pictures=25, size=(128, 96)))
    assert (info.width, info.height, info.rotation, info.pictures, info.codec) == (128, 96, 0, 25, "h264")
    assert info.times_s == pytest.approx([k / 30 for k in range(25)], abs=1e-4)
    assert info.last_duration_s == pytest.approx(1 / 30, abs=1e-4)
    assert info.closed_groups and info.key_pictures == (0, 10, 20)  # encoded with a key frame every 10


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_found_and_the_size_is_the_display_size(encode_video, tmp_path, rotation):
    info = probe(encode_video(tmp_path / "a.mp4", size=(128, 96), rotation=rotation))
    assert info.rotation == rotation
    assert (info.width, info.height) == ((128, 96) if rotation == 180 else (96, 128))


def test_time_stamps_count_from_the_first_picture(encode_video, tmp_path):
    info = probe(encode_video(tmp_path / "a.mp4", times_s=[0.5, 0.6, 0.9, 1.0]))
    assert info.times_s == pytest.approx([0, 0.1, 0.4, 0.5], abs=1e-4)


@pytest.mark.parametrize(("rate", "odd_step_s"), [(30, 0.5), (120, 0.2), (240, 0.1)])
def test_the_rate_is_the_typical_one(encode_video, tmp_path, rate, odd_step_s):
    times = [k / rate for k in range(20)]
    times += [times[-1] + odd_step_s]  # a stall at the end would distort the average
    assert probe(encode_video(tmp_path / "a.mp4", times_s=times)).frames_per_s == pytest.approx(rate, rel=0.01)
    assert probe(encode_video(tmp_path / "b.mp4", pictures=1)).frames_per_s == pytest.approx(30, rel=0.01)


def test_stored_time_stamps_can_be_recovered(encode_video, tmp_path):
    import av

    path = encode_video(tmp_path / "a.mp4", times_s=[0.5, 0.6, 0.9, 1.0])
    with av.open(str(path)) as container:
        stored = [frame.pts for frame in container.decode(video=0)]
    assert [probe(path).stamp(k) for k in range(4)] == stored


def test_an_open_group_is_detected(encode_video, tmp_path):
    options = {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}
    assert not probe(encode_video(tmp_path / "a.mp4", options=options)).closed_groups


def test_a_changed_file_is_probed_again(encode_video, tmp_path):
    path = encode_video(tmp_path / "a.mp4", pictures=10)
    assert probe(path).pictures == 10
    encode_video(path, pictures=12)
    assert probe(path).pictures == 12


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"not a video at all " * 200, "decode")], ids=["empty", "text"]
)
def test_a_file_that_is_not_a_video_is_rejected_by_name(tmp_path, content, reason):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        probe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_rejected_by_name():
    with pytest.raises(DataError, match=r"nowhere\.mp4: can't be read"):
        probe(Path("nowhere.mp4"))


def test_a_file_with_only_sound_is_rejected(tmp_path):
    import av
    import numpy as np

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="no video stream"):
        probe(path)
