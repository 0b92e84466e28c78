"""The records at eval's border, and their files: tasks.jsonl, predictions.parquet, scorecard.json.

Each file carries a schema number; a reader refuses one that it does not know.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import whole_file

TASKS_SCHEMA = 1
PREDICTIONS_SCHEMA = 1

PREDICTION_COLUMNS = pa.schema(
    [
        pa.field("user", pa.string(), nullable=False),
        pa.field("task", pa.int32(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("prediction", pa.int32(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class VideoPlan:
    """Which frames of one video a task takes.

    `frames` are numbers from file names, from 1. In the support set of a task with clips of L frames, each L in a row
    are one clip. In the query set they are the frames to predict, rising.
    """

    video: str
    label: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One few-shot task of one user: a plan, no pixels. A label is an index into `objects` (sorted folder names)."""

    user: str
    task: int
    objects: tuple[str, ...]
    support: tuple[VideoPlan, ...]
    query: tuple[VideoPlan, ...]
    clip_length: int = 1

    @property
    def way(self) -> int:
        """Number of classes."""
        return len(self.objects)


@dataclass(frozen=True)
class LeftOut:
    """An object, or one video of it (`video` is "" for a whole object), that is in no task of its user, and why."""

    user: str
    object: str
    video: str
    reason: str


@dataclass(frozen=True)
class TaskSet:
    """All tasks that one protocol draws from one split of one tree: the manifest that predict and score both read.

    `every_query_frame` is False where the protocol takes a sample of a video's frames: frames-to-recognition and
    video accuracy then speak of that sample only. `data_fingerprint` is the index's.
    """

    protocol: str
    split: str
    seed: int
    every_query_frame: bool
    data_fingerprint: str
    left_out: tuple[LeftOut, ...]
    tasks: tuple[Task, ...]
