"""The facts about a video or photo that `probe` finds and reading needs."""

import itertools
import statistics
from dataclasses import dataclass

from data_prep.video.orientation import Orientation

PHOTO = "photo"
USUAL_STEP_S = 1 / 30


@dataclass(frozen=True)
class VideoInfo:
    """Facts about one video.

    Attributes:
        width, height: display size in square pixels, with pixel aspect and orientation applied.
        orientation: how the stored picture is rotated and mirrored.
        pictures: the number of pictures shown, >= 1.
        times_s: their time stamps since the first, ascending; times_s[0] == 0.
        first_stamp, tick_s: the first stored time stamp (0 if none is stored), and the duration of its unit.
        last_duration_s: how long the last picture is shown.
        container: libav's names of the format, such as `mov,mp4,m4a,3gp,3g2,mj2` or `matroska,webm`; PHOTO for a photo.
        codec: libav's name, such as `h264` or `hevc`; for a photo Pillow's, such as `jpeg`.
        key_pictures: indices in display order at which reading can start; the first is 0.
        closed_groups: whether every key frame separates all earlier from all later pictures, none is cut by an edit
            list, and the container stores time stamps; then random access is exact.
        interlaced: whether alternate lines show two different moments; such pictures are deinterlaced when read.
        pixel_aspect: width of a stored pixel over its height; 1.0 is square.
        stated_s: the duration that the container states, with sound; 0.0 if it states none.
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
        """`HLG` or `PQ`; None for standard dynamic range."""
        transfer = self.color.split()[0]
        return None if transfer == "SDR" else transfer

    @property
    def has_wide_primaries(self) -> bool:
        """Whether its color primaries are those of BT.2020."""
        return "BT.2020" in self.color

    def stamp(self, picture: int) -> int:
        """A picture's stored time stamp."""
        return self.first_stamp + round(self.times_s[picture] / self.tick_s)

    @property
    def rotation(self) -> int:
        """Degrees by which to rotate the stored picture clockwise, 0 to 359."""
        return self.orientation.rotation

    @property
    def frames_per_s(self) -> float:
        """The typical rate of the pictures, by the median of their time steps."""
        steps_s = [later - earlier for earlier, later in itertools.pairwise(self.times_s)]
        step_s = statistics.median(steps_s) if steps_s else self.last_duration_s
        return 1 / step_s if step_s > 0 else 1 / USUAL_STEP_S

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo: one frame at any rate."""
        return self.container == PHOTO


def photo_info(width: int, height: int, image_format: str) -> VideoInfo:
    """A photo as a video of one picture with a duration of zero.

    Args:
        width, height: size of the upright picture in pixels.
        image_format: Pillow's name of the format.
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
