"""Deleting: exactly the listed files are removed, and files that contained them are made again or removed."""

import csv
import errno
import html
import io
import os
import re
import shutil

import pytest

from orbit_lite.personal.file import load_personal
from orbit_lite.studio import removing
from orbit_lite.studio.study import Study

LINES = re.compile(r'<h2 id="(\w+)">.*?<ul class="lines">(.*?)</ul>', re.DOTALL)


@pytest.fixture
def client(serve, taught_study, tmp_path):
    shutil.copytree(taught_study, tmp_path / "study")
    shutil.copytree(taught_study / "P01", tmp_path / "study" / "P02", ignore=shutil.ignore_patterns("results"))
    with serve(tmp_path / "study") as client:
        yield client.let_in()


def lists(page):
    return {
        name: [html.unescape(line) for line in re.findall("<li>(.*?)</li>", body)] for name, body in LINES.findall(page)
    }


def inside(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_a_thing_is_removed_from_disk_recognizer_check_and_test(client):
    first, *others = (thing.name for thing in Study(client.root).participant("P01").things)
    asked = lists(client.page("p", "P01", "t", first, "delete"))
    before = inside(client.root)
    status, _, page = client.form("p", "P01", "t", first, "delete")
    done = lists(page)
    assert status == 200 and done["removed"] == asked["remove"] and done["unreachable"]
    assert [thing.name for thing in Study(client.root).participant("P01").things] == others
    assert load_personal(client.root / "P01/results/P01.safetensors").objects == tuple(others)
    left = set(inside(client.root))
    assert left == {
        name for name in before if not name.startswith((f"P01/{first}/", "P01/results/check", "P01/results/test"))
    }
    assert not (client.root / "P01" / first).exists()
    assert first not in client.page("p", "P01") and "There is no check" in client.page("p", "P01")


def trail(page):
    (links,) = re.findall(r'<ol class="trail">(.*?)</ol>', page, re.DOTALL)
    return [html.unescape(name) for name in re.findall(r'<a href="[^"]+">(.*?)</a>', links)]


def test_the_question_names_the_things_owner_and_links_back(client):
    thing = Study(client.root).participant("P01").things[0]
    asked = client.page("p", "P01", "t", thing.name, "delete")
    assert trail(asked) == ["Study", "P01", thing.name]
    assert f"Delete P01's {thing.name}, with its videos?" in html.unescape(asked)
    video = thing.teaching[0]
    one = client.page("p", "P01", "t", thing.name, "v", "clean", video.name, "delete")
    assert trail(one) == ["Study", "P01", thing.name]
    deleted = client.form("p", "P01", "t", thing.name, "delete")[2]
    assert trail(deleted) == ["Study", "P01"]  # the thing's own page no longer exists


def test_the_recognizer_stays_until_the_last_thing_is_deleted(client):
    for thing in Study(client.root).participant("P01").things:
        assert client.form("p", "P01", "t", thing.name, "delete")[0] == 200
    assert inside(client.root / "P01") == {}
    assert "no things yet" in client.page("p", "P01")


def test_a_participant_is_removed_completely_and_the_others_stay(client):
    before = inside(client.root / "P02")
    asked = lists(client.page("p", "P01", "delete"))
    status, _, page = client.form("p", "P01", "delete")
    assert status == 200 and len(lists(page)["removed"]) == len(asked["remove"])
    assert [path.name for path in client.root.iterdir()] == ["P02"] and inside(client.root / "P02") == before
    assert client.ask("GET", "/p/P01")[0] == 404


def test_on_a_full_disk_the_whole_recognizer_is_removed_with_a_thing(client, monkeypatch):
    """There is no space for a recognizer fitted to the others."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(removing, "save_personal", full)
    first = Study(client.root).participant("P01").things[0].name
    status, _, page = client.form("p", "P01", "t", first, "delete")
    assert status == 200 and any(line.startswith("the recognizer") for line in lists(page)["removed"])
    assert not (client.root / "P01" / first).exists() and not list(client.root.rglob("*.safetensors"))


def test_nothing_is_deleted_while_files_are_arriving(client):
    """They would create the deleted folder again."""
    (client.root / "P01/.incoming/upload").mkdir(parents=True)
    before = inside(client.root)
    for place in (("p", "P01", "delete"), ("delete",)):
        status, _, text = client.form(*place)
        assert status == 409 and "are arriving" in text and inside(client.root) == before
    shutil.rmtree(client.root / "P01/.incoming")
    assert client.form("p", "P01", "delete")[0] == 200


def test_everything_is_deleted(client):
    assert client.form("delete")[0] == 200
    assert list(client.root.iterdir()) == [] and "no participants yet" in client.page()


def test_files_that_are_not_the_studios_stay_and_are_named(client):
    thing = Study(client.root).participant("P02").things[0]
    (thing.path / "notes.txt").write_text("mine")
    (client.root / "P01" / "letter.txt").write_text("mine")
    page = client.form("p", "P02", "t", thing.name, "delete")[2]
    assert any("notes.txt" in line for line in lists(page)["left"])
    page = client.form("p", "P01", "delete")[2]
    assert any("letter.txt" in line for line in lists(page)["left"])
    assert (thing.path / "notes.txt").read_text() == (client.root / "P01/letter.txt").read_text() == "mine"


def test_one_video_is_removed_and_the_page_says_to_teach_again(client):
    thing = Study(client.root).participant("P01").things[0]
    video = thing.teaching[0]
    place = ("p", "P01", "t", thing.name, "v", "clean", video.name, "delete")
    assert "teach again" in " ".join(lists(client.page(*place))["unreachable"])
    assert "Teach again" not in client.page("p", "P01")
    assert client.form(*place)[0] == 200
    assert not video.path.exists() and "Teach again" in client.page("p", "P01")
    assert client.ask("GET", client.place(*place))[0] == 404


def test_rename_and_merge_keep_every_video(client):
    first, second, _ = Study(client.root).participant("P01").things
    contents = sorted(path.read_bytes() for path in client.root.rglob("*.mp4"))
    assert client.form("p", "P01", "t", first.name, "rename", name="a b c")[0] == 303
    assert client.form("p", "P01", "t", "a b c", "rename", name="A B C")[0] == 303  # the same name in another case
    assert client.form("p", "P01", "t", "A B C", "rename", name=second.name.upper())[0] == 422
    assert client.form("p", "P01", "t", "A B C", "merge", into=second.name)[0] == 303
    assert client.form("p", "P01", "t", second.name, "merge", into=second.name)[0] == 400
    now = {thing.name: thing for thing in Study(client.root).participant("P01").things}
    assert "A B C" not in now and len(now[second.name].videos) == 6
    assert sorted(path.read_bytes() for path in client.root.rglob("*.mp4")) == contents
    assert "Teach again" in client.page("p", "P01")


def test_the_table_has_a_row_for_each_thing_taught_or_not(client):
    rows = list(csv.DictReader(io.StringIO(client.page("study.csv"))))
    assert len(rows) == 6
    assert all(bool(row["check_accuracy"]) == (row["participant"] == "P01") for row in rows)
    page = client.page()
    assert page.count('<th scope="row">P0') == 6 and 'href="/report"' in page
