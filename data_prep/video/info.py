"""What one video, or photo, holds: the record that probing gives and reading needs."""

import itertools
import statistics
from dataclasses import dataclass

from data_prep.video.orientation import Orientation

PHOTO = "photo"
USUAL_STEP_S = 1 / 30


@dataclass(frozen=True)
class VideoInfo:
    """What one video holds.

    Attributes:
        width, height: as shown, in square pixels: pixel aspect and orientation applied.
        orientation: how the stored picture is turned and mirrored.
        pictures: how many are shown, >= 1.
        times_s: their time stamps, from the first, rising; times_s[0] == 0.
        first_stamp, tick_s: the first one as it is stored (0 if none is), and what one unit of it lasts.
        last_duration_s: how long the last one is shown.
        container: libav's names of the format, such as `mov,mp4,m4a,3gp,3g2,mj2` or `matroska,webm`; PHOTO of a photo.
        codec: libav's name, such as `h264` or `hevc`; of a photo Pillow's, such as `jpeg`.
        key_pictures: indices in showing order at which reading can start; the first is 0.
        closed_groups: whether every key frame stands between all earlier and all later pictures, none is cut away by an
            edit list, and the container stores time stamps: random access is then exact.
        interlaced: whether pictures hold two moments in alternate lines; they are deinterlaced when they are read.
        pixel_aspect: width of a stored pixel over its height; 1.0 is square.
        stated_s: how long the container says it is, with its sound; 0.0 if it doesn't say.
        color: transfer, wide primaries and bits, such as `SDR 8-bit` or `HLG BT.2020 10-bit`.
    """

    width: int
    height: int
    orientation: Orientation
    pictures: int
    times_s: tuple[float, ...]
    first_stamp: int
    tick_s: float
    last_duration_s: float
    container: str
    codec: str
    key_pictures: tuple[int, ...]
    closed_groups: bool
    color: str
    interlaced: bool = False
    pixel_aspect: float = 1.0
    stated_s: float = 0.0

    @property
    def hdr(self) -> str | None:
        """`HLG` or `PQ`; None if its tones are of standard range."""
        transfer = self.color.split()[0]
        return None if transfer == "SDR" else transfer

    @property
    def has_wide_primaries(self) -> bool:
        """Whether its colors are BT.2020's."""
        return "BT.2020" in self.color

    def stamp(self, picture: int) -> int:
        """A picture's time stamp as it is stored."""
        return self.first_stamp + round(self.times_s[picture] / self.tick_s)

    @property
    def rotation(self) -> int:
        """Degrees clockwise to turn the stored picture by, 0 to 359."""
        return self.orientation.rotation

    @property
    def frames_per_s(self) -> float:
        """The usual rate of the pictures, by the median of their time steps."""
        steps_s = [later - earlier for earlier, later in itertools.pairwise(self.times_s)]
        step_s = statistics.median(steps_s) if steps_s else self.last_duration_s
        return 1 / step_s if step_s > 0 else 1 / USUAL_STEP_S

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo: one frame at any rate."""
        return self.container == PHOTO


def photo_info(width: int, height: int, image_format: str) -> VideoInfo:
    """A photo as a video of one picture, which is shown for no time.

    Args:
        width, height: upright, in pixels.
        image_format: Pillow's name.
    """
    return VideoInfo(
        width=width,
        height=height,
        orientation=Orientation(),
        pictures=1,
        times_s=(0.0,),
        first_stamp=0,
        tick_s=1.0,
        last_duration_s=0.0,
        container=PHOTO,
        codec=image_format.lower(),
        key_pictures=(0,),
        closed_groups=True,
        color="SDR 8-bit",
    )
