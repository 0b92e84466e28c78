"""Predicts with a personal file: its answers to every frame of its task's videos, the same as those of `recognize`, and
the answers at every strictness."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from data_prep.video import DEFAULT_FPS
from eval.formats.answers import AnswerKind, AnswerPoint, Answers, AnswersCurve, answer_shares
from eval.formats.records import (
    ANSWERED_COLUMNS,
    Task,
    VideoPlan,
    read_answers_curve,
    read_predictions,
    write_predictions,
)
from groundwork.errors import DataError
from groundwork.progress import Progress
from orbit_lite.data.frames import FrameSource
from orbit_lite.data.loader import FrameJob, ReadFrames, read_ahead
from orbit_lite.personal.answering.answers import Answerer, FrameAnswer
from orbit_lite.personal.answering.reading import BATCH_FRAMES
from orbit_lite.personal.decision.rejection import Certainty, Rejection
from orbit_lite.personal.recognizer import PersonalRecognizer

JOB_FRAMES = 4 * BATCH_FRAMES  # read together
_KINDS = {Certainty.SURE: AnswerKind.SURE, Certainty.MAYBE: AnswerKind.MAYBE, Certainty.NONE: AnswerKind.NONE}


@dataclass(frozen=True, eq=False)
class VideoPredictions:
    """One video's predictions.

    place: the video's index in its task's query set. table: with the columns ANSWERED_COLUMNS. curve: the answers at
    every strictness; None if the file has only one.
    """

    place: int
    table: pd.DataFrame
    curve: AnswersCurve | None


def predict_videos(
    personal: PersonalRecognizer, task: Task, source: FrameSource, *, done: Collection[int] = (), workers: int = 0
) -> Iterator[VideoPredictions]:
    """Yield each query video's predictions; shows progress.

    Frames are embedded in the same batches as by `recognize`, so that even the rounding is the same.

    Args:
        personal: the recognizer, on the device to compute on.
        task: its task, with every frame of each query video.
        source: where the pixels come from.
        done: indices of query videos to skip.
        workers: processes that read ahead; they do not change the result.

    Raises:
        DataError: if a frame can't be read, or an answer is not a number.
    """
    plans = [(place, plan) for place, plan in enumerate(task.query) if place not in done]
    jobs = [job for _, plan in plans for job in _jobs(plan)]
    images = read_ahead(
        jobs,
        ReadFrames(source),
        workers=max(workers, source.least_workers),
        pin=personal.fitted.recognizer.device.type == "cuda",
    )
    with Progress("frames answered", sum(len(job.frames) for job in jobs)) as progress:
        for place, plan in plans:
            answers = _answers(personal, plan, images, progress)
            table = _table(task, plan, personal.objects, answers)
            yield VideoPredictions(place, table, _curve(personal.rejection, plan.label, table, answers))


def _jobs(plan: VideoPlan) -> list[FrameJob]:
    starts = range(0, len(plan.frames), JOB_FRAMES)
    return [FrameJob(plan.video, plan.frames[start : start + JOB_FRAMES]) for start in starts]


def _answers(
    personal: PersonalRecognizer, plan: VideoPlan, images: Iterator[Tensor], progress: Progress
) -> list[FrameAnswer]:
    """One video's answers. Takes exactly the images of its jobs from the iterator."""
    answerer = Answerer(personal.objects, personal.rejection.point)
    answers: list[FrameAnswer] = []
    for job in _jobs(plan):
        batches = next(images).split(BATCH_FRAMES)
        numbers = [job.frames[start : start + BATCH_FRAMES] for start in range(0, len(job.frames), BATCH_FRAMES)]
        for batch, frames in zip(batches, numbers, strict=True):
            times_s = [(frame - 1) / DEFAULT_FPS for frame in frames]
            answers += answerer.answers(frames, times_s, personal.scores(batch))
            progress.advance(len(frames))
    return answers


def _table(task: Task, plan: VideoPlan, objects: Sequence[str], answers: Sequence[FrameAnswer]) -> pd.DataFrame:
    place = {name: label for label, name in enumerate(objects)}
    columns = {
        "user": task.user,
        "task": np.full(len(answers), task.task, np.int32),
        "video": plan.video,
        "frame": np.array([answer.frame for answer in answers], np.int32),
        "prediction": np.array([place[answer.likeliest] for answer in answers], np.int32),
        "confidence": np.array([answer.confidence for answer in answers], np.float32),
        "answer": [answer.text for answer in answers],
    }
    table = pd.DataFrame(columns)[ANSWERED_COLUMNS.names]
    if table.confidence.isna().any():
        frame = table.frame[table.confidence.isna()].iloc[0]
        raise DataError(f"video {plan.video}, frame {frame}: the recognizer's answer is not a number (NaN)")
    return table


def _curve(
    rejection: Rejection, label: int, table: pd.DataFrame, answers: Sequence[FrameAnswer]
) -> AnswersCurve | None:
    if not rejection.curve:
        return None
    right, counts = table.prediction.to_numpy() == label, np.array([len(answers)])
    points = []
    for point in rejection.curve:
        kinds = [_KINDS[point.kind(answer.familiarity, answer.confidence)] for answer in answers]
        shares = answer_shares(np.array(kinds, np.int8), right, counts)
        promised = {"aim": point.aim, "misses": point.misses, "false_alarms": point.false_alarms}
        points.append(AnswerPoint(**promised, answers=shares))
    chosen = rejection.curve.index(rejection.point)
    return AnswersCurve(strictness=strictness_text(rejection), chosen=chosen, points=tuple(points))


def strictness_text(rejection: Rejection) -> str:
    """The name of the strictness in use, such as `balanced`, or the requested share of false alarms."""
    if rejection.asked is None:
        return rejection.strictness
    return f"at most {100 * rejection.asked:g} % false alarms"


@dataclass(frozen=True)
class VideoParts:
    """Stores predictions in one file per video, each written completely or not at all, and finally merges them."""

    folder: Path
    metadata: Mapping[str, str]

    def done(self) -> set[int]:
        """Indices of the videos that have a file."""
        return {int(path.stem) for path in self.folder.glob("[0-9]*.parquet")}

    def write(self, found: VideoPredictions) -> None:
        """Write one video's predictions."""
        write_predictions(self._path(found.place), found.table, metadata=self.metadata, curve=found.curve)

    def merge(self, path: Path, *, videos: int) -> None:
        """Write all videos' predictions, in the task's order, to one file, and remove the parts."""
        parts = [self._path(place) for place in range(videos)]
        tables = [read_predictions(part).astype({"user": str, "video": str, "answer": str}) for part in parts]
        curves = [curve for part in parts if (curve := read_answers_curve(part)) is not None]
        table, curve = pd.concat(tables, ignore_index=True), mean_curve(curves) if curves else None
        write_predictions(path, table, metadata=self.metadata, curve=curve)
        shutil.rmtree(self.folder)

    def _path(self, place: int) -> Path:
        return self.folder / f"{place:05d}.parquet"


def mean_curve(curves: Sequence[AnswersCurve]) -> AnswersCurve:
    """The mean of curves, one per video, of the same file."""
    points = []
    for of_videos in zip(*(curve.points for curve in curves), strict=True):
        shares = {
            name: float(np.mean([getattr(point.answers, name) for point in of_videos])) for name in Answers.model_fields
        }
        points.append(of_videos[0].model_copy(update={"answers": Answers(**shares)}))
    return curves[0].model_copy(update={"points": tuple(points)})
