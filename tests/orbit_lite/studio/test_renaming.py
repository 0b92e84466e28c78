"""Renaming a participant: everything with the old name gets the new one, nobody is overwritten, and the renaming of a
killed server is completed or undone."""

import json
import shutil

import pytest

from groundwork.lock import only_writer
from orbit_lite.personal.file import load_personal
from orbit_lite.studio import renaming
from orbit_lite.studio.renaming import NOTE_NAME, end_renamings, rename_participant
from orbit_lite.studio.study import Study
from tests.orbit_lite.studio.conftest import wait_for_job


@pytest.fixture
def root(taught_study, tmp_path):
    shutil.copytree(taught_study, tmp_path / "study")
    return tmp_path / "study"


def mentions(root, name):
    """Files and folders that contain a name in their own name or in their bytes."""
    found = [path for path in root.rglob("*") if name in path.name]
    found += [path for path in root.rglob("*") if path.is_file() and name.encode() in path.read_bytes()]
    return sorted({path.relative_to(root).as_posix() for path in found})


def videos(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.mp4")}


def test_everything_with_the_name_gets_the_new_one(serve, root):
    thing = Study(root).participant("P01").things[0]
    with serve(root) as client:
        client.let_in()
        client.upload("p", "P01", "try", files=[("kitchen.mp4", thing.tests[0].path.read_bytes())])
        assert "P01/results/answers/kitchen.json" in mentions(root, "P01")
        before = videos(root / "P01")
        status, headers, _ = client.form("p", "P01", "rename", name="  Q 7 ")
        assert status == 303 and headers["location"].startswith("/p/Q%207")
        assert wait_for_job(client, "Q 7")["state"] == "done"
        assert mentions(root, "P01") == [] and videos(root / "Q 7") == before
        personal = load_personal(root / "Q 7/results/Q 7.safetensors")
        assert personal.user == "Q 7" and list(json.loads((root / "Q 7/results/check/check.json").read_text())) != []
        assert "kitchen.mp4</p>" in client.page("p", "Q 7", "try")
        page = client.page("p", "Q 7")
        assert "left-out videos recognized" in page and "Among other things," in page and 'class="note"' not in page
        assert client.ask("GET", "/p/P01")[0] == 404 and "P01" not in client.page("study.csv")
        assert not [path for path in root.rglob(".*") if path.name != ".studio~lock.part"]


def test_an_untaught_participant_and_a_change_of_case(serve, study):
    before = videos(study / "P01")
    with serve(study) as client:
        client.let_in()
        assert client.form("p", "P01", "rename", name="p01")[0] == 303
        assert client.form("p", "p01", "rename", name="p01")[0] == 303  # as it is
        assert [path.name for path in study.iterdir()] == ["p01"] and videos(study / "p01") == before
        assert not (study / "p01/results").exists()


@pytest.mark.parametrize("name", ["P02", "p02", "", "..", "a/b", "train", "index.csv", "manifest.json"])
def test_taken_and_empty_names_are_refused(serve, study, name):
    (study / "P02").mkdir()
    before = sorted(study.rglob("*"))
    with serve(study) as client:
        status, _, text = client.let_in().form("p", "P01", "rename", name=name)
    assert status == 422 and 'id="new-name-error"' in text and text.count('aria-invalid="true"') == 1
    assert sorted(study.rglob("*")) == before


def test_nothing_is_renamed_while_somebody_writes(serve, root):
    with serve(root) as client:
        client.let_in()
        with only_writer(root / "P01/results/P01.safetensors", "--update"):  # as `personalize --update` does
            assert client.form("p", "P01", "rename", name="P02")[0] == 409
        (root / "P01/.incoming").mkdir()
        status, _, text = client.form("p", "P01", "rename", name="P02")
        assert status == 409 and "arriving" in text
        (root / "P01/.incoming").rmdir()
        assert client.form("p", "P01", "rename", name="P02")[0] == 303


def test_a_damaged_recognizer_gives_one_line_and_changes_nothing(serve, root):
    (root / "P01/results/P01.safetensors").write_bytes(b"damaged")
    before = sorted(root.rglob("*"))
    with serve(root) as client:
        status, _, text = client.let_in().form("p", "P01", "rename", name="P02")
        assert status == 400 and "Teach again" in text and str(root / "P01") not in text
    assert sorted(root.rglob("*")) == before


class Killed(BaseException):
    """Raised instead of a signal that no code can catch."""


@pytest.mark.parametrize("at", ["_save_under", "_finish", "_rewrite", "drop_index"])
def test_a_renaming_of_a_killed_server_is_completed_or_undone(root, monkeypatch, at):
    """Everything has either the old name or the new one."""
    before = videos(root / "P01")
    answers = root / "P01/results/answers"
    answers.mkdir()
    (answers / "x.json").write_text("{}")

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(renaming, at, killed)
        patch.setattr(renaming, "_take_back", lambda *_: None)
        with pytest.raises(Killed):
            rename_participant(Study(root), "P01", "Q7")
    (note,) = root.rglob(NOTE_NAME)
    end_renamings(Study(root))
    name = "P01" if at == "_save_under" else "Q7"
    assert not note.exists() and [path.name for path in root.iterdir()] == [name] and videos(root / name) == before
    assert [path.name for path in root.rglob("*.safetensors")] == [f"{name}.safetensors"]
    assert load_personal(root / name / "results" / f"{name}.safetensors").user == name
    assert (root / name / "results/check").exists() == (name == "P01")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"from": 1, "to": 2}', '{"from": "..", "to": "../.."}'])
def test_an_invalid_note_changes_nothing(study, content):
    (study / "P01" / NOTE_NAME).write_text(content)
    before = sorted(study.rglob("*"))
    end_renamings(Study(study))
    assert sorted(study.rglob("*")) == before
