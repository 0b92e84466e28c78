"""The pocket set's videos, frame by frame: clean videos of one object, and clutter videos with the user's other
objects.

Annotations are true by construction: an issue is flagged where it was added, and what depends on the object's position
(whether it is in the picture, cut off, behind a hand; its box) is read from the drawn masks. They refer to the square
that extraction crops from the middle of a frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.pocket.backgrounds import patterned_surface, plain_surface
from data_prep.pocket.drawing import (
    Matrix,
    Pasted,
    Path,
    Picture,
    at,
    background,
    camera,
    lit,
    moved,
    out_of_focus,
    paste,
    placed,
    shaken,
    wander,
)
from data_prep.pocket.objects import Sprite, draw_hand
from data_prep.pocket.stretches import Stretch, clutter_stretches, quality_stretches
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT

CLEAN_FRAMES = (60, 76)  # lowest, and one past the highest
CLUTTER_FRAMES = (90, 106)
# width, height; two of them square, as most of ORBIT's videos are
SIZES_PX = ((256, 256), (288, 288), (320, 256), (256, 320))
ANNOTATED_SIDE_PX = 1080  # boxes are in pixels of a square frame of this side, as published

AWAY = 1.4  # how far the camera looks aside while the object is absent, in world units
_PRESENT = 0.02  # least share of the object inside the square that counts as present
_OCCLUDED = 0.05  # least share of the object's visible part that a hand must cover to be flagged
_ASLANT = 0.5  # at most this share of its width is left in a viewpoint issue


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One frame: BGR uint8 (h, w, 3), the object's cover in [0, 1] (h, w), ignoring hands, and its annotation."""

    picture: Picture
    cover: NDArray[np.float32]
    annotation: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Prop:
    """An object in a scene: its picture, its place and size in world units, its rotation in each frame."""

    sprite: Sprite
    x: float
    y: float
    size: float
    degrees: NDArray[np.float64]

    def matrix(self, frame: int, squash: float = 1.0) -> Matrix:
        return placed(self.x, self.y, self.size, float(self.degrees[frame]), squash)


def clean_video(rng: np.random.Generator, thing: Sprite) -> Iterator[SceneFrame]:
    """One object on a plain surface with a moving camera; one to three stretches have a quality issue."""
    size_px, frames = _size_px(rng), int(rng.integers(*CLEAN_FRAMES))
    path = _hand_held(rng, frames, reach=0.07, turn=10)
    target = _Prop(thing, 0, 0, rng.uniform(0.42, 0.56), rng.uniform(-25, 25) + wander(rng, frames, 20))
    stretches = quality_stretches(rng, frames)
    scene = _Scene(
        rng,
        size_px=size_px,
        canvas=plain_surface(rng),
        path=path,
        target=target,
        props=(),
        stretches=stretches,
        light=0.1,
    )
    for frame in range(frames):
        drawn = scene.draw(frame)
        yield SceneFrame(drawn.picture, drawn.cover, scene.issues(frame, drawn))


