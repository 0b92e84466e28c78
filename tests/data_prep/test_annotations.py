import json

import pytest

from data_prep.annotations import ISSUES, NOT_PRESENT, frames_without, read_annotations
from groundwork.errors import AskedWrong, FoundWrong

VIDEO = "P1--bag--clean--x"


def written(tmp_path, content):
    path = tmp_path / f"{VIDEO}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_frame_stays_only_if_it_has_none_of_the_issues(tmp_path):
    """The published filter kept a frame if any one criterion held: six of seven issues passed as 'no issues'."""
    clear = dict.fromkeys(ISSUES, False)
    frames = {
        f"{VIDEO}-00001.jpg": clear,
        f"{VIDEO}-00002.jpg": dict.fromkeys(ISSUES, True) | {"blur_issue": False},
        f"{VIDEO}-00003.jpg": clear | {"blur_issue": True},
        f"{VIDEO}-00004.jpg": dict.fromkeys(ISSUES) | {NOT_PRESENT: True},
    }
    found = read_annotations(written(tmp_path, frames))
    assert frames_without(found, ISSUES) == [1]
    assert frames_without(found, [NOT_PRESENT]) == [1, 3]
    assert frames_without(found, []) == [1, 2, 3, 4]


def test_null_is_not_false(tmp_path):
    found = read_annotations(written(tmp_path, {f"{VIDEO}-00001.jpg": {"blur_issue": None}}))
    assert frames_without(found, ["blur_issue"]) == []


def test_frames_come_in_order(tmp_path):
    names = [f"{VIDEO}-{number:05d}.jpg" for number in (3, 1, 2)]
    assert list(read_annotations(written(tmp_path, {name: {} for name in names}))) == [1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        {"other-00001.jpg": {}},
        {"x": {}},
        {f"{VIDEO}-00001.jpg": 3},
        {f"{VIDEO}-00001.jpg": {"blur_issue": "no"}},
    ],
)
def test_a_file_that_is_not_of_the_form_is_named(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(FoundWrong, match=VIDEO):
        read_annotations(path)


def test_a_missing_file_and_an_unknown_issue_are_named(tmp_path):
    with pytest.raises(FoundWrong, match=r"nothere\.json"):
        read_annotations(tmp_path / "nothere.json")
    with pytest.raises(AskedWrong, match=r"blurry.*blur_issue"):
        frames_without({}, ["blurry"])
