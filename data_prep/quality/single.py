"""One file or folder of frames judged by itself, as it arrives: can it be read, how long is it, how is it filmed?"""

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

MOST_FRAMES = 3_000  # 100 s: how a longer video goes on says little more


@dataclass(frozen=True)
class Verdict:
    """What there is to say of one video or photo.

    frames: of the whole video, at 30 a second; 1 is a photo. issues: names of ISSUES.
    """

    frames: int
    issues: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / DEFAULT_FPS


def judge(path: Path) -> Iterator[Verdict]:
    """Give the one verdict on a video's file, a photo or a folder of frames; to be called in a process that can be
    killed.

    Raises:
        DataError: if it can't be read, or its pictures are too small; the whole file is read, to its end.
    """
    quality, frames = _measured(path)
    yield Verdict(frames, quality.issues)


def picture(path: Path) -> Iterator[bytes]:
    """Give the one JPEG of a video's first picture; as `judge`."""
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
        for _ in pictures:  # to its end, where damage shows
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
        yield decode_jpeg(encode_jpeg(shown))  # as extraction stores it: the same estimates
