"""Reads a video's frames a few at a time, in a process that can be killed, with constant memory.

Nothing here imports torch, which halves the reading process's start time and memory.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.tree.own_videos import OwnVideo, frame_count, probe_own
from data_prep.tree.packed import archive_place
from data_prep.tree.videos_below import is_packed_place, named
from data_prep.video import DEFAULT_FPS, count_frames, decode_jpeg, encode_jpeg, frame_pictures, iterate_frames
from data_prep.workers.stream import StreamWorker
from groundwork.errors import DataError
from orbit_lite.data.frames import Pictures, own_frames

BATCH_FRAMES = 16
FIRST_FRAMES = 4  # size of the first batch, small so that answers begin soon
HANG_S = 300.0  # a process without output for this long is stuck on a damaged file


@dataclass(frozen=True)
class VideoJob:
    """A video to read.

    path: a video file, a folder of frames as in a frame tree, or `USER.zip#OBJECT/TYPE/VIDEO` for frames in an archive;
    stored frames count as 30 per second. size_px: side of the square frames; stored frames must have this size. fps:
    frames per second to read. stored: pass a file's frames through JPEG, as in a frame tree, so that both give the same
    answers.
    """

    path: Path
    size_px: int
    fps: float = DEFAULT_FPS
    stored: bool = True


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Consecutive frames.

    numbers: frame numbers, from 1. frames: JPEG bytes, or pictures (s, s, 3). total: frames in the whole video.
    """

    numbers: range
    frames: tuple[bytes | Pictures, ...]
    total: int

    @property
    def pictures(self) -> Pictures:
        """uint8 (n, s, s, 3), RGB. JPEG is decoded here, so that little data passes between processes."""
        return np.stack([decode_jpeg(frame) if isinstance(frame, bytes) else frame for frame in self.frames])


def batches_in_worker(
    worker: StreamWorker, job: VideoJob, *, hang_s: float = HANG_S
) -> Generator[FrameBatch, None, None]:
    """A video's frames in order, read by another process. Exhaust or close it before the next video.

    Raises:
        DataError: if the video can't be read, at the frame where this shows, or if the reading process hangs or dies.
    """
    try:
        yield from worker.iterate(read_batches, job, hang_s=hang_s)
    except DataError as error:
        named = str(job.path) in str(error)  # a process that died could not report what it was reading
        raise error if named else DataError(f"{job.path}: {error}") from None


def read_batches(job: VideoJob) -> Iterator[FrameBatch]:
    """Like `batches_in_worker`, but in this process, which a damaged file may hang or crash."""
    count, frames = _stored_frames(job) if is_stored(job.path) else _frames_of_file(job)
    batch: list[bytes | Pictures] = []
    for number, frame in enumerate(frames, start=1):
        batch.append(frame)
        full = FIRST_FRAMES if number <= FIRST_FRAMES else BATCH_FRAMES
        if len(batch) == full or number == count:
            yield FrameBatch(range(number - len(batch) + 1, number + 1), tuple(batch), count)
            batch = []


def is_stored(path: Path) -> bool:
    """Whether a video's frames are stored as single pictures of one size, in a folder or packed."""
    return path.is_dir() or (not path.exists() and is_packed_place(path))


def _frames_of_file(job: VideoJob) -> tuple[int, Iterator[bytes | Pictures]]:
    count = count_frames(probe_own(job.path), job.fps)
    frames = (picture for _, picture in iterate_frames(job.path, size_px=job.size_px, fps=job.fps))
    return count, map(encode_jpeg, frames) if job.stored else frames


def _stored_frames(job: VideoJob) -> tuple[int, Iterator[Pictures]]:
    """The number of frames and the frames, from a folder of frames or a packed one."""
    video = _stored_video(job.path)
    name, length = Path(video.place).name, frame_count(video)
    if length == 0:
        raise DataError(f"{job.path}: has no frames; expected a video, or a folder with {name}-00001.jpg and so on")
    source = own_frames(video, size_px=job.size_px)
    # the same frames as from a video of DEFAULT_FPS that is read at job.fps
    shown = frame_pictures([place / DEFAULT_FPS for place in range(length)], 1 / DEFAULT_FPS, job.fps).tolist()
    return len(shown), (source.read(name, [place + 1])[0] for place in shown)


def _stored_video(path: Path) -> OwnVideo:
    if path.is_dir():
        folder = named(path)
        return OwnVideo("", folder.parent, folder.name, "frames")
    archive, place = archive_place(str(path))
    return OwnVideo("", Path(archive), place, "packed")
