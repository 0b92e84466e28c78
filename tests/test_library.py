"""A library call: silent, unless the program that calls it listens to its reports or its progress."""

import logging
import shutil

import pytest

from data_prep.making.verify import verify
from data_prep.tree.index import open_index
from groundwork.progress import ProgressReport, progress_to
from orbit_lite.cli.parser import main


@pytest.fixture
def unlisted(pocket_frames, tmp_path):
    """A copy of a user's frames that has no index yet."""
    shutil.copytree(min((pocket_frames / "test").iterdir()), tmp_path / "frames/P1")
    return tmp_path / "frames"


def test_it_shows_nothing(unlisted, capfd, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own
    open_index(unlisted)
    verify(unlisted)
    assert capfd.readouterr() == ("", "")


def test_it_reports_to_logging(unlisted, reported):
    open_index(unlisted)
    assert reported() == [f"index: {unlisted} has no index.csv yet; building it"]


def test_it_hands_its_progress_to_a_function(unlisted):
    count = len(open_index(unlisted).rows)
    found: list[ProgressReport] = []
    with progress_to(found.append):
        verify(unlisted)
    assert [(report.unit, report.done, report.total) for report in found[:-1]] == [
        ("videos", done, count) for done in range(1, count + 1)
    ]
    assert found[-1].ended and found[-1].done == count


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_verb_shows_both_unless_it_is_to_be_quiet(unlisted, capsys, place):
    assert main(["prep", "summarize", str(unlisted)]) == 0
    result, shown = capsys.readouterr()
    assert result and "has no index.csv yet" in shown
    (unlisted / "index.csv").unlink()
    words = ["prep", "summarize", str(unlisted)]
    words.insert(place, "-q")
    assert main(words) == 0
    assert capsys.readouterr() == (result, "")


def test_where_an_error_comes_from_if_asked(unlisted, capsys):
    open_index(unlisted)
    next(unlisted.rglob("*-00001.jpg")).unlink()
    assert main(["prep", "summarize", str(unlisted)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert main(["-v", "prep", "summarize", str(unlisted)]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert "Traceback (most recent call last):" in shown and shown[-1] == line
