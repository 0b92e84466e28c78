"""Reading ahead: worker processes turn plans into pixels, in order, uint8 all the way to the device.

Workers are started by spawn, never fork (OpenCV, libav and torch all hold threads), so what they get is pickled.
"""

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_prep.workers.pool import end_with_parent
from data_prep.workers.starting import make_room_for_sockets
from eval.formats.records import Task, VideoPlan
from groundwork.cores import default_workers
from groundwork.errors import DataError, KitError
from groundwork.process_setting import ProcessSetting
from orbit_lite.data.frames import FrameSource, Pictures
from orbit_lite.data.pixels import TaskPixels

JobT = TypeVar("JobT")
JobT_co = TypeVar("JobT_co", covariant=True)
LoadedT = TypeVar("LoadedT")
HANG_S = 300.0  # a worker that gives nothing for so long is stuck on a damaged file
TASKS_AHEAD = 2


def _take_one_opencv_thread() -> Callable[[], None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    return partial(cv2.setNumThreads, before)


# More of them wait for work by keeping a core busy, which those that compute then lack.
_ONE_OPENCV_THREAD = ProcessSetting(_take_one_opencv_thread)


class Jobs(Protocol[JobT_co]):
    """A sequence of jobs, which may be made when they are asked for. Picklable."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, place: int, /) -> JobT_co:
        """One of them."""
        ...


@dataclass(frozen=True)
class ReadSupport:
    """A task's support set to its pixels."""

    source: FrameSource

    def __call__(self, job: Task) -> tuple[Tensor, Tensor, Tensor]:
        """Items, uint8 (n, 3, s, s), or (n, L, 3, s, s) with clips of L frames, their labels and videos, int64 (n,)."""
        pictures = [self.source.read(plan.video, plan.frames) for plan in job.support]
        return to_images(np.concatenate(pictures), job.clip_length), *labels_and_videos(job.support, job.clip_length)


@dataclass(frozen=True)
class ReadTask:
    """A training task's plan to its pixels."""

    source: FrameSource

    def __call__(self, job: Task) -> TaskPixels:
        """Support and query of one task: uint8 (n, 3, s, s), or (n, L, 3, s, s) with clips of L frames."""
        support, support_labels, support_videos = ReadSupport(self.source)(job)
        query, query_labels = self._query(job)
        return TaskPixels(support, support_labels, query, query_labels, job.way, support_videos)

    def _query(self, task: Task) -> tuple[Tensor, Tensor]:
        pictures = [self.source.read(plan.video, trailing_clips(plan.frames, task.clip_length)) for plan in task.query]
        return to_images(np.concatenate(pictures), task.clip_length), labels_and_videos(task.query, 1)[0]


SHARED_MEMORY = "/dev/shm"
LITTLE_SHARED_BYTES = 2**30  # a container has 64 MB if nothing is said; ORBIT's tasks have 150 MB each


@dataclass(frozen=True)
class FrameJob:
    """Some frames of one video, to be read in one go."""

    video: str
    frames: tuple[int, ...]


@dataclass(frozen=True)
class ImagesJob:
    """Some images, each one frame of a video: pairs of video and frame number."""

    images: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ReadImages:
    """Single images of any videos, uint8 (n, 3, s, s)."""

    source: FrameSource

    def __call__(self, job: ImagesJob) -> Tensor:
        """Read one job's images."""
        return to_images(np.concatenate([self.source.read(video, (frame,)) for video, frame in job.images]), 1)


@dataclass(frozen=True)
class ReadFrames:
    """Frames of one video to images, uint8 (n, 3, s, s)."""

    source: FrameSource

    def __call__(self, job: FrameJob) -> Tensor:
        """Read one job's frames."""
        return to_images(self.source.read(job.video, job.frames), 1)


def read_ahead(
    jobs: Jobs[JobT],
    read: Callable[[JobT], LoadedT],
    *,
    workers: int,
    pin: bool = False,
    at_once: int = 0,
) -> Iterator[LoadedT]:
    """Load jobs in their order; `workers` processes read ahead, or with 0 a thread of this one. The result is the same.

    Args:
        jobs: what to load.
        read: turns one job into what was asked for; picklable.
        workers: number of processes.
        pin: put what the workers have read into pinned memory, from where a GPU copies it while it computes.
        at_once: if not 0, without workers, so many jobs are read at once, in threads, and nothing while the caller
            computes: PyTorch's threads wait for each other at every layer, and so for what reads beside one of them.

    Raises:
        KitError: the error a job ended with, as the worker had it.
        DataError: if a worker hangs or dies.
    """
    if workers == 0:
        yield from _read_some(jobs, read, at_once) if at_once else _read_by_thread(jobs, read)
        return
    make_room_for_sockets()
    by_pipe = _little_shared_memory()
    loader = DataLoader(
        _Jobs(jobs, read, by_pipe),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=TASKS_AHEAD,
        multiprocessing_context="spawn",
        worker_init_fn=_quiet_worker,
        timeout=HANG_S,
        pin_memory=pin and not by_pipe,
        generator=torch.Generator(),  # or it draws the workers' seed from the global one
    )
    try:
        for loaded in loader:
            if isinstance(loaded, _Failed):
                raise loaded.error
            if by_pipe:
                loaded = _Loaded(pickle.loads(loaded.value))  # our own workers'
                loaded = loaded.pin_memory() if pin else loaded
            yield loaded.value
    except RuntimeError as error:
        raise DataError(f"a reading worker was lost ({str(error).splitlines()[0]}); try --workers 0") from error


def _read_by_thread(jobs: Jobs[JobT], read: Callable[[JobT], LoadedT]) -> Iterator[LoadedT]:
    """One job ahead: pictures are decoded without Python's lock, beside what computes."""
    with _ONE_OPENCV_THREAD, ThreadPoolExecutor(1, thread_name_prefix="reads-ahead") as pool:
        ahead: Future[LoadedT] | None = None
        try:
            for place in range(len(jobs)):
                waiting, ahead = ahead, pool.submit(read, jobs[place])
                if waiting is not None:
                    yield waiting.result()
            if ahead is not None:
                yield ahead.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_some(jobs: Jobs[JobT], read: Callable[[JobT], LoadedT], at_once: int) -> Iterator[LoadedT]:
    with _ONE_OPENCV_THREAD, ThreadPoolExecutor(at_once, thread_name_prefix="reads") as pool:
        for first in range(0, len(jobs), at_once):
            some = [pool.submit(read, jobs[place]) for place in range(first, min(first + at_once, len(jobs)))]
            wait(some)
            for loaded in some:
                yield loaded.result()


def _little_shared_memory() -> bool:
    """Whether what workers read would not fit into the memory that they share, as in containers: it goes through pipes
    then. Torch's own way would lose it, and wait."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).total < LITTLE_SHARED_BYTES
    except OSError:  # another system, which has its own
        return False


def reading_workers() -> int:
    """How many read ahead where nobody has said: one for every core beyond the two that compute; at most 8."""
    return default_workers(spare=2, most=8)


def to_images(pictures: Pictures, clip_length: int) -> Tensor:
    """(n * L, s, s, 3) pictures as images (n, 3, s, s) or clips (n, L, 3, s, s): a view, channels last in memory."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return images if clip_length == 1 else images.reshape(-1, clip_length, *images.shape[1:])


def trailing_clips(frames: Sequence[int], clip_length: int) -> list[int]:
    """For each frame the clip of itself and its predecessors, the first frame repeated at the start; flat.

    >>> trailing_clips([1, 2, 9], 3)
    [1, 1, 1, 1, 1, 2, 7, 8, 9]
    """
    return [max(1, frame - back) for frame in frames for back in reversed(range(clip_length))]


def labels_and_videos(plans: Sequence[VideoPlan], clip_length: int) -> tuple[Tensor, Tensor]:
    """Of each item of some plans, one plan after the other: its class, and its video's number, int64 (n,) each."""
    counts = torch.tensor([len(plan.frames) // clip_length for plan in plans])
    numbers = {video: number for number, video in enumerate(dict.fromkeys(plan.video for plan in plans))}
    each = [[plan.label for plan in plans], [numbers[plan.video] for plan in plans]]
    labels, videos = (torch.repeat_interleave(torch.tensor(values), counts) for values in each)
    return labels, videos


@dataclass(frozen=True)
class _Loaded(Generic[LoadedT]):
    value: LoadedT

    def pin_memory(self) -> "_Loaded[Any]":
        """What the DataLoader calls if it is to pin."""
        value: Any = self.value  # a Tensor, or TaskPixels
        return _Loaded(value.pin_memory())


@dataclass(frozen=True)
class _Failed:
    error: KitError


class _Jobs(Dataset[Any]):
    """Errors travel as values: the DataLoader would bury their one line in a worker's traceback."""

    def __init__(self, jobs: Jobs[Any], read: Callable[[Any], Any], by_pipe: bool) -> None:
        self._jobs, self._read, self._by_pipe = jobs, read, by_pipe

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, number: int) -> _Loaded[Any] | _Failed:
        try:
            loaded = self._read(self._jobs[number])
            return _Loaded(pickle.dumps(loaded, protocol=pickle.HIGHEST_PROTOCOL) if self._by_pipe else loaded)
        except KitError as error:
            return _Failed(error)


def _quiet_worker(_: int) -> None:
    end_with_parent()  # torch's own watch takes whoever is the parent by then, so one that died earlier is never missed
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
