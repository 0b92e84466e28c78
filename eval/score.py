"""Scores predictions: first flat rows, one per video and task, then means over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.by_annotation import AnnotationFacts, by_annotation
from eval.calibration import expected_calibration_error
from eval.confusion import confusions
from eval.formats.align import QueryFrames
from eval.formats.answers import ANSWER, ROUNDING, Answers, AnswersCurve, Kinds, answer_kinds, answer_shares
from eval.formats.check import has_confidences, require_whole
from eval.formats.predictions import require_columns
from eval.formats.scorecard import (
    Cost,
    Counts,
    MetricSummary,
    ObjectScore,
    Overall,
    Scorecard,
    Summary,
    TaskScore,
    UserScore,
    VideoScore,
)
from eval.formats.tasks import TaskSet, tasks_fingerprint
from eval.intervals import bootstrap_over_tasks, bootstrap_over_users, protocol_interval
from eval.metrics import METRICS, TIME_ORDERED, PredictedVideos
from groundwork.errors import DataError
from groundwork.words import one_line

SAMPLED_NOTE = (
    "This protocol scores a sample of each video's frames, so frames to recognition and video accuracy are those "
    "of the sample, not of whole videos, and can't be compared with other protocols' numbers."
)
SINGLE_IMAGES_NOTE = (
    "Episodes of single images: each user is a source of images, each object a class, each video an image. The "
    "headline is the mean over tasks. Frames to recognition and video accuracy are left out, because images have "
    "no order in "
    "time."
)

ENGINE = "engine"  # a key of the predictions' provenance: the engine that ran the extractor
FILTER_STAY = "filter_stay"  # a key of the predictions' provenance: the causal filter's probability to stay


def filter_text(provenance: Mapping[str, str]) -> str:
    """A description of the predictions' causal filter; "" without a filter.

    Raises:
        DataError: if the filter is invalid.
    """
    if (stay := provenance.get(FILTER_STAY)) is None:
        return ""
    try:
        known = 0 <= float(stay) < 1
    except ValueError:
        known = False
    if not known:
        raise DataError(f"provenance: {FILTER_STAY}: expected a number in [0, 1), got {one_line(repr(stay))}")
    return f"causal filter, stay {float(stay)!r}"


def _notes(task_set: TaskSet, provenance: Mapping[str, str]) -> Iterator[str]:
    if task_set.single_images:
        yield SINGLE_IMAGES_NOTE
    elif not task_set.every_query_frame:
        yield SAMPLED_NOTE
    if filtered := filter_text(provenance):
        yield (
            f"Each frame's prediction also uses all earlier frames of its video ({filtered}), so more frames were "
            "read than the protocol specifies. Compare it only with filtered recognizers."
        )


def score(
    task_set: TaskSet,
    predictions: pd.DataFrame,
    *,
    provenance: Mapping[str, str] | None = None,
    source: str = "predictions",
    cost: Cost | None = None,
    facts: AnnotationFacts | None = None,
    curve: AnswersCurve | None = None,
) -> Scorecard:
    """Score predictions for a task set. The order of the table's rows does not matter.

    All means are over the metrics of one video in one task, the rows of `per_video`: `per_task` over the task's videos;
    `per_object` over one user's object's videos in all tasks; `per_user` over the videos of all the user's tasks (not a
    mean of the tasks' means, except for single images, where every task counts once). The headline,
    `overall.METRIC.per_video`, is the mean over all videos of all tasks of all users: a user with many videos weighs
    more. `overall.METRIC.per_user` is the mean of the `per_user` rows: every user weighs the same. The bootstrap's seed
    is the task set's.

    Args:
        task_set: the tasks.
        predictions: columns of PREDICTION_COLUMNS or ANSWERED_COLUMNS, one row per query frame of each task.
        provenance: where the predictions come from, for the scorecard.
        source: the name of the predictions in errors, such as the file's path.
        cost: the cost of personalizing, counted and measured elsewhere; None if unknown.
        facts: annotations of frames and support videos, for accuracy by annotation; None without annotations.
        curve: the answers at every strictness of a personal file; None without answers.

    Raises:
        DataError: if the predictions are not complete and valid for these tasks, there is nothing to score, the facts
            are invalid, or the curve does not match the answers.
    """
    laid = _laid_out(task_set, predictions, source=source)
    query, videos = laid.query, laid.videos
    rows = _rows(query, videos, single_images=task_set.single_images)
    users = _users(rows, single_images=task_set.single_images)
    answers = None if laid.kinds is None else answer_shares(laid.kinds, videos.right, videos.counts)
    _require_of_these(curve, answers, source=source)
    return Scorecard(
        protocol=task_set.protocol,
        split=task_set.split,
        seed=task_set.seed,
        every_query_frame=task_set.every_query_frame,
        single_images=task_set.single_images,
        data_fingerprint=task_set.data_fingerprint,
        tasks_fingerprint=tasks_fingerprint(task_set),
        overall=Overall(
            **_summaries(rows, users, task_set),
            chance=float(np.mean([1 / task.way for task in task_set.tasks])),
            ece=None if laid.confidence is None else expected_calibration_error(laid.confidence, videos.right),
            answers=answers,
        ),
        counts=Counts(
            users=len(users),
            tasks=len(task_set.tasks),
            objects=len(rows[["user", "object"]].drop_duplicates()),
            videos=len(rows[["user", "video"]].drop_duplicates()),
            video_scores=len(rows),
            frames=int(rows["frames"].sum()),
        ),
        notes=tuple(_notes(task_set, provenance or {})),
        left_out=task_set.left_out,
        provenance=dict(provenance or {}),
        cost=cost,
        by_annotation=by_annotation(query, videos, facts, seed=task_set.seed) if facts else None,
        answers_curve=curve,
        per_user=tuple(UserScore(**row) for row in _records(users)),
        per_task=tuple(TaskScore(**row) for row in _records(mean_by(rows, "user", "task"))),
        per_object=tuple(ObjectScore(**row) for row in _records(mean_by(rows, "user", "object"))),
        confusion=() if task_set.single_images else confusions(query, videos),
        per_video=() if task_set.single_images else tuple(VideoScore(**row) for row in _records(rows)),
    )


def score_videos(task_set: TaskSet, predictions: pd.DataFrame, *, source: str = "predictions") -> pd.DataFrame:
    """The flat rows: user, task, object, video, frames and all metrics of each video in each task, in the tasks' order.

    Raises:
        DataError: see `score`.
    """
    laid = _laid_out(task_set, predictions, source=source)
    return _rows(laid.query, laid.videos, single_images=task_set.single_images)


@dataclass(frozen=True, eq=False)
class _LaidOut:
    """The tasks' frames and their predictions, in the same order.

    confidence: the confidence of each frame's prediction, in [0, 1], or None.
    kinds: the kind of each frame's answer, or None.
    """

    query: QueryFrames
    videos: PredictedVideos
    confidence: NDArray[np.float64] | None
    kinds: Kinds | None


def _laid_out(task_set: TaskSet, predictions: pd.DataFrame, *, source: str) -> _LaidOut:
    """Raises DataError unless the predictions are complete and valid."""
    query = QueryFrames.of(task_set)
    if not query.videos:
        raise DataError(f"{source}: the tasks have no query frames, so there is nothing to score")
    require_columns(predictions, source=source)
    located = query.locate(predictions)
    require_whole(query, located, predictions, source=source)
    row = np.empty(len(predictions), dtype=np.int64)
    row[located.frame] = np.arange(len(predictions))  # complete: every index occurs exactly once
    labels = np.array([plan.label for _, plan in query.videos], dtype=np.int64)
    videos = PredictedVideos(predictions["prediction"].to_numpy()[row], labels, query.counts)
    confidence = kinds = None
    if has_confidences(predictions):
        given = predictions["confidence"].to_numpy(dtype=np.float32, na_value=np.nan)[row]  # in the file's precision
        confidence = np.minimum(given, 1).astype(np.float64)  # a softmax can be slightly above 1
    if ANSWER in predictions:
        kinds = answer_kinds(query.tasks, located.task, predictions)[row]
    return _LaidOut(query, videos, confidence, kinds)


def _require_of_these(curve: AnswersCurve | None, answers: Answers | None, *, source: str) -> None:
    """Raise DataError unless a curve's chosen point agrees with these answers."""
    if curve is None:
        return
    said = curve.points[curve.chosen].answers
    if answers is None or not np.allclose([*dict(said).values()], [*dict(answers).values()], rtol=0, atol=ROUNDING):
        raise DataError(f"{source}: its curve over strictness does not match its answers; predict again")


