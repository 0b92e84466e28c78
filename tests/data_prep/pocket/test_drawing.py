"""Pasting, light, blur and the camera's path."""

import numpy as np
import pytest

from data_prep.pocket.drawing import Path, camera, lit, out_of_focus, paste, placed, shaken, wander
from data_prep.pocket.objects import Look, draw_sprite

RING = draw_sprite(Look("ring", "plain", ("red", "white"), seed=0))
STILL = Path(np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1))


@pytest.mark.parametrize("seed", range(20))
def test_the_camera_path_is_smooth_and_stays_within_its_reach(seed: int) -> None:
    walk = wander(np.random.default_rng(seed), 120, 3.0)
    assert np.abs(walk).max() <= 3
    assert np.abs(np.diff(walk)).max() <= 3 * 2 * np.pi / 30  # the fastest sine: one period per second, 30 frames
    assert np.ptp(walk) > 0.2


@pytest.mark.parametrize("size", [0.1, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("degrees", [0, 33, 180])
def test_an_object_is_pasted_at_the_given_place_and_size(size: float, degrees: float) -> None:
    picture = np.zeros((200, 300, 4), np.uint8)
    pasted = paste(picture, RING, camera(STILL, 0, 300, 200) @ placed(0.25, 0.1, size, degrees))
    assert pasted is not None
    ys, xs = np.nonzero(picture[..., 2] > 20)
    # 1 unit is 200 px, (0, 0) is the middle: at (0.25, 0.1) from (149.5, 99.5)
    assert (xs.mean(), ys.mean()) == pytest.approx((199.5, 119.5), abs=1)
    assert np.ptp(xs) + 1 == pytest.approx(200 * size, abs=3)
    assert pasted.whole_area_px == pytest.approx(pasted.cover.sum(), rel=0.05)


def test_an_object_outside_the_picture_changes_nothing() -> None:
    picture = np.full((64, 64, 4), 9, np.uint8)
    assert paste(picture, RING, camera(STILL, 0, 64, 64) @ placed(3, 0, 0.5, 0)) is None
    assert (picture == 9).all()


def test_light_scales_shifts_tints_and_clips() -> None:
    picture = np.full((4, 4, 4), 100, np.uint8)
    assert lit(picture, 2.0, 10.0, np.array([1.0, 0.5, 2.0]))[0, 0].tolist() == [210, 110, 255]  # by hand


def test_blurs_keep_the_mean_and_lose_the_edges() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, 24:40] = 200
    for blurred in (out_of_focus(picture, 4.0), shaken(picture, 15, upright=False)):
        assert blurred.mean() == pytest.approx(picture.mean(), rel=0.02)
        assert np.abs(np.diff(blurred[32, :, 0].astype(int))).max() < 30
    assert (shaken(picture, 15, upright=True) == picture).all()  # a smear along the bar changes nothing
