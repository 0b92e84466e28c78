"""Both readers against each other and against ffmpeg: the choice, the pixels, random access, what they hold."""

import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from data_prep import decoding
from data_prep.framing import Framing
from data_prep.probe import probe
from data_prep.video import iterate_frames, read_frames, reader_name
from groundwork.errors import FoundWrong

ROOT = Path(__file__).parents[2]
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
needs_decord = pytest.mark.skipif(decoding.decord is None, reason="there is no decord here")

FRAMINGS = {
    "crop": {},
    "pad": {"shape": "pad"},
    "squash": {"shape": "squash"},
    "lanczos": {"resample": "lanczos"},
    "lanczos pad": {"shape": "pad", "resample": "lanczos"},
}
HEVC10 = ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none:keyint=20:open-gop=0"]
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "20"]
# name: how ffmpeg encodes it, and degrees clockwise that it's turned by
KINDS = {
    "h264": (H264, 0),
    "h264-open": ([*H264, "-x264-params", "open-gop=1:keyint=20"], 0),
    "variable": (["-vf", "select='not(mod(n,3))+lt(random(1),0.4)'", "-fps_mode", "vfr", *H264], 0),
    "hevc10": (HEVC10, 0),
    "portrait": (["-vf", "transpose=1", *H264], 0),
    "rotated-90": (H264, 90),
    "rotated-180": (H264, 180),
    "rotated-270": (H264, 270),
    "rotated-90-hevc10": (HEVC10, 90),
    "mkv": (H264, 0),
}


@pytest.fixture(scope="module")
def moving(turn_video, tmp_path_factory):
    """Two seconds of sharp, saturated, moving content in each kind."""
    folder = tmp_path_factory.mktemp("moving")
    made = {}
    for name, (how, rotation) in KINDS.items():
        path = folder / f"{name}.{'mkv' if name == 'mkv' else 'mp4'}"
        source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=2"]
        subprocess.run([FFMPEG, "-v", "error", *source, *how, str(path)], check=True)
        if rotation:
            turn_video(path, rotation)
        made[name] = path
    return made


def ffmpeg_frames(path, filters):
    command = [FFMPEG, "-v", "error", "-i", str(path), "-vf", f"fps=30,{filters}format=rgb24", "-f", "rawvideo", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, dtype=np.uint8)


def differences(ours, theirs, *, neighbours):
    """Mean difference of each frame in grey levels; with `neighbours`, to the nearest of theirs and the ones beside it:
    ffmpeg rounds time stamps to the nearest frame, so at a variable rate a picture may stand one frame off."""
    assert abs(len(ours) - len(theirs)) <= 1
    count = min(len(ours), len(theirs))
    around = (-1, 0, 1) if neighbours else (0,)
    shifted = [theirs[np.clip(np.arange(count) + by, 0, len(theirs) - 1)] for by in around]
    return np.min([np.abs(ours[:count].astype(int) - other).mean(axis=(1, 2, 3)) for other in shifted], axis=0)


@needs_ffmpeg
@pytest.mark.parametrize("reader", ["as chosen", "pyav"])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_of_ffmpeg(moving, monkeypatch, kind, reader):
    if reader == "pyav":
        monkeypatch.setattr(decoding, "decord", None)
    info = probe(moving[kind])
    width, height = Framing(90).decoded_size(info.width, info.height)
    theirs = ffmpeg_frames(moving[kind], f"scale={width}:{height}:flags=bilinear,format=rgb24,crop=90:90,")
    found = differences(
        read_frames(moving[kind], size_px=90), theirs.reshape(-1, 90, 90, 3), neighbours=kind == "variable"
    )
    assert found.max() < 1  # measured with ffmpeg 5.1: 0; neighbouring pictures of this source differ by 2 and more


@needs_ffmpeg
@pytest.mark.parametrize("reader", ["as chosen", "pyav"])
@pytest.mark.parametrize("kind", KINDS)
def test_lanczos_is_pillows_of_the_full_picture(moving, monkeypatch, kind, reader):
    if reader == "pyav":
        monkeypatch.setattr(decoding, "decord", None)
    info = probe(moving[kind])
    full = ffmpeg_frames(moving[kind], "").reshape(-1, info.height, info.width, 3)
    width, height = Framing(90).decoded_size(info.width, info.height)
    left, top = (width - 90) // 2, (height - 90) // 2
    resized = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)) for f in full]
    theirs = np.stack([picture[top : top + 90, left : left + 90] for picture in resized])
    ours = read_frames(moving[kind], size_px=90, resample="lanczos")
    # Measured: 0.1 in 8 bits, up to 1.4 in 10 (another rounding of chroma at full size)
    assert differences(ours, theirs, neighbours=kind == "variable").max() < 2


@needs_ffmpeg
@needs_decord
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", ["h264", "hevc10", "rotated-90", "rotated-180", "portrait", "variable", "mkv"])
def test_both_readers_give_the_same_frames(moving, monkeypatch, kind, framing):
    path, how = moving[kind], {"size_px": 112, **FRAMINGS[framing]}
    monkeypatch.setattr(decoding, "DECORD_CODECS", {"h264", "hevc"})
    assert reader_name(probe(path), **how) == "decord"
    by_decord = read_frames(path, **how)
    monkeypatch.setattr(decoding, "decord", None)
    by_pyav = read_frames(path, **how)
    assert by_decord.shape == by_pyav.shape
    difference = np.abs(by_decord.astype(int) - by_pyav).mean(axis=(1, 2, 3)).max()
    assert difference == 0 or (difference < 1.5 and kind == "hevc10" and "lanczos" in framing)


