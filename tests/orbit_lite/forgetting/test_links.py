"""Nothing outside the folders is changed: each path of a study in turn is a link, or becomes one meanwhile."""

import os
import shutil

import pytest

from orbit_lite.forgetting.participant import forget_participant, plan_forget_participant

USER = "P01"
VIDEO = "P01--mug--clean--a"
# Folders that contain something of the participant, and files that are or contain something of theirs.
FOLDERS = (
    *("raw", "raw/P01", "raw/P01/mug", "raw/P01/mug/clutter"),
    *("frames", "frames/P01", f"frames/P01/mug/clean/{VIDEO}", "frames/annotations"),
    *("runs", "runs/all", "runs/first", "checks", "checks/P01", "first check", "personal", "answers", "measured"),
)
FILES = (
    *("raw/P01/mug/1.mp4", "frames/index.csv", "frames/users.csv", f"frames/annotations/{VIDEO}.json"),
    *(".raw.video-names.json", "runs/all/tasks.jsonl", "runs/all/run.json", "runs/first/report.html"),
    *("checks/check.json", "checks/participants.html", "checks/participants.csv", "checks/participants_objects.csv"),
    *("measured/participants.html", "measured/participants.csv"),
    *("checks/P01/check.json", "checks/P01/check.html", "first.csv", "personal/participants.csv"),
    *("personal/P01.safetensors", "personal/P01.onnx", "answers/P01.csv", "answers/P01.json"),
    *("answers/mixed.csv", "answers/mixed.json"),
)
GO_AS_LINKS = (
    *("raw/P01", "raw/P01/mug", "raw/P01/mug/clutter", "raw/P01/mug/1.mp4", "frames/P01"),
    *(f"frames/P01/mug/clean/{VIDEO}", f"frames/annotations/{VIDEO}.json"),
)


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def move_behind_link(path, away):
    """Move a path elsewhere and put a link in its place."""
    away.mkdir(exist_ok=True)
    shutil.move(path, away / path.name)
    path.symlink_to(away / path.name)


def of_others(folder):
    """The files in a folder under the other participants' names, which must not change."""
    return {path: data for path, data in everything(folder).items() if "P02" in path.name or "P02" in path.parts}


@pytest.fixture
def without_runs(study, which):
    """The study, without its runs, which take a second to score again, if the test does not need them."""
    if not which.startswith("runs"):
        shutil.rmtree(study / "runs")
    if not which.startswith("measured"):
        shutil.rmtree(study / "measured")
    return study


@pytest.mark.parametrize("which", [*FOLDERS, *FILES])
def test_nothing_behind_a_link_is_changed_and_the_link_is_named(which, without_runs, tmp_path):
    study = without_runs
    path, away = study / which, tmp_path / "away"
    move_behind_link(path, away)
    before, others = everything(away), of_others(study)
    forgotten = forget_participant(USER, [study])
    assert everything(away) == before
    assert of_others(study) == others
    # links in place of their own videos are removed as links; all others stay and are named every time
    assert path.is_symlink() == (which not in GO_AS_LINKS)
    for result in (forgotten, forget_participant(USER, [study])) if path.is_symlink() else ():
        lines = "\n".join((*result.remaining, *result.left, *result.unreachable))
        assert path.name in lines and str(away) in lines
    assert everything(away) == before


@pytest.mark.parametrize("which", [*FOLDERS, *FILES])
def test_a_link_that_appears_after_the_list_is_not_followed(which, without_runs, tmp_path):
    study = without_runs
    path, away = study / which, tmp_path / "away"
    plan = plan_forget_participant(USER, [study])
    move_behind_link(path, away)
    before = everything(away)
    forgotten = plan.carry_out()
    assert everything(away) == before
    written_again = ("frames/users.csv", "checks/participants.html", "checks/participants.csv")
    assert forgotten.remaining or which in written_again


def test_the_path_to_a_folder_may_contain_a_link(study, tmp_path):
    (tmp_path / "link").symlink_to(study)
    forgotten = forget_participant(USER, [tmp_path / "link"])
    assert forgotten.remaining == () and not (study / "raw/P01").exists()


def test_a_folder_replaced_after_the_list_is_not_changed(study, whole_study, tmp_path):
    plan = plan_forget_participant(USER, [study / "personal", study / "answers"])
    for name in ("personal", "answers"):
        (study / name).rename(tmp_path / name)
        shutil.copytree(whole_study / name, study / name)
    before = everything(tmp_path)
    forgotten = plan.carry_out()
    assert everything(tmp_path) == before and not forgotten.removed and forgotten.remaining


def test_links_into_searched_folders_are_not_named(study):
    (study / "latest").symlink_to(study / "runs/all")
    (study / "away").symlink_to(study.parent)
    result = "\n".join(forget_participant(USER, [study]).unreachable)
    assert "latest" not in result and "1 symbolic link, not followed" in result and f"away to {study.parent}" in result


def test_hidden_folders_are_named(study):
    (study / ".git").mkdir()
    (study / ".git/P01").write_text("x")
    forgotten = forget_participant(USER, [study])
    assert f"{study}: 1 hidden folder, not searched: .git" in forgotten.unreachable
    assert os.listdir(study / ".git") == ["P01"]
