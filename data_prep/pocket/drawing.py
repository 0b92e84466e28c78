"""How the pocket set's pictures are composed: places in the world, a hand-held camera, pasting, light and blur.

World units: the shorter side of the picture is 1 at zoom 1, the target is at (0, 0), y points down. Matrices are 3x3
and map pixel centers, as OpenCV's warps do. Pictures have a fourth channel until they are lit, because OpenCV warps
four channels three times as fast as three.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.pocket.objects import SPRITE_PX, Sprite
from data_prep.pocket.shapes import FILL

FRAMES_PER_SECOND = 30
BACKGROUND_PX_PER_UNIT = 256

Matrix = NDArray[np.float64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Path:
    """The camera's movements, with one number per frame, shape (frames,): center in world units, zoom, degrees."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    zoom: NDArray[np.float64]
    degrees: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pasted:
    """The position of a sprite in a frame: corner, cover in [0, 1], (h, w), and its area if it is not cut off."""

    left: int
    top: int
    cover: NDArray[np.float32]
    whole_area_px: float


def wander(rng: np.random.Generator, frames: int, amplitude: float) -> NDArray[np.float64]:
    """A smooth path around 0 that never exceeds `amplitude`: three sines with periods of 1 to 4 s; shape (frames,)."""
    seconds = np.arange(frames) / FRAMES_PER_SECOND
    weights = rng.dirichlet((1.0, 1.0, 1.0))
    periods_s, phases = rng.uniform(1, 4, 3), rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * seconds[:, None] / periods_s + phases)
    return np.asarray(amplitude * (waves @ weights))


def placed(x: float, y: float, size: float, degrees: float, squash: float = 1.0) -> Matrix:
    """Sprite pixels to world: center, longer side `size`, rotation, and width times `squash` (a slanted view)."""
    scale = size / (SPRITE_PX * FILL)
    middle = (SPRITE_PX - 1) / 2
    return _turned(degrees, scale, x, y) @ np.diag([squash, 1, 1]) @ moved(-middle, -middle)


def camera(path: Path, frame: int, width_px: int, height_px: int) -> Matrix:
    """World to the picture's pixels for one frame of the camera's path."""
    scale = min(width_px, height_px) * path.zoom[frame]
    view = _turned(path.degrees[frame], scale, (width_px - 1) / 2, (height_px - 1) / 2)
    return view @ moved(-path.x[frame], -path.y[frame])


def background(canvas: Picture, view: Matrix, width_px: int, height_px: int) -> Picture:
    """The part of a background that the camera sees, mirrored beyond its edges. (height, width, 4)."""
    middle = (canvas.shape[0] - 1) / 2
    to_world = np.diag([1 / BACKGROUND_PX_PER_UNIT, 1 / BACKGROUND_PX_PER_UNIT, 1]) @ moved(-middle, -middle)
    matrix = (view @ to_world)[:2]
    seen = cv2.warpAffine(canvas, matrix, (width_px, height_px), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen, np.uint8)


def paste(picture: Picture, sprite: Sprite, matrix: Matrix) -> Pasted | None:
    """Draw a sprite into a picture (changed in place) with its matrix to pixels; None if it is outside."""
    height_px, width_px = picture.shape[:2]
    area = sprite.area_px * abs(np.linalg.det(matrix[:2, :2]))
    corners = at(matrix, np.array([[0, 0], [0, SPRITE_PX], [SPRITE_PX, 0], [SPRITE_PX, SPRITE_PX]], np.float64))
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0).tolist()
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (width_px, height_px)).tolist()
    if left >= right or top >= bottom:
        return None
    level = int(np.clip(np.log2(SPRITE_PX * FILL / max(np.sqrt(area), 1)), 0, len(sprite.levels) - 1))
    step = 2**level  # a pixel's center at this level: (p + 0.5) * step - 0.5 at the first
    shrunk = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2], [0, 0, 1]])
    to_window = (moved(-left, -top) @ matrix @ shrunk)[:2]
    drawn = cv2.warpAffine(sprite.levels[level], to_window, (right - left, bottom - top))
    cover = drawn[..., 3] * np.float32(1 / 255)
    window = np.ascontiguousarray(picture[top:bottom, left:right])
    picture[top:bottom, left:right] = cv2.blendLinear(drawn, window, cover, 1 - cover)
    return Pasted(left, top, cover, area)


def moved(x: float, y: float) -> Matrix:
    """A translation."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def at(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 2) mapped by a matrix."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def lit(picture: Picture, gain: float, offset: float, tint: NDArray[np.float64]) -> Picture:
    """Apply brightness and color of the light: value * gain * tint + offset; `tint` (3,). (h, w, 4) to (h, w, 3)."""
    matrix = np.zeros((3, 4))  # diagonal, which OpenCV computes fast
    matrix[:, :3], matrix[:, 3] = np.diag(gain * tint), offset
    return np.asarray(cv2.transform(cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), matrix), np.uint8)


def shaken(picture: Picture, length_px: int, *, upright: bool) -> Picture:
    """Horizontal or vertical motion blur."""
    return np.asarray(cv2.blur(picture, (1, length_px) if upright else (length_px, 1)), np.uint8)


def out_of_focus(picture: Picture, sigma_px: float) -> Picture:
    """Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.uint8)


def _turned(degrees: float, scale: float, x: float, y: float) -> Matrix:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
