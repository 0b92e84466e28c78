"""Checks whether predictions are complete and valid for tasks, and lists all faults, grouped to be readable."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.formats.align import NOWHERE, Integers, Located, QueryFrames
from eval.formats.answers import ANSWER, AnswerKind, answer_kinds
from eval.formats.predictions import require_columns
from eval.formats.tasks import TaskSet
from groundwork.errors import DataError
from groundwork.words import counted

# softmax in float32 can be slightly above 1
HIGHEST_CONFIDENCE = 1 + 1e-6
SHOWN = 3


@dataclass(frozen=True)
class Fault:
    """One fault of a predictions table: of a video, or of a whole task or user that is missing or unknown.

    `task` is None and `video` is "" if it is about several. `rows` counts frames, `first` is the first of them.
    """

    user: str
    task: int | None
    video: str
    rows: int
    what: str
    first: int | None = None

    def __str__(self) -> str:
        """`user P177, task 3, video 'P177--bag--clutter--x': 12 frames missing, first 14`."""
        where = f"user {_name(self.user)}"
        where += "" if self.task is None else f", task {self.task}"
        where += f", video {self.video!r}" if self.video else ""
        first = "" if self.first is None else f", first {self.first}"
        return f"{where}: {counted(self.rows, 'frame')} {self.what}{first}"


def find_faults(task_set: TaskSet, predictions: pd.DataFrame) -> list[Fault]:
    """All missing, duplicate, unknown and out-of-range rows of a predictions table, grouped, in the tasks' order.

    Args:
        task_set: the tasks.
        predictions: columns of PREDICTION_COLUMNS or ANSWERED_COLUMNS, rows in any order.

    Raises:
        DataError: if a column is missing or has another type.
    """
    require_columns(predictions, source="predictions")
    query = QueryFrames.of(task_set)
    return _faults(query, query.locate(predictions), predictions)


def has_confidences(predictions: pd.DataFrame) -> bool:
    """Whether there are confidences. For a results.json the column is always empty (pd.NA).

    NaN does not count as empty: it comes from a broken recognizer and is a fault.
    """
    column = predictions["confidence"]
    return isinstance(column.dtype, np.dtype) or len(column) == 0 or not bool(column.isna().all())


def require_whole(
    query: QueryFrames, located: Located, predictions: pd.DataFrame, *, source: str = "predictions"
) -> None:
    """Raise DataError, with the number of faults and the first of them, unless predictions are complete and valid."""
    faults = _faults(query, located, predictions)
    if faults:
        shown = "; ".join(map(str, faults[:SHOWN])) + ("; …" if len(faults) > SHOWN else "")
        raise DataError(
            f"{source}: the predictions don't match the tasks, {counted(len(faults), 'fault')}: {shown}. Nothing "
            "was scored or written; predict these tasks again ('python -m eval check' lists all faults)"
        )


def _faults(query: QueryFrames, located: Located, predictions: pd.DataFrame) -> list[Fault]:
    times = np.bincount(located.frame[located.frame != NOWHERE], minlength=len(query.frames))
    return [
        *_missing(query, np.flatnonzero(times == 0)),
        *_doubled(query, np.flatnonzero(times > 1)),
        *_foreign(located, predictions),
        *_out_of_range(query, located, predictions),
        *_illegal_answers(query, located, predictions),
    ]


def _missing(query: QueryFrames, places: Integers) -> Iterator[Fault]:
    """Missing frames by video, or by task or user if all of its frames are missing."""
    if len(places) == 0:
        return
    of_video = np.bincount(query.video_of_frame[places], minlength=len(query.videos))
    first = dict(zip(*_firsts(query, places), strict=True))
    task_of_video, tasks = query.task_of_video, len(query.tasks)
    of_task = np.bincount(task_of_video, weights=of_video, minlength=tasks).astype(np.int64)
    task_size = np.bincount(task_of_video, weights=query.counts, minlength=tasks).astype(np.int64)
    all_there_are = "missing, which is all of them"
    for user in query.users:
        own = [place for place, task in enumerate(query.tasks) if task.user == user]
        rows = int(of_task[own].sum())
        if rows == task_size[own].sum() > 0:
            yield Fault(user, None, "", rows, all_there_are)
            continue
        for place in own:
            task = query.tasks[place]
            if of_task[place] == task_size[place] > 0:
                yield Fault(user, task.task, "", int(of_task[place]), all_there_are)
                continue
            for video in np.flatnonzero((task_of_video == place) & (of_video > 0)) if of_task[place] else ():
                name = query.videos[video][1].video
                yield Fault(user, task.task, name, int(of_video[video]), "missing", first[int(video)])


def _doubled(query: QueryFrames, places: Integers) -> Iterator[Fault]:
    rows = np.bincount(query.video_of_frame[places], minlength=len(query.videos))
    for video, first in zip(*_firsts(query, places), strict=True):
        place, plan = query.videos[video]
        task = query.tasks[place]
        yield Fault(task.user, task.task, plan.video, int(rows[video]), "predicted more than once", first)


def _firsts(query: QueryFrames, places: Integers) -> tuple[list[int], list[int]]:
    """The videos of some ascending flat indices, and the number of the first frame in each."""
    videos, index = np.unique(query.video_of_frame[places], return_index=True)
    return videos.tolist(), query.frames[places[index]].tolist()


def _foreign(located: Located, predictions: pd.DataFrame) -> Iterator[Fault]:
    """Rows that no task contains, reported at the level of the first mismatch."""
    stray_user = located.user == NOWHERE
    stray_task = (located.task == NOWHERE) & ~stray_user
    stray_video = (located.video == NOWHERE) & (located.task != NOWHERE)
    stray_frame = (located.frame == NOWHERE) & (located.video != NOWHERE)
    yield from _grouped(predictions, stray_user, ["user"], "of a user who is not in the tasks")
    yield from _grouped(predictions, stray_task, ["user", "task"], "of a task that the user does not have")
    yield from _grouped(
        predictions, stray_video, ["user", "task", "video"], "of a video that is not in the task's query set"
    )
    yield from _grouped(predictions, stray_frame, ["user", "task", "video"], "that are not in the task")


def _out_of_range(query: QueryFrames, located: Located, predictions: pd.DataFrame) -> Iterator[Fault]:
    outside = (located.task != NOWHERE) & ~_in_range(query, located, predictions)
    what = "predicted as a class that the task does not have"
    yield from _grouped(predictions, outside, ["user", "task", "video"], what)
    if not has_confidences(predictions):
        return
    confidence = predictions["confidence"].to_numpy(dtype=np.float64, na_value=np.nan)
    legal = (confidence >= 0) & (confidence <= HIGHEST_CONFIDENCE)  # False for NaN
    what = "with a confidence that is not a number from 0 to 1"
    yield from _grouped(predictions, ~legal, ["user", "task", "video"], what)


def _illegal_answers(query: QueryFrames, located: Located, predictions: pd.DataFrame) -> Iterator[Fault]:
    if ANSWER not in predictions:
        return
    inside = np.flatnonzero(_in_range(query, located, predictions))
    kinds = answer_kinds(query.tasks, located.task[inside], predictions.iloc[inside])
    illegal = np.zeros(len(predictions), dtype=np.bool_)
    illegal[inside] = kinds == AnswerKind.ILLEGAL
    what = "with an answer that is neither the predicted object, with or without 'maybe', nor none of these"
    yield from _grouped(predictions, illegal, ["user", "task", "video"], what)


def _in_range(query: QueryFrames, located: Located, predictions: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each row belongs to a task and its prediction is one of the task's classes."""
    way = np.array([*(task.way for task in query.tasks), 0], dtype=np.int64)  # NOWHERE selects the last
    classes = predictions["prediction"].to_numpy()
    inside: NDArray[np.bool_] = (classes >= 0) & (classes < way[located.task])
    return inside


def _grouped(predictions: pd.DataFrame, rows: NDArray[np.bool_], keys: list[str], what: str) -> Iterator[Fault]:
    """Faulty rows grouped by the keys; if the keys include the video, the fault names the first frame."""
    if not rows.any():
        return
    chosen = predictions.loc[rows, [*keys, "frame"]]
    groups = chosen.groupby(keys, observed=True, dropna=False)["frame"].agg(["size", "min"]).reset_index()
    for row in groups.to_dict("records"):
        first = int(row["min"]) if "video" in row else None
        task = int(row["task"]) if "task" in row else None
        yield Fault(str(row["user"]), task, str(row.get("video", "")), int(row["size"]), what, first)


def _name(user: str) -> str:
    return user if user.isalnum() else repr(user)
