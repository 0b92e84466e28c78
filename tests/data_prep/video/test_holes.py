"""Zeros inside a video are found in every codec that does not write such zeros itself."""

import shutil
import subprocess
from types import SimpleNamespace

import av
import pytest

from data_prep.video.frames import iterate_frames
from data_prep.video.holes import has_hole
from groundwork.errors import DataError
from tests.data_prep.video.test_packets import AVCC, BARE, IDR, SLICE, bare, packed

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
CODECS = {
    "vp8": ("a.webm", ["-c:v", "libvpx", "-b:v", "900k", "-deadline", "realtime"]),
    "vp9": ("a.webm", ["-c:v", "libvpx-vp9", "-b:v", "900k", "-deadline", "realtime", "-cpu-used", "8"]),
    "av1": ("a.mp4", ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-b:v", "900k"]),
    "mpeg4": ("a.mp4", ["-c:v", "mpeg4", "-q:v", "3"]),
    "mjpeg": ("a.avi", ["-c:v", "mjpeg", "-q:v", "3", "-huffman", "default"]),
    "mpeg2video": ("a.mpg", ["-c:v", "mpeg2video", "-q:v", "3"]),
    "h264 between start codes": ("a.avi", ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "12"]),
    "wmv2": ("a.avi", ["-c:v", "wmv2", "-q:v", "3"]),
}


def context(name):
    return SimpleNamespace(name=name, extradata=b"")


@pytest.mark.parametrize(
    ("content", "hole"),
    [
        (packed(IDR, SLICE * 100), False),
        (packed(IDR, b"a" * 100 + bytes(70) + b"a" * 100), True),
        (packed(IDR) + bytes(500), False),  # padding at the end
        (bytes(500), True),
        (bytes(80) + packed(IDR), True),
    ],
    ids=["whole", "within", "filled up", "all", "in front"],
)
def test_zeros_in_units_with_length_prefixes_are_a_hole(content, hole):
    assert has_hole(content, AVCC) == hole


def test_zeros_before_a_start_code_are_not_a_hole():
    filled = bare(IDR) + bytes(500) + bare(SLICE) + bytes(500)
    assert not has_hole(filled, BARE) and not has_hole(filled, context("mpeg2video"))
    assert has_hole(bare(IDR + bytes(500) + b"abc"), BARE)


def test_zeros_in_a_codec_that_writes_them_are_not_a_hole():
    assert not has_hole(b"a" + bytes(500) + b"a", context("rawvideo"))


@needs_ffmpeg
@pytest.mark.parametrize("kind", CODECS)
def test_a_zeroed_block_is_found(tmp_path, kind):
    name, how = CODECS[kind]
    path = tmp_path / name
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=1,noise=alls=12:allf=t"]
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", *source, *how, str(path)], check=True)
    whole = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos]
    position, size = max(packets[10:], key=lambda packet: packet[1])
    start = position + size // 3
    path.write_bytes(whole[:start] + bytes(400) + whole[start + 400 :])
    with pytest.raises(DataError, match=r"zeros|damaged"):
        list(iterate_frames(path, size_px=32))


@needs_ffmpeg
@pytest.mark.parametrize("tables", ["default", "optimal"])
@pytest.mark.parametrize("source", ["color=c=black", "life=ratio=0.01:death_color=black:life_color=white"])
def test_a_dark_picture_in_mjpeg_is_not_a_hole(tmp_path, source, tables):
    """Optimized Huffman tables code a flat area as zeros."""
    path = tmp_path / "a.avi"
    made = ["-f", "lavfi", "-i", f"{source}{':' if '=' in source[6:] else '='}size=640x480:rate=10", "-t", "0.5"]
    codec = ["-c:v", "mjpeg", "-q:v", "2", "-huffman", tables]
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", *made, *codec, str(path)], check=True)
    assert len(list(iterate_frames(path, size_px=32))) == 15
