"""HDR: pictures of standard range that are coded as HLG or PQ by the formulas of BT.2100 are recovered."""

import shutil
import subprocess

import numpy as np
import pytest

from data_prep.video import iterate_frames, probe
from data_prep.video.tones import shown_in_standard_range

SIZE_PX = 64
PAPER_WHITE = 203.0
TAGS = {"HLG": "arib-std-b67", "PQ": "smpte2084"}


def chart() -> np.ndarray:
    """sRGB code values (64, 64, 3): 16 patches of colors and grays, all darker than paper white."""
    patches = np.random.default_rng(0).integers(20, 220, (4, 4, 3))
    patches[3] = np.array([20, 80, 150, 215])[:, None]
    return patches.repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)


def light_of(codes: np.ndarray) -> np.ndarray:
    """sRGB code values to linear light; 1.0 is paper white."""
    x = codes / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def wide(light: np.ndarray) -> np.ndarray:
    """BT.709 to BT.2020 (BT.2087)."""
    matrix = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    return light @ matrix.T


def hlg(light: np.ndarray) -> np.ndarray:
    """Code values in [0, 1] of light on a screen of 1,000 cd/m2 (BT.2100's inverse OOTF and OETF)."""
    display = light * PAPER_WHITE / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * (luminance ** ((1 - 1.2) / 1.2))[..., None]
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    with np.errstate(invalid="ignore"):
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(12 * scene - b) + c)


def pq(light: np.ndarray) -> np.ndarray:
    y = (light * PAPER_WHITE / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


CODE = {"HLG": hlg, "PQ": pq}


def coded(transfer: str) -> np.ndarray:
    return np.asarray(CODE[transfer](wide(light_of(chart()))))


@pytest.mark.parametrize("transfer", CODE)
def test_pictures_of_standard_range_are_recovered(transfer: str) -> None:
    picture = np.rint(255 * coded(transfer)).astype(np.uint8)
    assert np.abs(picture.astype(int) - chart()).mean() > 15  # shown unchanged, the picture would be different
    found = shown_in_standard_range(picture, transfer, wide=True)
    off = np.abs(found.astype(int) - chart())
    assert found.dtype == np.uint8 and off.mean() < 2 and off.max() <= 10  # 8-bit PQ is coarse in dark areas


@pytest.mark.parametrize("transfer", CODE)
def test_grays_stay_gray_and_in_order_up_to_the_screens_peak(transfer: str) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    found = shown_in_standard_range(ramp, transfer, wide=True).astype(int)[0]
    assert (found.max(axis=1) - found.min(axis=1)).max() <= 1
    assert (np.diff(found[:, 1]) >= 0).all()
    assert found[0, 1] == 0 and found[-1, 1] >= 253
    paper = round(255 * float(CODE[transfer](np.ones((1, 1, 3)))[0, 0, 0]))
    assert 235 <= found[paper, 1] <= 250


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("transfer", CODE)
def test_a_10_bit_file_gives_the_original_picture(transfer: str, tmp_path) -> None:
    path = tmp_path / "hdr.mp4"
    codes = np.rint(65535 * coded(transfer)).astype("<u2")
    tags = f"colorprim=bt2020:transfer={TAGS[transfer]}:colormatrix=bt2020nc:range=limited:lossless=1:log-level=none"
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", f"{SIZE_PX}x{SIZE_PX}"]
    command += ["-r", "30", "-i", "-", "-vf", "scale=out_color_matrix=bt2020:out_range=limited,format=yuv444p10le"]
    command += ["-c:v", "libx265", "-x265-params", tags, str(path)]
    subprocess.run(command, input=codes.tobytes() * 3, check=True)
    info = probe(path)
    assert (info.hdr, info.has_wide_primaries) == (transfer, True)
    ((_, frame), *_) = iterate_frames(path, size_px=SIZE_PX)
    inside = np.abs(frame.astype(int) - chart()).reshape(4, 16, 4, 16, 3)[:, 4:12, :, 4:12]
    assert inside.mean() < 3
