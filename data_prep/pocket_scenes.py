"""The pocket set's videos, frame by frame: a clean one of one thing, a cluttered one with the user's other things.

Annotations are true by construction: an issue is flagged where it was put in, and what depends on where the thing came
to lie (in the picture or not, cut off, behind a hand, its box) is read off the drawn masks. They speak of the square
that extraction cuts from the middle of a frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.annotations import BOX, ISSUES, NOT_PRESENT
from data_prep.pocket_backgrounds import patterned_surface, plain_surface
from data_prep.pocket_drawing import (
    Matrix,
    Pasted,
    Path,
    Picture,
    at,
    background,
    camera,
    lit,
    out_of_focus,
    paste,
    placed,
    shaken,
    wander,
)
from data_prep.pocket_objects import Sprite, draw_hand

CLEAN_FRAMES = (60, 76)  # lowest, and one past the highest
CLUTTER_FRAMES = (90, 106)
# width, height; square twice, as most of ORBIT's are
SIZES_PX = ((256, 256), (288, 288), (320, 256), (256, 320))
ANNOTATED_SIDE_PX = 1080  # boxes are in pixels of a square frame of this side, as published

_PRESENT = 0.02  # least share of the thing inside the square that counts as present
_OCCLUDED = 0.05  # least share of the thing's visible part that a hand covers to be flagged
_ASLANT = 0.5  # at most this breadth left is a viewpoint issue
_RAMP = 4  # frames in which the camera, the hand or the thing moves into an issue and out again
_PLANTED = ("blur", "shake", "overexposed", "underexposed", "framing", "occlusion", "viewpoint", "absent")
_PLANTED_SHARES = (0.16, 0.13, 0.16, 0.16, 0.16, 0.1, 0.1, 0.03)


@dataclass(frozen=True)
class SceneFrame:
    """One frame: BGR uint8 (h, w, 3), the thing's cover in it in [0, 1] (h, w), hands left out, and its annotation."""

    picture: Picture
    cover: NDArray[np.float32]
    annotation: dict[str, Any]


@dataclass(frozen=True)
class _Stretch:
    """Something that holds for frames [start, end) of a video."""

    kind: str
    start: int
    end: int

    def strength(self, frame: int) -> float:
        """1 inside the stretch, falling to 0 over _RAMP frames before and after it."""
        outside = max(self.start - frame, frame - self.end + 1, 0)
        return max(0.0, 1 - outside / (_RAMP + 1))


@dataclass(frozen=True)
class _Prop:
    """A thing in a scene: its picture, its place and size in world units, how it is turned at each frame."""

    sprite: Sprite
    x: float
    y: float
    size: float
    degrees: NDArray[np.float64]

    def matrix(self, frame: int, squash: float = 1.0) -> Matrix:
        return placed(self.x, self.y, self.size, float(self.degrees[frame]), squash)


def clean_video(rng: np.random.Generator, thing: Sprite) -> Iterator[SceneFrame]:
    """A thing by itself on a plain surface, the camera moving about it; one to three stretches with a quality issue."""
    size_px, frames = _size_px(rng), int(rng.integers(*CLEAN_FRAMES))
    path = _hand_held(rng, frames, reach=0.07, turn=10)
    target = _Prop(thing, 0, 0, rng.uniform(0.42, 0.56), rng.uniform(-25, 25) + wander(rng, frames, 20))
    stretches = _planted(rng, frames)
    scene = _Scene(rng, size_px, plain_surface(rng), path, target, (), stretches, light=0.1)
    for frame in range(frames):
        drawn = scene.draw(frame)
        yield SceneFrame(drawn.picture, drawn.cover, scene.issues(frame, drawn))


