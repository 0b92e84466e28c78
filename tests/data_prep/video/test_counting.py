"""Pictures are counted, not packets: whole files give no error, and no picture is lost."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data_prep.video.frames import count_frames, read_frames
from data_prep.video.probing import probe
from tests.data_prep.video import field_coded

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
SHARED = Path(__file__).parents[4] / "shared/data/video"
MOVING = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=2"]


def ffmpeg(*words):
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, words)], check=True)


def assert_whole(path, pictures):
    info = probe(path)
    assert info.pictures == pictures
    frames = read_frames(path, size_px=32)
    assert len(frames) == count_frames(info)
    return info, frames


@pytest.fixture(scope="module")
def two_pass(tmp_path_factory):
    """VP8 and VP9 from an encoder that looks ahead and writes pictures that are only references."""
    folder = tmp_path_factory.mktemp("two-pass")
    for codec, name in (("libvpx", "vp8"), ("libvpx-vp9", "vp9")):
        how = ["-c:v", codec, "-b:v", "60k", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "20"]
        log = ["-passlogfile", folder / name]
        ffmpeg(*MOVING, *how, "-pass", "1", *log, "-f", "null", "-")
        ffmpeg(*MOVING, *how, "-pass", "2", *log, folder / f"{name}.webm")
    return folder


@needs_ffmpeg
@pytest.mark.parametrize("name", ["vp8.webm", "vp8.avi", "vp8.mkv", "vp9.webm", "vp9.mp4"])
def test_pictures_that_are_never_shown_do_not_count(two_pass, tmp_path, name):
    path = two_pass / f"{name[:3]}.webm"
    if not name.endswith("webm"):
        ffmpeg("-i", path, "-c", "copy", tmp_path / name)
        path = tmp_path / name
    assert_whole(path, 60)


@needs_ffmpeg
def test_hidden_pictures_do_not_prevent_seeking(two_pass):
    info, frames = assert_whole(two_pass / "vp8.webm", 60)
    assert info.closed_groups and len(info.key_pictures) > 1
    assert np.array_equal(read_frames(two_pass / "vp8.webm", [2, 50], size_px=32), frames[[1, 49]])


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data here")
def test_a_two_pass_video_from_elsewhere():
    assert_whole(SHARED / "vp8_2pass.webm", 120)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["ts", "m2ts", "mkv", "mp4"])
def test_two_packets_are_one_picture_of_two_fields(tmp_path, suffix):
    bare, path = field_coded.write(tmp_path / "a.h264", 13), tmp_path / f"a.{suffix}"
    ffmpeg("-framerate", "50", "-i", bare, "-c", "copy", path)
    info, frames = assert_whole(path, 13)
    assert info.interlaced
    assert info.times_s[-1] + info.last_duration_s == pytest.approx(13 / 25, abs=0.003)
    levels = frames[:, 16, 16].mean(axis=-1)
    assert levels[0] < levels[5] < levels[-1]


@needs_ffmpeg
def test_an_empty_packet_for_a_repeated_picture_is_not_damage(tmp_path):
    """Theora writes an empty packet for a picture that repeats the previous one."""
    path = tmp_path / "still.ogv"
    ffmpeg("-f", "lavfi", "-i", "color=c=red:size=160x120:rate=30:duration=2", "-c:v", "libtheora", path)
    info = probe(path)
    assert info.pictures < 60
    assert 45 <= count_frames(info) <= 60  # the last one includes its copies; the encoder keeps some back
    assert len(read_frames(path, size_px=32)) == count_frames(info)


@needs_ffmpeg
@pytest.mark.parametrize("group", ["0", "1"], ids=["closed", "open"])
@pytest.mark.parametrize("codec", [["libx264", "-bf", "2"], ["mpeg2video", "-bf", "2"], ["libx265"]])
def test_a_recording_that_begins_within_a_group_is_not_damaged(tmp_path, codec, group):
    """A broadcast recorded from the middle: pictures before the first key frame can't be shown."""
    whole, path = tmp_path / "whole.ts", tmp_path / "a.ts"
    quiet = {
        "libx264": ["-g", "20", "-x264-params", f"open-gop={group}"],
        "libx265": ["-x265-params", f"log-level=none:keyint=20:open-gop={group}"],
    }.get(codec[0], ["-g", "20"])
    ffmpeg(*MOVING, "-c:v", *codec, *quiet, "-q:v", "4", whole)
    content = whole.read_bytes()
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    tables = [packet for packet in packets[:4] if (packet[1] & 0x1F, packet[2]) in ((0, 0), (0, 0x11), (0x10, 0))]
    path.write_bytes(b"".join([*tables, *packets[len(packets) // 6 :]]))
    info = probe(path)
    assert 20 <= info.pictures < 60
    assert len(read_frames(path, size_px=32)) == count_frames(info)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_joined_recordings_are_whole_and_in_sequence(tmp_path, name):
    """Cameras split long recordings, and people join the parts again: time stamps restart in each part."""
    codec = ["libx264", "-g", "20"] if name == "a.ts" else ["mpeg2video", "-q:v", "4"]
    ffmpeg(*MOVING, "-c:v", *codec, tmp_path / name)
    one = read_frames(tmp_path / name, size_px=32)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() * 2)
    _, both = assert_whole(tmp_path / name, 120)
    assert np.array_equal(both, np.concatenate([one, one]))


@needs_ffmpeg
@pytest.mark.parametrize("codec", [["libx264", "-x264-params", "open-gop=1:keyint=20"], ["libx265"]])
@pytest.mark.parametrize("start_s", ["0.7", "1.2"])
def test_a_start_trimmed_by_whole_groups_is_not_damage(tmp_path, codec, start_s):
    """The list of pictures still has those that the edit list removes."""
    quiet = ["-x265-params", "log-level=none:keyint=20:open-gop=1"] if codec[0] == "libx265" else []
    ffmpeg(*MOVING, "-c:v", *codec, *quiet, tmp_path / "whole.mkv")
    ffmpeg("-ss", start_s, "-i", tmp_path / "whole.mkv", "-c", "copy", tmp_path / "a.mp4")
    info = probe(tmp_path / "a.mp4")
    assert 20 <= info.pictures <= 60
    assert len(read_frames(tmp_path / "a.mp4", size_px=32)) == count_frames(info)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.3gp", "b.mpg", "b.ts", "b.vob", "c.flv", "d.wmv", "e.mxf"])
def test_other_codecs_and_containers_are_whole(tmp_path, name):
    codec = {"a": "mpeg4", "b": "mpeg2video", "c": "flv", "d": "wmv2", "e": "mpeg2video"}[name[0]]
    ffmpeg(*MOVING, "-c:v", codec, "-q:v", "4", *(["-bf", "2"] if codec == "mpeg2video" else []), tmp_path / name)
    assert_whole(tmp_path / name, 60)
