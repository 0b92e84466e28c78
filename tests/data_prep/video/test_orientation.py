"""All eight orientations, odd angles and invalid matrices, compared with ffmpeg's rule and with the pixels."""

import math
import shutil
import struct
import subprocess

import numpy as np
import pytest

from data_prep.video.frames import read_frames
from data_prep.video.orientation import Orientation, from_matrix
from data_prep.video.probing import probe

FFMPEG = shutil.which("ffmpeg")
ONE = 1 << 16
# (a, b, c, d) of the display matrix: degrees clockwise, mirrored first
EIGHT = {
    (1, 0, 0, 1): (0, False),
    (0, 1, -1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, -1, 1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (1, 0, 0, -1): (180, True),
    (0, 1, 1, 0): (270, True),
    (0, -1, -1, 0): (90, True),
}


def matrix(a, b, c, d):
    return (round(a * ONE), round(b * ONE), 0, round(c * ONE), round(d * ONE), 0, 0, 0, 1 << 30)


def write_matrix(path, numbers):
    """Sets the display matrix of an MP4's track (ISO 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("signs", EIGHT)
def test_a_matrix_is_one_of_eight(signs):
    assert from_matrix(matrix(*signs)) == Orientation(*EIGHT[signs])


def test_an_invalid_matrix_is_ignored():
    assert from_matrix((0,) * 9) == Orientation()
    assert from_matrix((*(0,) * 8, 1 << 30)) == Orientation()


def test_any_other_angle_rotates_within_the_stored_size():
    turn = math.radians(30)
    found = from_matrix(matrix(math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)))
    assert found == Orientation(30) and not found.swaps_sides
    assert found.filters == (("rotate", "30*PI/180"),)


@pytest.mark.parametrize("signs", EIGHT)
def test_pictures_are_shown_as_the_matrix_says(encode_video, tmp_path, signs):
    """Point by point: a stored point (p, q) is shown at (a p + c q, b p + d q)."""
    path = encode_video(tmp_path / "a.mp4", size=(128, 96), pictures=3)  # a red mark at the stored upper left
    stored = read_frames(path, size_px=32, shape="squash")[0]
    write_matrix(path, matrix(*signs))
    info = probe(path)
    a, b, c, d = signs
    assert (info.width, info.height) == ((128, 96) if a else (96, 128))
    shown = np.empty_like(stored)
    for q in range(32):
        for p in range(32):  # negative coordinates count from the far side, as they do here
            shown[(b * p + d * q) - (min(b, d) < 0), (a * p + c * q) - (min(a, c) < 0)] = stored[q, p]
    assert np.abs(read_frames(path, size_px=32, shape="squash")[0].astype(int) - shown).mean() < 1


@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("numbers", [*(matrix(*signs) for signs in EIGHT), (0,) * 9, matrix(0.866, 0.5, -0.5, 0.866)])
def test_ffmpeg_shows_the_same(encode_video, tmp_path, numbers):
    path = encode_video(tmp_path / "a.mp4", size=(128, 96), pictures=3)
    write_matrix(path, numbers)
    scale = "scale=32:32:flags=bilinear,format=rgb24"
    command = [FFMPEG, "-v", "error", "-i", str(path), "-vf", scale, "-frames:v", "1", "-f", "rawvideo", "-"]
    theirs = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8)
    ours = read_frames(path, [1], size_px=32, shape="squash")[0]
    assert np.abs(ours.astype(int) - theirs.reshape(32, 32, 3)).mean() < 0.5
