"""Small synthetic task sets and predictions, drawn from a seed."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from eval.formats.answer_text import NONE_OF_THESE, maybe_text, sure_text
from eval.formats.answers import AnswerPoint, Answers, AnswersCurve
from eval.formats.records import LeftOut, Scorecard, Task, TaskSet, VideoPlan

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
    """Right in about half of the frames; rows in a random order."""
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


def _with_answers(task_set: TaskSet, predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The same predictions with answers: sure, with a "maybe" and none of these, at random."""
    rng = np.random.default_rng(seed)
    objects = {(task.user, task.task): task.objects for task in task_set.tasks}
    answers = []
    for row in predictions.itertuples():
        thing = objects[row.user, row.task][row.prediction]
        answers.append([sure_text(thing), maybe_text(thing), NONE_OF_THESE][rng.integers(3)])
    return predictions.assign(answer=answers)


@pytest.fixture
def with_answers() -> Callable[..., pd.DataFrame]:
    return _with_answers


@pytest.fixture
def answered(task_set, predictions) -> pd.DataFrame:
    return _with_answers(task_set, predictions)


def _curve_of(card: Scorecard, *, alarms: bool = True) -> AnswersCurve:
    """A curve of 50 points, of which the 20th was scored; accuracy decreases with the distance from it."""
    got, points = card.overall.answers, []
    for place in range(50):
        right = got.right * (1 - abs(place - 19) / 100)
        answers = got if place == 19 else Answers(right=right, wrong=0, none=1 - right, unsure=0)
        promised = 0.5 - place / 100 if alarms else None
        points.append(AnswerPoint(aim=(place + 1) / 100, misses=place / 80, false_alarms=promised, answers=answers))
    return AnswersCurve(strictness="careful", chosen=19, points=tuple(points))


@pytest.fixture
def curve_of() -> Callable[..., AnswersCurve]:
    return _curve_of
