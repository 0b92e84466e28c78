"""The stretches of frames in a pocket video that get an issue."""

from dataclasses import dataclass

import numpy as np

_RAMP = 4  # frames in which the camera, the hand or the object moves into an issue and out again
_PLANTED = ("blur", "shake", "overexposed", "underexposed", "framing", "occlusion", "viewpoint", "absent")
_PLANTED_SHARES = (0.16, 0.13, 0.16, 0.16, 0.16, 0.1, 0.1, 0.03)


@dataclass(frozen=True)
class Stretch:
    """An issue of frames [start, end) of a video. `degrees`: the direction in which camera or hand move, if they do."""

    kind: str
    start: int
    end: int
    degrees: float

    def strength(self, frame: int) -> float:
        """1 inside the stretch, falling to 0 over _RAMP frames before and after it."""
        outside = max(self.start - frame, frame - self.end + 1, 0)
        return max(0.0, 1 - outside / (_RAMP + 1))


def quality_stretches(rng: np.random.Generator, frames: int) -> list[Stretch]:
    """One to three stretches of 6 to 11 frames in separate parts of the video; the first frames have no issue."""
    count = int(rng.integers(1, 4))
    kinds = rng.choice(_PLANTED, size=count, replace=False, p=_PLANTED_SHARES)
    edges = np.linspace(4, frames, count + 1).astype(int)
    stretches = []
    for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        length = int(rng.integers(6, min(12, high - low - 2 * _RAMP + 1)))
        start = int(rng.integers(low + _RAMP, high - _RAMP - length + 1))
        degrees = rng.uniform(0, 360)
        if kind == "framing":  # past an edge of the square, not a corner
            degrees = 90 * np.round(degrees / 90)
        stretches.append(Stretch(str(kind), start, start + length, degrees))
    return stretches


def clutter_stretches(rng: np.random.Generator, frames: int) -> list[Stretch]:
    """A stretch without the object, and in most videos one with a hand in front of it, where there is room."""
    gone = int(rng.integers(10, 21))  # 90 frames - 20 - 2 * 4 of moving away and back: 62 show the object, some in part
    start = int(rng.integers(5, frames - gone - 5))
    stretches = [Stretch("absent", start, start + gone, rng.uniform(0, 360))]
    margin = 2 * _RAMP + 4
    low, high = max(((0, start - margin), (start + gone + margin, frames)), key=lambda part: part[1] - part[0])
    if rng.random() < 0.75:
        length = int(rng.integers(12, min(high - low, 26)))
        start = int(rng.integers(low, high - length))
        stretches.append(Stretch("occlusion", start, start + length, rng.uniform(0, 360)))
    return stretches
