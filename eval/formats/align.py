"""Tasks' query frames as flat arrays, and where each row of a predictions table falls among them."""

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
    """Where each row of a predictions table falls in the tasks; NOWHERE where it doesn't. All of shape (rows,).

    user: its user's place among QueryFrames.users. task: its task's place among QueryFrames.tasks. video: its video's
    place among QueryFrames.videos. frame: its frame's place among QueryFrames.frames.
    """

    user: Integers
    task: Integers
    video: Integers
    frame: Integers


@dataclass(frozen=True, eq=False)
class QueryFrames:
    """Every frame that a task set asks for: tasks in their order, videos in the task's, frames rising.

    tasks: the tasks. videos: (place of its task, plan) of each query video. counts: frames of each video, shape
    (videos,). frames: frame numbers of all videos, end to end, shape (frames,).
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
        """Each video's place among the tasks, shape (videos,)."""
        return np.array([place for place, _ in self.videos], dtype=np.int64)

    @cached_property
    def video_of_frame(self) -> Integers:
        """Each frame's place among the videos, shape (frames,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def locate(self, predictions: pd.DataFrame) -> Located:
        """Find each row's place by its user, task, video and frame number. Needs some 100 bytes a row for a moment."""
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
    """Each value's place among `known`, NOWHERE if it isn't among them. Looks every different value up once."""
    categories = column.astype("category").cat
    of_category = pd.Index(list(known)).get_indexer(pd.Index(categories.categories))
    # an empty place has code -1 and so takes the last entry
    return np.append(of_category, NOWHERE).astype(np.int64)[categories.codes.to_numpy()]


def _find(keys: list[int] | Integers, wanted: Integers) -> Integers:
    """Each wanted key's place among `keys` (all different, none negative), NOWHERE if it isn't among them."""
    table = np.asarray(keys, dtype=np.int64)
    if len(table) == 0:
        return np.full(len(wanted), NOWHERE, dtype=np.int64)
    order = None if bool((np.diff(table) > 0).all()) else np.argsort(table)  # frames rise as they are
    place = np.minimum(np.searchsorted(table, wanted, sorter=order), len(table) - 1)
    found = place if order is None else order[place]
    return np.where(table[found] == wanted, found, NOWHERE)
