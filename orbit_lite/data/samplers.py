"""Opens the sampler for a protocol: for users' videos, or for episodes on still images."""

from functools import partial
from typing import Protocol

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.copies import find_copies
from data_prep.tree.index import Index
from eval.formats.records import LeftOut, Task, TaskSet
from orbit_lite.config import TaskPlan
from orbit_lite.data.episodes import EpisodeSampler
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.episode_plan import AnyEpisodes


class Sampler(Protocol):
    """Draws tasks from (seed, user, task number). Picklable."""

    seed: int
    split: str

    @property
    def plan(self) -> TaskPlan | AnyEpisodes:
        """The protocol."""

    @property
    def users(self) -> tuple[str, ...]:
        """The users, or the sources of images, sorted."""

    @property
    def frames(self) -> int:
        """How many frames tasks can choose from."""

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The objects and videos that are in no task, and why."""

    def draw(self, user: str, task: int) -> Task:
        """The task with this number."""

    def draw_all(self, *, tasks_per_user: int | None = None, tasks: int | None = None) -> TaskSet:
        """All tasks, as the manifest that predict and score read."""


def open_sampler(
    index: Index,
    plan: TaskPlan | AnyEpisodes,
    *,
    split: str,
    seed: int,
    annotations: TreeAnnotations | None = None,
) -> Sampler:
    """The sampler that draws a protocol's tasks from a tree. For still images it also finds copies of the same picture.

    Raises:
        UsageError, DataError: see `TaskSampler` and `EpisodeSampler`.
    """
    if isinstance(plan, TaskPlan):
        return TaskSampler(index, plan, split=split, seed=seed, annotations=annotations)
    return EpisodeSampler(index, plan, split=split, seed=seed, copies=partial(find_copies, index))
