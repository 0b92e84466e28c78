"""The drawer that goes with a protocol: of users' videos, or of episodes on still images."""

from functools import partial
from typing import Protocol

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.copies import find_copies
from data_prep.tree.index import Index
from eval.formats.records import LeftOut, Task, TaskSet
from orbit_lite.config import TaskPlan
from orbit_lite.data.episodes import EpisodeDrawer
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.episode_plan import AnyEpisodes


class Drawer(Protocol):
    """Draws tasks from (seed, user, task number). Picklable."""

    seed: int
    split: str

    @property
    def plan(self) -> TaskPlan | AnyEpisodes:
        """The protocol."""

    @property
    def users(self) -> tuple[str, ...]:
        """Users, or sources of images, sorted."""

    @property
    def frames(self) -> int:
        """How many frames tasks may take."""

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What is in no task, and why."""

    def draw(self, user: str, task: int) -> Task:
        """The task with this number."""

    def draw_all(self, *, tasks_per_user: int | None = None, tasks: int | None = None) -> TaskSet:
        """Every task, as the manifest that predict and score read."""


def open_drawer(
    index: Index,
    plan: TaskPlan | AnyEpisodes,
    *,
    split: str,
    seed: int,
    annotations: TreeAnnotations | None = None,
) -> Drawer:
    """The drawer of a protocol's tasks from a tree; looks for copies among its images where that matters.

    Raises:
        UsageError, DataError: as `TaskDrawer` and `EpisodeDrawer`.
    """
    if isinstance(plan, TaskPlan):
        return TaskDrawer(index, plan, split=split, seed=seed, annotations=annotations)
    return EpisodeDrawer(index, plan, split=split, seed=seed, copies=partial(find_copies, index))
