"""Measures of a video's frames that do not depend on what they show: edges, light, motion, change.

A frame's numbers depend only on that frame and the one before, so cutting a video short does not change them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_PX = 224  # larger pictures are shrunk to this shorter side; widths in pixels refer to this size
LEAST_SIDE_PX = 32  # smaller pictures have no room for the lines along which edges are measured

_CLIPPED_BRIGHT, _CLIPPED_DARK = 250, 16  # of 255: no detail is left beyond these; 16 is black in video
_BRIGHTEST_PERCENT = 95

_SMOOTHING_PX = 1.0  # sigma: grain and JPEG artifacts then make no edges; sharp edges become 3 px wide
_SCALE = 16  # levels in sixteenths, as int16: faster than floats, and Sobel sums stay below 2**15
_SOBEL_GAIN = 8.0  # Sobel's 3x3 sums are this many times the slope
_STRONG = 0.25  # an edge must rise by at least this share of the rise of the picture's strongest edges
_AT_PEAK = 0.7  # an edge is measured where its slope is at least this share of its steepest slope
_ALIGNED = 0.75  # cos² of 30 degrees: edges at a larger angle to the line would look wider than they are
_LEAST_EDGE_PX = 30  # with fewer pixels, a direction is not judged
_SHARPEST_PERCENT = 10  # the sharpest edges represent the picture, because the background may be out of focus
# An edge must rise by this many levels, by this share of the picture's brightness (shade on a wall rises less over such
# a short distance) and by this many times the grain's sigma; without such edges, blur can't be judged.
_LEAST_RISE, _LEAST_RISE_SHARE, _LEAST_RISE_GRAINS = 4.0, 0.12, 4.0
_GRAIN_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)

_SMALL_PX = 64  # for motion and change
_LEAST_RESPONSE = 0.3  # of phase correlation, about 0 to 1: below it, no single shift explains the change
_LEAST_CONTRAST = 1.0  # of 255; avoids a division by zero for black pictures
_WINDOW = cv2.createHanningWindow((_SMALL_PX, _SMALL_PX), cv2.CV_32F)

Picture = NDArray[np.uint8]  # (height, width, 3), RGB
Plane = NDArray[np.int16]
Small = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FrameMeasures:
    """One number per frame for each measure, float64 (frames,); NaN if unknown.

    Attributes:
        edge_width_px: the width of the sharpest edges in pixels at WORKING_PX, in the direction where it is largest;
            about 3 in a sharp picture. NaN without edges.
        brightness: mean gray, in [0, 1].
        brightest: the gray level that the brightest twentieth of the picture reaches, in [0, 1].
        clipped_bright, clipped_dark: the share of the picture that is white, or black, without detail.
        motion: the shift since the previous frame, in picture sides per second; underestimated below about 0.2. NaN
            for the first frame, and if no single shift explains the change.
        change: mean difference from the previous frame, in standard deviations of the picture's gray. NaN for the
            first frame.
    """

    edge_width_px: NDArray[np.float64]
    brightness: NDArray[np.float64]
    brightest: NDArray[np.float64]
    clipped_bright: NDArray[np.float64]
    clipped_dark: NDArray[np.float64]
    motion: NDArray[np.float64]
    change: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.brightness)


MEASURES = tuple(field.name for field in fields(FrameMeasures))


@dataclass(frozen=True)
class _Line:
    """A direction in which edges are measured: one step (down, right) in pixels, and the number of steps each way."""

    down: int
    right: int
    reach: int

    @property
    def step_px(self) -> float:
        """The length of one step."""
        return float(np.hypot(self.down, self.right))

    def greatest(self, plane: Plane) -> Plane:
        """The greatest value on the line around each inner pixel."""
        return self._spread(plane, np.maximum)

    def least(self, plane: Plane) -> Plane:
        """The least value on the line around each inner pixel."""
        return self._spread(plane, np.minimum)

    def inner(self, plane: Plane) -> Plane:
        """The pixels whose whole line is inside the picture."""
        y, x = self.reach * abs(self.down), self.reach * abs(self.right)
        return plane[y : plane.shape[0] - y, x : plane.shape[1] - x]

    def _spread(self, plane: Plane, pick: np.ufunc) -> Plane:
        """Double the part of the line that each pixel covers, step by step: five steps for a line of 17."""
        seen, wanted = 1, 2 * self.reach + 1
        while seen < wanted:
            step = min(seen, wanted - seen)
            y, x = step * self.down, step * self.right
            (height, width), aside = plane.shape, abs(x)
            near, far = (slice(0, width - aside), slice(aside, width))[:: 1 if x >= 0 else -1]
            plane = pick(plane[: height - y, near], plane[y:, far])
            seen += step
        return plane


# Blur from camera shake affects edges across its direction and leaves others sharp.
_LINES = (_Line(0, 1, 8), _Line(1, 0, 8), _Line(1, 1, 6), _Line(1, -1, 6))


def measure_frames(pictures: Iterable[Picture], *, fps: float = 30.0) -> FrameMeasures:
    """Measure the frames of one video, in order; keeps at most two of them in memory.

    Args:
        pictures: uint8 (height, width, 3), RGB; one array (n, size, size, 3) or an iterator, n may be 0.
        fps: frames per second.

    Raises:
        ValueError: if a picture has another form, or a side is below LEAST_SIDE_PX.
    """
    rows: list[tuple[float, ...]] = []
    before: Small | None = None
    for picture in pictures:
        gray = _working_gray(picture)
        small = np.asarray(cv2.resize(gray, _WINDOW.shape, interpolation=cv2.INTER_AREA), np.float32)
        rows.append((edge_width_px(gray), *_light(gray), *_movement(before, small, fps)))
        before = small
    return FrameMeasures(*np.array(rows, np.float64).reshape(len(rows), len(MEASURES)).T)


def edge_width_px(gray: NDArray[np.uint8]) -> float:
    """The width of the sharpest edges of a picture, in the direction where it is largest; NaN without edges.

    The width of an edge is its rise over its steepest slope: contrast and exposure cancel out, and smooth surfaces do
    not matter. A step smoothed by a Gaussian of sigma px is 2.5 sigma px wide (the square root of 2 pi).

    Args:
        gray: uint8 (height, width), each LEAST_SIDE_PX or more.

    Source: Marziliano et al. 2002 (ICIP) use the width of edges as a measure of blur.
    """
    levels = cv2.GaussianBlur(gray.astype(np.float32) * _SCALE, (0, 0), _SMOOTHING_PX).astype(np.int16)
    right, down = (np.asarray(cv2.Sobel(levels, cv2.CV_16S, *axis), np.int16) for axis in ((1, 0), (0, 1)))
    rises = [line.greatest(levels) - line.least(levels) for line in _LINES]
    strongest = max(float(np.percentile(rise[::3, ::3], 99)) for rise in rises)
    if strongest < _SCALE * _least_rise(gray):
        return float("nan")
    widths = [_sharpest(line, rise, right, down, _STRONG * strongest) for line, rise in zip(_LINES, rises, strict=True)]
    return max((width for width in widths if width is not None), default=float("nan"))


def _sharpest(line: _Line, rise: Plane, right: Plane, down: Plane, least: float) -> float | None:
    """Width of the sharpest edges across one direction; None if there are too few."""
    slope = np.abs(line.down * down + line.right * right)
    places = np.flatnonzero(rise >= least)
    across, along = (line.inner(plane).ravel()[places].astype(np.float32) for plane in (right, down))
    here = line.inner(slope).ravel()[places].astype(np.float32)
    steepest = line.greatest(slope).ravel()[places].astype(np.float32)
    aligned = here**2 >= _ALIGNED * line.step_px**2 * (across**2 + along**2)
    at_edge = aligned & (here >= _AT_PEAK * steepest) & (steepest > 0)
    if np.count_nonzero(at_edge) < _LEAST_EDGE_PX:
        return None
    rises = rise.ravel()[places][at_edge].astype(np.float32)
    return float(np.percentile(rises * _SOBEL_GAIN * line.step_px / steepest[at_edge], _SHARPEST_PERCENT))


def _least_rise(gray: NDArray[np.uint8]) -> float:
    """The rise in gray levels that distinguishes an edge from shade and grain."""
    # Immerkaer's mask (1996) keeps grain and removes planes; the median, unlike his mean, also ignores edges.
    grain = cv2.filter2D(gray, cv2.CV_16S, _GRAIN_MASK)
    sigma = float(np.median(np.abs(grain[::2, ::2]))) / (0.6745 * 6)
    return max(_LEAST_RISE, _LEAST_RISE_SHARE * float(np.percentile(gray[::3, ::3], 95)), _LEAST_RISE_GRAINS * sigma)


def _light(gray: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    counts = np.bincount(gray.ravel(), minlength=256) / gray.size
    below = np.cumsum(counts)
    brightest = int(np.searchsorted(below, _BRIGHTEST_PERCENT / 100))
    mean = float(counts @ np.arange(256)) / 255
    return mean, brightest / 255, float(1 - below[_CLIPPED_BRIGHT - 1]), float(below[_CLIPPED_DARK])


def _movement(before: Small | None, small: Small, fps: float) -> tuple[float, float]:
    """Motion in picture sides per second, and change in standard deviations."""
    if before is None:
        return float("nan"), float("nan")
    change = float(np.abs(small - before).mean()) / max(float(small.std()), _LEAST_CONTRAST)
    if np.array_equal(small, before):
        return 0.0, change
    # Windowed here, because phaseCorrelate does not remove the mean, whose window does not move, and changes its
    # inputs.
    (x, y), response = cv2.phaseCorrelate((before - before.mean()) * _WINDOW, (small - small.mean()) * _WINDOW)
    return (float(np.hypot(x, y)) / _SMALL_PX * fps if response >= _LEAST_RESPONSE else float("nan")), change


def _working_gray(picture: Picture) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a picture of shape {picture.shape}, {picture.dtype}; expected uint8 (height, width, 3)")
    height, width = picture.shape[:2]
    shorter = min(height, width)
    if shorter < LEAST_SIDE_PX:
        raise ValueError(f"a picture of {width} x {height} px; expected {LEAST_SIDE_PX} px or more on each side")
    gray = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    if shorter > WORKING_PX:
        scale = WORKING_PX / shorter
        size = (round(width * scale), round(height * scale))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)
