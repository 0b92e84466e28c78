"""Tasks to predictions: one personalisation for each distinct support set, one embedding for each distinct query frame.

A test user's tasks share their support set and draw their queries from the same videos (DESIGN: embedded once), so that
fifty tasks cost little more than one. Memory is bounded by one user's support images and one video's features.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from data_prep.index import Index
from eval.records import PREDICTION_COLUMNS, Task, TaskSet, VideoPlan
from groundwork.errors import FoundWrong
from groundwork.progress import Progress
from orbit_lite.data.frames import FrameSource
from orbit_lite.data.loader import FrameJob, ReadFrames, read_ahead, trailing_clips
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer
from orbit_lite.ranks import Ranks, undealt

FRAMES_A_JOB = 64

Support = tuple[VideoPlan, ...]


@dataclass(frozen=True)
class VideoFrames:
    """The distinct frames wanted of one video, rising."""

    video: str
    frames: tuple[int, ...]

    def jobs(self) -> list[FrameJob]:
        """The frames in pieces small enough to read ahead."""
        pieces = range(0, len(self.frames), FRAMES_A_JOB)
        return [FrameJob(self.video, self.frames[start : start + FRAMES_A_JOB]) for start in pieces]


@dataclass(frozen=True)
class UserWork:
    """What one user's tasks need: their distinct support sets, and of each query video the frames of all tasks."""

    user: str
    tasks: tuple[Task, ...]
    supports: tuple[Support, ...]
    queries: tuple[VideoFrames, ...]

    @classmethod
    def of(cls, user: str, tasks: Sequence[Task]) -> "UserWork":
        """Gather what the tasks have in common."""
        wanted: dict[str, set[int]] = defaultdict(set)
        for task in tasks:
            for plan in task.query:
                wanted[plan.video].update(trailing_clips(plan.frames, task.clip_length))
        queries = tuple(VideoFrames(video, tuple(sorted(frames))) for video, frames in sorted(wanted.items()))
        return cls(user, tuple(tasks), tuple(dict.fromkeys(task.support for task in tasks)), queries)

    def jobs(self) -> list[FrameJob]:
        """All reading for this user, in the order in which it is used."""
        support = [FrameJob(plan.video, plan.frames) for plans in self.supports for plan in plans]
        return support + [job for query in self.queries for job in query.jobs()]


def predict(
    recognizer: Recognizer,
    tasks: TaskSet,
    index: Index,
    source: FrameSource,
    *,
    ranks: Ranks | None = None,
    workers: int = 0,
    quiet: bool = False,
) -> pd.DataFrame:
    """Predictions for every query frame of every task, in the order of the tasks.

    Args:
        recognizer: on the device that is to compute.
        tasks: the manifest; it must have been drawn from `index`.
        source: where the pixels come from.
        ranks: processes that share the users out, and all get the whole table.
        workers: processes that read ahead; the result does not depend on them.

    Returns:
        A table with the columns of eval.records.PREDICTION_COLUMNS, a row a frame.

    Raises:
        FoundWrong: if the tree is not the one that the tasks were drawn from, or a frame can't be read.
    """
    if tasks.data_fingerprint != index.fingerprint:
        raise FoundWrong(f"{index.root}: not the tree these tasks were drawn from, or changed since; draw them again")
    by_user: dict[str, list[Task]] = defaultdict(list)
    for task in tasks.tasks:
        by_user[task.user].append(task)
    work = [UserWork.of(user, of_user) for user, of_user in by_user.items()]
    work = list(ranks.share(work)) if ranks else work
    jobs = [job for user in work for job in user.jobs()]
    quiet = quiet or bool(ranks and not ranks.first)
    with Progress("frames read and embedded", sum(len(job.frames) for job in jobs), quiet=quiet) as progress:
        read = read_ahead(jobs, ReadFrames(source), workers=max(workers, source.least_workers))
        images = _count(read, progress)
        tables = [_predict_user(recognizer, user, images) for user in work]
    if ranks:
        tables = undealt(ranks.gather(tables))
    return pd.concat(tables, ignore_index=True)


def _predict_user(recognizer: Recognizer, work: UserWork, images: Iterator[Tensor]) -> pd.DataFrame:
    """One user's table. Takes exactly the images of `work.jobs()` from the iterator."""
    clip_lengths = {task.support: task.clip_length for task in work.tasks}
    fitted = {plans: _personalize(recognizer, plans, clip_lengths[plans], images) for plans in work.supports}
    # One extractor serves every support set, unless the learner adapts it: then each has features of its own.
    adapts = recognizer.adapter is not None
    answers: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
    for query in work.queries:
        wanted = [(task, plan) for task in work.tasks for plan in task.query if plan.video == query.video]
        states = dict.fromkeys(task.support if adapts else work.supports[0] for task, _ in wanted)
        embedded: dict[Support, list[Tensor]] = {state: [] for state in states}
        for _ in query.jobs():
            frames = next(images)
            for state, pieces in embedded.items():
                pieces.append(fitted[state].embed(frames))
        features = {state: torch.cat(pieces) for state, pieces in embedded.items()}
        for task, plan in wanted:
            of_task = features[task.support if adapts else work.supports[0]]
            pooled = _trailing_features(of_task, query, plan, task.clip_length)
            answers[task.task, plan.video] = fitted[task.support].logits_from_features(pooled).softmax(1).max(1)
    return _table(work, answers)


def _personalize(
    recognizer: Recognizer, plans: Sequence[VideoPlan], clip_length: int, images: Iterator[Tensor]
) -> FittedRecognizer:
    support = torch.cat([next(images) for _ in plans])
    if clip_length > 1:
        support = support.unflatten(0, (-1, clip_length))
    counts = torch.tensor([len(plan.frames) // clip_length for plan in plans])
    labels = torch.repeat_interleave(torch.tensor([plan.label for plan in plans]), counts)
    return recognizer.personalize(support, labels)


def _trailing_features(features: Tensor, query: VideoFrames, plan: VideoPlan, clip_length: int) -> Tensor:
    """(frames wanted of the video, width) to (frames of the plan, width): each the mean of its clip's."""
    clips = np.searchsorted(query.frames, trailing_clips(plan.frames, clip_length))
    return features[torch.from_numpy(clips)].unflatten(0, (-1, clip_length)).mean(1)


def _table(work: UserWork, answers: dict[tuple[int, str], tuple[Tensor, Tensor]]) -> pd.DataFrame:
    plans = [(task.task, plan) for task in work.tasks for plan in task.query]
    counts = [len(plan.frames) for _, plan in plans]
    confidence, prediction = (torch.cat([answers[t, plan.video][i] for t, plan in plans]).cpu() for i in (0, 1))
    columns = {
        "user": work.user,
        "task": np.repeat(np.array([task for task, _ in plans], np.int32), counts),
        "video": np.repeat([plan.video for _, plan in plans], counts),
        "frame": np.concatenate([np.array(plan.frames, np.int32) for _, plan in plans]),
        "prediction": prediction.to(torch.int32).numpy(),
        "confidence": confidence.float().numpy(),
    }
    return pd.DataFrame(columns)[PREDICTION_COLUMNS.names]


def _count(images: Iterator[Tensor], progress: Progress) -> Iterator[Tensor]:
    for batch in images:
        progress.advance(len(batch))
        yield batch
