"""Removing a participant from a study: everything of theirs is removed, nothing else is, and no number changes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eval.formats.records import read_predictions, read_scorecard, read_tasks
from groundwork.errors import DataError, UsageError
from orbit_lite.cli.parser import main
from orbit_lite.forgetting.participant import forget_participant, plan_forget_participant
from orbit_lite.forgetting.tables import user_of_video
from orbit_lite.personal.checking.numbers import read_check_json

ROOT = Path(__file__).resolve().parents[3]
USER = "P01"
THEIRS = re.compile(rb"(?<![A-Za-z0-9])P01(?![A-Za-z0-9])")


def content(folder):
    """All files except those in runs, which another test covers."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (path.parent / "run.json").exists()
    }


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def paths_naming(folder):
    """Paths and files with the participant's name; tables of predictions are read, because they are compressed."""
    found = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            holds = path.is_file() and not path.is_symlink() and THEIRS.search(path.read_bytes())
            if holds or THEIRS.search(os.fsencode(name)):
                found.append(path)
    return found + [path for path in folder.rglob("*.parquet") if USER in set(read_predictions(path)["user"])]


def test_the_rest_is_a_study_without_the_participant(study, without_them):
    assert paths_naming(study)
    forgotten = forget_participant(USER, [study])
    assert (forgotten.left, forgotten.remaining, forgotten.note) == ((), (), "")
    assert paths_naming(study.parent) == []
    assert content(study) == content(without_them)
    folders = {path.relative_to(study) for path in study.rglob("*") if path.is_dir()}
    assert folders == {path.relative_to(without_them) for path in without_them.rglob("*") if path.is_dir()}


def test_runs_contain_only_the_others(study, without_them):
    forget_participant(USER, [study])
    assert not (study / "runs/first").exists()
    left, expected = (read_scorecard(folder / "runs/all/scorecard.json") for folder in (study, without_them))
    for name in ("overall", "counts", "per_user", "per_task", "per_object", "per_video", "confusion"):
        assert getattr(left, name) == getattr(expected, name), name
    tasks = [read_tasks(folder / "runs/all/tasks.jsonl").tasks for folder in (study, without_them)]
    assert tasks[0] == tasks[1]


def test_the_numbers_of_a_check_are_unchanged(study):
    before = read_check_json(study / "checks/check.json")
    forget_participant(USER, [study])
    after = read_check_json(study / "checks/check.json")
    assert USER not in after and after == {user: numbers for user, numbers in before.items() if user != USER}


def test_the_list_names_everything_and_changes_nothing(study):
    before = everything(study)
    plan = plan_forget_participant(USER, [study])
    assert everything(study) == before
    lines = str(plan).splitlines()
    assert all(line.startswith("to remove: ") for line in lines)
    for line in (
        "raw/P01: 4 videos, 4 files, 0.0 kB",
        "frames/P01: 4 videos, 8 files, 0.0 kB",
        "frames/annotations: 4 files",
        "frames/index.csv: 4 rows",
        ".raw.video-names.json: 2 names",
        "checks/P01: a check of this participant's videos: 8 files",
        "checks/check.json: 1 entry",
        "checks/participants.csv: 1 row",
        "checks/participants.html: their rows; it is made again without them",
        "checks/participants_objects.csv: 2 rows",
        "measured/participants.csv: 1 row",
        "measured/participants.html: their rows; it is made again without them",
        "measured/participants_objects.csv: 2 rows",
        "first check: a check of this participant's videos: 8 files",
        "first.csv: 2 rows, the whole table",
        "personal/P01.safetensors: the personal recognizer",
        "personal/P01.onnx: an export of their recognizer",
        "personal/participants.csv: 2 rows",
        "answers/P01.csv: answers of their recognizer",
        "answers/P01.json: answers of their recognizer",
        "answers/camera.csv: answers of their recognizer",
        "answers/mixed.csv: 3 rows",
        "answers/mixed.json: answers for 1 video of this participant",
    ):
        assert f"to remove: {study}/{line}" in lines, line
    for run in ("runs/first", "measured/P01"):
        assert any(line.startswith(f"to remove: {study}/{run}: the whole run") for line in lines)
    assert any("runs/all/tasks.jsonl: 1 task" in line and "scored and reported again" in line for line in lines)
    assert len(lines) == len(set(lines))


def test_a_second_time_nothing_is_left(study):
    assert forget_participant(USER, [study]).removed
    before = everything(study)
    again = forget_participant(USER, [study])
    assert (again.removed, again.left, again.remaining) == ((), (), ())
    assert f"{study}: nothing of participant 'P01': already gone, or never here" in again.note
    assert everything(study) == before


