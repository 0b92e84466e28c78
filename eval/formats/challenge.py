"""Reads and writes the published results.json formats of the ORBIT challenges 2022 and 2023/24.

    2023  {user: [{"task_object_list": [name, …], "task_macs_to_personalise": 4780000000000,
                   "task_videos": {video: {"17": predicted index, …}, …}}, …]}
    2022  {user: {"user_objects": [name, …], "user_videos": {video: [predicted index of frame 1, of frame 2, …]}}}

An index refers to the list next to it, which can have any order. MACs can be missing, or strings such as "4.78T", as
the published implementation writes them. Neither format has confidences.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.formats.align import QueryFrames
from eval.formats.check import require_whole
from eval.formats.predictions import require_columns
from eval.formats.results_file import FORMS, Entry, Form, quoted, read_entries
from eval.formats.scorecard import Cost, TaskCost
from eval.formats.tasks import Task, TaskSet, VideoPlan
from groundwork.errors import DataError, UsageError
from groundwork.files import write_bytes
from groundwork.words import counted

SHOWN = 3

UNCHECKED_START = "The tasks were taken from the results file itself"  # also of this note in earlier releases
UNCHECKED_NOTE = (
    f"{UNCHECKED_START}, and the labels from its videos' names. Without the "
    "protocol's tasks it can't be checked that the file has every user, task, video and frame, that its frames "
    "show the object and were drawn correctly, and how the recognizer was personalized."
)


@dataclass(frozen=True, eq=False)
class Results:
    """The content of a results.json. `derived` is True if the tasks were taken from the file itself.

    predictions: one row per frame, as in predictions.parquet, with indices into the tasks' objects; `confidence` is
        always empty (pd.NA).
    macs_to_personalize: from the file, by user and task; None where they are missing.
    """

    form: Form
    tasks: TaskSet
    predictions: pd.DataFrame
    macs_to_personalize: dict[tuple[str, int], int | None]
    derived: bool

    @property
    def cost(self) -> Cost | None:
        """The MACs for the scorecard; None unless every task has a number."""
        counts = self.macs_to_personalize
        if not counts or None in counts.values():
            return None
        rows = [TaskCost(user=user, task=task, macs_to_personalize_thop=n) for (user, task), n in counts.items()]
        return Cost.of(rows, source="taken from the results file, not counted again")


def read_results(path: Path, tasks: TaskSet | None = None) -> Results:
    """Read a results.json of 2022 or 2023/24; the file's structure tells which.

    With `tasks`, a user's n-th entry is that user's n-th task, by number; eval.formats.check then lists missing and
    unknown rows. Without `tasks`, they are taken from the file: objects in sorted order, a video's label from its name
    (USER--OBJECT--TYPE--ID, spaces as dashes), empty support sets, protocol `results-2022` or `results-2023`.

    Raises:
        UsageError: if there is no such file, or it is of 2022 (one task per user) and there are more tasks.
        DataError: if it is too large, damaged or of another form, if its object lists differ from the tasks', or if
            tasks are taken from it and a video's name does not identify its object. The message names the place.
    """
    form, entries = read_entries(path)
    task_set = _derived(form, entries, path) if tasks is None else tasks
    numbers: dict[str, list[int]] = {}
    for task in sorted(task_set.tasks, key=lambda task: task.task):
        numbers.setdefault(task.user, []).append(task.task)
    if form == "2022" and any(len(own) > 1 for own in numbers.values()):
        raise UsageError(
            f"{path}: the 2022 form has one task per user, but these tasks have more. Use the tasks that the file "
            "was made for"
        )
    known = {(task.user, task.task): task for task in task_set.tasks}
    rows, macs, faults = _Rows(), {}, []
    for entry in entries:
        own = numbers.get(entry.user, [])
        beyond = entry.place - len(own)
        number = own[entry.place] if beyond < 0 else max(own, default=-1) + 1 + beyond
        asked = known.get((entry.user, number))
        classes = list(range(len(entry.objects)))
        if asked is not None:
            classes, fault = _classes(entry.objects, asked.objects)
            faults += [f"{entry.where}: {fault}"] if fault else []
        rows.add(entry, number, np.array([*classes, -1], dtype=np.int64))  # -1 selects the last
        macs[entry.user, number] = entry.macs
    if faults:
        wrong = counted(len(faults), "list of objects differs", "lists of objects differ")
        shown = "; ".join(faults[:SHOWN]) + ("; …" if len(faults) > SHOWN else "")
        raise DataError(f"{path}: {wrong} from the tasks: {shown}. Nothing was scored")
    return Results(form, task_set, rows.table(), macs, derived=tasks is None)


def write_results(
    path: Path,
    predictions: pd.DataFrame,
    tasks: TaskSet,
    *,
    form: Form = "2023",
    macs_to_personalize: Mapping[tuple[str, int], int] | None = None,
    source: str = "predictions",
) -> None:
    """Write a results.json atomically; a user's tasks by number, objects in the tasks' order.

    Args:
        path: the file to write.
        predictions: columns of PREDICTION_COLUMNS, complete and valid for the tasks. Confidences are dropped.
        tasks: the tasks.
        form: 2022 can hold one task per user and frames 1 to n of each video, 2023 any tasks.
        macs_to_personalize: by user and task, for the 2023 form; without it the key is left out.
        source: the name of the predictions in errors, such as the file's path.

    Raises:
        UsageError: if the form can't hold these tasks, or is unknown.
        DataError: if the predictions are not complete and valid.
    """
    if form not in FORMS:
        raise UsageError(f"unknown form {form!r} of results.json; known: {', '.join(FORMS)}")
    if form == "2022" and macs_to_personalize is not None:
        raise UsageError("form 2022 can't hold MACs; use 2023, or leave --scorecard out")
    require_columns(predictions, source=source)
    query = QueryFrames.of(tasks)
    located = query.locate(predictions)
    require_whole(query, located, predictions, source=source)
    predicted = np.empty(len(query.frames), dtype=np.int64)
    predicted[located.frame] = predictions["prediction"].to_numpy()
    ends = np.cumsum(query.counts)
    videos: list[dict[str, Any]] = [{} for _ in query.tasks]
    for (place, plan), end, count in zip(query.videos, ends, query.counts, strict=True):
        classes = predicted[end - count : end].tolist()
        if form == "2022" and plan.frames != tuple(range(1, len(plan.frames) + 1)):
            raise UsageError(
                f"form 2022 has no frame numbers, but the frames of video {plan.video!r} are not 1 to n; use 2023"
            )
        videos[place][plan.video] = (
            classes if form == "2022" else dict(zip(map(str, plan.frames), classes, strict=True))
        )
    content: dict[str, Any] = {}
    for place in sorted(range(len(query.tasks)), key=lambda place: query.tasks[place].task):
        task = query.tasks[place]
        if form == "2023":
            entry: dict[str, Any] = {"task_object_list": list(task.objects)}
            if macs_to_personalize is not None:
                entry["task_macs_to_personalise"] = int(macs_to_personalize[task.user, task.task])
            content.setdefault(task.user, []).append(entry | {"task_videos": videos[place]})
        elif task.user in content:
            raise UsageError(f"form 2022 holds one task per user, but {task.user!r} has more; use 2023")
        else:
            content[task.user] = {"user_objects": list(task.objects), "user_videos": videos[place]}
    users = {user: content[user] for user in query.users}
    write_bytes(path, json.dumps(users, separators=(",", ":")).encode() + b"\n")


class _Rows:
    """Collects a table's rows, one video at a time."""

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._videos: dict[str, int] = {}
        self._places: list[tuple[int, int, int, int]] = []  # user, task, video, rows
        self._frames: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        self._predicted: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]

    def add(self, entry: Entry, number: int, classes: NDArray[np.int64]) -> None:
        """Add one entry's rows; `classes` maps its indices to the task's, and its last element is for invalid
        indices."""
        user = self._users.setdefault(entry.user, len(self._users))
        for video in entry.videos:
            name = self._videos.setdefault(video.name, len(self._videos))
            self._places.append((user, number, name, len(video.frames)))
            self._frames.append(video.frames)
            self._predicted.append(classes[video.predicted])

    def table(self) -> pd.DataFrame:
        """All rows, with the columns of eval.formats.predictions."""
        user, task, video, counts = np.array(self._places, dtype=np.int64).reshape(-1, 4).T
        rows = int(counts.sum())
        users, videos = pd.Index(list(self._users), dtype="str"), pd.Index(list(self._videos), dtype="str")
        return pd.DataFrame(
            {
                "user": pd.Categorical.from_codes(np.repeat(user, counts), users),
                "task": np.repeat(task, counts).astype(np.int32),
                "video": pd.Categorical.from_codes(np.repeat(video, counts), videos),
                "frame": np.concatenate(self._frames).astype(np.int32),
                "prediction": np.concatenate(self._predicted).astype(np.int32),
                "confidence": pd.arrays.FloatingArray(np.zeros(rows, dtype=np.float32), np.ones(rows, dtype=np.bool_)),
            }
        )


