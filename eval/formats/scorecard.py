"""The scorecard: what one recognizer scored on one set of tasks, and its file, scorecard.json.

Metrics are fractions in [0, 1], never percent. The means are all of the rows of `per_video`.
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
    """One object of one user: means over its videos in all tasks. `videos` counts different ones."""

    user: str
    object: str
    tasks: Count
    videos: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class UserScore(Strict):
    """One user: means over the videos of all their tasks. `objects` and `videos` count different ones."""

    user: str
    tasks: Count
    objects: Count
    videos: Count
    frame_accuracy: Fraction
    frames_to_recognition: Annotated[Fraction | None, Unsaid] = None
    video_accuracy: Annotated[Fraction | None, Unsaid] = None


class Summary(Strict):
    """A mean over `n` `unit`s with its intervals (eval/intervals.py says what each is worth).

    bootstrap_over_tasks: where the mean is over tasks that are drawn independently.
    """

    mean: Fraction
    n: Count
    unit: str
    protocol_interval: ProtocolInterval
    bootstrap_over_users: BootstrapInterval
    bootstrap_over_tasks: Annotated[BootstrapInterval | None, Unsaid] = None


class MetricSummary(Strict):
    """per_video: the headline, every video of every task counts once. per_user: every user counts once. per_task: of
    single images alone, where it is the headline: every task counts once."""

    per_video: Summary
    per_user: Summary
    per_task: Annotated[Summary | None, Unsaid] = None

    @property
    def parts(self) -> dict[str, Summary]:
        """All that there are by name, the headline, which a result is quoted by, first."""
        first = {"per_task": self.per_task} if self.per_task else {}
        return {**first, "per_video": self.per_video, "per_user": self.per_user}

    @property
    def headline(self) -> Summary:
        """What a result is quoted by."""
        return self.per_task or self.per_video


class Overall(Strict):
    """One summary per metric, named as in eval.metrics.METRICS; None where it means nothing, on single images.

    chance: frame accuracy that guessing has, mean over tasks of 1 / objects. ece: expected calibration error of the
    confidences, see eval.calibration; None where there are none. answers: of a personal file. A scorecard of an
    earlier release has none of the three.
    """

    frame_accuracy: MetricSummary
    frames_to_recognition: Annotated[MetricSummary | None, Unsaid] = None
    video_accuracy: Annotated[MetricSummary | None, Unsaid] = None
    chance: Fraction | None = None
    ece: Fraction | None = None
    answers: Answers | None = None


class Counts(Strict):
    """How much was scored; `objects` and `videos` count different ones, `video_scores` a video once for each task."""

    users: Count
    tasks: Count
    objects: Count
    videos: Count
    video_scores: Count
    frames: Count


class Confusion(Strict):
    """How often one user's objects were taken for one another, in all the user's tasks with just these objects.

    `frames[i][j]` counts frames of `objects[i]` predicted as `objects[j]`, each frame once for each task it is in.
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
            raise ValueError(f"{way} rows of {way} counts expected, one for each object")
        return frames


class Amount(Strict):
    """What a task took: mean and population standard deviation over `n` tasks."""

    mean: NotNegative
    std: NotNegative
    n: Count

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """From each task's own amount, shape (tasks,), tasks >= 1."""
        numbers = np.asarray(values, dtype=np.float64)
        return cls(mean=float(numbers.mean()), std=float(numbers.std()), n=len(numbers))


AMOUNTS = (
    *("macs_to_personalize", "macs_to_personalize_thop", "seconds_to_personalize"),
    *("filter_extra_frames", "filter_extra_macs"),
)
_EARLIER = {name.replace("ize", "ise"): name for name in AMOUNTS if "ize" in name}  # as earlier releases wrote them


class TaskCost(Strict):
    """What one task took; None where it is not known. Fields as Cost has them."""

    user: str
    task: Count
    macs_to_personalize: Count | None = None
    macs_to_personalize_thop: Count | None = None
    seconds_to_personalize: NotNegative | None = None
    filter_extra_frames: Annotated[Count | None, Unsaid] = None
    filter_extra_macs: Annotated[Count | None, Unsaid] = None


class Cost(Strict):
    """What a task took to personalize, and a filter to predict; None where it is not known.

    macs_to_personalize: multiply-accumulate operations, all of them. macs_to_personalize_thop: as the leaderboard
    counted them, without attention. seconds_to_personalize: of wall clock, operations counted apart.
    filter_extra_frames: query frames that a causal filter read beside those that the task asks for. filter_extra_macs:
    what these took. source: how and on what machine they were counted and measured. per_task: each task's own, where
    that is known.
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
        """From each task's own, tasks >= 1; what one of them lacks has no mean."""
        amounts = {}
        for name in AMOUNTS:
            known = [getattr(row, name) for row in per_task if getattr(row, name) is not None]
            amounts[name] = Amount.of(known) if len(known) == len(per_task) else None
        return cls(**amounts, source=source, per_task=tuple(per_task))


class Group(Strict):
    """Frame accuracy where something annotated is alike: a mean over `n` `unit`s, of the bootstrap's `n` users."""

    name: str
    frame_accuracy: Fraction
    n: Count
    unit: str
    bootstrap_over_users: BootstrapInterval


class ByAnnotation(Strict):
    """Frame accuracy by what annotations say (eval/by_annotation.py says how groups are made); () where they don't."""

    box_size: tuple[Group, ...] = ()
    support_quality: tuple[Group, ...] = ()


class Scorecard(Strict):
    """What one recognizer scored on one set of tasks.

    `notes` say what the numbers do not mean under this protocol. `tasks_fingerprint` is the same for two scorecards if
    and only if their tasks are. `provenance` says where the predictions come from. `cost` and `by_annotation` are None
    where nothing is known of them. Of `single_images` there is one metric, and no row for each of them in each task.
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
                raise ValueError(f"{name} is of videos, and of all of them; single images have none")
        if (self.overall.frame_accuracy.per_task is None) == self.single_images:
            raise ValueError("a mean over tasks is of single images, which have one")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in METRICS of the metrics that it has."""
        return tuple(name for name in METRICS if not (self.single_images and name in TIME_ORDERED))


def write_scorecard(path: Path, scorecard: Scorecard) -> None:
    """Write scorecard.json, whole or not at all: indented, and lists with an entry a line."""
    write_text(path, _json(scorecard.model_dump(by_alias=True)) + "\n")


def read_scorecard(path: Path) -> Scorecard:
    """Read scorecard.json, strictly.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is damaged, of another schema, or no scorecard.
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
    """JSON text: an object's keys and a list's entries on lines of their own, but nothing within an entry."""
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
