"""How a stored picture is turned and mirrored before it is shown, by its display matrix, as the ffmpeg command does it.

A matrix of nine 32-bit numbers (ISO 14496-12, 8.6.5) stands in the container or, for some codecs, in the stream. Phones
write the eight upright ones: quarter turns, and for selfie cameras mirrored ones. ffmpeg turns by any other angle
within the stored size, and leaves a matrix that means nothing (all zeros) aside.
"""

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from av import VideoFrame
    from av.sidedata.sidedata import SideData

Filter = tuple[str, str]  # libav's name, arguments

_MATRIX = "DISPLAYMATRIX"  # PyAV's name
# (clockwise degrees, mirrored): the filters; mirrored means left and right are swapped before the turn.
_UPRIGHT: dict[tuple[int, bool], tuple[Filter, ...]] = {
    (0, False): (),
    (90, False): (("transpose", "clock"),),
    (180, False): (("hflip", ""), ("vflip", "")),
    (270, False): (("transpose", "cclock"),),
    (0, True): (("hflip", ""),),
    (90, True): (("transpose", "clock_flip"),),
    (180, True): (("vflip", ""),),
    (270, True): (("transpose", "cclock_flip"),),
}


@dataclass(frozen=True)
class Orientation:
    """How to show a stored picture.

    Attributes:
        rotation: whole degrees clockwise, 0 to 359.
        mirrored: whether left and right are swapped first.
    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """libav's filters that do it."""
        known = _UPRIGHT.get((self.rotation, self.mirrored))
        return (("rotate", f"{self.rotation}*PI/180"),) if known is None else known


def orientation_of(frame: "VideoFrame") -> Orientation:
    """What a decoded frame's display matrix says; upright as stored where it has none, or one without a meaning."""
    found = frame.side_data.get(_MATRIX)
    return Orientation() if found is None else from_matrix(struct.unpack("=9i", bytes(cast("SideData", found))[:36]))


def from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Read a display matrix.

    Args:
        matrix: (a, b, u, c, d, v, x, y, w); a stored point (p, q) is shown at (a p + c q, b p + d q).
    """
    a, b, _, c, d = matrix[:5]
    across, down = math.hypot(a, c), math.hypot(b, d)
    if across == 0 or down == 0:
        return Orientation()
    degrees = round(math.degrees(math.atan2(b / down, a / across))) % 360
    if degrees % 90:
        return Orientation(degrees)
    mirrored = a * d - b * c < 0
    return Orientation((degrees + 180) % 360 if mirrored else degrees, mirrored)
