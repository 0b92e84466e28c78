"""The backgrounds of the pocket set: a plain surface for clean videos, a patterned one for clutter."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.pocket.drawing import BACKGROUND_PX_PER_UNIT

_CANVAS_PX = 2 * BACKGROUND_PX_PER_UNIT

Picture = NDArray[np.uint8]
Plane = NDArray[np.float64]


def plain_surface(rng: np.random.Generator) -> Picture:
    """One color, mostly light and pale, with soft shades and a little grain. Four channels, two world units per
    side."""
    color = rng.uniform(120, 215) + rng.uniform(-22, 22, 3)
    return _finished(np.broadcast_to(color, (_CANVAS_PX, _CANVAS_PX, 3)), rng, shade=10, grain=2.5)


def patterned_surface(rng: np.random.Generator) -> Picture:
    """A floor, a cloth or a rug: one of PATTERNS in three muted colors. Four channels, two world units per side."""
    v, u = np.mgrid[0:_CANVAS_PX, 0:_CANVAS_PX] / BACKGROUND_PX_PER_UNIT
    angle = rng.uniform(0, np.pi)
    turned_u, turned_v = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    pattern = PATTERNS[sorted(PATTERNS)[int(rng.integers(len(PATTERNS)))]]
    base = rng.uniform(75, 185) + rng.uniform(-28, 28, 3)
    colors = base + rng.choice((-1, 1), (3, 1)) * rng.uniform(12, 38, (3, 1)) + rng.uniform(-12, 12, (3, 3))
    return _finished(colors[pattern(turned_u, turned_v, rng)], rng, shade=16, grain=5)


def _tiles(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    count = rng.uniform(3, 6)
    grout = ((u * count) % 1 < 0.08) | ((v * count) % 1 < 0.08)
    return np.where(grout, 2, _cell(np.floor(u * count), np.floor(v * count), rng) % 2)


def _planks(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    count = rng.uniform(4, 7)
    row = np.floor(v * count)
    seam = ((v * count) % 1 < 0.06) | ((u * 0.9 + row * 0.37) % 1 < 0.015)
    return np.where(seam, 2, _cell(row, np.floor(u * 0.9 + row * 0.37), rng) % 2)


def _checks(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    count = rng.uniform(5, 10)
    return np.asarray(np.floor(u * count) % 2 + np.floor(v * count) % 2, np.intp)


def _stripes(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.asarray(np.floor(u * rng.uniform(8, 18)) % 3, np.intp)


def _speckles(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    labels = np.zeros((_CANVAS_PX, _CANVAS_PX), np.uint8)
    for _ in range(int(rng.integers(150, 350))):
        center, radius = rng.integers(_CANVAS_PX, size=2).tolist(), int(rng.integers(3, 16))
        cv2.circle(labels, center, radius, int(rng.integers(1, 3)), -1)
    return labels.astype(np.intp)


def _patches(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    noise = _smooth_noise(rng, int(rng.integers(8, 20)))
    return np.asarray(np.digitize(noise, (-0.35, 0.35)), np.intp)


def _rug(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    center_u, center_v = rng.uniform(-0.5, 0.5, 2)
    return np.asarray(np.floor(np.hypot(u - center_u, v - center_v) * rng.uniform(6, 12)) % 3, np.intp)


# (u, v in world units, rotated; rng) -> index of one of three colors, with the shape of u
PATTERNS: dict[str, Callable[[Plane, Plane, np.random.Generator], NDArray[np.intp]]] = {
    "checks": _checks,
    "patches": _patches,
    "planks": _planks,
    "rug": _rug,
    "speckles": _speckles,
    "stripes": _stripes,
    "tiles": _tiles,
}


def _cell(row: Plane, column: Plane, rng: np.random.Generator) -> NDArray[np.intp]:
    """A random number for each cell of a grid."""
    table = rng.integers(2, size=(64, 64))
    return np.asarray(table[row.astype(int) % 64, column.astype(int) % 64], np.intp)


def _smooth_noise(rng: np.random.Generator, cells: int) -> Plane:
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (_CANVAS_PX, _CANVAS_PX), interpolation=cv2.INTER_CUBIC), np.float64)


def _finished(colors: NDArray[np.float64], rng: np.random.Generator, *, shade: float, grain: float) -> Picture:
    light = shade * _smooth_noise(rng, 5) + grain * rng.standard_normal((_CANVAS_PX, _CANVAS_PX))
    picture = np.zeros((_CANVAS_PX, _CANVAS_PX, 4), np.uint8)
    picture[..., :3] = np.clip(colors + light[..., None], 0, 255)
    return picture