def _classes(theirs: Sequence[str], ours: Sequence[str]) -> tuple[list[int], str]:
    """Our class for each of their objects, by name or by slug; and the error in the list, or ""."""
    place = {_slug(name): at for at, name in enumerate(ours)} | {name: at for at, name in enumerate(ours)}
    classes = [place.get(name, place.get(_slug(name), -1)) for name in theirs]
    foreign = [name for name, at in zip(theirs, classes, strict=True) if at < 0]
    missing = [name for at, name in enumerate(ours) if at not in classes]
    parts = [f"has {quoted(foreign[0])}, which is not in the task"] if foreign else []
    parts += [f"lacks {quoted(missing[0])}"] if missing else []
    return classes, " and ".join(parts) or ("lists an object twice" if len(set(classes)) < len(classes) else "")


def _derived(form: Form, entries: Sequence[Entry], path: Path) -> TaskSet:
    tasks = []
    for entry in entries:
        where = f"{path}: {entry.where}"
        objects = tuple(sorted(entry.objects))
        query = []
        for video in entry.videos:
            if not len(video.frames) or video.frames.min() < 1:
                fault = "has frame 0, but frames count from 1" if len(video.frames) else "has no frames"
                raise DataError(f"{where}, video {quoted(video.name)}: {fault}")
            frames = tuple(np.unique(video.frames).tolist())
            query.append(VideoPlan(video.name, _label(entry.user, video.name, objects, where), frames))
        tasks.append(Task(entry.user, entry.place, objects, (), tuple(query)))
    return TaskSet(
        protocol=f"results-{form}",
        split="",
        seed=0,
        every_query_frame=form == "2022",
        data_fingerprint="",
        left_out=(),
        tasks=tuple(tasks),
    )


def _label(user: str, video: str, objects: Sequence[str], where: str) -> int:
    """The index of the object in a video's name: USER--OBJECT--TYPE--ID."""
    rest = video[len(user) + 2 :] if video.startswith(f"{user}--") else video.partition("--")[2]
    found = [label for label, name in enumerate(objects) if _nfc(rest).startswith(f"{_slug(name)}--")]
    if len(found) != 1:
        fault = (
            f"its name matches {len(found)} of the task's objects"
            if found
            else "its name matches none of the task's objects"
        )
        raise DataError(
            f"{where}, video {quoted(video)}: {fault}, so its label is unknown; score with the tasks that it was "
            "made for (--tasks)"
        )
    return found[0]


def _slug(name: str) -> str:
    """An object's name as in a video's name, with dashes for spaces."""
    return _nfc(name).replace(" ", "-")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
