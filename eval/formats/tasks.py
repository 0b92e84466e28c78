"""Tasks, the plans that predict and score both read, and their file: tasks.jsonl, a header and then a task a line."""

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
    """Which frames of one video a task takes.

    `frames` are numbers from file names, from 1. In the support set of a task with clips of L frames, each L in a row
    are one clip. In the query set they are the frames to predict, rising.
    """

    __pydantic_config__ = _STRICT

    video: Name
    label: Whole
    frames: tuple[Positive, ...]


@dataclass(frozen=True)
class Task:
    """One few-shot task of one user: a plan, no pixels. A label is an index into `objects` (sorted folder names)."""

    __pydantic_config__ = _STRICT

    user: Name
    task: Whole
    objects: tuple[Name, ...]
    support: tuple[VideoPlan, ...]
    query: tuple[VideoPlan, ...]
    clip_length: Positive = 1

    @property
    def way(self) -> int:
        """Number of classes."""
        return len(self.objects)


@dataclass(frozen=True)
class LeftOut:
    """An object, or one video of it (`video` is "" for a whole object), that is in no task of its user, and why."""

    __pydantic_config__ = _STRICT

    user: str
    object: str
    video: str
    reason: str


@dataclass(frozen=True)
class TaskSet:
    """All tasks that one protocol draws from one split of one tree: the manifest that predict and score both read.

    `every_query_frame` is False where the protocol takes a sample of a video's frames: frames-to-recognition and
    video accuracy then speak of that sample only. `data_fingerprint` is the index's. `single_images` is True where each
    plan is of one frame, without an order in time: a task is then scored as a whole.
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
    """The first line of tasks.jsonl. `tasks` is how many lines follow, so that a file that was cut off is noticed."""

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
    """Write tasks.jsonl, whole or not at all.

    Raises:
        DataError: if a name holds bytes that are no UTF-8.
    """
    with whole_file(path) as file:
        for line in _lines(task_set):
            file.write(line)


def tasks_fingerprint(task_set: TaskSet) -> str:
    """A fingerprint of all that tasks.jsonl would hold: two task sets are the same if and only if it is."""
    digest = hashlib.sha256()
    for line in _lines(task_set):
        digest.update(line)
    return digest.hexdigest()


def read_tasks(path: Path) -> TaskSet:
    """Read tasks.jsonl, strictly.

    Raises:
        UsageError: if there is no such file.
        DataError: if it isn't a whole and consistent tasks file; names file and line.
    """
    require_file(path, "a tasks file (tasks.jsonl)")
    tasks: dict[tuple[str, int], Task] = {}
    with path.open("rb") as file:
        header = _read_header(file.readline(), f"{path}:1")
        for number, line in enumerate(file, start=2):
            where = f"{path}:{number}"
            task = _read_task(line, where)
            if (task.user, task.task) in tasks:
                raise DataError(f"{where}: user {task.user!r}, task {task.task} is there a second time")
            if header.single_images and any(len(plan.frames) > 1 for plan in (*task.support, *task.query)):
                raise DataError(f"{where}: user {task.user!r}, task {task.task}: an image of several frames")
            tasks[task.user, task.task] = task
    if len(tasks) != header.tasks:
        raise DataError(
            f"{path}:{len(tasks) + 1}: the file ends after {counted(len(tasks), 'task')}, its header says"
            f" {header.tasks}; cut off? Draw the tasks again"
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
        **({"single_images": True} if task_set.single_images else {}),  # new in a file: others keep their fingerprints
        "tasks": len(task_set.tasks),
    }
    for record in chain([header], map(_task_fields, task_set.tasks)):
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            yield line.encode() + b"\n"
        except UnicodeEncodeError as error:
            raise DataError(
                f"{error.object[max(error.start - 40, 0) : error.end]!a}: a name that is no UTF-8"
            ) from error


# The fields by name, in the order of the file. Its bytes are the task set's fingerprint, so that a field that is added
# to a record, or moved in it, must not reach the file by itself.
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
    parse_object(line, where)  # a key that is there twice, which pydantic's reader would pass over
    try:
        task = _TASK.validate_json(line)
    except ValidationError as error:
        raise DataError(f"{where}: {first_fault(error)}") from error
    fault = _fault(task)
    if fault:
        raise DataError(f"{where}: user {task.user!r}, task {task.task}: {fault}")
    return task


def _fault(task: Task) -> str:
    """What a task's parts say against one another; "" if nothing."""
    if not task.objects or len(set(task.objects)) < task.way:
        return "objects are missing or there twice"
    for role, plans in (("support", task.support), ("query", task.query)):
        if len({plan.video for plan in plans}) < len(plans):
            return f"a {role} video is there twice"
        for plan in plans:
            if plan.label >= task.way:
                return f"{role} video {plan.video!r} has label {plan.label}, labels are 0 to {task.way - 1}"
            if not plan.frames:
                return f"{role} video {plan.video!r} has no frames"
    for plan in task.query:
        if any(frame >= following for frame, following in pairwise(plan.frames)):
            return f"query video {plan.video!r}: frames aren't rising"
    return ""
