import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.video.frames import (
    STAMP_TOLERANCE_S,
    decode_jpeg,
    encode_jpeg,
    frame_pictures,
    iterate_frames,
    read_frames,
)
from data_prep.video.probing import probe
from groundwork.errors import DataError, UsageError

SIZE_PX = 64
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")

# name -> how it is encoded; every encoding must give the right pictures, in sequence and by number
CLIPS = {
    "h264": {},
    "h264-open-groups": {"options": {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}},
    "h264-one-group": {"options": {"g": "1000"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=10:open-gop=0"}},
    "hevc-open-groups": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=10:open-gop=1"}},
    "rotated-90": {"rotation": 90},
    "rotated-180": {"rotation": 180},
    "rotated-270-open": {"rotation": 270, "options": {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0"}},
    "wide": {"size": (320, 96)},
    "tall": {"size": (96, 320)},
    "one-picture": {"pictures": 1},
    "variable-rate": {"times_s": np.cumsum([0, *np.tile([1 / 30, 0.1, 1 / 60, 0.05], 9)]).tolist()},
    "slow-motion": {"times_s": [k / 120 for k in range(80)]},
}


@pytest.fixture(scope="module")
def clips(encode_video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {name: encode_video(folder / f"{name}.mp4", **how) for name, how in CLIPS.items()}


def shown_level(picture):
    """Gray level in the middle of the picture, away from the mark."""
    middle = slice(SIZE_PX * 2 // 5, SIZE_PX * 3 // 5)
    return float(picture[middle, middle].mean())


# --- which picture each frame shows


stamp_steps = st.lists(st.floats(0.002, 0.5), max_size=60)


@given(steps=stamp_steps, last_s=st.floats(0.002, 0.5), fps=st.sampled_from([10.0, 24.0, 30.0, 60.0]))
def test_a_frame_shows_the_last_picture_that_has_started(steps, last_s, fps):
    times = np.cumsum([0, *steps])
    pictures = frame_pictures(times.tolist(), last_s, fps)
    for k, picture in enumerate(pictures):
        begun = [i for i, stamp in enumerate(times) if stamp <= k / fps + STAMP_TOLERANCE_S]
        assert picture == begun[-1]
    assert abs(len(pictures) - (times[-1] + last_s) * fps) <= 1  # within one frame of ffmpeg's fps filter, which rounds


@pytest.mark.parametrize("digits", [9, 3], ids=["exact", "milliseconds, as in Matroska"])
def test_a_constant_30_fps_maps_one_to_one(digits):
    times = [round(k / 30, digits) for k in range(3000)]
    assert frame_pictures(times, round(1 / 30, digits)).tolist() == list(range(3000))


def test_120_fps_gives_every_fourth_picture_and_10_fps_each_three_times():
    assert frame_pictures([k / 120 for k in range(40)], 1 / 120).tolist() == list(range(0, 40, 4))
    assert frame_pictures([k / 10 for k in range(4)], 1 / 10).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_the_last_picture_lasts_its_own_duration():
    assert frame_pictures([0, 1 / 30], 0.5).tolist() == [0] + [1] * 15


# --- pixels


@pytest.mark.parametrize("name", CLIPS)
def test_each_frame_shows_the_picture_it_should(clips, gray_level, name):
    info = probe(clips[name])
    expected = frame_pictures(info.times_s, info.last_duration_s)
    numbers, pictures = zip(*iterate_frames(clips[name], size_px=SIZE_PX), strict=True)
    assert numbers == tuple(range(1, len(expected) + 1))
    assert all(picture.shape == (SIZE_PX, SIZE_PX, 3) and picture.dtype == np.uint8 for picture in pictures)
    got = [shown_level(picture) for picture in pictures]
    # neighbors differ by 5 levels; errors of coding and color conversion stay below half of that
    assert got == pytest.approx([gray_level(int(k)) for k in expected], abs=2.4)


@pytest.mark.parametrize("name", CLIPS)
def test_random_access_gives_the_same_pixels_as_sequential_reading(clips, name):
    in_order = dict(iterate_frames(clips[name], size_px=SIZE_PX))
    wanted = np.random.default_rng(5).integers(1, len(in_order) + 1, size=12).tolist()
    got = read_frames(clips[name], wanted, size_px=SIZE_PX)
    assert got.shape == (12, SIZE_PX, SIZE_PX, 3)
    for number, picture in zip(wanted, got, strict=True):
        assert np.array_equal(picture, in_order[number])
        assert np.array_equal(read_frames(clips[name], [number], size_px=SIZE_PX)[0], picture)
    assert np.array_equal(read_frames(clips[name], size_px=SIZE_PX), np.stack(list(in_order.values())))


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, 1)), (180, (1, 1)), (270, (1, 0))])
@pytest.mark.parametrize("options", [{}, CLIPS["h264-open-groups"]["options"]], ids=["closed", "open"])
def test_rotation_is_applied(encode_video, tmp_path, rotation, corner, options):
    # the red mark is at the top left of the stored picture; rotated clockwise by 90 degrees, at the top right
    path = encode_video(tmp_path / "a.mp4", size=(128, 128), rotation=rotation, options=options)
    picture = read_frames(path, [3], size_px=SIZE_PX)[0].astype(int)
    redness = picture[..., 0] - picture[..., 1]
    halves = redness.reshape(2, SIZE_PX // 2, 2, SIZE_PX // 2).mean(axis=(1, 3))
    assert np.unravel_index(halves.argmax(), (2, 2)) == corner


def test_the_crop_is_centered(encode_video, tmp_path):
    # the mark takes the left quarter of a width of 3 heights, so it is outside the middle third
    path = encode_video(tmp_path / "a.mp4", size=(288, 96))
    picture = read_frames(path, [1], size_px=SIZE_PX)[0].astype(int)
    assert (picture[..., 0] - picture[..., 1]).max() < 30
    square = encode_video(tmp_path / "b.mp4", size=(96, 96))
    picture = read_frames(square, [1], size_px=SIZE_PX)[0].astype(int)
    assert (picture[..., 0] - picture[..., 1]).max() > 100


@pytest.mark.parametrize("numbers", [[0], [41], [-1], [1, 99]])
def test_a_missing_frame_is_an_error(clips, numbers):
    with pytest.raises(DataError, match=r"h264\.mp4: has frames 1 to 40 at 30 fps"):
        read_frames(clips["h264"], numbers, size_px=SIZE_PX)


@pytest.mark.parametrize("how", [{"shape": "round"}, {"resample": "nearest"}])
def test_an_unknown_framing_is_rejected_before_anything_is_read(how):
    with pytest.raises(UsageError, match="choose from"):
        read_frames(Path("nowhere.mp4"), **how)
    with pytest.raises(UsageError, match="choose from"):
        next(iterate_frames(Path("nowhere.mp4"), **how))


@pytest.mark.parametrize("how", [{"shape": "pad"}, {"shape": "squash"}, {"resample": "lanczos"}])
def test_every_framing_shows_the_same_pictures(clips, how):
    cropped, framed = read_frames(clips["h264"], size_px=SIZE_PX), read_frames(clips["h264"], size_px=SIZE_PX, **how)
    assert [shown_level(p) for p in framed] == pytest.approx([shown_level(p) for p in cropped], abs=2.4)
    assert np.array_equal(framed, [picture for _, picture in iterate_frames(clips["h264"], size_px=SIZE_PX, **how)])
    assert not np.array_equal(framed, cropped)


def test_no_numbers_give_no_frames(clips):
    assert read_frames(clips["h264"], [], size_px=SIZE_PX).shape == (0, SIZE_PX, SIZE_PX, 3)


@needs_ffmpeg
def test_pictures_removed_by_an_edit_list_are_not_shown(clips, tmp_path, gray_level):
    path = tmp_path / "cut.mp4"  # trimmed by a phone: starts between key frames, which stay in the file
    subprocess.run([FFMPEG, "-v", "error", "-ss", "0.5", "-i", str(clips["h264"]), "-c", "copy", str(path)], check=True)
    info = probe(path)
    assert info.pictures < 40 and not info.closed_groups
    first = 40 - info.pictures
    got = [shown_level(picture) for picture in read_frames(path, size_px=SIZE_PX)]
    assert got == pytest.approx([gray_level(k) for k in range(first, 40)], abs=2.4)


# --- JPEG


def test_jpeg_keeps_the_picture_and_its_colors():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    picture = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp, (64, 1)).T, np.full((64, 64), 40, np.uint8)], axis=-1)
    again = decode_jpeg(encode_jpeg(picture))
    assert np.abs(again.astype(int) - picture).mean() < 2
    assert encode_jpeg(picture) == encode_jpeg(picture.copy())
    assert len(encode_jpeg(picture, quality=20)) < len(encode_jpeg(picture, quality=95))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_truncated_jpeg_is_rejected(share):
    content = encode_jpeg(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="JPEG"):
        decode_jpeg(content[: int(len(content) * share)])
