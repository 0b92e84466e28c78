"""Which tasks of which users a run has: a number per user, or a total number."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from groundwork.randomness import keyed_rng


class HasNumbers(Protocol):
    """A protocol's default number of tasks, per user or in total."""

    @property
    def tasks_per_user(self) -> int | None:
        """Tasks per user; None if the total is set instead."""

    @property
    def tasks(self) -> int | None:
        """Total number of tasks, each of a user drawn uniformly; None if the number per user is set instead."""


def task_numbers(
    plan: HasNumbers, users: Sequence[str], *, seed: int, tasks_per_user: int | None = None, tasks: int | None = None
) -> Iterator[tuple[str, int]]:
    """The user and number of each task, sorted by user, then by number.

    Args:
        plan: used if neither number is given.
        users: sorted.
        seed: the seed of the tasks.
        tasks_per_user: take tasks 0 to N - 1 of each user.
        tasks: take tasks 0 to N - 1, each of the user that `user_of` draws.
    """
    if tasks is None and tasks_per_user is None:
        tasks, tasks_per_user = plan.tasks, plan.tasks_per_user
    if tasks is None:
        yield from ((user, task) for user in users for task in range(tasks_per_user or 0))
        return
    drawn = [(user_of(task, users, seed=seed), task) for task in range(tasks)]
    yield from sorted(drawn, key=lambda one: users.index(one[0]))


def user_of(task: int, users: Sequence[str], *, seed: int) -> str:
    """Draw the user of a task uniformly, when tasks are numbered across all users."""
    return users[int(keyed_rng(seed, "tasks", "user", task).integers(len(users)))]
