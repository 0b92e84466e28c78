"""Predicts tasks: personalizes once per distinct support set and embeds each distinct query frame once.

A test user's tasks share their support set and draw their queries from the same videos, so fifty tasks cost little more
than one. Memory is bounded by one user's support images and one video's features.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from data_prep.tree.index import Index
from eval.formats.records import TaskSet, VideoPlan
from groundwork.errors import DataError
from groundwork.progress import Progress
from orbit_lite.data.frames import FrameSource
from orbit_lite.data.loader import ReadFrames, ReadImages, ReadTask, labels_and_videos, read_ahead, trailing_clips
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.evaluation.causal_filter import CausalFilter, refuse_time_order
from orbit_lite.evaluation.episodes import predict_source
from orbit_lite.evaluation.portions import portions_of
from orbit_lite.evaluation.source_work import SourceWork
from orbit_lite.evaluation.table import predictions_table
from orbit_lite.evaluation.user_work import Planned, Support, UserWork, VideoFrames
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer
from orbit_lite.runs.ranks import Ranks, merge_shares


def predict(
    recognizer: Recognizer,
    tasks: TaskSet,
    index: Index,
    source: FrameSource,
    *,
    ranks: Ranks | None = None,
    workers: int = 0,
    plain: bool = False,
    causal_filter: CausalFilter | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Predict every query frame of every task, in the order of the tasks; every rank gets the result.

    Arguments and errors are those of `predict_users`.

    Returns:
        A table with the columns of eval.formats.records.PREDICTION_COLUMNS and one row per frame.
    """
    found = predict_users(
        recognizer,
        tasks,
        index,
        source,
        ranks=ranks,
        workers=workers,
        plain=plain,
        causal_filter=causal_filter,
        quiet=quiet,
    )
    tables = list(found)
    return pd.concat(merge_shares(ranks.gather(tables)) if ranks else tables, ignore_index=True)


def predict_users(
    recognizer: Recognizer,
    tasks: TaskSet,
    index: Index,
    source: FrameSource,
    *,
    done: Collection[str] = (),
    ranks: Ranks | None = None,
    workers: int = 0,
    plain: bool = False,
    causal_filter: CausalFilter | None = None,
    quiet: bool = False,
) -> Iterator[pd.DataFrame]:
    """Yield this rank's predictions, one table per portion of the tasks (see `portions_of`).

    Args:
        recognizer: already on the device that computes.
        tasks: the manifest; it must have been drawn from `index`.
        source: where the pixels come from.
        done: names of portions to skip.
        ranks: the processes that divide the portions among themselves.
        workers: processes that read ahead; the result does not depend on them.
        plain: read and embed every task's images separately; a slow reference.
        causal_filter: applied to each video's probabilities; None predicts each frame (or clip) independently.

    Raises:
        UsageError: if there is a filter and the tasks are of single images.
        DataError: if the tasks were drawn from another tree, a frame can't be read, or an answer is NaN.
    """
    if tasks.data_fingerprint != index.fingerprint:
        raise DataError(
            f"{index.root}: these tasks were drawn from another tree, or the tree has changed; draw the tasks again"
        )
    refuse_time_order(tasks.protocol, causal_filter, single_images=tasks.single_images)
    shares = recognizer.shares_features
    left = [portion for portion in portions_of(tasks, shares_features=shares) if portion.name not in done]
    own = ranks.share(left) if ranks else left
    quiet = quiet or bool(ranks and not ranks.first)
    workers, pin = max(workers, source.least_workers), recognizer.device.type == "cuda"
    if tasks.single_images and not plain:
        works = [SourceWork.of(portion.user, portion.tasks, shares_features=shares) for portion in own]
        yield from _predict_sources(recognizer, works, source, workers=workers, pin=pin, quiet=quiet)
        return
    users = [UserWork.of(portion.user, portion.tasks, causal_filter) for portion in own]
    if plain:
        ordered = [task for user in users for task in user.to_read()]
        with Progress("tasks", len(ordered), quiet=quiet) as progress:
            pixels = read_ahead(ordered, ReadTask(source), workers=workers, pin=pin)
            for user in users:
                yield _predict_user_plainly(recognizer, user, pixels, progress)
        return
    jobs = [job for user in users for job in user.jobs()]
    with Progress("frames read and embedded", sum(len(job.frames) for job in jobs), quiet=quiet) as progress:
        images = _count(read_ahead(jobs, ReadFrames(source), workers=workers, pin=pin), progress)
        for user in users:
            yield _predict_user(recognizer, user, images)


def _predict_sources(
    recognizer: Recognizer, works: Sequence[SourceWork], source: FrameSource, *, workers: int, pin: bool, quiet: bool
) -> Iterator[pd.DataFrame]:
    """Yield the predictions of episodes, one table per portion."""
    jobs = [job for work in works for job in work.jobs()]
    with Progress("images read and embedded", sum(len(job.images) for job in jobs), quiet=quiet) as progress:
        images = _count(read_ahead(jobs, ReadImages(source), workers=workers, pin=pin), progress)
        for work in works:
            yield predict_source(recognizer, work, images)


