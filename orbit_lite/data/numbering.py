"""Which tasks of which users a run has: so many of each user, or so many in all."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from groundwork.randomness import keyed_rng


class HasNumbers(Protocol):
    """A protocol's own numbers: of tasks of each user, or in all."""

    @property
    def tasks_per_user(self) -> int | None:
        """Of each user; None if there is a number in all."""

    @property
    def tasks(self) -> int | None:
        """In all, a user drawn uniformly for each; None if there is a number for each user."""


def task_numbers(
    plan: HasNumbers, users: Sequence[str], *, seed: int, tasks_per_user: int | None = None, tasks: int | None = None
) -> Iterator[tuple[str, int]]:
    """User and number of each task, users together, numbers rising.

    Args:
        plan: holds where neither number is given.
        users: sorted.
        seed: of the tasks.
        tasks_per_user: tasks 0 to N - 1 of each user.
        tasks: tasks 0 to N - 1, each of the user that `user_of` draws for it.
    """
    if tasks is None and tasks_per_user is None:
        tasks, tasks_per_user = plan.tasks, plan.tasks_per_user
    if tasks is None:
        yield from ((user, task) for user in users for task in range(tasks_per_user or 0))
        return
    drawn = [(user_of(task, users, seed=seed), task) for task in range(tasks)]
    yield from sorted(drawn, key=lambda one: users.index(one[0]))


def user_of(task: int, users: Sequence[str], *, seed: int) -> str:
    """The user, drawn uniformly, of a task that is numbered through all users."""
    return users[int(keyed_rng(seed, "tasks", "user", task).integers(len(users)))]