def _rows(query: QueryFrames, videos: PredictedVideos, *, single_images: bool) -> pd.DataFrame:
    metrics = {name: METRICS[name] for name in METRICS if not (single_images and name in TIME_ORDERED)}
    tasks = [query.tasks[place] for place in query.task_of_video]
    plans = [plan for _, plan in query.videos]
    return pd.DataFrame(
        {
            "user": [task.user for task in tasks],
            "task": [task.task for task in tasks],
            "object": [task.objects[plan.label] for task, plan in zip(tasks, plans, strict=True)],
            "video": [plan.video for plan in plans],
            "frames": query.counts,
            **{name: metric.of_videos(videos) for name, metric in metrics.items()},
        }
    )


def mean_by(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Means of all metrics over the flat rows with the same keys, sorted by key.

    Also the numbers of distinct tasks, objects (of a user) and videos (of a user), unless these are keys.
    """
    groups, metrics = rows.groupby(list(keys), sort=True), [name for name in METRICS if name in rows]
    counts = {f"{name}s": groups[name].nunique() for name in ("task", "object", "video") if name not in keys}
    return groups[metrics].mean().assign(**counts)[[*counts, *metrics]].reset_index()


def _users(rows: pd.DataFrame, *, single_images: bool) -> pd.DataFrame:
    """One row per user. For single images, means over the user's tasks, as for the headline: tasks differ in size."""
    users = mean_by(rows, "user")
    if single_images:
        metrics = [name for name in METRICS if name in rows]
        users[metrics] = mean_by(rows, "user", "task").groupby("user", sort=True)[metrics].mean().to_numpy()
    return users


def _summaries(rows: pd.DataFrame, users: pd.DataFrame, task_set: TaskSet) -> dict[str, MetricSummary]:
    """A summary of every metric in the rows."""
    unit = "images of tasks" if task_set.single_images else "videos of tasks"
    seed, tasks = task_set.seed, mean_by(rows, "user", "task") if task_set.single_images else None
    return {
        metric: MetricSummary(
            per_video=_summary(rows, metric, unit=unit, seed=seed),
            per_user=_summary(users, metric, unit="users", seed=seed),
            per_task=None if tasks is None else _of_tasks(tasks, metric, seed=seed),
        )
        for metric in METRICS
        if metric in rows
    }


def _of_tasks(tasks: pd.DataFrame, metric: str, *, seed: int) -> Summary:
    values = tasks[metric].to_numpy(dtype="float64")
    interval = bootstrap_over_tasks(values, tasks["user"].to_list(), seed=seed, bounds=(0, 1))
    return _summary(tasks, metric, unit="tasks", seed=seed).model_copy(update={"bootstrap_over_tasks": interval})


def _summary(rows: pd.DataFrame, metric: str, *, unit: str, seed: int) -> Summary:
    values = rows[metric].to_numpy(dtype="float64")
    return Summary(
        mean=float(values.mean()),
        n=len(values),
        unit=unit,
        protocol_interval=protocol_interval(values, unit=unit),
        bootstrap_over_users=bootstrap_over_users(values, rows["user"].to_list(), seed=seed, bounds=(0, 1)),
    )


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