@needs_ffmpeg
@pytest.mark.parametrize("reader", ["as chosen", "pyav"])
@pytest.mark.parametrize("kind", ["h264", "hevc10", "variable", "mkv", "rotated-90", "h264-open"])
def test_pyav_jumps_to_the_very_pictures_of_reading_in_order(moving, monkeypatch, kind, reader):
    if reader == "pyav":
        monkeypatch.setattr(decoding, "decord", None)
    path = moving[kind]
    in_order = read_frames(path, size_px=64)
    draw = np.random.default_rng(3)
    for _ in range(8):
        numbers = draw.integers(1, len(in_order) + 1, size=draw.integers(1, 5)).tolist()
        assert np.array_equal(read_frames(path, numbers, size_px=64), in_order[np.array(numbers) - 1])


@needs_ffmpeg
def test_a_late_picture_does_not_cost_all_before_it(moving, monkeypatch):
    decoded = []
    monkeypatch.setattr(decoding, "decord", None)
    plain = decoding._decoded

    def counted(*arguments):
        for frame in plain(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(decoding, "_decoded", counted)
    read_frames(moving["h264"], [2, 58], size_px=64)
    assert len(decoded) <= 2 + 18  # key frames at 1, 21, 41


# --- the choice


@needs_decord
def test_decord_reads_what_it_reads_rightly_and_pyav_the_rest(encode_video, tmp_path):
    clips = {
        "plain": {},
        "open": {"options": {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}},
        "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=10:open-gop=0"}},
        "rotated": {"rotation": 90},
    }
    paths = {name: encode_video(tmp_path / f"{name}.mp4", **how) for name, how in clips.items()}
    chosen = {name: reader_name(probe(path)) for name, path in paths.items()}
    # HEVC through decord: slices that don't parse are passed over without a word
    assert chosen == {"plain": "decord", "open": "pyav", "hevc": "pyav", "rotated": "decord"}


@needs_decord
def test_widths_that_decord_misreads_are_left_to_pyav(encode_video, tmp_path):
    path = encode_video(tmp_path / "a.mp4", pictures=5)
    chosen = set()
    for size in range(1, 150):
        chosen.add(reader_name(probe(path), size, shape="squash"))
        assert read_frames(path, [1, 5], size_px=size, shape="squash").shape == (2, size, size, 3)
    assert chosen == {"decord", "pyav"}
    assert reader_name(probe(path), 224, shape="squash") == "decord"


def test_a_turned_matroska_is_upright(encode_video, turn_video, tmp_path):
    """decord does not see how it is turned."""
    upright = encode_video(tmp_path / "a.mp4", size=(128, 96), rotation=90)
    with av.open(str(upright)) as given, av.open(str(tmp_path / "a.mkv"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    if probe(tmp_path / "a.mkv").rotation != 90:
        pytest.skip("this libav does not write it")
    assert np.array_equal(read_frames(tmp_path / "a.mkv", size_px=64), read_frames(upright, size_px=64))


# --- odd sizes and memory


@needs_ffmpeg
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", ["2x2", "16x16", "90x86", "1080x2", "2x1080", "18x640"])
def test_odd_sizes_work_or_are_refused_by_name(tmp_path, size, framing):
    path = tmp_path / "odd.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=0.4"]
    subprocess.run(
        [FFMPEG, "-v", "error", *source, "-vf", f"scale={size.replace('x', ':')}", *H264, str(path)], check=True
    )
    if "1080" in size and framing == "crop":
        with pytest.raises(FoundWrong, match=r"odd\.mp4: .* px can't be scaled to .*Pad or squash"):
            read_frames(path, **FRAMINGS[framing])
    else:
        assert read_frames(path, **FRAMINGS[framing]).shape == (12, 224, 224, 3)


MEMORY = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from data_prep import decoding, video
from data_prep.probe import probe
decoding.SEGMENT_BYTES = 24_000_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(video.reader_name(probe(Path(sys.argv[1])), **{how!r}))
for number, _ in video.iterate_frames(Path(sys.argv[1]), **{how!r}):
    if number == 60:
        import time; time.sleep(1)  # a reader that decodes ahead without bound would go on
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@needs_ffmpeg
@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_memory_is_bounded_whatever_the_shape(tmp_path, framing):
    """500 pictures of 1280 x 720 are 1.4 GB at full size, and 134 MB at 300 x 300."""
    path = tmp_path / "long.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=16.7"]
    subprocess.run([FFMPEG, "-v", "error", *source, *H264, "-preset", "ultrafast", str(path)], check=True)
    script = MEMORY.format(root=str(ROOT), how={"size_px": 300, **FRAMINGS[framing]})
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    reader, grown_mb = done.stdout.split()
    assert reader == ("pyav" if "lanczos" in framing else "decord")
    assert int(grown_mb) < 110


def test_a_whole_video_in_one_group_is_left_to_pyav(encode_video, tmp_path, monkeypatch):
    path = encode_video(tmp_path / "a.mp4", options={"g": "1000"})
    monkeypatch.setattr(decoding, "SEGMENT_BYTES", 10 * 86 * 64 * 3)
    assert reader_name(probe(path), 64) == "pyav"
    assert len(list(iterate_frames(path, size_px=64))) == 40
