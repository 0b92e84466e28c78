"""Timelines: the predictions for one video's frames over time, as a record, a figure, words and CSV."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.formats.scorecard import Scorecard
from eval.formats.tasks import TaskSet, VideoPlan, tasks_fingerprint
from eval.metrics import frame_accuracy
from eval.report.videos import RankedVideo
from groundwork.errors import DataError, UsageError
from groundwork.pages.cells import percent, printable
from groundwork.pages.drawing import INK, LINE, add_title, drawing, shortened
from groundwork.words import counted

TIMELINES_CSV = "timelines.csv"
CHOSEN = 2  # this many each of the worst, the middle and the best videos, if none are named

_RIGHT: dict[str, Any] = {"facecolor": "#2f5d8a", "linewidth": 0}
_MISTAKEN: dict[str, Any] = {"facecolor": "#f3c4a4", "edgecolor": LINE, "hatch": "////", "linewidth": 0.6}


@dataclass(frozen=True, eq=False)
class PredictedTasks:
    """The tasks and predictions of a scorecard; predictions with the columns of PREDICTION_COLUMNS."""

    tasks: TaskSet
    predictions: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Timeline:
    """One video in one task. `frames`, `predictions` and `confidence` have shape (frames,), in time order."""

    user: str
    task: int
    video: str
    label: int
    objects: tuple[str, ...]
    frames: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def object(self) -> str:
        """The video's object."""
        return self.objects[self.label]

    @cached_property
    def first_right(self) -> int | None:
        """The index of the first recognized frame; None if there is none."""
        right = self.predictions == self.label
        return int(np.argmax(right)) if right.any() else None

    @cached_property
    def mistaken_for(self) -> list[int]:
        """The wrongly predicted classes, most frequent first, then lowest first."""
        wrong = np.bincount(self.predictions[self.predictions != self.label], minlength=len(self.objects))
        return [place for place in np.argsort(-wrong, kind="stable").tolist() if wrong[place]]

    def share_of(self, label: int) -> float:
        """The share of frames that are predicted as a class."""
        return frame_accuracy(self.predictions, label)


