"""Which tasks are predicted in one go and kept in one file, until a run has all: what a run that is cut off loses.

A user's tasks share embeddings, so they are one portion. Of episodes of a learner that adapts its extractor, each has
embeddings of its own, and a source may have hundreds that take hours: a portion has a few.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

from eval.formats.records import Task, TaskSet

TASKS_A_PORTION = 10
SUFFIX = ".parquet"


@dataclass(frozen=True)
class Portion:
    """Tasks of one user, in their order, at least one. name: of their file, without its suffix."""

    name: str
    user: str
    tasks: tuple[Task, ...]


def portions_of(tasks: TaskSet, *, shares_features: bool) -> list[Portion]:
    """All tasks, user by user in the order of their first tasks. shares_features: of the learner, see Recognizer."""
    by_user: dict[str, list[Task]] = defaultdict(list)
    for task in tasks.tasks:
        by_user[task.user].append(task)
    if shares_features or not tasks.single_images:
        return [Portion(user, user, tuple(own)) for user, own in by_user.items()]
    return [
        Portion(f"{user}--{own[first].task}", user, tuple(own[first : first + TASKS_A_PORTION]))
        for user, own in by_user.items()
        for first in range(0, len(own), TASKS_A_PORTION)
    ]


def is_portion_of(file_name: str, user: str) -> bool:
    """Whether a file holds predictions of a user's, by its name."""
    return re.fullmatch(rf"{re.escape(user)}(--[0-9]+)?{re.escape(SUFFIX)}", file_name) is not None
