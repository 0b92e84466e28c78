"""Converts HDR pictures to standard range, so that an object looks the same whether it was filmed in HDR or not.

A code value of HLG or PQ stands for much more light than in ordinary video: shown unchanged, the picture is dim, flat
and pale. Here it is converted to light (ITU-R BT.2100) in the primaries of ordinary video (BT.709), with paper white
(203 cd/m2, BT.2408) as full white and brighter light rolled off, and then coded as sRGB.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data_prep.video.framing import Picture

Light = NDArray[np.float32]  # RGB; 1.0 is paper white

PAPER_WHITE = 203.0  # cd/m2
_HLG_SCREEN, _HLG_GAMMA = 1000.0, 1.2  # cd/m2 of the screen that BT.2100 takes for its reference, and its system gamma
_HLG_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(  # linear RGB; BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_KNEE = 0.8  # of paper white: darker colors are unchanged, brighter ones are compressed below full white
_STEPS = 4096  # of the table of sRGB codes


def shown_in_standard_range(picture: Picture, transfer: str, *, wide: bool) -> Picture:
    """Convert an HDR picture, uint8 RGB (h, w, 3) as coded, to sRGB of the same shape.

    Args:
        picture: the decoded picture.
        transfer: `HLG` or `PQ`.
        wide: whether its primaries are those of BT.2020.
    """
    light = _LIGHT_OF[transfer](picture)
    if wide:
        light = light @ _BT2020_TO_BT709.T
    light = np.maximum(light, 0)
    brightest = light.max(axis=-1, keepdims=True)
    rolled_off = np.where(brightest <= _KNEE, brightest, 1 - (1 - _KNEE) * np.exp(-(brightest - _KNEE) / (1 - _KNEE)))
    light *= rolled_off / np.maximum(brightest, 1e-6)  # the same factor for all three channels keeps the hue
    return _SRGB[np.rint(light * (_STEPS - 1)).astype(np.intp)]


def _light_of_hlg(picture: Picture) -> Light:
    scene = _HLG_SCENE[picture]
    luminance = scene @ _HLG_LUMINANCE
    factor = np.power(np.maximum(luminance, 1e-6), _HLG_GAMMA - 1) * (_HLG_SCREEN / PAPER_WHITE)
    return np.asarray(scene * factor[..., None], np.float32)


def _light_of_pq(picture: Picture) -> Light:
    return _PQ_LIGHT[picture]


def _hlg_scene(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100's inverse opto-electrical transfer: code values in [0, 1] to scene light in [0, 1]."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100's electro-optical transfer: code values in [0, 1] to cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = code ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def _srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in [0, 1] to code values in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


_CODES = np.arange(256) / 255
_HLG_SCENE = _hlg_scene(_CODES).astype(np.float32)
_PQ_LIGHT = (_pq_light(_CODES) / PAPER_WHITE).astype(np.float32)
_SRGB = np.rint(255 * _srgb(np.linspace(0, 1, _STEPS))).astype(np.uint8)
_LIGHT_OF: dict[str, Callable[[Picture], Light]] = {"HLG": _light_of_hlg, "PQ": _light_of_pq}
