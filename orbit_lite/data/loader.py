"""Reads ahead: worker processes turn plans into pixels, in order. Images stay uint8 until they are on the device.

Workers are started by spawn, never fork (OpenCV, libav and torch all run threads), so their arguments are pickled.
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
HANG_S = 300.0  # a worker that returns nothing for this long is stuck on a damaged file
TASKS_AHEAD = 2


def _take_one_opencv_thread() -> Callable[[], None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    return partial(cv2.setNumThreads, before)


# More threads would keep a core busy while they wait for work; the threads that compute need that core.
_ONE_OPENCV_THREAD = ProcessSetting(_take_one_opencv_thread)


class Jobs(Protocol[JobT_co]):
    """A sequence of jobs, possibly created on access. Picklable."""

    def __len__(self) -> int:
        """The number of jobs."""
        ...

    def __getitem__(self, place: int, /) -> JobT_co:
        """One job."""
        ...


@dataclass(frozen=True)
class ReadSupport:
    """Reads the pixels of a task's support set."""

    source: FrameSource

    def __call__(self, job: Task) -> tuple[Tensor, Tensor, Tensor]:
        """The items, uint8 (n, 3, s, s), or (n, L, 3, s, s) for clips of L frames; their labels and videos, int64
        (n,)."""
        pictures = [self.source.read(plan.video, plan.frames) for plan in job.support]
        return to_images(np.concatenate(pictures), job.clip_length), *labels_and_videos(job.support, job.clip_length)


@dataclass(frozen=True)
class ReadTask:
    """Reads the pixels of a training task."""

    source: FrameSource

    def __call__(self, job: Task) -> TaskPixels:
        """Support and query of one task: uint8 (n, 3, s, s), or (n, L, 3, s, s) for clips of L frames."""
        support, support_labels, support_videos = ReadSupport(self.source)(job)
        query, query_labels = self._query(job)
        return TaskPixels(support, support_labels, query, query_labels, job.way, support_videos)

    def _query(self, task: Task) -> tuple[Tensor, Tensor]:
        pictures = [self.source.read(plan.video, trailing_clips(plan.frames, task.clip_length)) for plan in task.query]
        return to_images(np.concatenate(pictures), task.clip_length), labels_and_videos(task.query, 1)[0]


SHARED_MEMORY = "/dev/shm"
SMALL_SHARED_MEMORY_BYTES = 2**30  # a container has 64 MB by default; each of ORBIT's tasks takes 150 MB


@dataclass(frozen=True)
class FrameJob:
    """Some frames of one video, read by one call."""

    video: str
    frames: tuple[int, ...]


@dataclass(frozen=True)
class ImagesJob:
    """Some images, each a pair of video and frame number."""

    images: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ReadImages:
    """Reads single images of any videos, uint8 (n, 3, s, s)."""

    source: FrameSource

    def __call__(self, job: ImagesJob) -> Tensor:
        """Read one job's images."""
        return to_images(np.concatenate([self.source.read(video, (frame,)) for video, frame in job.images]), 1)


@dataclass(frozen=True)
class ReadFrames:
    """Reads frames of one video as images, uint8 (n, 3, s, s)."""

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
    """Load jobs in order. `workers` processes read ahead; with 0, a thread of this process does. The result is the
    same.

    Args:
        jobs: the jobs to load.
        read: loads one job; picklable.
        workers: the number of processes.
        pin: put the results into pinned memory, so that a GPU can copy them while it computes.
        at_once: without workers and if not 0, this many jobs are read at the same time by threads, and nothing is read
            while the caller computes: PyTorch's threads wait for each other at every layer, so one slowed by a reader
            slows all.

    Raises:
        KitError: the error that a job failed with, unchanged.
        DataError: if a worker hangs or is killed.
    """
    if workers == 0:
        yield from _read_some(jobs, read, at_once) if at_once else _read_by_thread(jobs, read)
        return
    make_room_for_sockets()
    by_pipe = _has_small_shared_memory()
    loader = _Loader(
        _Jobs(jobs, read, by_pipe),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=TASKS_AHEAD,
        multiprocessing_context="spawn",
        worker_init_fn=_quiet_worker,
        timeout=HANG_S,
        pin_memory=pin and not by_pipe,
        generator=torch.Generator(),  # otherwise the workers' seed would be drawn from the global generator
    )
    try:
        for loaded in loader:
            if isinstance(loaded, _Failed):
                raise loaded.error
            if by_pipe:
                loaded = _Loaded(pickle.loads(loaded.value))  # written by our own workers
                loaded = loaded.pin_memory() if pin else loaded
            yield loaded.value
    except RuntimeError as error:
        raise DataError(
            f"a worker process that reads frames was lost ({str(error).splitlines()[0]}); try --workers 0"
        ) from error


def _read_by_thread(jobs: Jobs[JobT], read: Callable[[JobT], LoadedT]) -> Iterator[LoadedT]:
    """Read one job ahead in a thread: decoding releases Python's lock, so the caller can compute meanwhile."""
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


def _has_small_shared_memory() -> bool:
    """Whether shared memory is too small for the workers' results, as in many containers; they then go through pipes.
    Torch's shared memory would run out, and the loader would hang."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).total < SMALL_SHARED_MEMORY_BYTES
    except OSError:  # not Linux: shared memory works differently there
        return False


def reading_workers() -> int:
    """The default number of workers: one for every core beyond the two that compute, at most 8."""
    return default_workers(spare=2, most=8)


def to_images(pictures: Pictures, clip_length: int) -> Tensor:
    """View pictures (n * L, s, s, 3) as images (n, 3, s, s) or clips (n, L, 3, s, s), channels last in memory."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return images if clip_length == 1 else images.reshape(-1, clip_length, *images.shape[1:])


def trailing_clips(frames: Sequence[int], clip_length: int) -> list[int]:
    """For each frame, the clip of the frame and its predecessors, as one flat list; frame 1 is repeated at the start.

    >>> trailing_clips([1, 2, 9], 3)
    [1, 1, 1, 1, 1, 2, 7, 8, 9]
    """
    return [max(1, frame - back) for frame in frames for back in reversed(range(clip_length))]


def labels_and_videos(plans: Sequence[VideoPlan], clip_length: int) -> tuple[Tensor, Tensor]:
    """The class and the video number of each item of some plans, in order, int64 (n,) each."""
    counts = torch.tensor([len(plan.frames) // clip_length for plan in plans])
    numbers = {video: number for number, video in enumerate(dict.fromkeys(plan.video for plan in plans))}
    each = [[plan.label for plan in plans], [numbers[plan.video] for plan in plans]]
    labels, videos = (torch.repeat_interleave(torch.tensor(values), counts) for values in each)
    return labels, videos


@dataclass(frozen=True)
class _Loaded(Generic[LoadedT]):
    value: LoadedT

    def pin_memory(self) -> "_Loaded[Any]":
        """Called by the DataLoader when it pins memory."""
        value: Any = self.value  # a Tensor, or TaskPixels
        return _Loaded(value.pin_memory())


@dataclass(frozen=True)
class _Failed:
    error: KitError


class _Loader(DataLoader[Any]):
    """PyTorch's, without its warnings about more processes than cores: how many there are is the user's choice."""

    def check_worker_number_rationality(self) -> None:
        """Say nothing."""


class _Jobs(Dataset[Any]):
    """Returns errors as values: the DataLoader would bury their one line in a worker's traceback."""

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
    end_with_parent()  # torch watches the current parent, so it does not notice a parent that died earlier
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
