"""Judges a single file or folder of frames: whether it can be read, how long it is, and how it is filmed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from data_prep.quality.estimate import VideoQuality, video_quality
from data_prep.quality.measures import Picture
from data_prep.tree.listing import list_frames
from data_prep.tree.own_videos import probe_own
from data_prep.video import DEFAULT_FPS, decode_jpeg, encode_jpeg, iterate_frames
from groundwork.errors import DataError

MOST_FRAMES = 3_000  # 100 s; the rest of a longer video adds little


@dataclass(frozen=True)
class Verdict:
    """The verdict on one video or photo.

    Attributes:
        frames: the number of frames of the whole video, at 30 per second; 1 for a photo.
        issues: names in ISSUES.
    """

    frames: int
    issues: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.frames / DEFAULT_FPS


def judge(path: Path) -> Iterator[Verdict]:
    """Yield one verdict on a video file, a photo or a folder of frames. Call it in a process that can be killed.

    Raises:
        DataError: if it can't be read to its end, or its pictures are too small.
    """
    quality, frames = _measured(path)
    yield Verdict(frames, quality.issues)


def picture(path: Path) -> Iterator[bytes]:
    """Yield one JPEG of a video's first picture; as `judge`, call it in a process that can be killed."""
    yield encode_jpeg(next(iter(_pictures(path))))


def _measured(path: Path) -> tuple[VideoQuality, int]:
    if path.is_file():
        probe_own(path)
    count = 0

    def tallied() -> Iterator[Picture]:
        nonlocal count
        pictures = _pictures(path)
        for shown in islice(pictures, MOST_FRAMES):
            count += 1
            yield shown
        for _ in pictures:  # read to the end, to find damage
            count += 1

    try:
        quality = video_quality(tallied(), object="")
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    return quality, count


def _pictures(path: Path) -> Iterator[Picture]:
    if path.is_dir():
        for name, _ in list_frames(path):
            yield decode_jpeg((path / name).read_bytes())
        return
    for _, shown in iterate_frames(path):
        yield decode_jpeg(encode_jpeg(shown))  # as stored by extraction, for the same estimates
