import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.tree.annotation_judge import judge_annotations, read_annotations
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT, all_of, select_frames
from groundwork.errors import DataError

VIDEO = "P1--bag--clean--x"
FIRST = f"{VIDEO}-00001.jpg"
LONG = 10**400


def written(tmp_path, content):
    path = tmp_path / f"{VIDEO}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def box(**sides):
    return {BOX: {"x": 1, "y": 2, "w": 3, "h": 4} | sides}


# Invalid files: their content, and words about what is wrong and where.
BAD = {
    "cut off": ("{", "not JSON"),
    "deep": ("[" * 100_000, "not JSON"),
    "a lone surrogate": ('{"\\ud800": 1}', "no such frame"),
    "a list": ("[]", "expected one entry per frame, got list"),
    "another video": ({"other-00001.jpg": {}}, "other-00001.jpg: no such frame"),
    "no frame": ({"x": {}}, "x: no such frame"),
    "frame 0": ({f"{VIDEO}-00000.jpg": {}}, f"{VIDEO}-00000.jpg: no such frame"),
    "a frame in another way": ({f"{VIDEO}-000001.jpg": {}}, f"{VIDEO}-000001.jpg: no such frame"),
    "a frame twice": (f'{{"{FIRST}": {{}}, "{FIRST}": {{}}}}', f"{FIRST}: there is a second entry with this name"),
    "a number": ({FIRST: 3}, f"{FIRST}: expected an object with annotations, got 3"),
    "nothing": ({FIRST: None}, f"{FIRST}: expected an object with annotations, got None"),
    "false as text": (
        {FIRST: {"blur_issue": "false"}},
        f"{FIRST}: blur_issue is 'false'; expected true, false or null",
    ),
    "a number for false": ({FIRST: {"blur_issue": 0}}, f"{FIRST}: blur_issue is 0; expected true, false or null"),
    "NaN for null": (
        {FIRST: {NOT_PRESENT: float("nan")}},
        f"{FIRST}: {NOT_PRESENT} is nan; expected true, false or null",
    ),
    "an issue twice": (
        f'{{"{FIRST}": {{"blur_issue": true, "blur_issue": false}}}}',
        f"{FIRST}: blur_issue appears twice",
    ),
    "a side twice": (
        f'{{"{FIRST}": {{"{BOX}": {{"x": 1, "x": 9, "y": 2, "w": 3, "h": 4}}}}}}',
        f"{FIRST}: {BOX}: x appears twice",
    ),
    "a box as text": ({FIRST: {BOX: "null"}}, f"{FIRST}: {BOX} is 'null'; expected null, or x, y"),
    "a box as a number": ({FIRST: {BOX: 3}}, f"{FIRST}: {BOX} is 3; expected null, or x, y"),
    "a box as a list": ({FIRST: {BOX: [1, 2, 3, 4]}}, f"{FIRST}: {BOX} is [1, 2, 3, 4]; expected null, or x, y"),
    "an empty box": ({FIRST: {BOX: {}}}, f"{FIRST}: {BOX} is {{}}; expected null, or x, y"),
    "three sides": (
        {FIRST: {BOX: {"x": 1, "y": 2, "w": 3}}},
        f"{FIRST}: {BOX} is {{'x': 1, 'y': 2, 'w': 3}}; expected",
    ),
    "a side as text": ({FIRST: box(x="1")}, f"{FIRST}: {BOX} is {{'x': '1'"),
    "a side that is null": ({FIRST: box(h=None)}, f"{FIRST}: {BOX} is"),
    "a side that is true": ({FIRST: box(w=True)}, f"{FIRST}: {BOX} is"),
    "a side that is NaN": ({FIRST: box(x=float("nan"))}, f"{FIRST}: {BOX} is {{'x': nan"),
    **{
        f"outside the picture, {number}": ({FIRST: box(**sides)}, ": not in the picture; expected null, or x, y")
        for number, sides in enumerate(
            (
                {"x": float("inf")},
                {"w": float("inf")},
                {"x": LONG},
                {"y": -LONG},
                {"x": 1080},
                {"y": 2000},
                {"x": -1.5},
                {"y": -40, "h": 80},
                {"x": -1, "w": 1},  # ends at the picture's edge
                {"w": 0},
                {"h": -3},
                {"w": 1082},
            )
        )
    },
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_files_are_rejected(tmp_path, case):
    content, message = BAD[case]
    path = written(tmp_path, content)
    _, faults = judge_annotations(path)
    assert len(faults) == 1 and message in faults[0]
    with pytest.raises(DataError) as error:
        read_annotations(path)
    assert str(error.value) == f"{path}: {faults[0]}"
    assert str(error.value).isprintable() and len(faults[0]) < 500


@pytest.mark.parametrize(
    "entry",
    [
        {},
        dict.fromkeys(ISSUES, False),
        dict.fromkeys(ISSUES) | {NOT_PRESENT: True},
        {BOX: None, NOT_PRESENT: True},
        {BOX: None, NOT_PRESENT: False},  # whether they agree is not checked
        {"note": "anything", "by": [1, {}]},
        *(
            box(**sides)
            for sides in (
                {"x": 0, "y": 0, "w": 1080, "h": 1080},
                {"x": 1079, "y": 1079, "w": 1, "h": 1},
                {"x": 0.25, "y": 1079.75, "w": 0.5, "h": 1},
                {"x": -1, "y": -0.5, "w": 1081, "h": 3},  # rounded
                {"x": 1000, "y": 500, "w": 1080, "h": 900},  # each in its range; cut off at the edges
                {"more": 3},
            )
        ),
    ],
)
def test_valid_files_are_accepted(tmp_path, entry):
    path = written(tmp_path, {FIRST: entry})
    assert judge_annotations(path) == ({1: entry}, [])
    assert read_annotations(path, [1]) == {1: entry}


@given(st.lists(st.sampled_from(sorted(BAD)), min_size=1, max_size=5))
def test_every_fault_is_listed_with_its_frame(tmp_path_factory, cases):
    """One fault in each of several frames: all are listed, in the order of the entries."""
    entries = {}
    for case in cases:
        content = BAD[case][0]
        if isinstance(content, dict) and FIRST in content:
            entries[f"{VIDEO}-{len(entries) + 1:05d}.jpg"] = content[FIRST]
    path = written(tmp_path_factory.mktemp("judged"), entries)
    _, faults = judge_annotations(path, range(1, len(entries) + 1))
    assert [fault.partition(":")[0] for fault in faults] == list(entries)
    if len(entries) > 1:
        with pytest.raises(DataError, match=rf"\(and {len(entries) - 1} more; 'orbit-lite prep verify' lists all\)"):
            read_annotations(path)


def test_the_entries_must_be_those_of_the_videos_frames(tmp_path):
    path = written(tmp_path, {f"{VIDEO}-{number:05d}.jpg": {} for number in (1, 3, 4)})
    assert list(read_annotations(path)) == [1, 3, 4]
    assert list(read_annotations(path, {1, 3, 4})) == [1, 3, 4]
    assert judge_annotations(path, range(1, 4))[1] == [
        f"{VIDEO}-00004.jpg: no such frame",
        f"{VIDEO}-00002.jpg: frame without an entry",
    ]


def test_null_is_not_false(tmp_path):
    found = read_annotations(written(tmp_path, {FIRST: {"blur_issue": None}}))
    assert select_frames(found, all_of("no_blur_issue")) == select_frames(found, all_of("blur_issue")) == []


def test_frames_are_in_order(tmp_path):
    names = [f"{VIDEO}-{number:05d}.jpg" for number in (3, 1, 2)]
    assert list(read_annotations(written(tmp_path, {name: {} for name in names}))) == [1, 2, 3]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothere\.json: no annotations for this video"):
        read_annotations(tmp_path / "nothere.json")
