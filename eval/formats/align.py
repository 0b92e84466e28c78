"""Lays out tasks' query frames as flat arrays and finds the rows of a predictions table among them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.formats.tasks import Task, TaskSet, VideoPlan

Integers = NDArray[np.int64]

NOWHERE = -1


@dataclass(frozen=True, eq=False)
class Located:
    """The position of each row of a predictions table in the tasks, NOWHERE if it has none. All have shape (rows,).

    user: index of its user in QueryFrames.users.
    task: index of its task in QueryFrames.tasks.
    video: index of its video in QueryFrames.videos.
    frame: index of its frame in QueryFrames.frames.
    """

    user: Integers
    task: Integers
    video: Integers
    frame: Integers


@dataclass(frozen=True, eq=False)
class QueryFrames:
    """All query frames of a task set: tasks in their order, videos in the task's order, frames ascending.

    tasks: the tasks.
    videos: (index of its task, plan) for each query video.
    counts: the number of frames of each video, shape (videos,).
    frames: the frame numbers of all videos, concatenated, shape (frames,).
    """

    tasks: tuple[Task, ...]
    videos: tuple[tuple[int, VideoPlan], ...]
    counts: Integers
    frames: Integers

    @classmethod
    def of(cls, task_set: TaskSet) -> Self:
        """Lay out a task set's query frames."""
        videos = tuple((place, plan) for place, task in enumerate(task_set.tasks) for plan in task.query)
        frames = [np.array(plan.frames, dtype=np.int64) for _, plan in videos]
        return cls(
            tasks=task_set.tasks,
            videos=videos,
            counts=np.array([len(part) for part in frames], dtype=np.int64),
            frames=np.concatenate(frames) if frames else np.zeros(0, dtype=np.int64),
        )

    @cached_property
    def users(self) -> tuple[str, ...]:
        """Users, sorted."""
        return tuple(sorted({task.user for task in self.tasks}))

    @cached_property
    def task_of_video(self) -> Integers:
        """The index of each video's task, shape (videos,)."""
        return np.array([place for place, _ in self.videos], dtype=np.int64)

    @cached_property
    def video_of_frame(self) -> Integers:
        """The index of each frame's video, shape (frames,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def locate(self, predictions: pd.DataFrame) -> Located:
        """Find each row by its user, task, video and frame number. Temporarily needs about 100 bytes per row."""
        user = _codes(predictions["user"], self.users)
        task_numbers = sorted({task.task for task in self.tasks})
        number = _codes(predictions["task"], task_numbers)
        user_code = {name: code for code, name in enumerate(self.users)}
        number_code = {name: code for code, name in enumerate(task_numbers)}
        task = _find(
            [user_code[task.user] * len(task_numbers) + number_code[task.task] for task in self.tasks],
            np.where((user < 0) | (number < 0), NOWHERE, user * len(task_numbers) + number),
        )
        names = sorted({plan.video for _, plan in self.videos})
        name = _codes(predictions["video"], names)
        name_code = {video: code for code, video in enumerate(names)}
        video = _find(
            [place * len(names) + name_code[plan.video] for place, plan in self.videos],
            np.where((task < 0) | (name < 0), NOWHERE, task * len(names) + name),
        )
        wanted = predictions["frame"].to_numpy(dtype=np.int64)
        span = int(self.frames.max(initial=0)) + 1
        frame = _find(
            self.video_of_frame * span + self.frames,
            np.where((video < 0) | (wanted < 0) | (wanted >= span), NOWHERE, video * span + wanted),
        )
        return Located(user=user, task=task, video=video, frame=frame)


def _codes(column: "pd.Series[Any]", known: Iterable[str] | Iterable[int]) -> Integers:
    """The index of each value in `known`, NOWHERE if it is missing. Looks up each distinct value once."""
    categories = column.astype("category").cat
    of_category = pd.Index(list(known)).get_indexer(pd.Index(categories.categories))
    # an empty cell has code -1, which selects the last entry
    return np.append(of_category, NOWHERE).astype(np.int64)[categories.codes.to_numpy()]


def _find(keys: list[int] | Integers, wanted: Integers) -> Integers:
    """The index of each wanted key in `keys` (distinct, not negative), NOWHERE if it is missing."""
    table = np.asarray(keys, dtype=np.int64)
    if len(table) == 0:
        return np.full(len(wanted), NOWHERE, dtype=np.int64)
    order = None if bool((np.diff(table) > 0).all()) else np.argsort(table)  # frames are already ascending
    place = np.minimum(np.searchsorted(table, wanted, sorter=order), len(table) - 1)
    found = place if order is None else order[place]
    return np.where(table[found] == wanted, found, NOWHERE)
