import json
import os
import signal

import pytest

from groundwork.errors import DataError, UsageError
from groundwork.lock import LOCK_NAME
from orbit_lite.runs import folder as run_folder
from orbit_lite.runs.folder import RunFolder, versions

MACHINE = {"device": "cpu (AVX2)", "threads": 2, "workers": 4}


def begin(path, settings=None, **changed):
    with RunFolder.open(path, settings or {}, machine=MACHINE | changed) as run:
        return run


def test_the_same_settings_resume_a_run(tmp_path):
    settings = {"seed": 1, "betas": (0.9, 0.98)}
    begin(tmp_path / "run", settings)
    before = (tmp_path / "run" / "run.json").read_bytes()
    begin(tmp_path / "run", settings, threads=8)
    assert (tmp_path / "run" / "run.json").read_bytes() == before  # it has not been resumed yet
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


def test_the_folder_of_another_run_is_not_changed(tmp_path):
    begin(tmp_path / "run", {"config": {"lr": 1, "h": 2}})
    with pytest.raises(UsageError, match=r"holds another run \(config\.lr is 1 there, 3 here\)"):
        begin(tmp_path / "run", {"config": {"lr": 3, "h": 2}})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="no run of this kit"):
        begin(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(UsageError, match="a file"):
        begin(tmp_path / "photos" / "cat.jpg")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        begin(tmp_path / "run")


def test_settings_of_an_earlier_release_are_read_as_this_one_would_write_them(tmp_path):
    begin(tmp_path / "run", {"seed": 1})
    before = (tmp_path / "run" / "run.json").read_bytes()

    def again(**wanted):
        upgrade = {"warmup": "step"}.__or__
        with RunFolder.open(tmp_path / "run", {"seed": 1, **wanted}, machine=MACHINE, upgrade=upgrade):
            pass

    again(warmup="step")
    with pytest.raises(UsageError, match=r"holds another run \(warmup is 'step' there, 'epoch' here\)"):
        again(warmup="epoch")
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_folder_has_one_run_at_a_time(tmp_path):
    begin(tmp_path / "run")
    with (
        RunFolder.open(tmp_path / "run", {}, machine=MACHINE),
        pytest.raises(UsageError, match="another run is writing here"),
    ):
        begin(tmp_path / "run")
    begin(tmp_path / "run")


@pytest.mark.parametrize("moment", [1, 2])
def test_a_run_killed_at_its_very_start_can_be_started_again(tmp_path, moment):
    """Killed by SIGKILL while writing its record and just after renaming it, so nothing is cleaned up."""
    child = os.fork()
    if child == 0:
        try:
            syncs = [os.fsync] * (moment - 1) + [lambda _: os.kill(os.getpid(), signal.SIGKILL)]
            os.fsync = lambda descriptor: syncs.pop(0)(descriptor)
            begin(tmp_path / "run", {"seed": 1})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {LOCK_NAME, ".run.json.part" if moment == 1 else "run.json"}
    begin(tmp_path / "run", {"seed": 1})
    with pytest.raises(UsageError, match="seed is 1 there"):
        begin(tmp_path / "run", {"seed": 2})


def test_changes_are_reported_and_recorded_when_a_run_resumes(tmp_path, reported, monkeypatch):
    begin(tmp_path / "run")
    begin(tmp_path / "run", workers=0).log_resumed("resuming from step 3")
    assert reported() == ["resuming from step 3"]  # the result does not depend on the workers
    monkeypatch.setattr(run_folder, "versions", lambda: versions() | {"torch": "99.0"})
    begin(tmp_path / "run", threads=1).log_resumed("resuming from step 7")
    said = reported()
    assert said[0] == "resuming from step 7"
    assert f"torch {versions()['torch']}, now 99.0; threads 2, now 1" in said[1]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert all(line in log for line in said)
    begin(tmp_path / "run", threads=1).log_resumed("resuming from step 9")
    assert reported() == ["resuming from step 9"]  # unchanged since the interruption
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["machine"], record["versions"]) == (MACHINE, versions())
    assert [(then["machine"]["threads"], then["versions"]["torch"]) for then in record["went_on"]] == [(1, "99.0")]


def test_versions_name_what_results_depend_on():
    assert {"python", "torch", "numpy", "timm"} <= set(versions())
