"""Which tasks meta-training takes, in which order, and which of them make a step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.formats.records import Task
from groundwork.randomness import keyed_rng
from orbit_lite.data.drawing import Drawer
from orbit_lite.data.numbering import user_of


@dataclass(frozen=True)
class Steps:
    """Which tasks, counted through the whole run, each step takes. The last step of an epoch may be short."""

    tasks_an_epoch: int
    tasks_a_step: int
    epochs: int

    @property
    def an_epoch(self) -> int:
        """Steps in one epoch."""
        return math.ceil(self.tasks_an_epoch / self.tasks_a_step)

    @property
    def total(self) -> int:
        """Steps in the run."""
        return self.epochs * self.an_epoch

    def tasks_of(self, step: int) -> range:
        """Numbers of a step's tasks; steps count from 0."""
        epoch, within = divmod(step, self.an_epoch)
        first = within * self.tasks_a_step
        after = min(first + self.tasks_a_step, self.tasks_an_epoch)
        return range(epoch * self.tasks_an_epoch + first, epoch * self.tasks_an_epoch + after)


@dataclass(frozen=True)
class TrainingTasks:
    """Every train user's tasks, in an order drawn anew for each epoch; each is drawn when it is asked for."""

    drawer: Drawer

    @property
    def an_epoch(self) -> int:
        """Tasks in one epoch."""
        plan = self.drawer.plan
        return plan.tasks or len(self.drawer.users) * self._of_user

    def task(self, number: int) -> Task:
        """One task, by its number through the whole run."""
        if self.drawer.plan.tasks:  # of a user drawn for each: their order is drawn already
            return self.drawer.draw(user_of(number, self.drawer.users, seed=self.drawer.seed), number)
        epoch, within = divmod(number, self.an_epoch)
        order = keyed_rng(self.drawer.seed, "order", epoch).permutation(self.an_epoch)
        task, user = divmod(int(order[within]), len(self.drawer.users))
        return self.drawer.draw(self.drawer.users[user], epoch * self._of_user + task)

    @property
    def _of_user(self) -> int:
        return self.drawer.plan.tasks_per_user or 0


@dataclass(frozen=True)
class ChosenTasks:
    """Some of the tasks, by number: a sequence that reading workers can share out."""

    tasks: TrainingTasks
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Task:
        return self.tasks.task(self.numbers[place])
