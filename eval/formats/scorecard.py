"""The scorecard, which holds one recognizer's scores on one set of tasks, and its file, scorecard.json.

Metrics are fractions in [0, 1], never percent. All means are over the rows of `per_video`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from eval.formats.answers import Answers, AnswersCurve
from eval.formats.quantities import Count, Fraction, NotNegative, Unsaid
from eval.formats.reading import parse_object, require_file, require_schema
from eval.formats.tasks import LeftOut
from eval.intervals import BootstrapInterval, ProtocolInterval
from eval.metrics import METRICS, TIME_ORDERED
from groundwork.errors import DataError
from groundwork.files import write_text
from groundwork.strict_json import refuse_doubled
from groundwork.strict_model import Strict, first_fault, with_current_keys

SCORECARD_SCHEMA: Literal[1] = 1
KIND = "scorecard"


class VideoScore(Strict):
    """One video in one task."""

    user: str
    task: Count
    object: str
    video: str
    frames: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class TaskScore(Strict):
    """One task: means over its videos."""

    user: str
    task: Count
    objects: Count
    videos: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class ObjectScore(Strict):
    """One object of one user: means over its videos in all tasks. `videos` counts distinct videos."""

    user: str
    object: str
    tasks: Count
    videos: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class UserScore(Strict):
    """One user: means over the videos of all their tasks. `objects` and `videos` count distinct ones."""

    user: str
    tasks: Count
    objects: Count
    videos: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class Summary(Strict):
    """A mean over `n` `unit`s with its intervals (see eval/intervals.py for their meaning).

    bootstrap_over_tasks: only for means over tasks that are drawn independently.
    """

    mean: Fraction
    n: Count
    unit: str
    protocol_interval: ProtocolInterval
    bootstrap_over_users: BootstrapInterval
    bootstrap_over_tasks: Annotated[BootstrapInterval | None, Unsaid] = None


class MetricSummary(Strict):
    """per_video: the headline, in which every video of every task counts once. per_user: every user counts once.
    per_task: only for single images, where it is the headline; every task counts once, also in a user's mean."""

    per_video: Summary
    per_user: Summary
    per_task: Annotated[Summary | None, Unsaid] = None

    @property
    def parts(self) -> dict[str, Summary]:
        """The existing summaries by name, with the headline first."""
        first = {"per_task": self.per_task} if self.per_task else {}
        return {**first, "per_video": self.per_video, "per_user": self.per_user}

    @property
    def headline(self) -> Summary:
        """The summary to quote."""
        return self.per_task or self.per_video


class Overall(Strict):
    """One summary per metric, named as in eval.metrics.METRICS; None if it is undefined, for single images.

    chance: the frame accuracy of guessing, the mean over tasks of 1 / objects.
    ece: the expected calibration error of the confidences, see eval.calibration; None without confidences.
    answers: for a personal file. Scorecards of earlier releases lack all three.
    """

    frame_accuracy: MetricSummary
    frames_to_recognition: Annotated[MetricSummary | None, Unsaid] = None
    video_accuracy: Annotated[MetricSummary | None, Unsaid] = None
    chance: Fraction | None = None
    ece: Fraction | None = None
    answers: Answers | None = None


class Counts(Strict):
    """How much was scored. `objects` and `videos` count distinct ones; `video_scores` counts a video once per task."""

    users: Count
    tasks: Count
    objects: Count
    videos: Count
    video_scores: Count
    frames: Count


class Confusion(Strict):
    """How often one user's objects were confused, in all of the user's tasks with exactly these objects.

    `frames[i][j]` counts frames of `objects[i]` predicted as `objects[j]`, each frame once per task.
    """

    user: str
    tasks: Count
    objects: tuple[str, ...]
    frames: tuple[tuple[Count, ...], ...]

    @field_validator("frames")
    @classmethod
    def _square(cls, frames: tuple[tuple[int, ...], ...], info: ValidationInfo) -> tuple[tuple[int, ...], ...]:
        way = len(info.data.get("objects", ()))
        if [len(row) for row in frames] != [way] * way:
            raise ValueError(f"expected {way} rows of {way} counts, one per object")
        return frames


class Amount(Strict):
    """A cost per task: mean and population standard deviation over `n` tasks."""

    mean: NotNegative
    std: NotNegative
    n: Count

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Summarize each task's amount, shape (tasks,), tasks >= 1."""
        numbers = np.asarray(values, dtype=np.float64)
        return cls(mean=float(numbers.mean()), std=float(numbers.std()), n=len(numbers))


AMOUNTS = (
    *("macs_to_personalize", "macs_to_personalize_thop", "seconds_to_personalize"),
    *("filter_extra_frames", "filter_extra_macs"),
)
_EARLIER = {name.replace("ize", "ise"): name for name in AMOUNTS if "ize" in name}  # the keys in earlier releases


