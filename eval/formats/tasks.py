"""Tasks, the plans that predict and score read, and their file, tasks.jsonl: a header, then one task per line."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from eval.formats.reading import parse_object, require_file, require_schema
from groundwork.errors import DataError
from groundwork.files import whole_file
from groundwork.strict_model import NOTHING_UNKNOWN, first_fault
from groundwork.words import counted

TASKS_SCHEMA = 1
KIND = "tasks"

Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]

_STRICT = ConfigDict(**NOTHING_UNKNOWN, strict=True)  # how pydantic reads these dataclasses from JSON


@dataclass(frozen=True)
class VideoPlan:
    """The frames of one video in a task.

    `frames` are the numbers in file names, from 1. In the support set of a task with clips of L frames, each L
    consecutive entries are one clip. In the query set they are the frames to predict, ascending.
    """

    __pydantic_config__ = _STRICT

    video: Name
    label: Whole
    frames: tuple[Positive, ...]


@dataclass(frozen=True)
class Task:
    """One few-shot task of one user, as a plan without pixels. A label is an index into `objects` (sorted folder
    names)."""

    __pydantic_config__ = _STRICT

    user: Name
    task: Whole
    objects: tuple[Name, ...]
    support: tuple[VideoPlan, ...]
    query: tuple[VideoPlan, ...]
    clip_length: Positive = 1

    @property
    def way(self) -> int:
        """The number of classes."""
        return len(self.objects)


@dataclass(frozen=True)
class LeftOut:
    """An object (then `video` is "") or a video that is in no task of its user, and the reason."""

    __pydantic_config__ = _STRICT

    user: str
    object: str
    video: str
    reason: str


@dataclass(frozen=True)
class TaskSet:
    """All tasks that a protocol draws from one split of a tree: the manifest that predict and score read.

    `every_query_frame` is False if the protocol samples a video's frames; frames-to-recognition and video accuracy are
    then only about that sample. `data_fingerprint` is the index's. `single_images` is True if each plan has one frame,
    without an order in time; a task is then scored as a whole.
    """

    protocol: str
    split: str
    seed: int
    every_query_frame: bool
    data_fingerprint: str
    left_out: tuple[LeftOut, ...]
    tasks: tuple[Task, ...]
    single_images: bool = False


class _Header(BaseModel):
    """The first line of tasks.jsonl. `tasks` is the number of lines that follow, so that truncation is detected."""

    model_config = _STRICT

    kind: Literal["tasks"]
    schema_number: int = Field(alias="schema")
    protocol: str
    split: str
    seed: int
    every_query_frame: bool
    data_fingerprint: str
    left_out: tuple[LeftOut, ...]
    single_images: bool = False
    tasks: Whole


_TASK = TypeAdapter(Task)


def write_tasks(path: Path, task_set: TaskSet) -> None:
    """Write tasks.jsonl atomically.

    Raises:
        DataError: if a name is not valid UTF-8.
    """
    with whole_file(path) as file:
        for line in _lines(task_set):
            file.write(line)


def tasks_fingerprint(task_set: TaskSet) -> str:
    """A fingerprint of the content of tasks.jsonl: it is equal for two task sets if and only if they are the same."""
    digest = hashlib.sha256()
    for line in _lines(task_set):
        digest.update(line)
    return digest.hexdigest()


def read_tasks(path: Path) -> TaskSet:
    """Read tasks.jsonl strictly.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is not a complete and consistent tasks file; the message names file and line.
    """
    require_file(path, "a tasks file (tasks.jsonl)")
    tasks: dict[tuple[str, int], Task] = {}
    with path.open("rb") as file:
        header = _read_header(file.readline(), f"{path}:1")
        for number, line in enumerate(file, start=2):
            where = f"{path}:{number}"
            task = _read_task(line, where)
            if (task.user, task.task) in tasks:
                raise DataError(f"{where}: user {task.user!r}, task {task.task} appears twice")
            if header.single_images and any(len(plan.frames) > 1 for plan in (*task.support, *task.query)):
                raise DataError(f"{where}: user {task.user!r}, task {task.task}: an image with several frames")
            tasks[task.user, task.task] = task
    if len(tasks) != header.tasks:
        raise DataError(
            f"{path}:{len(tasks) + 1}: the file ends after {counted(len(tasks), 'task')}, but its header says "
            f"{header.tasks}. It may be truncated; draw the tasks again"
        )
    return TaskSet(
        protocol=header.protocol,
        split=header.split,
        seed=header.seed,
        every_query_frame=header.every_query_frame,
        data_fingerprint=header.data_fingerprint,
        left_out=header.left_out,
        tasks=tuple(tasks.values()),
        single_images=header.single_images,
    )


def _lines(task_set: TaskSet) -> Iterator[bytes]:
    header = {
        "schema": TASKS_SCHEMA,
        "kind": KIND,
        "protocol": task_set.protocol,
        "split": task_set.split,
        "seed": task_set.seed,
        "every_query_frame": task_set.every_query_frame,
        "data_fingerprint": task_set.data_fingerprint,
        "left_out": [_left_out_fields(entry) for entry in task_set.left_out],
        # only written if True, so that older files keep their fingerprints
        **({"single_images": True} if task_set.single_images else {}),
        "tasks": len(task_set.tasks),
    }
    for record in chain([header], map(_task_fields, task_set.tasks)):
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            yield line.encode() + b"\n"
        except UnicodeEncodeError as error:
            raise DataError(
                f"{error.object[max(error.start - 40, 0) : error.end]!a}: a name that is not valid UTF-8"
            ) from error


# The fields by name, in the order of the file. The file's bytes determine the fingerprint, so adding or moving a
# record's field must not change the file automatically.
def _task_fields(task: Task) -> dict[str, object]:
    return {
        "user": task.user,
        "task": task.task,
        "objects": task.objects,
        "support": [_plan_fields(plan) for plan in task.support],
        "query": [_plan_fields(plan) for plan in task.query],
        "clip_length": task.clip_length,
    }


def _plan_fields(plan: VideoPlan) -> dict[str, object]:
    return {"video": plan.video, "label": plan.label, "frames": plan.frames}


def _left_out_fields(entry: LeftOut) -> dict[str, object]:
    return {"user": entry.user, "object": entry.object, "video": entry.video, "reason": entry.reason}


def _read_header(line: bytes, where: str) -> _Header:
    require_schema(parse_object(line, where), where, kind=KIND, schema=TASKS_SCHEMA)
    try:
        return _Header.model_validate_json(line)
    except ValidationError as error:
        raise DataError(f"{where}: {first_fault(error, _Header)}") from error


def _read_task(line: bytes, where: str) -> Task:
    parse_object(line, where)  # detects duplicate keys, which pydantic's reader ignores
    try:
        task = _TASK.validate_json(line)
    except ValidationError as error:
        raise DataError(f"{where}: {first_fault(error)}") from error
    fault = _fault(task)
    if fault:
        raise DataError(f"{where}: user {task.user!r}, task {task.task}: {fault}")
    return task


def _fault(task: Task) -> str:
    """A contradiction between a task's parts; "" if there is none."""
    if not task.objects or len(set(task.objects)) < task.way:
        return "objects are missing or listed twice"
    for role, plans in (("support", task.support), ("query", task.query)):
        if len({plan.video for plan in plans}) < len(plans):
            return f"a {role} video appears twice"
        for plan in plans:
            if plan.label >= task.way:
                return f"{role} video {plan.video!r} has label {plan.label}; expected 0 to {task.way - 1}"
            if not plan.frames:
                return f"{role} video {plan.video!r} has no frames"
    for plan in task.query:
        if any(frame >= following for frame, following in pairwise(plan.frames)):
            return f"query video {plan.video!r}: frames are not ascending"
    return ""