def test_several_folders_are_searched_and_kept(study):
    names = ("raw", "runs/first", "first check", "answers", "answers")
    forgotten = forget_participant(USER, [study / name for name in names])
    assert forgotten.remaining == ()
    assert {name: list((study / name).iterdir()) for name in ("runs/first", "first check")} == {
        "runs/first": [],
        "first check": [],
    }
    assert (study / "frames/P01").is_dir() and (study / "checks/P01").is_dir()
    again = forget_participant(USER, [study / name for name in names])
    assert not again.removed and "already gone" in again.note


def test_all_participants_may_withdraw(study):
    for user in (USER, "P010", "P02", "P03"):
        assert forget_participant(user, [study]).remaining == ()
    assert [path.name for path in study.rglob("*") if path.is_file()] == []


# Files at the places or with the names of the kit's files that are not the kit's, or not provably the participant's.
FOREIGN = {
    "raw/P01/consent.pdf": "signed",
    "raw/P01/mug/notes.txt": "filmed twice",
    "frames/P01/mug/clean/P01--mug--clean--a/sketch.png": "a sketch",
    "checks/P01/remarks.txt": "P01 was tired",
    "runs/first/thesis.tex": "a chapter",
    "notes/interview P01.txt": "an interview",
    "notes/list.csv": "name,age\nP01,64\n",
    "notes/P01/photo.png": "a photo",
    "notes/check.json": '{"format": 1, "users": {"P01": "late"}}',
    "notes/answers.json": '{"format": 2, "model": {"user": "P01"}, "videos": []}',
    "notes/P01.safetensors": "not weights",
    "notes/participants.csv": "participant,phone\nP01,555\n",
    "notes/P01.onnx": "a network of P01",
    "other/run.json": '{"of": "another program"}',
    "other/log.txt": "P01 was here\n",
}


def test_files_that_are_not_this_kits_stay_and_are_listed(study):
    for place, text in FOREIGN.items():
        path = study / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forgotten = forget_participant(USER, [study])
    assert {place: (study / place).read_text() for place in FOREIGN} == FOREIGN
    assert forgotten.remaining == ()
    result = "\n".join(forgotten.left)
    for place in FOREIGN:
        if place not in ("other/run.json", "runs/first/thesis.tex"):
            assert Path(place).name in result or f"{study / place}".rpartition("/")[0] in result, place
    assert f"{study}/notes/P01: a folder with 1 file, not this kit's; look into it" in forgotten.left
    assert f"{study}/other/log.txt: names P01; look into it" in forgotten.left
    assert len(forgotten.left) == len(set(forgotten.left))
    known = {*map(study.joinpath, FOREIGN)}
    inside = [
        path for path in paths_naming(study) if path not in known and not any(path in one.parents for one in known)
    ]
    assert inside == []
    again = forget_participant(USER, [study])
    assert not again.removed and again.left and {place: (study / place).read_text() for place in FOREIGN} == FOREIGN


def test_the_kits_files_in_their_folder_of_videos_are_removed(study):
    for name in ("checks/P01", "answers", "personal"):
        shutil.copytree(study / name, study / "raw/P01/mine" / name)
    (study / "raw/P01/consent.pdf").write_text("signed")
    forgotten = forget_participant(USER, [study / "raw"])
    assert sorted(path.name for path in (study / "raw/P01").rglob("*")) == sorted(
        ["consent.pdf", "mine", "answers", "personal", "mixed.csv", "mixed.json", "participants.csv"]
        + [
            f"{user}{suffix}"
            for user in ("P010", "P02", "P03")
            for suffix in (".csv", ".json", ".safetensors", ".onnx")
        ]
    )
    assert forgotten.left == (
        f"{study}/raw/P01/consent.pdf: not this kit's",
        f"{study}/raw/P01/mine: 12 more files, not this kit's",
    )


def test_a_page_that_can_not_be_made_again_is_removed(study):
    shutil.rmtree(study / "measured/P02")
    forgotten = forget_participant(USER, [study / "measured"])
    page = study / "measured/participants.html"
    assert not page.exists() and any(
        f"{page}: all of it, because it can't be made again" in line for line in forgotten.removed
    )
    assert "P02" in (study / "measured/participants.csv").read_text()


def test_rows_under_another_name_of_their_recognizer_are_listed(study):
    measured = study / "measured"
    (measured / USER).rename(measured / "ann")
    for name in ("participants.csv", "participants_objects.csv", "participants.html"):
        (measured / name).write_text((measured / name).read_text().replace("P01", "ann"))
    forgotten = forget_participant(USER, [measured])
    assert not (measured / "ann").exists()
    assert any("participants.csv and the files beside it: rows of ann" in line for line in forgotten.left)