class TaskCost(Strict):
    """The cost of one task; None if unknown. The fields are those of Cost."""

    user: str
    task: Count
    macs_to_personalize: Count | None = None
    macs_to_personalize_thop: Count | None = None
    seconds_to_personalize: NotNegative | None = None
    filter_extra_frames: Annotated[Count | None, Unsaid] = None
    filter_extra_macs: Annotated[Count | None, Unsaid] = None


class Cost(Strict):
    """The cost per task of personalizing, and of a filter in predicting; None if unknown.

    macs_to_personalize: all multiply-accumulate operations.
    macs_to_personalize_thop: the leaderboard's count, without attention.
    seconds_to_personalize: wall-clock seconds, measured without counting.
    filter_extra_frames: query frames that a causal filter read in addition to those in the task.
    filter_extra_macs: the MACs of these frames.
    source: how and on which machine they were counted and measured.
    per_task: each task's own costs, if known.
    """

    macs_to_personalize: Amount | None = None
    macs_to_personalize_thop: Amount | None = None
    seconds_to_personalize: Amount | None = None
    filter_extra_frames: Annotated[Amount | None, Unsaid] = None
    filter_extra_macs: Annotated[Amount | None, Unsaid] = None
    source: str
    per_task: tuple[TaskCost, ...] = ()

    @classmethod
    def of(cls, per_task: Sequence[TaskCost], *, source: str) -> Self:
        """Summarize each task's costs, tasks >= 1; a field that a task lacks has no mean."""
        amounts = {}
        for name in AMOUNTS:
            known = [getattr(row, name) for row in per_task if getattr(row, name) is not None]
            amounts[name] = Amount.of(known) if len(known) == len(per_task) else None
        return cls(**amounts, source=source, per_task=tuple(per_task))


class Group(Strict):
    """Frame accuracy of a group with similar annotations: a mean over `n` `unit`s, with a bootstrap over its own `n`
    users."""

    name: str
    frame_accuracy: Fraction
    n: Count
    unit: str
    bootstrap_over_users: BootstrapInterval


class ByAnnotation(Strict):
    """Frame accuracy by annotation (see eval/by_annotation.py for the groups); () without annotations."""

    box_size: tuple[Group, ...] = ()
    support_quality: tuple[Group, ...] = ()


class Scorecard(Strict):
    """One recognizer's scores on one set of tasks.

    `notes` explain the limits of the numbers under this protocol. Two scorecards have the same `tasks_fingerprint` if
    and only if their tasks are the same. `provenance` says where the predictions come from. `cost` and `by_annotation`
    are None if unknown. With `single_images` there is one metric, and there are no rows per image.
    """

    kind: Literal["scorecard"] = "scorecard"
    schema_number: Literal[1] = Field(SCORECARD_SCHEMA, alias="schema")
    protocol: str
    split: str
    seed: int
    every_query_frame: bool
    single_images: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    data_fingerprint: str
    tasks_fingerprint: str
    overall: Overall
    counts: Counts
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    provenance: dict[str, str]
    cost: Cost | None = None
    by_annotation: ByAnnotation | None = None
    answers_curve: AnswersCurve | None = None
    per_user: tuple[UserScore, ...]
    per_task: tuple[TaskScore, ...]
    per_object: tuple[ObjectScore, ...]
    confusion: tuple[Confusion, ...]
    per_video: tuple[VideoScore, ...]

    @model_validator(mode="after")
    def _has_its_metrics(self) -> Self:
        rows = (self.overall, *self.per_user, *self.per_task, *self.per_object, *self.per_video)
        for name in TIME_ORDERED:
            if any((getattr(row, name) is None) != self.single_images for row in rows):
                raise ValueError(f"{name} needs videos; single images can't have it")
        if (self.overall.frame_accuracy.per_task is None) == self.single_images:
            raise ValueError("a mean over tasks is only for single images, which need it")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names, as in METRICS, of its metrics."""
        return tuple(name for name in METRICS if not (self.single_images and name in TIME_ORDERED))


def write_scorecard(path: Path, scorecard: Scorecard) -> None:
    """Write scorecard.json atomically, indented, with one list entry per line."""
    write_text(path, _json(scorecard.model_dump(by_alias=True)) + "\n")


def read_scorecard(path: Path) -> Scorecard:
    """Read scorecard.json strictly.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is damaged, has another schema, or is not a scorecard.
    """
    require_file(path, "a scorecard (scorecard.json)")
    content = parse_object(
        path.read_bytes(), str(path), pairs=lambda pairs: with_current_keys(refuse_doubled(pairs), _EARLIER)
    )
    require_schema(content, str(path), kind=KIND, schema=SCORECARD_SCHEMA)
    try:
        return Scorecard.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error, Scorecard)}") from error


def _json(value: Any) -> str:
    """JSON text with one line per key of an object and per entry of a list, without line breaks inside entries."""
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {_json(part)}" for key, part in value.items()]
        brackets = "{}"
    elif isinstance(value, tuple) and value:
        parts = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in value]
        brackets = "[]"
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inside = ",\n".join(parts).replace("\n", "\n  ")
    return f"{brackets[0]}\n  {inside}\n{brackets[1]}"
