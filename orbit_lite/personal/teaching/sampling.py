"""A user's videos to the frames that teach: chosen as `own-videos` has it, read in processes that can be killed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data_prep.quality.estimate import VideoQuality, video_quality
from data_prep.tree.own_videos import OwnVideo, frame_count
from data_prep.video import DEFAULT_FPS
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import DataError, KitError
from orbit_lite.config import load_video_protocol
from orbit_lite.data.frames import Pictures, own_frames

PROTOCOL = "own-videos"
MOST_FRAMES = 3_000  # of a video that are sampled: the first 100 s; so memory does not grow with its length
TIME_LIMIT_S = 600.0  # for one video: a decoder that hangs on a damaged file is stopped then


@dataclass(frozen=True)
class Sampling:
    """Every `step`-th of a video's first `first_frames` frames, from the first, but every one of stills if
    `every_still` is set. Square, `size_px` wide."""

    step: int
    every_still: bool
    first_frames: int
    size_px: int

    @classmethod
    def of_protocol(cls, size_px: int) -> "Sampling":
        """As `own-videos` samples support frames, but of the first MOST_FRAMES alone."""
        plan = load_video_protocol(PROTOCOL)
        frames = plan.support.frames
        return cls(frames.step, frames.every_still, min(plan.first_frames or MOST_FRAMES, MOST_FRAMES), size_px)

    def frames(self, count: int, *, stills: bool) -> tuple[int, ...]:
        """Numbers (from 1) of the frames taken of a video of `count`; stills: see data_prep.tree.stills."""
        step = 1 if stills and self.every_still else self.step
        return tuple(range(1, min(count, self.first_frames) + 1, step))


@dataclass(frozen=True, eq=False)
class SampledVideo:
    """The frames taken of one video.

    length: frames of the whole video. frames: numbers of those taken, rising. pictures: uint8 (n, size, size, 3), RGB.
    digest: SHA-256 of the pictures, so that the same video is known again under another name.
    quality: how they are filmed, as far as frames a second apart tell.
    """

    video: OwnVideo
    length: int
    frames: tuple[int, ...]
    pictures: Pictures
    digest: str
    quality: VideoQuality


@dataclass(frozen=True)
class Unreadable:
    """A video that could not be read, and why, in one line that names it."""

    video: OwnVideo
    reason: str


def sample_videos(
    videos: Sequence[OwnVideo], sampling: Sampling, *, workers: int | None = None
) -> Iterator[SampledVideo | Unreadable]:
    """Read all videos, in parallel, and give each as it comes, in no fixed order.

    Args:
        videos: what to read.
        sampling: which frames of each.
        workers: processes; by default one a core.
    """
    sample = partial(sample_video, sampling=sampling)
    outcomes = run_in_workers(sample, videos, workers=workers or default_workers(), time_limit_s=TIME_LIMIT_S)
    for outcome in outcomes:
        if outcome.value is not None:
            yield outcome.value
        elif isinstance(outcome.error, KitError):
            reason = str(outcome.error)
            named = str(outcome.item.path) in reason  # a process that died could not say what it was reading
            yield Unreadable(outcome.item, reason if named else f"{outcome.item.path}: {reason}")
        elif outcome.error:
            raise outcome.error


def sample_video(video: OwnVideo, sampling: Sampling) -> SampledVideo:
    """One video's frames.

    Raises:
        DataError: if it can't be read.
    """
    length = frame_count(video)
    stills = video.is_stills(length)
    frames = sampling.frames(length, stills=stills)
    pictures = own_frames(video, size_px=sampling.size_px).read(Path(video.place).name, frames)
    try:
        # of photos in a row one is judged, as ever: how far they are apart is no movement
        judged = pictures[:: sampling.step] if stills else pictures
        quality = video_quality(judged, object=video.object, video=video.place, fps=DEFAULT_FPS / sampling.step)
    except ValueError as error:
        raise DataError(f"{video.path}: {error}") from None
    return SampledVideo(video, length, frames, pictures, pictures_digest(pictures), quality)


def pictures_digest(pictures: Pictures) -> str:
    """SHA-256 of pictures' pixels, as hex: the same for the same frames, wherever they are read from."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()
