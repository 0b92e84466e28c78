import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.formats.challenge import UNCHECKED_NOTE, read_results, write_results
from eval.formats.check import find_faults
from eval.formats.records import Task, TaskSet, VideoPlan, tasks_fingerprint
from eval.score import score
from groundwork.errors import DataError, UsageError

KEYS = ["user", "task", "video", "frame"]
# names as in ORBIT (with spaces and dashes), and ids that contain "--" or start with "-"
object_names = st.lists(
    st.sampled_from(["bag", "my keys", "tv remote", "tv-box", "ärmel", "p939411 white cane"]),
    min_size=2,
    max_size=5,
    unique=True,
)
video_ids = st.text("ab-_Z9", min_size=1, max_size=6)


@st.composite
def task_sets(draw, *, form="2023"):
    tasks = []
    for user in draw(st.lists(st.sampled_from(["P1", "P22", "P--3", "Pé"]), min_size=1, max_size=3, unique=True)):
        objects = tuple(sorted(draw(object_names)))
        numbers = sorted(draw(st.sets(st.integers(0, 9), min_size=1, max_size=1 if form == "2022" else 3)))
        for number in numbers:
            query = []
            for name, label in draw(
                st.lists(st.tuples(video_ids, st.integers(0, len(objects) - 1)), min_size=1, max_size=4, unique=True)
            ):
                frames = draw(st.sets(st.integers(1, 99_999), min_size=1, max_size=5))
                plan = tuple(range(1, len(frames) + 1)) if form == "2022" else tuple(sorted(frames))
                slug = objects[label].replace(" ", "-")
                query.append(VideoPlan(f"{user}--{slug}--clutter--{name}", label, plan))
            tasks.append(Task(user, number, objects, (), tuple(query)))
    return TaskSet("orbit-2022", "test", 1, form == "2022", "f", (), tuple(tasks))


def predictions_of(task_set, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        (task.user, task.task, plan.video, frame, int(rng.integers(task.way)), 0.5)
        for task in task_set.tasks
        for plan in task.query
        for frame in plan.frames
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "prediction", "confidence"])
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


def plain_rows(table):
    return sorted(table[[*KEYS, "prediction"]].astype({"user": str, "video": str}).itertuples(index=False, name=None))


forms = st.sampled_from(["2022", "2023"]).flatmap(lambda form: st.tuples(st.just(form), task_sets(form=form)))


@given(forms, st.integers(0, 99))
@settings(max_examples=60)
def test_predictions_survive_write_and_read_in_both_forms(tmp_path_factory, drawn, seed):
    form, task_set = drawn
    path = tmp_path_factory.mktemp("results") / "results.json"
    table = predictions_of(task_set, seed)
    write_results(path, table, task_set, form=form)
    results = read_results(path, task_set)
    assert (results.form, results.derived, results.tasks) == (form, False, task_set)
    assert plain_rows(results.predictions) == plain_rows(table)
    assert results.predictions["confidence"].isna().all()
    assert find_faults(task_set, results.predictions) == []


@given(forms, st.integers(0, 99))
@settings(max_examples=60)
def test_a_file_alone_scores_as_with_its_tasks(tmp_path_factory, drawn, seed):
    form, task_set = drawn
    path = tmp_path_factory.mktemp("results") / "results.json"
    table = predictions_of(task_set, seed)
    write_results(path, table, task_set, form=form)
    alone = read_results(path)
    assert alone.derived
    assert (alone.tasks.protocol, alone.tasks.split) == (f"results-{form}", "")
    # The file has only the order of tasks, no numbers. Its users are also in another order, which changes a mean by
    # rounding, but not the rows.
    order = {(task.user, task.task): 0 for task in task_set.tasks}
    for user, number in sorted(order):
        order[user, number] = sum((user, other) in order for other in range(number))
    rows = (row.model_copy(update={"task": order[row.user, row.task]}) for row in score(task_set, table).per_video)
    assert set(score(alone.tasks, alone.predictions).per_video) == set(rows)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "results.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def task(objects=("mug", "bag"), macs=7, **videos):
    named = {f"P1--{name}--clutter--x": frames for name, frames in videos.items()}
    return {"task_object_list": list(objects), "task_macs_to_personalise": macs, "task_videos": named}


