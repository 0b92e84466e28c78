"""Confusion matrices of a user's objects: one per user and set of objects, pooled over tasks."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eval.formats.align import QueryFrames
from eval.formats.scorecard import Confusion
from eval.metrics import PredictedVideos, confusion_counts


def confusions(query: QueryFrames, videos: PredictedVideos) -> tuple[Confusion, ...]:
    """How often each object was predicted as each other; sorted by user, then by the first task of a set of objects.

    Tasks with different objects are kept separate, because a frame can only be predicted as an object of its task.

    Args:
        query: the tasks' frames.
        videos: their predictions, in the same order.
    """
    truth = np.repeat(videos.labels, videos.counts)
    frames_of_task = np.bincount(query.task_of_video, weights=query.counts, minlength=len(query.tasks))
    edges = np.concatenate([[0], np.cumsum(frames_of_task)]).astype(np.int64)
    counts: dict[tuple[str, tuple[str, ...]], NDArray[np.int64]] = {}
    tasks: dict[tuple[str, tuple[str, ...]], int] = {}
    for task, (start, end) in zip(query.tasks, pairwise(edges.tolist()), strict=True):
        key = (task.user, task.objects)
        of_task = confusion_counts(truth[start:end], videos.predictions[start:end], way=task.way)
        counts[key] = counts.get(key, 0) + of_task
        tasks[key] = tasks.get(key, 0) + 1
    return tuple(
        Confusion(user=user, tasks=tasks[user, objects], objects=objects, frames=tuple(map(tuple, matrix.tolist())))
        for (user, objects), matrix in sorted(counts.items(), key=lambda item: item[0][0])
    )
