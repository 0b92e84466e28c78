"""Reading the files in the results, also when they are damaged or older than the videos."""

import os
import shutil

import pytest

from orbit_lite.studio.findings import findings
from orbit_lite.studio.study import Study


@pytest.fixture
def study(taught_study, tmp_path):
    shutil.copytree(taught_study, tmp_path / "study")
    return Study(tmp_path / "study")


def test_a_fresh_check_is_not_stale_and_a_changed_folder_is(study):
    participant = study.participant("P01")
    assert findings(participant).stale is False and findings(participant).fault == ""
    (participant.path / "new thing").mkdir()
    assert findings(study.participant("P01")).stale is True
    (participant.path / "new thing").rmdir()
    assert findings(study.participant("P01")).stale is False
    participant.things[0].teaching[0].path.unlink()
    assert findings(study.participant("P01")).stale is True


@pytest.mark.parametrize("name", ["check/check.json", "check/check_objects.csv", "test/scorecard.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1\n", b"{}"])
def test_damaged_files_are_reported_and_the_rest_is_shown(serve, study, name, content):
    (study.participant("P01").results / name).write_bytes(content)
    found = findings(study.participant("P01"))
    assert found.taught and found.fault and str(study.root) not in found.fault
    if name.startswith("test"):
        assert found.cards
    else:
        assert found.tested


def test_the_page_reports_this(serve, study):
    (study.participant("P01").results / "check/check.json").write_bytes(b"{")
    with serve(study.root) as client:
        client.let_in()
        assert "can&#39;t be read" in client.page("p", "P01") and "Each participant" in client.page()


def test_photos_beside_videos_are_not_used_as_in_the_verbs(study):
    thing = study.participant("P01").things[0]
    (thing.path / "clean" / "photo.jpg").write_bytes(b"x")
    thing = study.participant("P01").things[0]
    assert [video.name for video in thing.unused_photos] == ["photo.jpg"] and len(thing.teaching) == 2


def test_a_check_of_an_earlier_recognizer_is_marked(serve, study):
    """For example if the server is killed between the two, or a command has written the recognizer."""
    participant = study.participant("P01")
    assert not findings(participant).outdated
    os.utime(participant.file)
    for folder in (participant.path, *(thing.path for thing in participant.things)):
        os.utime(folder, (0, 0))
    assert findings(participant).outdated and not findings(participant).stale
    with serve(study.root) as client:
        assert "for an earlier recognizer" in client.let_in().page("p", "P01")