def _predict_user_plainly(
    recognizer: Recognizer, work: UserWork, pixels: Iterator[TaskPixels], progress: Progress
) -> pd.DataFrame:
    answers: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
    for task in work.tasks:
        images = next(pixels)
        support = images.support, images.support_labels, images.support_videos
        logits = recognizer.personalize(*support, way=task.way).logits(images.query)
        parts = logits.softmax(1).split([len(work.needed(plan).frames) for plan in task.query])
        for plan, part in zip(task.query, parts, strict=True):
            found = work.causal_filter(part)[_rows(plan)] if work.causal_filter else part
            answers[task.task, plan.video] = found.max(1)
        progress.advance()
    return _table(work, answers)


def _predict_user(recognizer: Recognizer, work: UserWork, images: Iterator[Tensor]) -> pd.DataFrame:
    """The predictions of one user. Takes exactly the images of `work.jobs()` from the iterator."""
    clip_lengths = {task.support: task.clip_length for task in work.tasks}
    fitted = {plans: _personalize(recognizer, plans, clip_lengths[plans], images) for plans in work.supports}
    answers: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
    for query in work.queries:
        # Unless the learner adapts the extractor, query features are the same for every support set.
        by_state: dict[Support, list[Planned]] = defaultdict(list)
        for task in work.tasks:
            state = task.support if not recognizer.shares_features else work.supports[0]
            by_state[state] += [(task, plan) for plan in task.query if plan.video == query.video]
        wanted = {
            state: VideoFrames.of(query.video, ((task, work.needed(plan)) for task, plan in plans))
            for state, plans in by_state.items()
            if plans
        }
        pieces: dict[Support, list[Tensor]] = {state: [] for state in wanted}
        for job in query.jobs():
            frames = next(images)
            for state, own in wanted.items():
                here = np.isin(job.frames, own.frames)
                if here.any():
                    pieces[state].append(fitted[state].embed(frames if here.all() else frames[torch.from_numpy(here)]))
        for state, own in wanted.items():
            features = torch.cat(pieces.pop(state))
            for support, plans in _by_support(by_state[state]).items():
                found = _probabilities(fitted[support], features, own, plans, work.causal_filter)
                for (task, plan), probabilities in zip(plans, found, strict=True):
                    answers[task.task, plan.video] = probabilities.max(1)
    return _table(work, answers)


def _by_support(plans: Sequence[Planned]) -> dict[Support, list[Planned]]:
    found: dict[Support, list[Planned]] = defaultdict(list)
    for task, plan in plans:
        found[task.support].append((task, plan))
    return found


def _probabilities(
    fitted: FittedRecognizer,
    features: Tensor,
    query: VideoFrames,
    plans: Sequence[Planned],
    causal_filter: CausalFilter | None,
) -> Iterator[Tensor]:
    """The probabilities for each plan of one video and one support set, (frames of the plan, way); `features` are those
    of `query`."""

    def unfiltered(plan: VideoPlan, clip_length: int) -> Tensor:
        return fitted.logits_from_features(_trailing_features(features, query, plan, clip_length)).softmax(1)

    if causal_filter is None:
        yield from (unfiltered(plan, task.clip_length) for task, plan in plans)
        return
    # The filter only looks back, so a frame's result is the same in every task: filter the longest plan once.
    task, longest = max(plans, key=lambda planned: planned[1].frames[-1])
    filtered = causal_filter(unfiltered(causal_filter.needed(longest), task.clip_length))
    yield from (filtered[_rows(plan)] for _, plan in plans)


def _rows(plan: VideoPlan) -> Tensor:
    """Indices of a plan's frames in a video, whose frames are numbered from 1."""
    return torch.tensor(plan.frames) - 1


def _personalize(
    recognizer: Recognizer, plans: Sequence[VideoPlan], clip_length: int, images: Iterator[Tensor]
) -> FittedRecognizer:
    support = torch.cat([next(images) for _ in plans])
    if clip_length > 1:
        support = support.unflatten(0, (-1, clip_length))
    return recognizer.personalize(support, *labels_and_videos(plans, clip_length))


def _trailing_features(features: Tensor, query: VideoFrames, plan: VideoPlan, clip_length: int) -> Tensor:
    """Average the features of each plan frame's clip: (frames of `query`, width) to (frames of the plan, width)."""
    if clip_length == 1:
        return features[torch.from_numpy(np.searchsorted(query.frames, plan.frames))]
    clips = np.searchsorted(query.frames, trailing_clips(plan.frames, clip_length))
    return features[torch.from_numpy(clips)].unflatten(0, (-1, clip_length)).mean(1)


def _table(work: UserWork, answers: dict[tuple[int, str], tuple[Tensor, Tensor]]) -> pd.DataFrame:
    plans = [(task.task, plan.video) for task in work.tasks for plan in task.query]
    confidence, prediction = (torch.cat([answers[plan][part] for plan in plans]) for part in (0, 1))
    return predictions_table(work.user, work.tasks, confidence, prediction)


def _count(images: Iterator[Tensor], progress: Progress) -> Iterator[Tensor]:
    for batch in images:
        progress.advance(len(batch))
        yield batch
