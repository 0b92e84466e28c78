import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.formats.records import LeftOut, Task, TaskSet, VideoPlan, read_tasks, tasks_fingerprint, write_tasks
from groundwork.errors import DataError, UsageError

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
frames = st.sets(st.integers(1, 10**6), min_size=1, max_size=6).map(lambda chosen: tuple(sorted(chosen)))


@st.composite
def tasks(draw):
    objects = tuple(draw(st.lists(names, min_size=1, max_size=4, unique=True)))
    videos = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    plan = st.builds(VideoPlan, st.just(""), st.integers(0, len(objects) - 1), frames)
    support, query = (tuple(dataclasses.replace(draw(plan), video=video) for video in videos) for _ in range(2))
    return Task(draw(names), draw(st.integers(0, 99)), objects, support, query, draw(st.integers(1, 8)))


@st.composite
def task_sets(draw):
    unique = draw(st.lists(tasks(), max_size=4, unique_by=lambda task: (task.user, task.task)))
    left_out = draw(st.lists(st.builds(LeftOut, names, names, st.just("") | names, names), max_size=2))
    return TaskSet(
        draw(names), draw(names), draw(st.integers()), draw(st.booleans()), draw(names), tuple(left_out), tuple(unique)
    )


@given(task_sets())
@settings(max_examples=60)
def test_tasks_survive_write_and_read(tmp_path_factory, task_set):
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    write_tasks(path, task_set)
    assert read_tasks(path) == task_set
    assert path.read_bytes().count(b"\n") == 1 + len(task_set.tasks)  # one line per task, for any names


def test_the_file_can_be_read_without_this_kit(tmp_path, task_set):
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, task_set)
    header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["schema"] == 1
    assert header["kind"] == "tasks"
    assert header["tasks"] == len(rows) == len(task_set.tasks)
    assert header["left_out"][0]["reason"] == "no valid query video"
    assert list(rows[0]) == [field.name for field in dataclasses.fields(Task)]
    assert list(rows[0]["query"][0]) == [field.name for field in dataclasses.fields(VideoPlan)]


def test_fingerprint_is_of_everything(make_tasks):
    first = make_tasks(0)
    assert tasks_fingerprint(first) == tasks_fingerprint(make_tasks(0))
    task = first.tasks[0]
    support = (dataclasses.replace(task.support[0], frames=(1, 32)), *task.support[1:])
    others = [
        make_tasks(1),
        dataclasses.replace(first, protocol="orbit-2022"),
        dataclasses.replace(first, tasks=(dataclasses.replace(task, support=support), *first.tasks[1:])),
    ]
    assert len({tasks_fingerprint(task_set) for task_set in [first, *others]}) == 4


def test_a_truncated_file_is_a_data_error(tmp_path, task_set):
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, task_set)
    content = path.read_bytes()
    # the last byte is the final newline, without which the file is still complete
    for length in {0, 1, len(content) // 2, len(content) - 2, *(i for i, byte in enumerate(content) if byte == 10)}:
        if length < len(content) - 1:
            path.write_bytes(content[:length])
            with pytest.raises(DataError, match=r"tasks\.jsonl:\d+: "):
                read_tasks(path)


def edited(line, **changes):
    return json.dumps(json.loads(line) | changes).encode()


PLAN = {"video": "v", "label": 0, "frames": [1, 2]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"task": "1"}, "task: .*integer"),
        ({"task": True}, "task: .*integer"),
        ({"task": 1.0}, "task: .*integer"),
        ({"task": -1}, "task: "),
        ({"user": 7}, "user: .*string"),
        ({"user": None}, "user: .*string"),
        ({"user": ""}, "user: "),
        ({"color": "red"}, "unknown key 'color'"),
        ({"objects": []}, "objects are missing"),
        ({"objects": ["a", "a"]}, "listed twice"),
        ({"clip_length": 0}, "clip_length: "),
        ({"query": {}}, "query: "),
        ({"query": [PLAN | {"label": 99}]}, "label 99"),
        ({"query": [PLAN | {"label": -1}]}, "label: "),
        ({"query": [PLAN | {"frames": [0, 1]}]}, r"query\.0\.frames\.0: "),
        ({"query": [PLAN | {"frames": [1, 1.5]}]}, r"query\.0\.frames\.1: "),
        ({"query": [PLAN | {"frames": [2, 1]}]}, "ascending"),
        ({"query": [PLAN | {"frames": [2, 2]}]}, "ascending"),
        ({"query": [PLAN | {"frames": []}]}, "no frames"),
        ({"query": [PLAN, PLAN]}, "appears twice"),
        ({"support": [PLAN | {"label": 99}]}, "label 99"),
        ({"support": [{"video": "v", "label": 0}]}, r"key 'support\.0\.frames' is missing"),
    ],
)
def test_a_wrong_task_names_file_and_line(tmp_path, task_set, changes, expected):
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, task_set)
    lines = path.read_bytes().splitlines()
    lines[2] = edited(lines[2], **changes)
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataError, match=rf"tasks\.jsonl:3: .*{expected}") as raised:
        read_tasks(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "object"),
        (b'{"schema":1,"kind":"scorecard"}', "not a tasks file"),
        (b'{"schema":2,"kind":"tasks"}', "schema 2.*schema 1"),
        (b'{"schema":true,"kind":"tasks"}', "schema True"),
        (b'{"schema":1,"kind":"tasks"}', "key 'protocol' is missing"),
    ],
)
def test_a_foreign_header_is_a_data_error(tmp_path, header, expected):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(header + b"\n")
    with pytest.raises(DataError, match=rf"tasks\.jsonl:1: .*{expected}") as raised:
        read_tasks(path)
    assert "\n" not in str(raised.value)


