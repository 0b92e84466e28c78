"""The benchmark of real photos, run on drawn images: its numbers agree with those of the kit's own parts."""

import csv
import dataclasses

import numpy as np
import pytest

from benchmarks import real
from benchmarks.__main__ import main
from groundwork.errors import DataError
from groundwork.pages.printing import text_table
from orbit_lite.models.choice import ModelChoice


@pytest.fixture(scope="module")
def users(pocket_frames):
    """The folder of the pocket set's test users."""
    return pocket_frames / "test"


@pytest.fixture
def small(monkeypatch):
    """A fast start, one learner, and two numbers of videos."""
    monkeypatch.setattr(real, "EMBEDDED_START", ModelChoice("ridge", "tiny", "random"))
    monkeypatch.setattr(real, "LEARNERS", ("ridge",))
    monkeypatch.setattr(real, "SHOTS", (None, 1))


def test_every_user_is_judged_in_both_directions_with_all_videos_and_with_few(users, small, tmp_path, capsys):
    assert main(["real", "--data", str(users), "--out", str(tmp_path)]) == 0
    with (tmp_path / "real.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted(path.name for path in users.iterdir())
    expected = {("ridge", shots, user, place) for shots in ("all", "1") for user in names for place in real.PLACES}
    assert {(row["learner"], row["shots"], row["user"], row["taught_in"]) for row in rows} == expected
    for row in rows:
        assert float(row["chance"]) == pytest.approx(1 / int(row["objects"]), abs=1e-4)
        assert 0 <= float(row["accuracy"]) <= 1
        if row["shots"] == "1":  # no video could be held out
            assert (row["estimate"], row["misses_said"], row["near"], row["sure_right"]) == ("", "", "", "")
    shown = capsys.readouterr().out
    assert "means over users taught in one place and tested in the other" in shown and "real.csv" in shown
    assert not any(object_name in (tmp_path / "real.csv").read_text() for object_name in objects_of(users))


def test_few_videos_are_so_many_of_each_object_and_the_same_each_time(users, small):
    filmed = real.read_users(users, real.EMBEDDED_START.load())
    first = [video for video in filmed if (video.user, video.place) == (filmed[0].user, "clean")]
    once, again = ([video.name for video in real._chosen(first, 1)] for _ in range(2))
    assert once == again and len(once) == len({video.object for video in first}) < len(first)


def test_means_are_over_runs_and_what_is_not_known_has_none():
    fields = {field.name: 0.5 for field in dataclasses.fields(real.Run)}
    named = fields | {"learner": "ridge", "shots": "all", "user": "A", "taught_in": "clean", "objects": 3, "frames": 9}
    first = real.Run(**named | {"accuracy": 0.8, "estimate": 0.9, "low": 0.7, "high": 1.0, "near": None})
    second = real.Run(**named | {"accuracy": 0.6, "estimate": 0.5, "low": 0.65, "high": 0.9, "near": None})
    table = real.means_table([first, second])
    (cells,) = table.cells
    shown = dict(zip(table.headings, cells, strict=True))
    assert (shown["Runs"], shown["Right"], shown["Lowest"]) == ("2", "70.0", "60.0")
    assert (shown["Estimate"], shown["Off by"], shown["Interval holds"]) == ("70.0", "10.0", "50.0")
    assert shown["Like things, got"] == "-"
    assert text_table(table).isascii()


def test_a_tree_without_users_is_refused_in_one_line(small, tmp_path):
    with pytest.raises(DataError, match="no videos found; expected USER/OBJECT/clean"):
        real.run(tmp_path)


def test_real_needs_data(capsys, users):
    for arguments in (["real"], ["index", "--data", str(users)]):
        assert main(arguments) == 2
        assert "benchmark real and --data must be used together" in capsys.readouterr().err


def objects_of(users):
    return {np.str_(thing.name) for user in users.iterdir() for thing in user.iterdir()}