def chosen_timelines(
    scorecard: Scorecard, predicted: PredictedTasks, ranked: Sequence[RankedVideo], *, videos: Sequence[str] = ()
) -> list[Timeline]:
    """Timelines of the named videos, or of the worst, the middle and the best; each in the first task with the video.

    Raises:
        UsageError: if a named video was not scored.
        DataError: if tasks or predictions don't belong to the scorecard.
    """
    if tasks_fingerprint(predicted.tasks) != scorecard.tasks_fingerprint:
        raise DataError("the tasks don't belong to the scorecard; score again, then report")
    known = sorted({row.video for row in ranked})
    for name in videos:
        if name not in known:
            near = "; ".join(difflib.get_close_matches(name, known, n=3, cutoff=0))
            raise UsageError(f"no video {name!r} in the scorecard; the most similar of its {len(known)} videos: {near}")
    if videos:
        chosen = [row for name in dict.fromkeys(videos) for row in ranked if row.video == name]
    else:
        middle = max((len(ranked) - CHOSEN) // 2, 0)
        thirds = [ranked[:CHOSEN], ranked[middle : middle + CHOSEN], ranked[-CHOSEN:]]
        chosen = list(dict.fromkeys(row for third in thirds for row in third))
    return [_timeline(scorecard, predicted, row) for row in chosen]


def _timeline(scorecard: Scorecard, predicted: PredictedTasks, row: RankedVideo) -> Timeline:
    scored = next(entry for entry in scorecard.per_video if (entry.user, entry.video) == (row.user, row.video))
    task = next(task for task in predicted.tasks.tasks if (task.user, task.task) == (scored.user, scored.task))
    plan: VideoPlan = next(plan for plan in task.query if plan.video == row.video)
    table = predicted.predictions
    table = table[(table["user"] == row.user) & (table["task"] == task.task) & (table["video"] == row.video)]
    table = table.sort_values("frame")
    classes = table["prediction"].to_numpy(dtype=np.int64)
    if tuple(table["frame"].tolist()) != plan.frames or frame_accuracy(classes, plan.label) != scored.frame_accuracy:
        raise DataError(
            f"user {printable(row.user)}, task {task.task}, video {printable(row.video)}: the predictions don't "
            "belong to the scorecard; score them again, then report"
        )
    return Timeline(
        user=row.user,
        task=task.task,
        video=row.video,
        label=plan.label,
        objects=task.objects,
        frames=np.array(plan.frames, dtype=np.int64),
        predictions=classes,
        confidence=table["confidence"].to_numpy(dtype=np.float64),
    )


def timeline_picture(timeline: Timeline) -> bytes:
    """One lane per predicted object, the right one on top, as SVG.

    Each prediction is drawn up to the next predicted frame.
    """
    frames, classes = timeline.frames, timeline.predictions
    lanes = [timeline.label, *timeline.mistaken_for]
    step = int(np.median(np.diff(frames))) if len(frames) > 1 else 1
    changes = np.flatnonzero(np.diff(classes)) + 1
    edges = np.append(frames, frames[-1] + step)[np.concatenate([[0], changes, [len(frames)]])]
    runs = [(int(start), int(end - start)) for start, end in pairwise(edges)]
    of_run = classes[np.concatenate([[0], changes]).astype(np.int64)]
    with drawing(height=1.3 + 0.5 * len(lanes)) as (axes, content):
        for place, lane in enumerate(lanes):
            own = [run for run, label in zip(runs, of_run, strict=True) if label == lane]
            axes.axhline(place, color="#c4c4c4", linewidth=0.8, zorder=0)
            axes.broken_barh(own, (place - 0.34, 0.68), **(_RIGHT if lane == timeline.label else _MISTAKEN))
        if timeline.first_right is None:
            title = "never recognized"
        else:
            first = int(frames[timeline.first_right])
            axes.axvline(first, color=INK, linestyle="--", linewidth=1.6)
            title = f"Dashed line: first recognized, frame {first}"
        add_title(axes, title[0].upper() + title[1:])
        names = [
            f"{shortened(printable(timeline.objects[lane]))}\n{percent(timeline.share_of(lane))} %" for lane in lanes
        ]
        axes.set_yticks(range(len(lanes)), [f"{names[0]}, right", *names[1:]], parse_math=False)
        axes.set_ylim(len(lanes) - 0.5, -0.6)
        axes.set_xlim(int(edges[0]), int(edges[-1]))
        axes.set_xlabel("Frame of the video")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return content.getvalue()


def timeline_title(timeline: Timeline) -> str:
    """`User P177, bag: video P177--bag--clutter--x`."""
    return f"User {printable(timeline.user)}, {printable(timeline.object)}: video {printable(timeline.video)}"


def timeline_finding(timeline: Timeline) -> str:
    """The content of the figure in words."""
    count = len(timeline.frames)
    frames = counted(count, "frame")
    if timeline.first_right is None:
        found = f"{printable(timeline.object)} is never recognized in {frames}"
    else:
        found = (
            f"{printable(timeline.object)} is recognized "
            f"in {percent(timeline.share_of(timeline.label))} % of {frames}, "
            f"first in frame {timeline.frames[timeline.first_right]}, after {percent(timeline.first_right / count)} % "
            "of them"
        )
    mistaken = [
        f"{printable(timeline.objects[label])} ({percent(timeline.share_of(label))} %)"
        for label in timeline.mistaken_for[:2]
    ]
    wrong = f"most often mistaken for {' and '.join(mistaken)}" if mistaken else "never mistaken for another object"
    return f"Timeline of predictions: {found}; {wrong}. The data are in {TIMELINES_CSV}."


def timelines_table(timelines: Sequence[Timeline]) -> pd.DataFrame:
    """One row per frame of each timeline; timelines are numbered from 1, like their figures."""
    parts = []
    for number, timeline in enumerate(timelines, start=1):
        places = np.arange(len(timeline.frames))
        part = pd.DataFrame({"frame": timeline.frames})
        part["predicted_object"] = [timeline.objects[label] for label in timeline.predictions]
        part["right"] = timeline.predictions == timeline.label
        part["first_recognition"] = places == timeline.first_right
        part["confidence"] = timeline.confidence
        for name in ("object", "video", "task", "user"):
            part.insert(0, name, getattr(timeline, name))
        part.insert(0, "timeline", number)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