def clutter_video(rng: np.random.Generator, thing: Sprite, others: Sequence[Sprite]) -> Iterator[SceneFrame]:
    """A thing on a patterned surface among others, which are smaller; a stretch without it, often a hand before it."""
    size_px, frames = _size_px(rng), int(rng.integers(*CLUTTER_FRAMES))
    path = _hand_held(rng, frames, reach=0.12, turn=14)
    target = _Prop(thing, 0, 0, rng.uniform(0.42, 0.56), rng.uniform(-25, 25) + wander(rng, frames, 12))
    gone = int(rng.integers(10, 21))  # 90 frames - 20 - 2 * 4 of moving away and back: 62 show the thing whole or in part
    first = int(rng.integers(5, frames - gone - 5))
    stretches = [_Stretch("absent", first, first + gone)]
    before, after = first - 12, frames - first - gone - 12
    room = max(before, after)
    if room > 20 and rng.random() < 0.75:
        length = int(rng.integers(12, min(room, 26)))
        start = int(rng.integers(0, room - length)) + (0 if before >= after else first + gone + 12)
        stretches.append(_Stretch("occlusion", start, start + length))
    props = _distractors(rng, frames, others)
    scene = _Scene(rng, size_px, patterned_surface(rng), path, target, props, stretches, light=0.22)
    for frame in range(frames):
        drawn = scene.draw(frame)
        annotation = {BOX: drawn.box, NOT_PRESENT: drawn.box is None}
        yield SceneFrame(drawn.picture, drawn.cover, annotation)


@dataclass(frozen=True)
class _Drawn:
    picture: Picture
    cover: NDArray[np.float32]
    box: dict[str, int] | None  # None if the thing is not in the square
    cut_off: bool
    occluded: bool
    aslant: bool


class _Scene:
    """What one video shows. Every draw of its generator happens here; `draw` depends on the frame alone."""

    def __init__(
        self,
        rng: np.random.Generator,
        size_px: tuple[int, int],
        canvas: Picture,
        path: Path,
        target: _Prop,
        props: Sequence[_Prop],
        stretches: Sequence[_Stretch],
        *,
        light: float,
    ) -> None:
        self.size_px, self.canvas, self.path = size_px, canvas, path
        self.target, self.props, self.stretches = target, props, stretches
        frames = len(path.x)
        self.hand = draw_hand(rng)
        self.hand_degrees, self.away_degrees = rng.uniform(0, 360, 2)
        self.cut = rng.uniform(0.46, 0.58)
        self.gain = rng.uniform(1 - light, 1 + light / 2) * (1 + wander(rng, frames, light))
        self.tint = 1 + rng.uniform(-0.4, 0.4, 3) * light
        self.blur = rng.uniform(0.018, 0.028)
        self.shake = rng.uniform(0.09, 0.13)
        self.shake_degrees = rng.uniform(0, 180)
        self.gain_over, self.gain_under = rng.uniform(1.7, 2.1), rng.uniform(0.14, 0.24)

    def strength(self, kind: str, frame: int) -> float:
        return max((s.strength(frame) for s in self.stretches if s.kind == kind), default=0.0)

    def holds(self, kind: str, frame: int) -> bool:
        return any(s.kind == kind and s.start <= frame < s.end for s in self.stretches)

    def draw(self, frame: int) -> _Drawn:
        width_px, height_px = self.size_px
        view = self._view(frame)
        picture = background(self.canvas, view, width_px, height_px)
        for prop in self.props:
            paste(picture, prop.sprite, view @ prop.matrix(frame))
        squash = 1 - 0.7 * self.strength("viewpoint", frame)
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
        """The seven issues of a clean frame; the other six are null where the thing is not in the picture."""
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
        aside = self.cut * self.strength("framing", frame) + 1.4 * self.strength("absent", frame)
        unit_px = min(self.size_px)
        turn = np.radians(self.away_degrees)
        shift = np.eye(3)
        if self.strength("framing", frame):  # the square's edge, not its corner: straight up, down, left or right
            turn = np.round(turn / (np.pi / 2)) * np.pi / 2
        shift[:2, 2] = aside * unit_px * np.array([np.cos(turn), np.sin(turn)])
        return np.asarray(shift @ view)

    def _hand_before(self, picture: Picture, view: Matrix, frame: int) -> NDArray[np.float32] | None:
        strength = self.strength("occlusion", frame)
        if not strength:
            return None
        turn = np.radians(self.hand_degrees)
        distance = 0.45 + 0.8 * (1 - strength)  # from outside to a part of the thing
        x, y = -np.sin(turn) * distance, np.cos(turn) * distance
        return _on_frame(paste(picture, self.hand, view @ placed(x, y, 1.0, self.hand_degrees)), self.size_px)

    def _as_filmed(self, picture: Picture, frame: int) -> Picture:
        unit_px = min(self.size_px)
        if self.holds("blur", frame):
            picture = out_of_focus(picture, self.blur * unit_px)
        if self.holds("shake", frame):
            picture = shaken(picture, round(self.shake * unit_px) | 1, self.shake_degrees)
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


