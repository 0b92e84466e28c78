"""The pocket set's objects: a shape, a texture and two colors, and the picture of each, ready to be put into a frame.

Shapes, textures and palette are the same for all users of all splits; a user's objects are a keyed draw from them. They
share three colors, so that the mean color does not identify them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.pocket.shapes import HAND, SHAPES, silhouette
from groundwork.randomness import keyed_rng

SPRITE_PX = 192
MOST_OBJECTS = 12
_USER_COLORS = 3
_LEVELS = 3
_OVERSAMPLING = 2
_CONTRAST = 90  # least distance between two of a user's colors, in 8-bit BGR

# blue, green, red
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (45, 45, 205),
    "orange": (30, 130, 240),
    "yellow": (60, 215, 245),
    "green": (70, 160, 60),
    "teal": (160, 150, 20),
    "blue": (200, 90, 30),
    "purple": (165, 50, 120),
    "pink": (185, 130, 240),
    "brown": (40, 70, 115),
    "white": (240, 242, 242),
    "charcoal": (60, 52, 48),
}
_SKIN = ((150, 180, 225), (110, 145, 200), (75, 105, 160), (50, 70, 110))

Plane = NDArray[np.float64]
Texture = Callable[[Plane, Plane, np.random.Generator], NDArray[np.bool_]]


def _plain(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.zeros(u.shape, np.bool_)


def _striped(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray((v * rng.uniform(4.5, 6) + rng.random()) % 1 < 0.5)


def _pinstriped(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray((u * rng.uniform(7, 9) + rng.random()) % 1 < 0.28)


def _checked(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    count = rng.uniform(5, 7)
    return np.asarray((np.floor(u * count) + np.floor(v * count)) % 2 < 1)


def _dotted(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    count = rng.uniform(4.5, 6)
    row = np.floor(v * count)
    x, y = (u * count + 0.5 * (row % 2)) % 1 - 0.5, (v * count) % 1 - 0.5
    return np.asarray(x**2 + y**2 < 0.32**2)


def _zigzag(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    count = rng.uniform(4, 5)
    teeth = np.abs((u * count * 1.4) % 1 - 0.5)
    return np.asarray((v * count + teeth) % 1 < 0.45)


def _ringed(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    radius = np.hypot(u - rng.uniform(0.4, 0.6), v - rng.uniform(0.4, 0.6))
    return np.asarray((radius * rng.uniform(7, 9)) % 1 < 0.5)


def _wavy(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    wave = 0.07 * np.sin(2 * np.pi * (u * rng.uniform(1.8, 2.4) + rng.random()))
    return np.asarray(((v + wave) * rng.uniform(4, 5)) % 1 < 0.5)


def _tartan(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    count = rng.uniform(4, 5)
    return np.asarray(((u * count) % 1 < 0.25) | ((v * count) % 1 < 0.25))


def _halved(u: Plane, v: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray(v > rng.uniform(0.45, 0.58))


# The word before the shape in an object's name, and the mask of its second color: (u, v in [0, 1], rng) -> mask.
TEXTURES: dict[str, Texture] = {
    "plain": _plain,
    "striped": _striped,
    "pinstriped": _pinstriped,
    "checked": _checked,
    "dotted": _dotted,
    "zigzag": _zigzag,
    "ringed": _ringed,
    "wavy": _wavy,
    "tartan": _tartan,
    "two-tone": _halved,
}


@dataclass(frozen=True)
class Look:
    """The look of one object. `colors` are names in PALETTE: of the ground and of the pattern."""

    shape: str
    texture: str
    colors: tuple[str, str]
    seed: int  # for the texture's spacing and phase

    @property
    def name(self) -> str:
        """The object's name, such as `striped mug`; a plain one is just `mug`."""
        return self.shape if self.texture == "plain" else f"{self.texture} {self.shape}"


@dataclass(frozen=True, eq=False)
class Sprite:
    """An object cut out: colors and cover at decreasing sizes, so that a small one is not sampled coarsely.

    Attributes:
        levels: uint8 BGRA (s, s, 4), s = SPRITE_PX, half of it, a quarter of it; A is the cover, 0 to 255.
        outline: points of the outer edge, (n, 2), in pixels of the first level.
        area_px: its area in pixels of the first level.
    """

    levels: tuple[NDArray[np.uint8], ...]
    outline: NDArray[np.float64]
    area_px: float


def user_looks(seed: int, user: str, count: int) -> tuple[Look, ...]:
    """A user's objects, all of different shapes, in an order that does not depend on `count` (at most MOST_OBJECTS)."""
    rng = keyed_rng(seed, "pocket", user)
    shapes = rng.permutation(sorted(SHAPES))[:MOST_OBJECTS]
    textures = np.concatenate([rng.permutation(sorted(TEXTURES)), rng.permutation(sorted(TEXTURES))])
    colors = _user_colors(rng)
    pairs = [(ground, pattern) for ground in colors for pattern in colors if ground != pattern]
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(2)])
    seeds = rng.integers(2**31, size=MOST_OBJECTS)
    return tuple(
        Look(str(shapes[i]), str(textures[i]), pairs[int(order[i])], int(seeds[i])) for i in range(MOST_OBJECTS)
    )[:count]


@lru_cache(maxsize=64)
def draw_sprite(look: Look) -> Sprite:
    """The picture of an object: texture inside the silhouette, lit from the upper left, with a dark edge."""
    rng = np.random.default_rng(look.seed)
    large_px = SPRITE_PX * _OVERSAMPLING
    v, u = np.mgrid[0:large_px, 0:large_px] / large_px
    pattern = TEXTURES[look.texture](u, v, rng)[..., None]
    ground, second = (np.array(PALETTE[name], np.uint8) for name in look.colors)
    large = np.where(pattern, second, ground)
    colors = cv2.resize(large, (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_AREA)
    return _sprite(np.asarray(colors, np.uint8), silhouette(SHAPES[look.shape], SPRITE_PX))


def draw_hand(rng: np.random.Generator) -> Sprite:
    """A hand with its arm, to be held in front of an object. Its skin color is drawn from a few."""
    skin = np.array(_SKIN[int(rng.integers(len(_SKIN)))], np.uint8)
    colors = np.broadcast_to(skin, (SPRITE_PX, SPRITE_PX, 3)).copy()
    return _sprite(colors, silhouette(HAND, SPRITE_PX))


def _user_colors(rng: np.random.Generator) -> list[str]:
    chosen: list[str] = []
    for name in rng.permutation(sorted(PALETTE)):
        distances = [float(np.linalg.norm(np.subtract(PALETTE[name], PALETTE[other]))) for other in chosen]
        if all(distance >= _CONTRAST for distance in distances):
            chosen.append(str(name))
    return chosen[:_USER_COLORS]


def _sprite(colors: NDArray[np.uint8], cover: NDArray[np.float32]) -> Sprite:
    inside = (cover > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    height = cv2.GaussianBlur(np.minimum(depth, 16), (0, 0), 3)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8) + cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    light = np.clip(0.98 + 0.22 * slope, 0.6, 1.25) * np.where(depth < 2.5, 0.5, 1.0)
    lit = np.clip(colors * light[..., None], 0, 255).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    levels = [np.dstack([lit, np.round(cover * 255).astype(np.uint8)])]
    for _ in range(_LEVELS - 1):
        half_px = levels[-1].shape[0] // 2
        levels.append(np.asarray(cv2.resize(levels[-1], (half_px, half_px), interpolation=cv2.INTER_AREA), np.uint8))
    return Sprite(tuple(levels), np.concatenate(outlines)[:, 0, :].astype(np.float64), float(cover.sum()))
