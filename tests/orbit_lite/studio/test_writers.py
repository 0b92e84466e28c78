"""One writer at a time: two tabs, two servers, and the command line together with the page."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from groundwork.lock import only_run, only_writer
from orbit_lite.studio import locks
from orbit_lite.studio.study import Study


@pytest.fixture
def client(serve, study):
    with serve(study) as client:
        yield client.let_in()


def video_of(study):
    return next(path for path in sorted(study.rglob("*.mp4")) if "clean" in path.parts).read_bytes()


def test_two_tabs_that_add_at_once_lose_nothing(client):
    content, (thing, *_) = video_of(client.root), sorted(path.name for path in (client.root / "P01").iterdir())
    place = ("p", "P01", "t", thing, "videos")
    with ThreadPoolExecutor(4) as tabs:
        sent = list(tabs.map(lambda number: client.upload(*place, files=[("same.mp4", content)]), range(4)))
    names = sorted(one["name"] for (one,) in sent)
    assert names == ["same-2.mp4", "same-3.mp4", "same-4.mp4", "same.mp4"]
    assert all((client.root / "P01" / thing / "clean" / name).read_bytes() == content for name in names)


def test_two_tabs_that_teach_at_once_teach_once(client):
    with ThreadPoolExecutor(4) as tabs:
        answers = list(tabs.map(lambda _: client.form("p", "P01", "teach")[0], range(4)))
    assert answers == [303] * 4
    assert client.taught("P01")["number"] in (1, 2)  # one, or another one after its end


def test_the_page_does_not_write_the_recognizer_while_a_command_does(client):
    thing = sorted((client.root / "P01").iterdir())[0].name
    (client.root / "P01/results").mkdir()
    with only_writer(client.root / "P01/results/P01.safetensors", "--out"):
        job = client.taught("P01")
        assert job["state"] == "failed" and "being taught" in job["fault"]
        for place in (("p", "P01", "t", thing, "delete"), ("p", "P01", "delete"), ("delete",)):
            status, _, text = client.form(*place)
            assert status == 409 and "Nothing was changed" in text
        assert client.form("p", "P01", "t", thing, "rename", name="other")[0] == 409
        # a video that was just filmed is still added
        (sent,) = client.upload("p", "P01", "t", thing, "videos", files=[("new.mp4", video_of(client.root))])
        assert sent["kept"]
    assert client.taught("P01")["state"] == "done"


def test_the_page_waits_for_a_command_and_then_reports_it(client, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    with only_run(client.root / "P01"):
        status, _, text = client.form("p", "P01", "things", name="new thing")
        assert status == 409 and "changing P01" in text
    assert client.form("p", "P01", "things", name="new thing")[0] == 303


def test_a_verbs_index_is_removed_on_a_change_and_other_files_stay(client):
    from data_prep.tree.index import build_index

    thing = sorted((client.root / "P01").iterdir())[0].name
    build_index(client.root)
    assert (client.root / "index.csv").is_file()
    client.upload("p", "P01", "t", thing, "videos", files=[("new.mp4", video_of(client.root))])
    assert not (client.root / "index.csv").exists()
    (client.root / "index.csv").write_text("my own list\n")
    client.upload("p", "P01", "t", thing, "videos", files=[("more.mp4", video_of(client.root))])
    assert (client.root / "index.csv").read_text() == "my own list\n"


def test_a_participants_folder_is_free_while_another_is_taught(client):
    shutil.copytree(client.root / "P01", client.root / "P02")
    study, inside, go = Study(client.root), threading.Event(), threading.Event()

    def hold():
        with locks.teaching(study.participant("P01")):
            inside.set()
            go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(60)
    assert client.taught("P02")["state"] == "done"
    go.set()
    thread.join()


def test_a_failed_job_gives_the_reason_and_the_next_one_works(client):
    empty = client.root / "P01" / "empty thing"
    empty.mkdir()
    status, _, text = client.form("p", "P01", "teach")
    assert status == 400 and "empty thing has no video yet" in text
    empty.rmdir()
    broken = sorted((client.root / "P01").iterdir())[0] / "clean"
    kept = {path: path.read_bytes() for path in broken.iterdir()}
    for path in kept:
        path.write_bytes(b"no video")
    assert "has no readable video" in client.taught("P01")["fault"]
    assert json.loads(client.page("p", "P01", "job"))["state"] == "failed"
    assert "has no readable video" in client.page("p", "P01")
    for path, content in kept.items():
        path.write_bytes(content)
    assert client.taught("P01")["state"] == "done"


def test_a_video_can_be_tried_while_another_tab_changes_the_folder(client, monkeypatch):
    """The folder is locked only while the answers are moved, so people can film meanwhile."""
    from orbit_lite.studio import trying

    assert client.taught("P01")["state"] == "done"
    thing = sorted(path.name for path in (client.root / "P01").iterdir() if path.name != "results")[0]
    looked, answers = threading.Event(), trying.frame_answers

    def slow(*given):
        looked.set()
        assert client.form("p", "P01", "things", name="meanwhile")[0] == 303
        yield from answers(*given)

    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    monkeypatch.setattr(trying, "frame_answers", slow)
    (sent,) = client.upload("p", "P01", "try", files=[("a.mp4", video_of(client.root))])
    assert sent["kept"] and looked.is_set() and thing in client.page("p", "P01")
    assert sorted(path.name for path in (client.root / "P01/results/answers").iterdir()) == ["a.csv", "a.json"]