def _planted(rng: np.random.Generator, frames: int) -> list[_Stretch]:
    """One to three stretches of 6 to 11 frames, each in its own part of the video, the first frames left sound."""
    count = int(rng.integers(1, 4))
    kinds = rng.choice(_PLANTED, size=count, replace=False, p=_PLANTED_SHARES)
    edges = np.linspace(4, frames, count + 1).astype(int)
    stretches = []
    for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        length = int(rng.integers(6, min(12, high - low - 2 * _RAMP + 1)))
        start = int(rng.integers(low + _RAMP, high - _RAMP - length + 1))
        stretches.append(_Stretch(str(kind), start, start + length))
    return stretches


def _distractors(rng: np.random.Generator, frames: int, others: Sequence[Sprite]) -> list[_Prop]:
    """Two to four of the user's other things around the target, less than half as large as it."""
    count = min(int(rng.integers(2, 5)), len(others))
    angles = rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / max(count, 1) + rng.uniform(-0.3, 0.3, count)
    props = []
    for index, angle in zip(rng.permutation(len(others))[:count], angles, strict=True):
        distance, size = rng.uniform(0.4, 0.62), rng.uniform(0.14, 0.21)
        degrees = np.full(frames, rng.uniform(-60, 60))
        props.append(_Prop(others[index], distance * np.cos(angle), distance * np.sin(angle), size, degrees))
    return props


def _on_frame(pasted: Pasted | None, size_px: tuple[int, int]) -> NDArray[np.float32]:
    cover = np.zeros(size_px[::-1], np.float32)
    if pasted is not None:
        height_px, width_px = pasted.cover.shape
        cover[pasted.top : pasted.top + height_px, pasted.left : pasted.left + width_px] = pasted.cover
    return cover


def square(size_px: tuple[int, int]) -> tuple[int, int, int]:
    """Left, top and side of the square that extraction cuts from the middle of a frame of (width, height)."""
    side_px = min(size_px)
    return (size_px[0] - side_px) // 2, (size_px[1] - side_px) // 2, side_px


def _box(cover: NDArray[np.float32], pasted: Pasted | None) -> dict[str, int] | None:
    left, top, side_px = square((cover.shape[1], cover.shape[0]))
    inside = cover[top : top + side_px, left : left + side_px]
    if pasted is None or float(inside.sum()) < _PRESENT * pasted.whole_area_px:
        return None
    bounds = cv2.boundingRect((inside > 0.5).astype(np.uint8))
    if not bounds[2]:  # nothing but faint edges
        return None
    return {key: round(value * ANNOTATED_SIDE_PX / side_px) for key, value in zip("xywh", bounds, strict=True)}


def _cut_off(outline: NDArray[np.float64], size_px: tuple[int, int]) -> bool:
    left, top, side_px = square(size_px)
    low, high = outline.min(axis=0) - (left, top), outline.max(axis=0) - (left, top)
    return bool(low.min() < -1 or high.max() > side_px)
