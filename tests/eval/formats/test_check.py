import dataclasses

import numpy as np
import pandas as pd
import pytest

from eval.formats.align import QueryFrames
from eval.formats.check import Fault, find_faults, has_confidences, require_whole
from eval.formats.records import Task, TaskSet, VideoPlan
from groundwork.errors import DataError

OBJECTS = ("bag", "mug")


@pytest.fixture
def task_set() -> TaskSet:
    """Two users, two tasks each, two videos each: frames 1 to 5 and 10, 20, 30."""
    tasks = [
        Task(
            user,
            number,
            OBJECTS,
            (),
            (VideoPlan(f"{user}-a", 0, (1, 2, 3, 4, 5)), VideoPlan(f"{user}-b", 1, (10, 20, 30))),
        )
        for user in ("P1", "P2")
        for number in (0, 1)
    ]
    return TaskSet("orbit-2022", "test", 0, False, "f", (), tuple(tasks))


def whole(task_set: TaskSet) -> pd.DataFrame:
    rows = [
        (task.user, task.task, plan.video, frame, plan.label, 0.5)
        for task in task_set.tasks
        for plan in task.query
        for frame in plan.frames
    ]
    return pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])


def at(table, *, user, task, video=None, frame=None):
    rows = (table["user"] == user) & (table["task"] == task)
    rows &= (table["video"] == video) if video else True
    return rows & ((table["frame"] == frame) if frame else True)


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_whole_predictions_have_no_fault_in_any_order(task_set, kind):
    table = whole(task_set).astype({"user": kind, "video": kind})
    assert find_faults(task_set, table) == []
    assert find_faults(task_set, table.sample(frac=1, random_state=0)) == []
    # a softmax in float32 can be slightly above 1
    assert find_faults(task_set, table.assign(confidence=np.float32(1) + np.float32(1.2e-7))) == []


@pytest.mark.parametrize(("confidence", "legal"), [(0.0, True), (1 + 9e-7, True), (1 + 1.1e-6, False), (-1e-9, False)])
def test_a_confidence_is_from_0_to_1_and_a_millionth(task_set, confidence, legal):
    """The millionth allows for a softmax in float32; values above it or below 0 are not rounding errors."""
    assert (find_faults(task_set, whole(task_set).assign(confidence=confidence)) == []) is legal


MISSING, ALL, DOUBLED = "missing", "missing, which is all of them", "predicted more than once"
NO_USER, NO_TASK = "of a user who is not in the tasks", "of a task that the user does not have"
NO_VIDEO, NO_FRAME = "of a video that is not in the task's query set", "that are not in the task"
NO_CLASS = "predicted as a class that the task does not have"
NO_CONFIDENCE = "with a confidence that is not a number from 0 to 1"


def changed(column, value, **where):
    def change(table):
        table = table.copy()
        table.loc[at(table, **where), column] = value
        return table

    return change


def dropped(**where):
    return lambda table: table[~at(table, **where)]


def added(*rows):
    return lambda table: pd.concat([table, pd.DataFrame(rows, columns=table.columns)])


