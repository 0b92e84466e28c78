import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_prep.video.framing import RESAMPLES, SHAPES, Framing
from groundwork.errors import UsageError

sides = st.integers(1, 300)


def picture(width, height):
    return np.random.default_rng(width * 1000 + height).integers(1, 256, (height, width, 3), dtype=np.uint8)


def scaled(source, size):
    """Scales like the decoder; any scaler is sufficient here."""
    return np.asarray(Image.fromarray(source).resize(size, Image.Resampling.BOX))


@given(width=sides, height=sides, size=st.integers(1, 64), shape=st.sampled_from([*SHAPES]))
@pytest.mark.parametrize("resample", RESAMPLES)
def test_every_picture_becomes_a_square_of_the_size(width, height, size, shape, resample):
    framing = Framing(size, shape, resample)
    decoded = framing.decoded_size(width, height)
    if max(decoded) <= 5000:
        assert framing.square(scaled(picture(width, height), decoded)).shape == (size, size, 3)


@given(width=sides, height=sides, size=st.integers(8, 64))
def test_the_size_requested_from_the_decoder(width, height, size):
    crop, pad = (Framing(size, shape).decoded_size(width, height) for shape in ("crop", "pad"))
    assert min(crop) == size == max(pad)
    assert Framing(size, "squash").decoded_size(width, height) == (size, size)
    for wide, high in (crop, pad):  # the ratio is kept to half a pixel, except for a side of one pixel
        assert 1 in (wide, high) or abs(wide * height - high * width) <= max(width, height) * 0.51
    assert Framing(size, "crop", "lanczos").decoded_size(width, height) == (width, height)


def test_the_crop_is_centered():
    source = picture(100, 50)
    assert np.array_equal(Framing(50).square(source), source[:, 25:75])
    source = picture(50, 101)
    assert np.array_equal(Framing(50).square(source), source[25:75])


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (64, 37)])
def test_bars_are_black_and_on_both_sides(width, height, resample):
    source = picture(width, height)
    square = Framing(64, "pad", resample).square(source)
    top, left = (64 - height) // 2, (64 - width) // 2
    inside = np.zeros((64, 64), dtype=bool)
    inside[top : top + height, left : left + width] = True
    assert np.array_equal(square[inside].reshape(source.shape), source)  # the longer side fits, so nothing is scaled
    assert not square[~inside].any()


def test_squashing_keeps_the_whole_picture():
    source = np.zeros((40, 120, 3), dtype=np.uint8)
    source[:, :60, 0], source[:, 60:, 2] = 255, 255
    square = Framing(40, "squash", "lanczos").square(source)
    assert (square[:, :17, 0] > 250).all() and (square[:, 23:, 2] > 250).all()


@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (200, 200)])
def test_scaling_a_part_equals_cropping_the_scaled_whole(width, height):
    """If scaled sides are whole numbers, both ways must agree up to rounding, also at the edges of the crop.

    Smooth content, for Pillow may take its two passes in the other order, and overshoot is clipped in between.
    """
    coarse = Image.fromarray(40 + picture(width // 10, height // 10) // 2)
    source = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    size = 90
    whole = Image.fromarray(source).resize(Framing(size).decoded_size(width, height), Image.Resampling.LANCZOS)
    cut = Framing(size).square(np.asarray(whole))
    assert np.abs(Framing(size, "crop", "lanczos").square(source).astype(int) - cut).max() <= 1


@pytest.mark.parametrize(
    ("how", "known"),
    [({"shape": "round"}, "crop, pad, squash"), ({"resample": "x"}, "decoder, lanczos"), ({"size_px": 0}, "1")],
)
def test_an_unknown_name_lists_the_known_ones(how, known):
    with pytest.raises(UsageError, match=known):
        Framing(**{"size_px": 64, **how})
