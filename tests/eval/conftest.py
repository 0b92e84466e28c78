"""Made task sets and predictions: small, drawn from a seed, nothing like a real recogniser."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from eval.formats.records import LeftOut, Task, TaskSet, VideoPlan

MakeTasks = Callable[..., TaskSet]
MakePredictions = Callable[..., pd.DataFrame]


def _draw_video(rng: np.random.Generator, name: str, label: int) -> VideoPlan:
    frames = np.sort(rng.permutation(40)[: rng.integers(1, 12)]) + 1
    return VideoPlan(name, label, tuple(frames.tolist()))


def _make_tasks(seed: int = 0, users: tuple[str, ...] = ("P1", "P22", "P3", "P4"), every: bool = True) -> TaskSet:
    rng = np.random.default_rng(seed)
    tasks = []
    for user in users:
        way = int(rng.integers(2, 6))
        objects = tuple(sorted(f"thing {place}" for place in range(way)))
        for number in range(int(rng.integers(1, 4))):
            names = [(f"{user}--thing-{label}--clutter--{k}", label) for label in range(way) for k in range(2)]
            query = tuple(_draw_video(rng, *names[i]) for i in rng.permutation(len(names))[: rng.integers(1, 7)])
            support = tuple(VideoPlan(f"{user}--thing-{label}--clean--a", label, (1, 31)) for label in range(way))
            tasks.append(Task(user, number, objects, support, query))
    left_out = (LeftOut("P3", "thing 9", "", "no valid query video"),)
    return TaskSet("orbit-2021-clu-ve", "test", seed, every, "0f" * 32, left_out, tuple(tasks))


def _make_predictions(task_set: TaskSet, seed: int = 0) -> pd.DataFrame:
    """Right in about half of the frames; rows in a drawn order."""
    rng = np.random.default_rng(seed)
    rows = []
    for task in task_set.tasks:
        for plan in task.query:
            for frame in plan.frames:
                predicted = plan.label if rng.random() < 0.4 else int(rng.integers(task.way))
                rows.append((task.user, task.task, plan.video, frame, predicted, rng.random()))
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


@pytest.fixture
def make_tasks() -> MakeTasks:
    return _make_tasks


@pytest.fixture
def make_predictions() -> MakePredictions:
    return _make_predictions


@pytest.fixture
def task_set() -> TaskSet:
    return _make_tasks()


@pytest.fixture
def predictions(task_set) -> pd.DataFrame:
    return _make_predictions(task_set)
