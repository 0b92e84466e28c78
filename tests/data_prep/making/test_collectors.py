import json

import pytest

from data_prep.making.collectors import read_new_users
from groundwork.errors import DataError, UsageError


def test_the_published_form_is_read(tmp_path):
    path = tmp_path / "users.json"
    path.write_text('{"P681": {"P699" : ["keyboard", "cafe\\u0301"], "P652" : ["work phone"]}}')
    assert read_new_users(path) == {"P681": {"P699": {"keyboard", "café"}, "P652": {"work phone"}}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ([], "expected"),
        ({"P1": []}, "expected"),
        ({"P1": {}}, "expected"),
        ({"P1": {"P2": "bag"}}, "P2 has no list"),
        ({"P1": {"P2": []}}, "P2 has no list"),
        ({"P1": {"P2": [3]}}, "P2 has no list"),
        ({"P1": {"P2": ["bag"], "P3": ["bag"]}}, "P1's bag"),
        ({"P1": {"P2": ["bag"]}, "P4": {"P2": ["cup"]}}, "P2 appears twice"),
        ({"P1": {"P1": ["bag"]}}, "P1 appears twice"),
        ({"P1": {"../P2": ["bag"]}}, "can't be a user's name"),
        ({"P1": {"": ["bag"]}}, "can't be a user's name"),
        ({"P1": {"P2--x": ["bag"]}}, "can't be a user's name"),
        ({"P1": {"annotations": ["bag"]}}, "can't be a user's name"),
        ({"other": {"P1": ["bag"]}}, "can't be a user's name"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, content, message):
    path = tmp_path / "users.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=rf"users\.json.*{message}"):
        read_new_users(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nothere\.json"):
        read_new_users(tmp_path / "nothere.json")
