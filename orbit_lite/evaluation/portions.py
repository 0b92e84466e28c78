"""Divides tasks into portions, each predicted and stored as one file: an interrupted run loses at most one portion.

A user's tasks share embeddings, so they are one portion. If the learner adapts its extractor, each episode has its own
embeddings, and the hundreds of episodes of a source can take hours, so a portion has only a few.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

from eval.formats.records import Task, TaskSet

TASKS_PER_PORTION = 10
# Two suffixes, so that a name tells the user, whatever users are called.
_WHOLE = ".parquet"  # after the user: all of the user's tasks
_SOME = ".portion"  # after the user, a dot and the number of the first task


@dataclass(frozen=True)
class Portion:
    """At least one task of one user, in order. name: the name of the file with their predictions."""

    name: str
    user: str
    tasks: tuple[Task, ...]


def portions_of(tasks: TaskSet, *, shares_features: bool) -> list[Portion]:
    """Divide all tasks, user by user in the order of their first tasks. shares_features: see Recognizer."""
    by_user: dict[str, list[Task]] = defaultdict(list)
    for task in tasks.tasks:
        by_user[task.user].append(task)
    if shares_features or not tasks.single_images:
        return [Portion(f"{user}{_WHOLE}", user, tuple(own)) for user, own in by_user.items()]
    return [
        Portion(f"{user}.{own[first].task}{_SOME}", user, tuple(own[first : first + TASKS_PER_PORTION]))
        for user, own in by_user.items()
        for first in range(0, len(own), TASKS_PER_PORTION)
    ]


def is_portion_of(file_name: str, user: str) -> bool:
    """Whether a file with this name holds a user's predictions."""
    name = re.escape(user)
    return re.fullmatch(rf"{name}{re.escape(_WHOLE)}|{name}\.[0-9]+{re.escape(_SOME)}", file_name) is not None