def clutter_video(rng: np.random.Generator, thing: Sprite, others: Sequence[Sprite]) -> Iterator[SceneFrame]:
    """One object on a patterned surface among smaller ones; one stretch without it, and often a hand in front of it."""
    size_px, frames = _size_px(rng), int(rng.integers(*CLUTTER_FRAMES))
    path = _hand_held(rng, frames, reach=0.12, turn=14)
    target = _Prop(thing, 0, 0, rng.uniform(0.42, 0.56), rng.uniform(-25, 25) + wander(rng, frames, 12))
    stretches = clutter_stretches(rng, frames)
    props = _distractors(rng, frames, others, stretches[0].degrees)
    scene = _Scene(
        rng,
        size_px=size_px,
        canvas=patterned_surface(rng),
        path=path,
        target=target,
        props=props,
        stretches=stretches,
        light=0.22,
    )
    for frame in range(frames):
        drawn = scene.draw(frame)
        annotation = {BOX: drawn.box, NOT_PRESENT: drawn.box is None}
        yield SceneFrame(drawn.picture, drawn.cover, annotation)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One frame as drawn, and what the masks say about the object in it."""

    picture: Picture
    cover: NDArray[np.float32]
    box: dict[str, int] | None  # None if the object is not in the square
    cut_off: bool
    occluded: bool
    aslant: bool


class _Scene:
    """The scene of one video. All random draws happen in the constructor; `draw` depends only on the frame."""

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        size_px: tuple[int, int],
        canvas: Picture,
        path: Path,
        target: _Prop,
        props: Sequence[_Prop],
        stretches: Sequence[Stretch],
        light: float,
    ) -> None:
        self.size_px, self.canvas, self.path = size_px, canvas, path
        self.target, self.props, self.stretches = target, props, stretches
        frames = len(path.x)
        self.hand = draw_hand(rng)
        self.cut = rng.uniform(0.46, 0.58)
        self.gain = rng.uniform(1 - light, 1 + light / 2) * (1 + wander(rng, frames, light))
        self.tint = 1 + rng.uniform(-0.4, 0.4, 3) * light
        self.blur = rng.uniform(0.018, 0.028)
        self.shake = rng.uniform(0.09, 0.13)
        self.upright_shake = bool(rng.integers(2))
        self.gain_over, self.gain_under = rng.uniform(1.7, 2.1), rng.uniform(0.14, 0.24)

    def near(self, kind: str, frame: int) -> tuple[float, float]:
        """Strength and direction of the stretch of this kind, (0, 0) if there is none; each kind occurs at most
        once."""
        return next(((s.strength(frame), s.degrees) for s in self.stretches if s.kind == kind), (0.0, 0.0))

    def holds(self, kind: str, frame: int) -> bool:
        """Whether the frame is in a stretch of this kind, not counting its ramps."""
        return self.near(kind, frame)[0] == 1

    def draw(self, frame: int) -> _Drawn:
        """One frame, by number from 0, with the masks for its annotation."""
        width_px, height_px = self.size_px
        view = self._view(frame)
        picture = background(self.canvas, view, width_px, height_px)
        for prop in self.props:
            paste(picture, prop.sprite, view @ prop.matrix(frame))
        squash = 1 - 0.7 * self.near("viewpoint", frame)[0]
        matrix = view @ self.target.matrix(frame, squash)
        pasted = paste(picture, self.target.sprite, matrix)
        cover = _on_frame(pasted, self.size_px)
        hand = self._hand_before(picture, view, frame)
        return _Drawn(
            self._as_filmed(picture, frame),
            cover,
            _box(cover, pasted),
            _cut_off(at(matrix, self.target.sprite.outline), self.size_px),
            hand is not None and float((cover * hand).sum()) > _OCCLUDED * float(cover.sum()),
            squash <= _ASLANT,
        )

    def issues(self, frame: int, drawn: _Drawn) -> dict[str, bool | None]:
        """The seven issues of a clean frame; if the object is not in the picture, the other six are null."""
        if drawn.box is None:
            return {issue: True if issue == NOT_PRESENT else None for issue in ISSUES}
        return {
            NOT_PRESENT: False,
            "framing_issue": drawn.cut_off,
            "viewpoint_issue": drawn.aslant,
            "blur_issue": self.holds("blur", frame) or self.holds("shake", frame),
            "occlusion_issue": drawn.occluded,
            "overexposed_issue": self.holds("overexposed", frame),
            "underexposed_issue": self.holds("underexposed", frame),
        }

    def _view(self, frame: int) -> Matrix:
        view = camera(self.path, frame, *self.size_px)
        for kind, distance in (("framing", self.cut), ("absent", AWAY)):
            strength, degrees = self.near(kind, frame)
            shift = min(self.size_px) * distance * strength
            view = moved(*(shift * _direction(degrees))) @ view
        return view

    def _hand_before(self, picture: Picture, view: Matrix, frame: int) -> NDArray[np.float32] | None:
        strength, degrees = self.near("occlusion", frame)
        if not strength:
            return None
        x, y = (0.45 + 0.8 * (1 - strength)) * _direction(degrees)  # from outside to a part of the object
        return _on_frame(paste(picture, self.hand, view @ placed(x, y, 1.0, degrees - 90)), self.size_px)

    def _as_filmed(self, picture: Picture, frame: int) -> Picture:
        unit_px = min(self.size_px)
        if self.holds("blur", frame):
            picture = out_of_focus(picture, self.blur * unit_px)
        if self.holds("shake", frame):
            picture = shaken(picture, round(self.shake * unit_px) | 1, upright=self.upright_shake)
        gain, offset = self.gain[frame], 0.0
        if self.holds("overexposed", frame):
            gain, offset = self.gain_over, 55.0
        if self.holds("underexposed", frame):
            gain = self.gain_under
        return lit(picture, gain, offset, self.tint)


def _size_px(rng: np.random.Generator) -> tuple[int, int]:
    return SIZES_PX[int(rng.integers(len(SIZES_PX)))]


def _hand_held(rng: np.random.Generator, frames: int, *, reach: float, turn: float) -> Path:
    zoom = rng.uniform(0.95, 1.1) * (1 + wander(rng, frames, 0.12))
    return Path(wander(rng, frames, reach), wander(rng, frames, reach), zoom, wander(rng, frames, turn))


def _distractors(rng: np.random.Generator, frames: int, others: Sequence[Sprite], away: float) -> list[_Prop]:
    """Two to four of the user's other objects around the target, less than half its size.

    In half of the videos, there is one more at the place that the camera shows while the target is out of the picture.
    """
    count = min(int(rng.integers(2, 5)), len(others))
    angles = rng.uniform(0, 360) + np.arange(count) * 360 / max(count, 1) + rng.uniform(-18, 18, count)
    places = [rng.uniform(0.4, 0.62) * _direction(angle) for angle in angles]
    if rng.random() < 0.5:
        places.append(-AWAY * _direction(away) + rng.uniform(-0.25, 0.25, 2))
    order = rng.permutation(len(others))
    return [
        _Prop(others[order[i % len(others)]], x, y, rng.uniform(0.14, 0.21), np.full(frames, rng.uniform(-60, 60)))
        for i, (x, y) in enumerate(places)
    ]


def _direction(degrees: float) -> NDArray[np.float64]:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def _on_frame(pasted: Pasted | None, size_px: tuple[int, int]) -> NDArray[np.float32]:
    cover = np.zeros(size_px[::-1], np.float32)
    if pasted is not None:
        height_px, width_px = pasted.cover.shape
        cover[pasted.top : pasted.top + height_px, pasted.left : pasted.left + width_px] = pasted.cover
    return cover


def square(size_px: tuple[int, int]) -> tuple[int, int, int]:
    """Left, top and side of the square that extraction crops from the middle of a frame of (width, height)."""
    side_px = min(size_px)
    return (size_px[0] - side_px) // 2, (size_px[1] - side_px) // 2, side_px


def _box(cover: NDArray[np.float32], pasted: Pasted | None) -> dict[str, int] | None:
    left, top, side_px = square((cover.shape[1], cover.shape[0]))
    inside = cover[top : top + side_px, left : left + side_px]
    if pasted is None or float(inside.sum()) < _PRESENT * pasted.whole_area_px:
        return None
    bounds = cv2.boundingRect((inside > 0.5).astype(np.uint8))
    if not bounds[2]:  # only faint edges
        return None
    return {key: round(value * ANNOTATED_SIDE_PX / side_px) for key, value in zip("xywh", bounds, strict=True)}


def _cut_off(outline: NDArray[np.float64], size_px: tuple[int, int]) -> bool:
    left, top, side_px = square(size_px)
    low, high = outline.min(axis=0) - (left, top), outline.max(axis=0) - (left, top)
    return bool(low.min() < -1 or high.max() > side_px)
