"""Measures the seconds to personalize: one support set at a time, separately from predicting."""

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch

from eval.formats.records import Task, VideoPlan
from groundwork.csv_cells import open_csv
from groundwork.errors import DataError
from groundwork.files import csv_text, write_text
from groundwork.progress import Progress
from groundwork.words import counted
from orbit_lite.costs.measuring import seconds_of
from orbit_lite.data.frames import FrameSource
from orbit_lite.data.loader import ReadSupport, read_ahead
from orbit_lite.models.recognizer import Recognizer


@dataclass(frozen=True)
class TaskSeconds:
    """How long personalizing to one task's support set took, on which device, with how many CPU threads."""

    user: str
    task: int
    seconds: float
    device: str
    threads: int


COLUMNS = [field.name for field in fields(TaskSeconds)]


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's model name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def time_personalizing(
    recognizer: Recognizer, tasks: Sequence[Task], source: FrameSource, path: Path, *, quiet: bool = False
) -> list[TaskSeconds]:
    """Measure each distinct support set once, from frames in main memory to a fitted recognizer.

    Nothing else is read or computed during a measurement. `path`, with one row per task, is rewritten after each
    support set; tasks that it already holds are not measured again.

    Args:
        recognizer: already on the device that computes.
        tasks: the tasks to measure.
        source: where the pixels come from.
        path: the CSV file to write or to continue.
        quiet: show no progress.

    Returns:
        one entry per task, in the same order; tasks with the same support set have the same seconds.

    Raises:
        DataError: if `path` is not such a CSV file, or a frame can't be read.
    """
    found = {(row.user, row.task): row for row in _read(path)} if path.exists() else {}
    left: dict[tuple[str, tuple[VideoPlan, ...]], list[Task]] = {}
    for task in tasks:
        if (task.user, task.task) not in found:
            left.setdefault((task.user, task.support), []).append(task)
    device, threads = device_name(recognizer.device), torch.get_num_threads()
    with Progress("support sets timed", len(left), quiet=quiet) as progress:
        for place, alike in enumerate(left.values()):
            seconds = _measure(recognizer, alike[0], source, warm=place > 0)
            found |= {(t.user, t.task): TaskSeconds(t.user, t.task, seconds, device, threads) for t in alike}
            rows = [found[t.user, t.task] for t in tasks if (t.user, t.task) in found]
            write_text(path, csv_text(COLUMNS, map(astuple, rows)))
            progress.advance()
    return [found[task.user, task.task] for task in tasks]


def measured_on(rows: Sequence[TaskSeconds]) -> str:
    """`cpu, 2 CPU threads`; several if a run was resumed on another machine."""
    places = dict.fromkeys((row.device, row.threads) for row in rows)
    return " and ".join(f"{device}, {counted(count, 'CPU thread')}" for device, count in places)


def _measure(recognizer: Recognizer, task: Task, source: FrameSource, *, warm: bool) -> float:
    [(images, labels, videos)] = read_ahead([task], ReadSupport(source), workers=source.least_workers)
    if not warm:  # the very first run also loads libraries and chooses kernels
        first = torch.tensor([int((labels == label).nonzero()[0, 0]) for label in range(task.way)])
        recognizer.personalize(images[first], labels[first], videos=videos[first])
    return seconds_of(lambda: recognizer.personalize(images, labels, videos=videos), recognizer.device)


def _read(path: Path) -> list[TaskSeconds]:
    try:
        with open_csv(path, strict=True) as rows:
            if (heading := next(rows, [])) != COLUMNS:
                raise ValueError(heading)
            return [_parsed(dict(zip(heading, row, strict=True))) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: not a file of measured seconds written by this kit; delete it, then run the same command again"
        ) from error


def _parsed(row: dict[str, str]) -> TaskSeconds:
    seconds = float(row["seconds"])
    if not 0 <= seconds < math.inf:
        raise ValueError(seconds)
    return TaskSeconds(row["user"], int(row["task"]), seconds, row["device"], int(row["threads"]))
