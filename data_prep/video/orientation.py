"""How a stored picture is rotated and mirrored for display, by its display matrix, as the ffmpeg command does it.

The matrix of nine 32-bit numbers (ISO 14496-12, 8.6.5) is in the container or, for some codecs, in the stream. Phones
write the eight right-angled ones: quarter turns, and mirrored ones for selfie cameras. ffmpeg rotates by any other
angle within the stored size, and ignores an invalid matrix (all zeros).
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
# (clockwise degrees, mirrored): the filters; mirrored means that left and right are swapped before the rotation.
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
    """How to display a stored picture.

    Attributes:
        rotation: whole degrees clockwise, 0 to 359.
        mirrored: whether left and right are swapped first.
    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are swapped."""
        return self.rotation in (90, 270)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The libav filters for it."""
        known = _UPRIGHT.get((self.rotation, self.mirrored))
        return (("rotate", f"{self.rotation}*PI/180"),) if known is None else known


def orientation_of(frame: "VideoFrame") -> Orientation:
    """The orientation in a decoded frame's display matrix; the default if it has none, or an invalid one."""
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
