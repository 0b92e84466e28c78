"""Damage is reported in one line that names the file; whole files give no error."""

import random
import shutil
import subprocess

import av
import numpy as np
import pytest

from data_prep.video import iterate_frames, probe, read_frames
from groundwork.errors import DataError

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
SIZE_PX = 64

HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=20:open-gop=0"}}
OPEN = {"options": {"x264-params": "open-gop=1:keyint=20:bframes=3:b-adapt=0"}}
FILES = {"h264.mp4": {}, "h264-open.mp4": OPEN, "h264.mkv": {}, "hevc.mp4": HEVC, "hevc.mkv": HEVC}


@pytest.fixture(scope="module")
def noise_video(tmp_path_factory):
    """Encodes noise, so that a picture takes some kilobytes; the header comes first, so that cut files open."""
    folder = tmp_path_factory.mktemp("whole")

    def encode(name, how, pictures=90):
        options = {"libx264": {"g": "20", "preset": "ultrafast", "bf": "2", "coder": "cabac"}}
        codec, path = how.get("codec", "libx264"), folder / name
        muxer = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", options=muxer) as container:
            stream = container.add_stream(codec, rate=30, options={**options.get(codec, {}), **how.get("options", {})})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            draw = np.random.default_rng(1)
            for number in range(pictures):
                picture = np.full((240, 320, 3), number, dtype=np.uint8)
                picture[60:180, 60:260] = draw.integers(0, 120, (120, 200, 3))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return encode


@pytest.fixture(scope="module")
def whole(noise_video):
    return {name: noise_video(name, how).read_bytes() for name, how in FILES.items()}


def media(content):
    """The positions where the pictures' bytes begin and end."""
    if b"mdat" not in content[:200_000]:
        return 4000, len(content) - 500
    return content.index(b"mdat") + 4, len(content)


def cut(content, share):
    start, end = media(content)
    return content[: start + int((end - start) * share)]


def hole(content, size, share):
    start, end = media(content)
    place = start + int((end - start) * share)
    return content[:place] + bytes(size) + content[place + size :]


def flip(content, bits, seed):
    """Flips single bits in the middle fifth."""
    start, end = media(content)
    draw, damaged = random.Random(seed), bytearray(content)
    for _ in range(bits):
        place = draw.randrange(start + (end - start) * 2 // 5, start + (end - start) * 3 // 5)
        damaged[place] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def assert_found(path, content, capfd, match=""):
    path.write_bytes(content)
    for read in (lambda: read_frames(path, size_px=SIZE_PX), lambda: list(iterate_frames(path, size_px=SIZE_PX))):
        with pytest.raises(DataError, match=rf"{path.stem}\{path.suffix}: .*{match}") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_gives_no_error(whole, tmp_path, capfd, name):
    path = tmp_path / name
    path.write_bytes(whole[name])
    assert len(read_frames(path, size_px=SIZE_PX)) == probe(path).pictures == 90
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("share", [0.0, 0.6, 0.99])
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_is_found(whole, tmp_path, capfd, name, share):
    assert_found(tmp_path / name, cut(whole[name], share), capfd)


@pytest.mark.parametrize("size", [5_000, 50_000])
@pytest.mark.parametrize("share", [0.3, 0.43, 0.56])
@pytest.mark.parametrize("name", FILES)
def test_a_hole_is_found(whole, tmp_path, capfd, name, size, share):
    assert_found(tmp_path / name, hole(whole[name], size, share), capfd)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [1, 8, 64])
@pytest.mark.parametrize("name", [name for name in FILES if "h264" in name])
def test_flipped_bits_are_found_in_h264(whole, tmp_path, capfd, name, bits, seed):
    assert_found(tmp_path / name, flip(whole[name], bits, seed), capfd)


def packet_places(path):
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_in_slice_headers_are_found_in_hevc(whole, tmp_path, capfd, seed):
    """Outside the headers, its decoder accepts most damage as a picture (see decoder_log)."""
    path = tmp_path / "hevc.mp4"
    path.write_bytes(whole["hevc.mp4"])
    content, draw = bytearray(whole["hevc.mp4"]), random.Random(seed)
    for place, _ in packet_places(path)[30:40]:
        content[place + 6 + draw.randrange(2)] ^= 1 << draw.randrange(8)  # after length and unit header
    assert_found(path, bytes(content), capfd)


def test_damage_elsewhere_does_not_affect_frames_requested_by_number(whole, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(whole["h264.mp4"])
    good = read_frames(path, [1, 2, 88], size_px=SIZE_PX)
    path.write_bytes(flip(whole["h264.mp4"], 8, 0))
    assert np.array_equal(read_frames(path, [1, 2, 88], size_px=SIZE_PX), good)
    with pytest.raises(DataError):
        read_frames(path, size_px=SIZE_PX)


def test_a_header_that_promises_more_pictures_is_found(whole, tmp_path, capfd):
    path = tmp_path / "a.mp4"
    path.write_bytes(whole["h264.mp4"])
    place, size = packet_places(path)[69]
    assert_found(path, whole["h264.mp4"][: place + size], capfd, match="states 90 pictures, but has 70")


@pytest.mark.parametrize("content", [b"", b"hello " * 500, b"\0" * 5000], ids=["nothing", "text", "zeros"])
def test_a_file_that_is_not_a_video_is_reported(tmp_path, capfd, content):
    assert_found(tmp_path / "a.mp4", content, capfd)


def test_a_video_without_pictures_is_reported(tmp_path, capfd):
    path = tmp_path / "none.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert_found(path, path.read_bytes(), capfd)


def test_one_picture_is_a_video(encode_video, tmp_path):
    path = encode_video(tmp_path / "one.mp4", pictures=1)
    assert len(read_frames(path, size_px=SIZE_PX)) == 1


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("start_s", ["0.7", "1.4"])
def test_a_trimmed_start_within_open_groups_is_not_damage(tmp_path, codec, container, start_s):
    """libav reports an error there, and pictures before the first key frame do not decode."""
    how = {"libx264": ["-x264-params", "open-gop=1:keyint=20"], "libx265": ["-x265-params", "log-level=none:keyint=20"]}
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=4"]
    long, path = tmp_path / "long.mp4", tmp_path / f"a.{container}"
    subprocess.run([FFMPEG, "-v", "error", *source, "-c:v", codec, *how[codec], str(long)], check=True)
    for options in ([], ["-use_editlist", "0"]) if container == "mp4" else ([],):
        trim = [FFMPEG, "-y", "-v", "error", "-ss", start_s, "-i", str(long), "-c", "copy", *options, str(path)]
        subprocess.run(trim, check=True)
        assert len(read_frames(path, size_px=SIZE_PX)) == probe(path).pictures > 50


def test_the_pocket_set_is_whole(pocket_raw):
    for path in sorted(pocket_raw.rglob("*.mp4")):
        for _ in iterate_frames(path, size_px=SIZE_PX):
            pass
