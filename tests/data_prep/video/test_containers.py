"""Truncated files and missing parts are found by the lengths that the container states."""

import shutil
import subprocess

import pytest

from data_prep.video.frames import iterate_frames, read_frames
from data_prep.video.probing import probe
from groundwork.errors import DataError

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
MOVING = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=2"]
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "20"]
KINDS = {
    "mkv": (H264, "a.mkv"),
    "webm": (["-c:v", "libvpx", "-b:v", "300k"], "a.webm"),
    "live": ([*H264, "-f", "matroska"], "pipe.mkv"),
    "avi": (["-c:v", "mjpeg", "-q:v", "4"], "a.avi"),
    "mpeg4": (["-c:v", "mpeg4", "-q:v", "4"], "a.avi"),
    "asf": (["-c:v", "wmv2", "-q:v", "4"], "a.wmv"),
    "indexed": ([*H264, "-movflags", "dash+global_sidx+frag_keyframe"], "a.mp4"),
    "fragmented": ([*H264, "-movflags", "frag_keyframe+empty_moov"], "a.mp4"),
    "ogg": (["-c:v", "libtheora", "-q:v", "5"], "a.ogv"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    made = {}
    for kind, (how, name) in KINDS.items():
        path = folder / kind / name
        path.parent.mkdir()
        piped = name.startswith("pipe")  # a pipe can't seek back, so no length is written
        command = [FFMPEG, "-nostdin", "-v", "error", *MOVING, *how, "-" if piped else str(path)]
        done = subprocess.run(command, check=True, capture_output=True)
        if piped:
            path.write_bytes(done.stdout)
        assert probe(path).pictures == 60
        made[kind] = path
    return made


def read(path, content):
    path.write_bytes(content)
    return read_frames(path, size_px=32)


def fragments(content):
    """The start of each `moof` box."""
    starts, at = [], content.find(b"moof")
    while at >= 0:
        starts.append(at - 4)
        at = content.find(b"moof", at + 4)
    return starts


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_rejected(whole, tmp_path, kind):
    content = whole[kind].read_bytes()
    path = tmp_path / whole[kind].name
    accepted = []
    for share in range(3, 60, 3):
        cut = len(content) * share // 60
        try:
            read(path, content[:cut])
            accepted.append(cut)
        except DataError as error:
            assert "\n" not in str(error) and str(path) in str(error)
    assert accepted == []


def test_a_cut_between_two_fragments_is_found_by_their_index(whole, tmp_path):
    content = whole["indexed"].read_bytes()
    with pytest.raises(DataError, match="bytes are missing at its end"):
        read(tmp_path / "a.mp4", content[: fragments(content)[-1]])


def test_data_between_two_fragments_that_is_not_a_box_is_rejected(whole, tmp_path):
    content = bytearray(whole["fragmented"].read_bytes())
    start = fragments(content)[1]
    content[start : start + 8] = b"\x00\x00\x02\x00\x01\x02\x03\x04"
    with pytest.raises(DataError, match=f"there is no box at byte {start}|promises|missing"):
        read(tmp_path / "a.mp4", bytes(content))


def test_zeros_after_the_last_fragment_are_not_damage(whole, tmp_path):
    assert len(read(tmp_path / "a.mp4", whole["fragmented"].read_bytes() + bytes(4096))) == 60


def test_a_missing_picture_of_an_avi_is_found_by_its_index(whole, tmp_path):
    content = bytearray(whole["avi"].read_bytes())
    start = content.index(b"00dc", len(content) // 2)
    content[start - 40 : start + 400] = bytes(440)
    with pytest.raises(DataError, match=r"states 60 pictures, but has 59|zeros"):
        read(tmp_path / "a.avi", bytes(content))


# --- Ogg


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("damage", ["zeros", "noise", "removed"])
def test_other_damage_in_an_ogg_is_rejected(whole, tmp_path, damage, share):
    content = bytearray(whole["ogg"].read_bytes())
    start = round(len(content) * share)
    if damage == "removed":
        del content[start : start + 900]
    else:
        content[start : start + 300] = bytes(300) if damage == "zeros" else bytes(k * 37 % 256 for k in range(300))
    path = tmp_path / "a.ogv"
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"a\.ogv: .*(damaged|Damaged|missing)"):
        list(iterate_frames(path, size_px=32))


def test_a_missing_page_is_found_by_its_number(whole, tmp_path):
    content = whole["ogg"].read_bytes()
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    with pytest.raises(DataError, match=f"1 pages are missing before byte {pages[6]}"):
        read(tmp_path / "a.ogv", content[: pages[6]] + content[pages[7] :])