def test_a_duplicate_task_is_a_data_error(tmp_path, task_set):
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, dataclasses.replace(task_set, tasks=(task_set.tasks[0], task_set.tasks[0])))
    with pytest.raises(DataError, match=r":3: .*appears twice"):
        read_tasks(path)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_tasks(tmp_path / "tasks.jsonl")
    with pytest.raises(UsageError, match="a folder"):
        read_tasks(tmp_path)


def test_a_name_that_is_not_utf8_is_a_data_error_and_leaves_no_file(tmp_path, task_set):
    task = dataclasses.replace(task_set.tasks[0], user="P\udce9")
    with pytest.raises(DataError, match="not valid UTF-8"):
        write_tasks(tmp_path / "tasks.jsonl", dataclasses.replace(task_set, tasks=(task,)))
    assert list(tmp_path.iterdir()) == []


GOLDEN = (
    '{"schema":1,"kind":"tasks","protocol":"orbit-2022","split":"test","seed":-7,"every_query_frame":true,'
    '"data_fingerprint":"0f0f","left_out":[{"user":"P3","object":"ma tasse é","video":"","reason":"too short"}],'
    '"tasks":2}\n'
    '{"user":"P1","task":0,"objects":["bag","ключ"],"support":[{"video":"P1--bag--\\"a\\"","label":0,"frames":[1,31]},'
    '{"video":"P1--key--b","label":1,"frames":[2]}],"query":[{"video":"c","label":0,"frames":[1,2,300]}],'
    '"clip_length":1}\n'
    '{"user":"P2","task":3,"objects":["mug"],"support":[{"video":"v","label":0,"frames":[1,2,3,4]}],'
    '"query":[{"video":"w","label":0,"frames":[9]}],"clip_length":4}\n'
)


@dataclasses.dataclass(frozen=True)
class TaskWithMore(Task):
    remark: str = "not for the file"


@pytest.mark.parametrize("kind", [Task, TaskWithMore])
def test_the_bytes_do_not_change(tmp_path, kind):
    """They determine the fingerprint of a task set, which additional fields in memory must not change."""
    support = (VideoPlan('P1--bag--"a"', 0, (1, 31)), VideoPlan("P1--key--b", 1, (2,)))
    first = kind("P1", 0, ("bag", "ключ"), support, (VideoPlan("c", 0, (1, 2, 300)),))
    clips = (VideoPlan("v", 0, (1, 2, 3, 4)),)
    second = kind("P2", 3, ("mug",), clips, (VideoPlan("w", 0, (9,)),), 4)
    left_out = (LeftOut("P3", "ma tasse é", "", "too short"),)
    task_set = TaskSet("orbit-2022", "test", -7, True, "0f0f", left_out, (first, second))
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, task_set)
    assert path.read_bytes().decode() == GOLDEN
    # sha256 of these bytes, by sha256sum
    assert tasks_fingerprint(task_set) == "b3a5d085a0e76c0d4d051382ee2704bf4a5f89504886b076124159ead24d4929"
