"""A results.json of unknown origin: every error is one line that names the place."""

import json

import pytest

from eval.formats.results_file import MOST_BYTES, read_entries
from groundwork.errors import DataError, UsageError

VIDEO = "P1--mug--clutter--x"


def of_2023(frames='{"1": 0}', objects='["mug", "bag"]', **more):
    rest = "".join(f', "{key}": {value}' for key, value in more.items())
    return f'{{"P1": [{{"task_object_list": {objects}, "task_videos": {{"{VIDEO}": {frames}}}{rest}}}]}}'


def of_2022(frames="[0, 1]", objects='["mug", "bag"]'):
    return f'{{"P1": {{"user_objects": {objects}, "user_videos": {{"{VIDEO}": {frames}}}}}}}'


CASES = {
    "nothing": ("", "not JSON"),
    "cut off": (of_2023()[:-3], "not JSON"),
    "not UTF-8": (b"\xff\xfe{}", "not JSON"),
    "deep": ("[" * 200_000, "not JSON"),
    "deep objects": ('{"a":' * 200_000, "not JSON"),
    "a number too long to read": (of_2023('{"1": ' + "9" * 5000 + "}"), "not JSON"),
    "a list": ("[]", "expected a JSON object"),
    "no users": ("{}", "not a results.json"),
    "two forms": (of_2023()[:-1] + ", " + of_2022()[1:].replace("P1", "P2", 1), "not a results.json"),
    "a user twice": (of_2023()[:-1] + ", " + of_2023()[1:], "user 'P1' appears twice"),
    "users as numbers": ('{"P1": 3}', "not a results.json"),
    "a task as a list": ('{"P1": [[]]}', r"user 'P1', task 0: expected an object, got \[\]"),
    "no objects": (of_2023(objects="[]"), "task_object_list: expected a list of names"),
    "objects missing": ('{"P1": [{"task_videos": {}}]}', "task_object_list: expected a list of names, got None"),
    "an object as a number": (of_2023(objects='["mug", 3]'), "task_object_list: expected a list of names"),
    "an object twice": (of_2023(objects='["mug", "mug"]'), "task_object_list: a name appears twice"),
    "an empty object": (of_2023(objects='["mug", ""]'), "task_object_list: expected a list of names"),
    "a key twice": (of_2023(task_videos="{}"), "key 'task_videos' appears twice"),
    "videos as a list": (
        '{"P1": [{"task_object_list": ["a"], "task_videos": []}]}',
        "task_videos: expected videos by name",
    ),
    "a video twice": (of_2023(f'{{"1": 0}}, "{VIDEO}": {{}}'), f"video '{VIDEO}' appears twice"),
    "a video without a name": (of_2023().replace(VIDEO, ""), "a video without a name"),
    "frames as a list": (of_2023("[0]"), f"video '{VIDEO}': expected frame numbers and predictions"),
    "a frame's name": (of_2023('{"1": 0, "one": 0}'), "expected a frame number, got 'one'"),
    "an empty frame": (of_2023('{"": 0}'), "expected a frame number, got ''"),
    "a frame below": (of_2023('{"-1": 0}'), "expected a frame number, got '-1'"),
    "a frame in other digits": (of_2023('{"\\u0663": 0}'), "expected a frame number"),
    "a frame far too high": (of_2023(f'{{"{10**30}": 0}}'), "expected a frame number"),
    "a frame too high": (of_2023(f'{{"{2**31}": 0}}'), "frame 2147483648; expected at most"),
    "an index as text": (of_2023('{"1": "0"}'), "expected a predicted index, got '0'"),
    "an index as a bool": (of_2023('{"1": true}'), "expected a predicted index, got True"),
    "an index as a float": (of_2023('{"1": 0.0}'), r"expected a predicted index, got 0\.0"),
    "an index as NaN": (of_2023('{"1": NaN}'), "expected a predicted index, got nan"),
    "no index": (of_2023('{"1": null}'), "expected a predicted index, got None"),
    "MACs below zero": (of_2023(task_macs_to_personalise="-1"), "task_macs_to_personalise: expected a number"),
    "MACs without end": (of_2023(task_macs_to_personalise="Infinity"), "task_macs_to_personalise: expected a number"),
    "MACs as words": (of_2023(task_macs_to_personalise='"many"'), "task_macs_to_personalise: expected a number"),
    "MACs as a bool": (of_2023(task_macs_to_personalise="true"), "task_macs_to_personalise: expected a number"),
    "2022, no objects": ('{"P1": {"user_videos": {}}}', "user 'P1': user_objects: expected a list of names"),
    "2022, videos missing": ('{"P1": {"user_objects": ["a"]}}', "user_videos: expected videos by name"),
    "2022, frames as an object": (of_2022('{"1": 0}'), "expected a list of predictions"),
    "2022, an index as text": (of_2022('[0, "1"]'), "expected a predicted index, got '1'"),
    "a name that steers a terminal": ('{"\\u001b[2J\\n": [3]}', r"user '\\x1b\[2J\\n', task 0: expected an object"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_one_line_that_names_the_place(tmp_path, name):
    content, expected = CASES[name]
    path = tmp_path / "results.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=expected) as raised:
        read_entries(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


def test_a_whole_file_is_read(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(of_2023('{"00012": 1, "7": 3, "8": -1, "9": 99999999999999999999}', something_else="[]"))
    form, [entry] = read_entries(path)
    assert (form, entry.user, entry.place, entry.objects, entry.macs) == ("2023", "P1", 0, ("mug", "bag"), None)
    assert entry.videos[0].frames.tolist() == [12, 7, 8, 9]
    assert entry.videos[0].predicted.tolist() == [1, -1, -1, -1]  # out of range; eval.formats.check reports it
    path.write_text(of_2022())
    form, [entry] = read_entries(path)
    assert (form, entry.videos[0].frames.tolist(), entry.videos[0].predicted.tolist()) == ("2022", [1, 2], [0, 1])


def test_a_duplicate_frame_is_kept(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(of_2023('{"1": 0, "1": 1}'))
    assert read_entries(path)[1][0].videos[0].frames.tolist() == [1, 1]


def test_a_file_too_large_is_not_even_read(tmp_path):
    path = tmp_path / "results.json"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(DataError, match=f"the limit is {MOST_BYTES}"):
        read_entries(path)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_entries(tmp_path / "results.json")


def test_any_json_is_read_or_a_data_error(tmp_path):
    """Each value of a valid file replaces each other value: no other kind of error occurs."""
    values = [None, True, 3, 0.5, "x", [], {}, [1], {"1": 0}, ["a"], {"a": {"1": 0}}]
    path = tmp_path / "results.json"
    good = json.loads(of_2023(task_macs_to_personalise="1")), json.loads(of_2022())
    read = 0
    for content in good:
        for place in list(places(content)):
            for value in values:
                path.write_text(json.dumps(replaced(content, place, value)))
                try:
                    read_entries(path)
                    read += 1
                except DataError as error:
                    assert "\n" not in str(error)
    assert read > 0


def places(content, way=()):
    yield way
    for key in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        yield from places(content[key], (*way, key))


def replaced(content, place, value):
    if not place:
        return value
    copy = content.copy()
    copy[place[0]] = replaced(content[place[0]], place[1:], value)
    return copy
