"""Interlaced video is deinterlaced, stretched pixels become square, and other videos are not changed."""

import shutil
import subprocess

import numpy as np
import pytest

from data_prep.video.frames import iterate_frames, read_frames
from data_prep.video.probing import probe

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
WOVEN = "tinterlace=interleave_top,fieldorder=tff"
FIELDS = ["-flags", "+ildct+ilme", "-g", "10"]
KINDS = {
    "h264.mp4": ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "8", "-x264-params", "tff=1", *FIELDS],
    "h264.ts": ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "8", "-x264-params", "tff=1", *FIELDS],
    "mpeg2.ts": ["-c:v", "mpeg2video", "-q:v", "2", *FIELDS],
    "mpeg4.avi": ["-c:v", "mpeg4", "-q:v", "2", *FIELDS],
}


def make(path, source, how):
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *how, str(path)], check=True)
    return path


def pictures_of(path, filters, side):
    scale = f"{filters}scale={side}:{side}:flags=bilinear,format=rgb24"
    command = [FFMPEG, "-v", "error", "-i", str(path), "-vsync", "passthrough", "-vf", scale, "-f", "rawvideo", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, side, side, 3).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interlaced_video_is_deinterlaced(tmp_path, kind):
    """A bar that moves sideways has comb edges in interlaced frames, and straight edges after deinterlacing."""
    path = make(tmp_path / kind, "testsrc2=size=320x256:rate=50:duration=1", ["-vf", WOVEN, *KINDS[kind]])
    info = probe(path)
    assert info.interlaced and info.pictures == 25 and not info.closed_groups
    ours = read_frames(path, size_px=128, fps=25, shape="squash").astype(int)
    assert len(ours) == 25
    theirs = pictures_of(path, "bwdif=mode=send_frame:deint=interlaced,", 128)
    woven = pictures_of(path, "", 128)
    assert np.abs(ours - theirs).mean() < 0.5  # two versions of ffmpeg
    assert np.abs(ours - woven).mean() > 2 * np.abs(ours - theirs).mean()


def test_frames_by_number_match_sequential_reading(tmp_path):
    source = "testsrc2=size=160x128:rate=50:duration=1"
    path = make(tmp_path / "a.mp4", source, ["-vf", WOVEN, *KINDS["h264.mp4"]])
    in_order = np.stack([picture for _, picture in iterate_frames(path, size_px=64, fps=25)])
    assert np.array_equal(read_frames(path, size_px=64, fps=25), in_order)
    for numbers in ([1], [25], [3, 4, 20], [24, 2]):
        assert np.array_equal(read_frames(path, numbers, size_px=64, fps=25), in_order[np.array(numbers) - 1])


def test_a_progressive_video_is_not_changed(tmp_path):
    path = make(tmp_path / "a.mp4", "testsrc2=size=160x128:rate=25:duration=1", ["-c:v", "libx264", "-g", "10"])
    assert not probe(path).interlaced
    assert np.array_equal(read_frames(path, size_px=64, fps=25, shape="squash"), pictures_of(path, "", 64))


@pytest.mark.parametrize(("aspect", "size"), [("4/3", (427, 240)), ("3/4", (240, 240)), ("1", (320, 240))])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_pixels_become_square(tmp_path, aspect, size, name):
    codec = ["-c:v", "mpeg4", "-q:v", "2"] if name.endswith("avi") else ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
    how = ["-vf", f"setsar={aspect}", *codec]
    path = make(tmp_path / name, "testsrc2=size=320x240:rate=25:duration=0.4", how)
    info = probe(path)
    assert (info.width, info.height) == size
    padded = read_frames(path, [1], size_px=120, shape="pad")[0]
    rows, columns = (np.flatnonzero(padded.max(axis=axis).max(axis=-1) > 40) for axis in (1, 0))
    shown = (columns[-1] - columns[0] + 1) / (rows[-1] - rows[0] + 1)
    assert shown == pytest.approx(size[0] / size[1], rel=0.05)


@pytest.mark.parametrize("rotation", [90, 180])
def test_a_rotated_video_with_stretched_pixels(encode_video, turn_video, tmp_path, rotation):
    upright = make(
        tmp_path / "a.mp4",
        "testsrc2=size=320x240:rate=25:duration=0.4",
        ["-vf", "setsar=4/3", "-c:v", "libx264", "-pix_fmt", "yuv420p"],
    )
    turn_video(upright, rotation)
    info = probe(upright)
    assert (info.width, info.height) == ((240, 427) if rotation == 90 else (427, 240))


def test_an_impossible_pixel_aspect_is_ignored(tmp_path):
    how = ["-vf", "setsar=100", "-c:v", "mpeg4"]
    assert probe(make(tmp_path / "a.mkv", "testsrc2=size=320x240:rate=25:duration=0.4", how)).width == 320