OURS = TaskSet(
    "orbit-2022",
    "test",
    0,
    False,
    "f",
    (),
    (Task("P1", 4, ("bag", "mug"), (), (VideoPlan("P1--mug--clutter--x", 1, (3, 9)),)),),
)


def test_an_index_is_of_the_files_own_list_in_whatever_order(write):
    path = write({"P1": [task(mug={"3": 0, "9": 1})]})  # 0 is mug there, and here 1
    for results in (read_results(path, OURS), read_results(path)):
        assert results.predictions[["frame", "prediction"]].to_numpy().tolist() == [[3, 1], [9, 0]]
        assert score(results.tasks, results.predictions).overall.frame_accuracy.per_video.mean == 0.5
    assert read_results(path, OURS).predictions["task"].unique().tolist() == [
        4
    ]  # the n-th entry is the n-th task by number
    assert read_results(path).tasks.tasks[0].objects == ("bag", "mug")


def test_objects_may_be_named_by_their_slugs(write):
    ours = dataclasses.replace(OURS.tasks[0], objects=("my keys", "mug"))
    path = write({"P1": [task(("mug", "my-keys"), mug={"3": 0, "9": 1})]})
    results = read_results(path, dataclasses.replace(OURS, tasks=(ours,)))
    assert results.predictions["prediction"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (("mug", "cup"), "user 'P1', task 0: has 'cup', which is not in the task and lacks 'bag'"),
        (("mug",), "lacks 'bag'"),
        (("mug", "bag", "cup"), "has 'cup'"),
    ],
)
def test_a_list_of_other_objects_is_refused(write, objects, expected):
    with pytest.raises(DataError, match=expected) as raised:
        read_results(write({"P1": [task(objects, mug={"3": 0, "9": 0})]}), OURS)
    assert "\n" not in str(raised.value)


def test_everything_that_is_not_the_tasks_is_listed_at_once(write):
    """A file of unknown origin: nothing in it is dropped before eval.formats.check."""
    content = {
        "P1": [task(mug={"3": 0, "8": 0, "0": 0}, bag={"1": 0}), task(mug={"3": 0})],
        "P9": [task(mug={"3": 0})],
    }
    text = json.dumps(content).replace('"8": 0', '"8": 0, "3": 2')
    faults = find_faults(OURS, read_results(write(text), OURS).predictions)
    assert [str(fault) for fault in faults] == [
        "user P1, task 4, video 'P1--mug--clutter--x': 1 frame missing, first 9",
        "user P1, task 4, video 'P1--mug--clutter--x': 1 frame predicted more than once, first 3",
        "user P9: 1 frame of a user who is not in the tasks",
        "user P1, task 5: 1 frame of a task that the user does not have",
        "user P1, task 4, video 'P1--bag--clutter--x': 1 frame of a video that is not in the task's query set, first 1",
        "user P1, task 4, video 'P1--mug--clutter--x': 2 frames that are not in the task, first 0",
        "user P1, task 4, video 'P1--mug--clutter--x': 1 frame predicted as a class that the task does not have, "
        "first 3",
    ]


def test_macs_as_they_are_written_there(write):
    for written, expected in ((7, 7), (7.0, 7), ("4.78T", 4_780_000_000_000), ("12.5K", 12_500), ("3 G", 3 * 10**9)):
        results = read_results(write({"P1": [task(macs=written, mug={"3": 0, "9": 0})]}), OURS)
        assert results.macs_to_personalize == {("P1", 4): expected}
        assert results.cost.macs_to_personalize_thop.mean == expected
    missing = task(mug={"3": 0, "9": 0})
    del missing["task_macs_to_personalise"]
    results = read_results(write({"P1": [missing]}), OURS)
    assert (results.macs_to_personalize, results.cost) == ({("P1", 4): None}, None)


def test_macs_are_written_where_they_are_known(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, predictions_of(OURS), OURS, macs_to_personalize={("P1", 4): 12})
    assert json.loads(path.read_text())["P1"][0]["task_macs_to_personalise"] == 12
    assert read_results(path, OURS).macs_to_personalize == {("P1", 4): 12}


