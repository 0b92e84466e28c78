"""Several users' checks in one table: check.json alone reproduces the page and the tables."""

import csv
import json

import pytest

from groundwork.errors import DataError
from orbit_lite.personal.checking.numbers import read_check_json, user_numbers
from orbit_lite.personal.checking.participants import (
    OBJECT_COLUMNS,
    PARTICIPANT_COLUMNS,
    mean_text,
    participants_page,
    write_participants,
)
from orbit_lite.personal.checking.report import write_checks

FILES = ("participants.csv", "participants_objects.csv", "participants.html")


@pytest.fixture(scope="module")
def checks(check_support, make_support):
    """Five users with different videos; the first user's keys have one video, so that none can be held out."""
    videos = ({"bag": 3, "keys": 1, "mug": 2}, *({"bag": 2, "mug": 3} for _ in range(4)))
    return [
        check_support(make_support(of_user, apart=1.0, drift=1.0, seed=seed), user=f"P0{seed}", draws=0)
        for seed, of_user in enumerate(videos, start=1)
    ]


@pytest.fixture(scope="module")
def written(checks, tmp_path_factory):
    out = tmp_path_factory.mktemp("checks") / "out"
    assert write_checks(checks, out) == out / "participants.html"
    return out


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_per_participant_and_object(checks, written):
    rows = table(written / "participants_objects.csv")
    assert tuple(rows[0]) == OBJECT_COLUMNS
    assert [(row["participant"], row["object"]) for row in rows] == [
        (c.user, o.object) for c in checks for o in c.objects
    ]
    for row, thing in zip(rows, (thing for check in checks for thing in check.objects), strict=True):
        assert int(row["videos"]) == thing.videos and row["confused_with"] == thing.taken_for
        accuracy = "" if thing.accuracy is None else f"{thing.accuracy:.4f}"
        assert (row["accuracy"], row["chance"]) == (accuracy, row["chance"])
    rows = table(written / "participants.csv")
    assert tuple(rows[0]) == PARTICIPANT_COLUMNS
    assert [row["accuracy"] for row in rows] == [f"{check.estimate.accuracy:.4f}" for check in checks]


def test_each_number_of_the_json_is_read_as_it_was_written(checks, written):
    found = read_check_json(written / "check.json")
    assert found == {check.user: user_numbers(check) for check in checks}
    assert read_check_json(written / "P02" / "check.json") == {"P02": found["P02"]}


def test_the_json_gives_the_same_page_and_tables(written, tmp_path):
    write_participants(read_check_json(written / "check.json"), tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_without_one_participant_the_page_shows_the_others(checks, written, tmp_path):
    users = read_check_json(written / "check.json")
    write_checks(checks[1:], tmp_path)
    del users["P01"]
    assert participants_page(users) == (tmp_path / "participants.html").read_text()


def test_an_interval_over_participants_needs_four(checks):
    users = {check.user: user_numbers(check) for check in checks}
    assert mean_text(users).startswith("5 participants: ") and "95 % interval over participants" in mean_text(users)
    first = {name: users[name] for name in ("P01",)}
    assert mean_text(first).startswith("1 participant: ")
    assert "no interval over participants: one user; at least 4 are needed" in mean_text(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content | {"format": 9}, "format 9; this release reads format 1"),
        (lambda content: {"format": 1}, "key 'users' is missing"),
        (lambda content: content | {"more": 1}, "unknown key 'more'"),
        (lambda content: [], "Input should be"),
    ],
)
def test_another_json_is_refused(change, message, written, tmp_path):
    content = json.loads((written / "check.json").read_text())
    (tmp_path / "check.json").write_text(json.dumps(change(content)))
    with pytest.raises(DataError, match="not a file that 'orbit-lite check-user' wrote") as refused:
        read_check_json(tmp_path / "check.json")
    assert message in str(refused.value)