def test_a_tree_in_their_folder_of_videos_is_searched(study):
    shutil.move(study / "frames", study / "raw/P01/frames")
    assert forget_participant(USER, [study / "raw"]).remaining == ()
    assert not (study / "raw/P01/frames/P01").exists() and (study / "raw/P01/frames/P02").is_dir()


def test_videos_are_recognized_as_theirs_by_their_path():
    for video in (
        *("raw/P01/mug/1.mp4", "/x/raw/P01/my mug/clutter/1.mp4", "frames/P01/mug/P01--mug--clean--a"),
        *("packed/P01.zip#mug/clutter/P01--mug--clutter--a", "P01--mug--clean--a", "P01/mug/1.mp4"),
    ):
        assert user_of_video(video) == USER, video
    for video in ("P01.mp4", "P01/1.mp4", "camera 0", "raw/P010/mug/1.mp4", "P01/raw/P02/mug/1.mp4"):
        assert user_of_video(video) != USER, video


@pytest.mark.parametrize("kept", ["personal/P01.safetensors", "checks/check.json", "answers/P01.json"])
def test_without_its_proof_a_file_is_listed(kept, study):
    (study / kept).unlink()
    forgotten = forget_participant(USER, [study / kept.split("/")[0]])
    beside = {
        "personal/P01.safetensors": "personal/P01.onnx: names P01",
        "checks/check.json": "checks/participants.html: names P01",
        "answers/P01.json": "",
    }[kept]
    assert (f"{study}/{beside}; look into it" in forgotten.left) == bool(beside)
    if beside:
        assert (study / beside.split(":")[0]).exists()


def test_an_export_of_another_version_is_named_and_left(study):
    export = study / "personal/P01.onnx"
    export.write_bytes(export.read_bytes().replace(b"a", b"b").replace(b"1", b"2"))
    forgotten = forget_participant(USER, [study / "personal"])
    assert any(
        line.startswith(f"{export}: an export, but not of the present P01.safetensors")
        for line in forgotten.unreachable
    )
    assert export.exists() and not (study / "personal/P01.safetensors").exists()


def test_parts_and_twins_are_removed_with_their_files(study):
    twin = b"\0\5\26\7" + b"\0" * 20
    for place in ("personal/P01.safetensors", "answers/mixed.csv", "first.csv", "checks/P01/check.html"):
        path = study / place
        path.with_name(f"._{path.name}").write_bytes(twin)
        path.with_name(f".{path.name}.part").write_text("cut off P01")
        path.with_name(f".{path.name}~lock.part").touch()
    (study / "checks/.check.json.part").write_text('{"P01')
    whole = (study / "personal/P01.safetensors").read_bytes()
    (study / "personal/.gone.safetensors.part").write_bytes(whole[:-9])
    forgotten = forget_participant(USER, [study])
    assert forgotten.left == ()
    assert paths_naming(study) == []
    left = {path.name for path in study.rglob(".*") if path.is_file()}
    assert left <= {".raw.video-names.json", "._mixed.csv", ".mixed.csv~lock.part"}


def test_longer_names_with_the_same_beginning_are_other_users(study):
    forgotten = forget_participant(USER, [study])
    assert not any("P010" in line for line in (*forgotten.removed, *forgotten.left))
    assert (study / "raw/P010/mug/1.mp4").exists() and (study / "personal/P010.onnx").exists()


@pytest.mark.parametrize("folder", ["", "raw", "frames", "runs", "checks", "personal", "answers"])
@pytest.mark.parametrize("name", ["p01", "P-01"])
def test_a_mistyped_name_is_refused(name, folder, study):
    before = everything(study)
    if folder == "answers":  # the JSON key
        (study / "answers/P01.csv").unlink()
        before = everything(study)
    with pytest.raises(DataError, match=r"no participant .*; did you mean 'P01'\? Nothing was removed"):
        forget_participant(name, [study / folder])
    assert everything(study) == before


def test_a_name_that_differs_in_case_is_reported(study):
    shutil.copytree(study / "raw/P02", study / "raw/p01")
    forgotten = forget_participant(USER, [study])
    assert any(line.startswith("'p01' is also there, and differs from 'P01'") for line in forgotten.unreachable)
    assert (study / "raw/p01").is_dir() and not (study / "raw/P01").exists()