def test_the_written_file_is_the_published_form(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, predictions_of(OURS).assign(prediction=1), OURS)
    assert json.loads(path.read_text()) == {
        "P1": [{"task_object_list": ["bag", "mug"], "task_videos": {"P1--mug--clutter--x": {"3": 1, "9": 1}}}]
    }
    whole = dataclasses.replace(OURS.tasks[0], query=(VideoPlan("P1--mug--clutter--x", 1, (1, 2)),))
    task_set = dataclasses.replace(OURS, tasks=(whole,))
    write_results(path, predictions_of(task_set).assign(prediction=0), task_set, form="2022")
    assert json.loads(path.read_text()) == {
        "P1": {"user_objects": ["bag", "mug"], "user_videos": {"P1--mug--clutter--x": [0, 0]}}
    }


def test_2022_holds_one_task_a_user_and_whole_videos(tmp_path, write):
    path = tmp_path / "none.json"
    with pytest.raises(UsageError, match="are not 1 to n; use 2023"):
        write_results(path, predictions_of(OURS), OURS, form="2022")
    whole = dataclasses.replace(OURS.tasks[0], query=(VideoPlan("P1--mug--clutter--x", 1, (1,)),))
    two = dataclasses.replace(OURS, tasks=(whole, dataclasses.replace(whole, task=5)))
    with pytest.raises(UsageError, match="one task per user"):
        write_results(path, predictions_of(two), two, form="2022")
    with pytest.raises(UsageError, match="one task per user"):
        read_results(write({"P1": {"user_objects": ["bag"], "user_videos": {}}}), two)
    with pytest.raises(UsageError, match="unknown form"):
        write_results(path, predictions_of(OURS), OURS, form="2021")
    assert not path.exists()


def test_incomplete_predictions_are_not_written(tmp_path):
    with pytest.raises(DataError, match="1 fault"):
        write_results(tmp_path / "results.json", predictions_of(OURS).iloc[:1], OURS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("objects", "video", "expected"),
    [
        (["bag", "mug"], "P1--cup--clutter--x", "its name matches none of the task's objects"),
        (["bag", "mug"], "nonsense", "its name matches none of the task's objects"),
        (["my keys", "my-keys"], "P1--my-keys--clutter--x", "its name matches 2 of the task's objects"),
        (["a", "a  clutter"], "P1--a--clutter--x", "its name matches 2 of the task's objects"),
    ],
)
def test_a_label_that_is_not_sure_is_refused_without_tasks(write, objects, video, expected):
    path = write({"P1": [{"task_object_list": objects, "task_videos": {video: {"1": 0}}}]})
    with pytest.raises(DataError, match=f"{expected}.*--tasks"):
        read_results(path)


@pytest.mark.parametrize(("frames", "expected"), [({}, "no frames"), ({"0": 1, "4": 1}, "frame 0")])
def test_a_video_without_legal_frames_is_refused_without_tasks(write, frames, expected):
    with pytest.raises(DataError, match=f"user 'P1', task 0, video .*{expected}"):
        read_results(write({"P1": [task(mug=frames)]}))


def test_what_a_file_alone_holds_twice_or_out_of_range_is_listed(write):
    text = json.dumps({"P1": [task(mug={"3": 0, "9": 5})]}).replace('"3": 0', '"3": 0, "3": 1')
    results = read_results(write(text))
    faults = [(fault.what, fault.rows, fault.first) for fault in find_faults(results.tasks, results.predictions)]
    assert faults == [
        ("predicted more than once", 1, 3),
        ("predicted as a class that the task does not have", 1, 9),
    ]


def test_two_files_of_the_same_tasks_have_the_same_fingerprint(write):
    first = tasks_fingerprint(read_results(write({"P1": [task(mug={"3": 0, "9": 1})]})).tasks)
    second = read_results(write({"P1": [task(("bag", "mug"), mug={"9": 0, "3": 0})]}))
    assert tasks_fingerprint(second.tasks) == first
    assert "can't be checked" in UNCHECKED_NOTE
