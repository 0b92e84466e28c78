"""Colors are decoded as they were drawn, for any coding, and as by another decoder."""

import numpy as np
import pytest

from data_prep.video.frames import read_frames
from data_prep.video.probing import probe
from data_prep.video.tones import shown_in_standard_range
from groundwork.errors import DataError

BT709, BT601, SMPTE240M, BT2020 = (1, 1, 1), (6, 6, 6), (7, 7, 7), (9, 14, 9)
HEVC10 = {"codec": "libx265", "pix_fmt": "yuv420p10le"}

# name -> how it is encoded, and how `probe` describes it
KINDS = {
    "BT.709": ({"tags": BT709, "drawn_with": 1}, "SDR 8-bit"),
    "BT.709 in HD": ({"tags": BT709, "drawn_with": 1, "size": (1280, 720)}, "SDR 8-bit"),
    "BT.601": ({"tags": BT601}, "SDR 8-bit"),
    "BT.601 in HD": ({"tags": BT601, "size": (1280, 720)}, "SDR 8-bit"),
    "SMPTE 240M": ({"tags": SMPTE240M, "drawn_with": 7}, "SDR 8-bit"),
    "untagged SD": ({}, "SDR 8-bit"),
    "untagged HD": ({"size": (1280, 720)}, "SDR 8-bit"),  # also BT.601, as in ffmpeg
    "full range": ({"pix_fmt": "yuvj420p", "full_range": True}, "SDR 8-bit"),
    "full range BT.709": ({"pix_fmt": "yuvj420p", "full_range": True, "tags": BT709, "drawn_with": 1}, "SDR 8-bit"),
    "4:4:4": ({"pix_fmt": "yuv444p", "tags": BT709, "drawn_with": 1}, "SDR 8-bit"),
    "H.264 10-bit": ({"pix_fmt": "yuv420p10le", "tags": BT709, "drawn_with": 1}, "SDR 10-bit"),
    "HEVC": ({"codec": "libx265", "tags": BT709, "drawn_with": 1}, "SDR 8-bit"),
    "HEVC 10-bit": ({**HEVC10, "tags": BT709, "drawn_with": 1}, "SDR 10-bit"),
    "HEVC 10-bit full range": ({**HEVC10, "tags": BT709, "drawn_with": 1, "full_range": True}, "SDR 10-bit"),
    "HLG": ({**HEVC10, "tags": (9, 18, 9), "drawn_with": 9}, "HLG BT.2020 10-bit"),
    "PQ": ({**HEVC10, "tags": (9, 16, 9), "drawn_with": 9}, "PQ BT.2020 10-bit"),
    "BT.2020": ({**HEVC10, "tags": BT2020, "drawn_with": 9}, "SDR BT.2020 10-bit"),
    "BT.2020 8-bit": ({"codec": "libx265", "tags": BT2020, "drawn_with": 9}, "SDR BT.2020 8-bit"),
}


def as_shown(picture, color):
    """Code values of HDR are converted to the tones of ordinary video (see test_tones.py)."""
    if color.startswith("SDR"):
        return picture
    return shown_in_standard_range(np.asarray(picture, np.uint8), color.split()[0], wide=True)


def flat_parts(picture):
    """Mean color of the middle of each patch, shape (8, 3)."""
    cells = picture.reshape(2, 64, 4, 32, 3)[:, 16:48, :, 8:24]
    return cells.mean(axis=(1, 3)).reshape(8, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_colors_are_as_drawn(encode_patches, patches, tmp_path, kind):
    how, color = KINDS[kind]
    path = encode_patches(tmp_path / "a.mp4", **how)
    assert probe(path).color == color
    picture = read_frames(path, [3], size_px=128, shape="squash")[0]
    drawn = as_shown(np.asarray(patches)[None], color)[0].astype(float)
    # Measured: at most 4, because decoders round down. With the wrong matrix, the error is 12 to 30
    # (6 between SMPTE 240M and BT.709); with the wrong range, 19.
    assert np.abs(flat_parts(picture) - drawn).max() < (
        6 if color.startswith("SDR") else 12
    )  # code values of HDR are far apart


@pytest.mark.parametrize("kind", KINDS)
def test_colors_match_a_second_decoder(encode_patches, second_decoder, tmp_path, kind):
    path = encode_patches(tmp_path / "a.mp4", **KINDS[kind][0])
    ours, theirs = read_frames(path, size_px=128, shape="squash"), second_decoder(path, (128, 128))
    assert ours.shape == theirs.shape
    for one, coded in zip(ours, theirs, strict=True):
        other = as_shown(coded, KINDS[kind][1])
        assert np.abs(flat_parts(one) - flat_parts(other)).max() <= 1  # measured: 0
        difference = np.abs(one.astype(int) - other)
        assert difference.mean() < 1  # measured: 0 to 0.45, along edges of patches if only one side is scaled


@pytest.mark.parametrize("matrix", [8, 10], ids=["YCgCo", "BT.2020 constant luminance"])
def test_an_unknown_color_matrix_is_rejected(encode_patches, tmp_path, matrix):
    path = encode_patches(tmp_path / "a.mp4", tags=(1, 1, matrix))
    with pytest.raises(DataError, match=rf"a\.mp4: color matrix {matrix} .* Convert the video to BT\.709"):
        probe(path)
