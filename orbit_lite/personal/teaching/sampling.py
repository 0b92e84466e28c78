"""Samples the teaching frames of a user's videos as the protocol `own-videos` does, in processes that can be killed."""

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
MOST_FRAMES = 3_000  # only the first 100 s of a video are sampled, so that memory does not grow with its length
TIME_LIMIT_S = 600.0  # per video; stops a decoder that hangs on a damaged file


@dataclass(frozen=True)
class Sampling:
    """Which frames to take: every `step`-th of a video's first `first_frames` frames, starting with the first; for
    stills, every one if `every_still` is set. Frames are squares of `size_px`."""

    step: int
    every_still: bool
    first_frames: int
    size_px: int

    @classmethod
    def of_protocol(cls, size_px: int) -> "Sampling":
        """The support sampling of `own-videos`, limited to the first MOST_FRAMES frames."""
        plan = load_video_protocol(PROTOCOL)
        frames = plan.support.frames
        return cls(frames.step, frames.every_still, min(plan.first_frames or MOST_FRAMES, MOST_FRAMES), size_px)

    def frames(self, count: int, *, stills: bool) -> tuple[int, ...]:
        """Numbers (from 1) of the frames to take from a video of `count` frames; stills: see data_prep.tree.stills."""
        step = 1 if stills and self.every_still else self.step
        return tuple(range(1, min(count, self.first_frames) + 1, step))


@dataclass(frozen=True, eq=False)
class SampledVideo:
    """The frames taken from one video.

    length: number of frames in the whole video. frames: numbers of those taken, increasing. pictures: uint8
    (n, size, size, 3), RGB. digest: SHA-256 of the pictures, which recognizes the same video under another name.
    quality: how it was filmed, as far as frames one second apart can show.
    """

    video: OwnVideo
    length: int
    frames: tuple[int, ...]
    pictures: Pictures
    digest: str
    quality: VideoQuality


@dataclass(frozen=True)
class Unreadable:
    """A video that could not be read, and the reason in one line that names it."""

    video: OwnVideo
    reason: str


def sample_videos(
    videos: Sequence[OwnVideo], sampling: Sampling, *, workers: int | None = None
) -> Iterator[SampledVideo | Unreadable]:
    """Read all videos in parallel and yield each when it is ready, in no fixed order.

    Args:
        videos: the videos to read.
        sampling: which frames of each.
        workers: processes; the default is one per core.
    """
    sample = partial(sample_video, sampling=sampling)
    outcomes = run_in_workers(sample, videos, workers=workers or default_workers(), time_limit_s=TIME_LIMIT_S)
    for outcome in outcomes:
        if outcome.value is not None:
            yield outcome.value
        elif isinstance(outcome.error, KitError):
            reason = str(outcome.error)
            named = str(outcome.item.path) in reason  # a process that died could not report what it was reading
            yield Unreadable(outcome.item, reason if named else f"{outcome.item.path}: {reason}")
        elif outcome.error:
            raise outcome.error


def sample_video(video: OwnVideo, sampling: Sampling) -> SampledVideo:
    """Read one video's frames.

    Raises:
        DataError: if it can't be read.
    """
    length = frame_count(video)
    stills = video.is_stills(length)
    frames = sampling.frames(length, stills=stills)
    pictures = own_frames(video, size_px=sampling.size_px).read(Path(video.place).name, frames)
    try:
        # consecutive photos are judged one in `step`, too: the difference between them is not camera motion
        judged = pictures[:: sampling.step] if stills else pictures
        quality = video_quality(judged, object=video.object, video=video.place, fps=DEFAULT_FPS / sampling.step)
    except ValueError as error:
        raise DataError(f"{video.path}: {error}") from None
    return SampledVideo(video, length, frames, pictures, pictures_digest(pictures), quality)


def pictures_digest(pictures: Pictures) -> str:
    """SHA-256 of the pictures' pixels, as hex; the same frames give the same digest, wherever they are read from."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()
