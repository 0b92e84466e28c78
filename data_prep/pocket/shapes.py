"""Silhouettes of the pocket set's objects: a mug, a key, a fish …, each a few outlines that are filled or cut out.

Outlines are in a unit square, x to the right and y down; `silhouette` centers them and scales them to one size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FILL = 0.94  # longer side of a silhouette, as a share of its canvas
_OVERSAMPLING = 4  # drawn this much larger and then shrunk, for smooth edges
_CURVE_POINTS = 48


@dataclass(frozen=True, eq=False)
class Part:
    """One closed outline, points (n, 2) in the unit square; a part with `cuts` removes what was filled before it."""

    outline: NDArray[np.float64]
    cuts: bool = False


def _disc(x: float, y: float, radius: float, radius_y: float | None = None, *, cuts: bool = False) -> Part:
    angles = np.linspace(0, 2 * np.pi, _CURVE_POINTS, endpoint=False)
    ring = np.stack([x + radius * np.cos(angles), y + (radius_y or radius) * np.sin(angles)], axis=1)
    return Part(ring, cuts)


def _arch(x: float, y: float, radius: float, radius_y: float) -> Part:
    """Upper half of an ellipse, its flat side at `y`."""
    angles = np.linspace(np.pi, 2 * np.pi, _CURVE_POINTS)
    return Part(np.stack([x + radius * np.cos(angles), y + radius_y * np.sin(angles)], axis=1))


def _polygon(*points: tuple[float, float], cuts: bool = False) -> Part:
    return Part(np.array(points, np.float64), cuts)


def _box(left: float, top: float, right: float, bottom: float, *, cuts: bool = False) -> Part:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom), cuts=cuts)


def _spikes(count: int, inner: float) -> Part:
    angles = np.arange(2 * count) * np.pi / count - np.pi / 2
    radii = np.where(np.arange(2 * count) % 2 == 0, 0.5, inner)
    return Part(np.stack([0.5 + radii * np.cos(angles), 0.5 + radii * np.sin(angles)], axis=1))


def _heart() -> Part:
    t = np.linspace(0, 2 * np.pi, 2 * _CURVE_POINTS, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return Part(np.stack([0.5 + x / 34, 0.47 - y / 34], axis=1))


def _cog() -> Part:
    teeth = np.repeat(np.arange(8) * np.pi / 4, 4) + np.tile([-0.26, -0.17, 0.17, 0.26], 8)
    radii = np.tile([0.37, 0.5, 0.5, 0.37], 8)
    return Part(np.stack([0.5 + radii * np.cos(teeth), 0.5 + radii * np.sin(teeth)], axis=1))


SHAPES: dict[str, tuple[Part, ...]] = {
    "mug": (_disc(0.74, 0.5, 0.24), _disc(0.74, 0.5, 0.13, cuts=True), _box(0.1, 0.14, 0.7, 0.86)),
    "bottle": (
        _box(0.42, 0.0, 0.58, 0.3),
        _disc(0.5, 0.42, 0.2),
        _box(0.3, 0.42, 0.7, 1.0),
    ),
    "key": (
        _disc(0.2, 0.4, 0.24),
        _disc(0.18, 0.4, 0.1, cuts=True),
        _box(0.38, 0.32, 1.0, 0.48),
        _box(0.68, 0.44, 0.79, 0.7),
        _box(0.89, 0.44, 1.0, 0.64),
    ),
    "star": (_spikes(5, 0.24),),
    "heart": (_heart(),),
    "moon": (_disc(0.45, 0.5, 0.45), _disc(0.68, 0.42, 0.36, cuts=True)),
    "fish": (
        _disc(0.4, 0.5, 0.4, 0.26),
        _polygon((0.66, 0.5), (1.0, 0.22), (0.92, 0.5), (1.0, 0.78)),
        _disc(0.2, 0.43, 0.05, cuts=True),
    ),
    "birdhouse": (
        _polygon((0.5, 0.0), (1.0, 0.44), (0.84, 0.44), (0.84, 1.0), (0.16, 1.0), (0.16, 0.44), (0.0, 0.44)),
        _disc(0.5, 0.62, 0.13, cuts=True),
    ),
    "mushroom": (_arch(0.5, 0.52, 0.48, 0.5), _box(0.36, 0.5, 0.64, 0.98)),
    "shirt": (
        _polygon(
            *((0.3, 0.08), (0.7, 0.08), (1.0, 0.3), (0.88, 0.5), (0.76, 0.42), (0.76, 0.96)),
            *((0.24, 0.96), (0.24, 0.42), (0.12, 0.5), (0.0, 0.3)),
        ),
        _disc(0.5, 0.06, 0.13, cuts=True),
    ),
    "boot": (_polygon((0.2, 0.0), (0.6, 0.0), (0.6, 0.55), (0.9, 0.66), (1.0, 0.84), (1.0, 1.0), (0.2, 1.0)),),
    "ring": (_disc(0.5, 0.5, 0.5), _disc(0.5, 0.5, 0.24, cuts=True)),
    "cog": (_cog(), _disc(0.5, 0.5, 0.14, cuts=True)),
    "spoon": (_disc(0.5, 0.24, 0.21, 0.25), _box(0.42, 0.4, 0.58, 1.0)),
    "bag": (
        _disc(0.5, 0.36, 0.26, 0.34),
        _disc(0.5, 0.36, 0.15, 0.23, cuts=True),
        _polygon((0.14, 0.38), (0.86, 0.38), (1.0, 1.0), (0.0, 1.0)),
    ),
    "bone": (
        *(_disc(x, y, 0.15) for x in (0.15, 0.85) for y in (0.37, 0.63)),
        _box(0.15, 0.4, 0.85, 0.6),
    ),
    "hourglass": (
        _polygon((0.08, 0.0), (0.92, 0.0), (0.56, 0.5), (0.92, 1.0), (0.08, 1.0), (0.44, 0.5)),
        _box(0.42, 0.4, 0.58, 0.6),
    ),
    "leaf": (
        _polygon(
            *((0.5 + 0.34 * np.sin(a) ** 1.3, a / np.pi) for a in np.linspace(0.02, np.pi - 0.02, 32)),
            *((0.5 - 0.34 * np.sin(a) ** 1.3, a / np.pi) for a in np.linspace(np.pi - 0.02, 0.02, 32)),
        ),
        _box(0.47, 0.9, 0.53, 1.18),
    ),
}

_FINGERS = ((0.29, 0.2), (0.43, 0.06), (0.57, 0.06), (0.71, 0.18))  # x, tip
HAND: tuple[Part, ...] = (
    _disc(0.5, 0.52, 0.28, 0.24),
    _box(0.33, 0.55, 0.67, 1.7),
    *(_box(x - 0.06, tip, x + 0.06, 0.5) for x, tip in _FINGERS),
    *(_disc(x, tip, 0.06) for x, tip in _FINGERS),
    _polygon((0.6, 0.58), (0.91, 0.36), (0.99, 0.46), (0.6, 0.8)),
    _disc(0.95, 0.41, 0.065),
)


def silhouette(parts: Sequence[Part], size_px: int) -> NDArray[np.float32]:
    """Draw outlines as one smooth mask in [0, 1], (size_px, size_px), its longer side FILL of the canvas."""
    filled = np.concatenate([part.outline for part in parts if not part.cuts])
    low, high = filled.min(axis=0), filled.max(axis=0)
    scale = FILL / (high - low).max()
    large_px = size_px * _OVERSAMPLING
    mask = np.zeros((large_px, large_px), np.uint8)
    for part in parts:
        points = ((part.outline - (low + high) / 2) * scale + 0.5) * large_px
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 0 if part.cuts else 255)
    small = cv2.resize(mask, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)