CASES = {
    "frames missing": (
        lambda table: table[~(at(table, user="P1", task=1, video="P1-a") & table["frame"].isin([2, 4]))],
        [Fault("P1", 1, "P1-a", 2, MISSING, 2)],
    ),
    "video missing": (dropped(user="P1", task=1, video="P1-b"), [Fault("P1", 1, "P1-b", 3, MISSING, 10)]),
    "task missing": (dropped(user="P1", task=0), [Fault("P1", 0, "", 8, ALL)]),
    "user missing": (lambda table: table[table["user"] != "P2"], [Fault("P2", None, "", 16, ALL)]),
    "frame doubled": (
        added(("P1", 0, "P1-b", 20, 1, 0.5), ("P1", 0, "P1-b", 20, 0, 0.1)),
        [Fault("P1", 0, "P1-b", 1, DOUBLED, 20)],
    ),
    "foreign user": (added(("P9", 0, "P1-b", 20, 1, 0.5)), [Fault("P9", None, "", 1, NO_USER)]),
    "foreign task": (added(("P1", 7, "P1-b", 20, 1, 0.5)), [Fault("P1", 7, "", 1, NO_TASK)]),
    # unknown names have index -1, so these would match the previous task, video or frame
    "second user's foreign task": (added(("P2", 7, "P2-b", 20, 1, 0.5)), [Fault("P2", 7, "", 1, NO_TASK)]),
    "second task's foreign video": (added(("P1", 1, "P1-c", 9, 1, 0.5)), [Fault("P1", 1, "P1-c", 1, NO_VIDEO, 9)]),
    "second user's foreign video": (added(("P2", 1, "A", 9, 1, 0.5)), [Fault("P2", 1, "A", 1, NO_VIDEO, 9)]),
    "foreign video": (added(("P1", 0, "P1-c", 9, 1, 0.5)), [Fault("P1", 0, "P1-c", 1, NO_VIDEO, 9)]),
    "another user's video": (added(("P1", 0, "P2-a", 1, 1, 0.5)), [Fault("P1", 0, "P2-a", 1, NO_VIDEO, 1)]),
    "frame between": (added(("P1", 0, "P1-b", 15, 1, 0.5)), [Fault("P1", 0, "P1-b", 1, NO_FRAME, 15)]),
    "frame 0": (added(("P1", 0, "P1-b", 0, 1, 0.5)), [Fault("P1", 0, "P1-b", 1, NO_FRAME, 0)]),
    # 31 numbers per video, 0 to 30, so these would match frame 2 of the previous video and frame 10 of the next
    "frame below": (
        added(("P1", 0, "P1-b", 2 - 31, 1, 0.5)),
        [Fault("P1", 0, "P1-b", 1, NO_FRAME, 2 - 31)],
    ),
    "frame above": (
        added(("P1", 0, "P1-a", 10 + 31, 1, 0.5)),
        [Fault("P1", 0, "P1-a", 1, NO_FRAME, 10 + 31)],
    ),
    "frame beyond": (added(("P1", 0, "P1-a", 2**31 - 1, 1, 0.5)), [Fault("P1", 0, "P1-a", 1, NO_FRAME, 2**31 - 1)]),
    "class beyond": (
        changed("prediction", 2, user="P1", task=0, video="P1-a", frame=3),
        [Fault("P1", 0, "P1-a", 1, NO_CLASS, 3)],
    ),
    "class below": (
        changed("prediction", -1, user="P1", task=0, video="P1-b"),
        [Fault("P1", 0, "P1-b", 3, NO_CLASS, 10)],
    ),
    "not a number": (
        changed("confidence", np.nan, user="P2", task=1, video="P2-a"),
        [Fault("P2", 1, "P2-a", 5, NO_CONFIDENCE, 1)],
    ),
    "above one": (
        changed("confidence", 1.01, user="P2", task=1, frame=4),
        [Fault("P2", 1, "P2-a", 1, NO_CONFIDENCE, 4)],
    ),
    "below zero": (
        changed("confidence", -0.01, user="P2", task=1, frame=4),
        [Fault("P2", 1, "P2-a", 1, NO_CONFIDENCE, 4)],
    ),
    "infinite": (
        changed("confidence", np.inf, user="P2", task=1, frame=4),
        [Fault("P2", 1, "P2-a", 1, NO_CONFIDENCE, 4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_fault_is_found_and_nothing_else(task_set, name):
    change, expected = CASES[name]
    table = change(whole(task_set))
    assert find_faults(task_set, table) == expected
    assert find_faults(task_set, table.astype({"user": "category", "video": "category"})) == expected


def test_no_confidences_at_all_are_legal_and_some_or_nan_are_not(task_set):
    """A results.json has none (pd.NA); NaN means a broken recognizer."""
    table = whole(task_set)
    none = table.assign(confidence=pd.array([pd.NA] * len(table), dtype="Float32"))
    assert not has_confidences(none)
    assert find_faults(task_set, none) == []
    some = none.copy()
    some.loc[some.index[1:], "confidence"] = 0.5
    assert has_confidences(some)
    assert [fault.rows for fault in find_faults(task_set, some)] == [1]
    broken = find_faults(task_set, table.assign(confidence=np.float32(np.nan)))
    assert {fault.what for fault in broken} == {NO_CONFIDENCE}
    assert sum(fault.rows for fault in broken) == len(table)


def test_all_kinds_are_found_at_once(task_set):
    table = whole(task_set)
    expected = []
    for name in ("frames missing", "frame doubled", "foreign user", "foreign task", "foreign video", "frame between"):
        table = CASES[name][0](table)
        expected += CASES[name][1]
    for name in ("class beyond", "not a number"):
        table = CASES[name][0](table.reset_index(drop=True))
        expected += CASES[name][1]
    assert find_faults(task_set, table) == expected


def test_a_fault_reads_as_one_line():
    assert str(Fault("P177", 3, "P177--bag--clutter--x", 12, "missing", 14)) == (
        "user P177, task 3, video 'P177--bag--clutter--x': 12 frames missing, first 14"
    )
    assert str(Fault("a\nb", None, "", 1, "missing")) == "user 'a\\nb': 1 frame missing"


def test_require_whole_gives_the_count_and_the_first(task_set):
    query = QueryFrames.of(task_set)
    good = whole(task_set)
    require_whole(query, query.locate(good), good)
    bad = good.assign(prediction=5)
    with pytest.raises(
        DataError, match=r"run/p\.parquet: .*, 8 faults: user P1, task 0, video 'P1-a': 5 frames .*; …"
    ) as raised:
        require_whole(query, query.locate(bad), bad, source="run/p.parquet")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("faults", "more"), [(1, False), (3, False), (4, True)])
def test_three_faults_are_shown(task_set, faults, more):
    query = QueryFrames.of(task_set)
    doubled = pd.concat([whole(task_set), whole(task_set).drop_duplicates(["user", "task", "video"]).iloc[:faults]])
    with pytest.raises(DataError, match=f", {faults} fault") as raised:
        require_whole(query, query.locate(doubled), doubled)
    assert ("; …" in str(raised.value)) is more
    assert str(raised.value).count("predicted more than once") == min(faults, 3)


def test_tasks_without_a_query_and_of_one_frame(task_set):
    """A task without query frames has no missing frames; a task with a single one can only be missing completely."""
    one, nothing = ((VideoPlan("P3-a", 1, (7,)),), ())
    tasks = (*task_set.tasks, *(Task("P3", n, OBJECTS, (), query) for n, query in enumerate((one, one, nothing))))
    more = dataclasses.replace(task_set, tasks=tasks)
    assert find_faults(more, whole(more)) == []
    assert find_faults(more, dropped(user="P3", task=1)(whole(more))) == [Fault("P3", 1, "", 1, ALL)]
    assert find_faults(more, whole(task_set)) == [Fault("P3", None, "", 2, ALL)]
    assert find_faults(more, dropped(user="P1", task=0, video="P1-a", frame=2)(whole(more))) == [
        Fault("P1", 0, "P1-a", 1, MISSING, 2)
    ]


def test_no_predictions_at_all_and_no_tasks_at_all(task_set):
    assert [fault.user for fault in find_faults(task_set, whole(task_set).iloc[:0].astype({"task": int}))] == [
        "P1",
        "P2",
    ]
    none = TaskSet("orbit-2022", "test", 0, False, "f", (), ())
    assert {fault.what for fault in find_faults(none, whole(task_set))} == {NO_USER}


@pytest.mark.parametrize("column", ["frame", "prediction", "task"])
def test_a_column_of_another_type_is_a_data_error(task_set, column):
    with pytest.raises(DataError, match=f"column {column} is float64"):
        find_faults(task_set, whole(task_set).astype({column: float}))


def test_random_damage_is_always_detected(make_tasks, make_predictions):
    """Compared with a simple implementation: sets of rows."""
    for seed in range(40):
        tasks = make_tasks(seed)
        table = make_predictions(tasks, seed)
        rng = np.random.default_rng(seed)
        damaged = table.iloc[rng.integers(len(table), size=len(table))].copy()
        damaged["frame"] += rng.random(len(table)) < 0.1
        keys = ["user", "task", "video", "frame"]
        expected = set(table[keys].itertuples(index=False, name=None))
        found = list(damaged[keys].itertuples(index=False, name=None))
        faults = find_faults(tasks, damaged)
        rows = {what: sum(f.rows for f in faults if f.what.startswith(what)) for what in (MISSING, DOUBLED, NO_FRAME)}
        assert rows[MISSING] == len(expected - set(found))
        assert rows[DOUBLED] == sum(found.count(key) > 1 for key in expected)
        assert rows[NO_FRAME] == sum(key not in expected for key in found)