def test_usage_errors(study, capsys):
    before = everything(study)
    for arguments, output in (
        (["--participant", USER], "give the folders to search"),
        (["--participant", USER, str(study), "--data", str(study / "raw")], "--participant takes only folders"),
        (["--participant", USER, str(study), "--object", "mug"], "--participant takes only folders"),
        (["--participant", "../P01", str(study)], "expected the name of one user's folder"),
        (["--participant", USER, str(study / "none")], "no such folder"),
        (["--participant", USER, str(study / "first.csv")], "no such folder"),
        (["--participant", USER, str(study / "raw/P01")], f"give the folder around it: {study / 'raw'}"),
        ([str(study / "first.csv"), str(study / "raw")], "2 files; give one FILE"),
    ):
        assert main(["forget", *arguments, "--yes"]) == 2
        assert output in capsys.readouterr().err
    assert everything(study) == before


def test_a_split_is_part_of_its_tree(study, tmp_path):
    shutil.move(study / "frames", tmp_path / "test")
    (tmp_path / "frames").mkdir()
    shutil.move(tmp_path / "test", tmp_path / "frames/test")
    shutil.move(tmp_path / "frames/test/index.csv", tmp_path / "frames/index.csv")
    with pytest.raises(UsageError, match=f"is part of the tree {tmp_path / 'frames'}; give the whole tree"):
        plan_forget_participant(USER, [tmp_path / "frames/test"])


def test_nothing_is_removed_without_consent(study, capsys):
    before = everything(study)
    assert main(["forget", "--participant", USER, str(study)]) == 2
    result = capsys.readouterr()
    assert f"to remove: {study}/raw/P01" in result.out and "no terminal to ask on" in result.err
    assert main(["forget", "--participant", USER, str(study), "--dry-run"]) == 0
    result = capsys.readouterr().out
    assert "could not reach: folders that were not given" in result and "nothing was removed" in result
    assert everything(study) == before
    assert main(["forget", "--participant", USER, str(study), "--yes"]) == 0
    assert "\nremoved: " in capsys.readouterr().out and paths_naming(study) == []
    for more in ([], ["--yes"], ["--dry-run"]):
        assert main(["forget", "--participant", USER, str(study), *more]) == 0
        assert "already gone, or never here" in capsys.readouterr().out


@pytest.mark.parametrize("damaged", ["frames/index.csv", "runs/all/tasks.jsonl", "personal/participants.csv"])
def test_damaged_files_are_named_and_the_rest_is_removed(damaged, study, capsys):
    path = study / damaged
    text = path.read_bytes()
    path.write_bytes(text.replace(b"P01,bag", b'P01,"' + b"b" * 200_000) if damaged[0] == "p" else b"P01" + text)
    before = path.read_bytes()
    assert main(["forget", "--participant", USER, str(study), "--yes"]) == 1
    result = capsys.readouterr()
    assert "not everything could be removed" in result.err and "could not be searched" in result.out
    assert path.read_bytes() == before and not (study / "raw/P01").exists() and not (study / "checks/P01").exists()
    assert not (study / "personal/P01.safetensors").exists()


def test_a_run_that_mentions_their_recognizer_is_listed(study):
    record = study / "runs/all/run.json"
    content = json.loads(record.read_text())
    content["settings"]["model"] = {"personal file": "P01.safetensors"}
    record.write_text(json.dumps(content))
    assert f"{record}: names P01; look into it" in forget_participant(USER, [study]).left


# Kills itself before its n-th change of a file or folder.
KILLER = """
import os, signal, sys
from pathlib import Path
import eval.report, matplotlib.backends.backend_svg, pyarrow.parquet
from orbit_lite.forgetting.participant import forget_participant

left = changes = 0

def is_there(place, folder=-1):
    try:
        os.lstat(place) if folder < 0 else os.stat(place, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True

def count(event, arguments):
    global changes
    if event == "os.rename" or (event in ("os.remove", "os.rmdir") and is_there(*arguments)):
        changes += 1
        if changes == left:
            os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    if (child := os.fork()) == 0:
        left = int(line)
        sys.addaudithook(count)
        forget_participant(sys.argv[2], [Path(sys.argv[1])])
        os.write(1, f"{changes}\\n".encode())
        os._exit(0)
    if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        os.write(1, b"killed\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.long)])
def test_after_a_kill_at_any_moment_the_same_call_finishes(whole_study, tmp_path, step):
    """Before every `step`-th change."""
    work = tmp_path / "study"
    command = [sys.executable, "-c", KILLER, str(work), USER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as killer:

        def attempt(kill_at):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(whole_study, work)
            print(kill_at, file=killer.stdin, flush=True)
            return killer.stdout.readline().strip()

        changes = int(attempt(0))
        whole = everything(work)
        assert paths_naming(work) == [] and changes > 60
        for kill_at in range(1, changes + 1, step):
            assert attempt(kill_at) == "killed"
            forget_participant(USER, [work])
            assert paths_naming(work) == [], kill_at
            assert {path: data for path, data in everything(work).items() if path.name != ".lock"} == whole, kill_at
        killer.stdin.close()
