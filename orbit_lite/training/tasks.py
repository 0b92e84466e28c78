"""Orders the tasks of meta-training and groups them into steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.formats.records import Task
from groundwork.randomness import keyed_rng
from orbit_lite.data.numbering import user_of
from orbit_lite.data.samplers import Sampler


@dataclass(frozen=True)
class Steps:
    """Assigns tasks, numbered through the whole run, to steps. The last step of an epoch may be short."""

    tasks_per_epoch: int
    tasks_per_step: int
    epochs: int

    @property
    def per_epoch(self) -> int:
        """The number of steps in an epoch."""
        return math.ceil(self.tasks_per_epoch / self.tasks_per_step)

    @property
    def total(self) -> int:
        """The number of steps in the run."""
        return self.epochs * self.per_epoch

    def tasks_of(self, step: int) -> range:
        """The numbers of a step's tasks; steps count from 0."""
        epoch, within = divmod(step, self.per_epoch)
        first = within * self.tasks_per_step
        after = min(first + self.tasks_per_step, self.tasks_per_epoch)
        return range(epoch * self.tasks_per_epoch + first, epoch * self.tasks_per_epoch + after)


@dataclass(frozen=True)
class TrainingTasks:
    """All train users' tasks, shuffled again for each epoch; each task is drawn on access."""

    sampler: Sampler

    @property
    def per_epoch(self) -> int:
        """The number of tasks in an epoch."""
        plan = self.sampler.plan
        return plan.tasks or len(self.sampler.users) * self._of_user

    def task(self, number: int) -> Task:
        """The task with a number, counted through the whole run."""
        if self.sampler.plan.tasks:  # each task's user is drawn at random, so the order already is random
            return self.sampler.draw(user_of(number, self.sampler.users, seed=self.sampler.seed), number)
        epoch, within = divmod(number, self.per_epoch)
        order = keyed_rng(self.sampler.seed, "order", epoch).permutation(self.per_epoch)
        task, user = divmod(int(order[within]), len(self.sampler.users))
        return self.sampler.draw(self.sampler.users[user], epoch * self._of_user + task)

    @property
    def _of_user(self) -> int:
        return self.sampler.plan.tasks_per_user or 0


@dataclass(frozen=True)
class ChosenTasks:
    """Some of the tasks, by number, as a sequence that reading workers can divide."""

    tasks: TrainingTasks
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Task:
        return self.tasks.task(self.numbers[place])
