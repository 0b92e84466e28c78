"""Training a finished run further gives the same result as all epochs from the start, if the schedule allows it."""

import json

import pytest
import torch

from groundwork.errors import UsageError
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import BEST_NAME, STATE_NAME, train

QUICK = ("tasks.tasks_per_user=1", "tasks_per_step=3", "tasks.query.frames.at_most=1", "lite.h=2")
CPU = torch.device("cpu")


def trained(frames, run, *overrides, more=0):
    config = load_experiment("pocket", [*QUICK, *overrides])
    return train(config, data=frames, out=run, workers=0, device=CPU, more_epochs=more)


def test_more_epochs_are_the_same_as_all_epochs_from_the_start(pocket_frames, tmp_path, reported):
    constant = ("optimizer.decay=none", "optimizer.warmup_epochs=0")
    at_first, later = tmp_path / "at first", tmp_path / "later"
    whole = trained(pocket_frames, at_first, *constant, "epochs=2")
    trained(pocket_frames, later, *constant, "epochs=1")
    reported()
    more = trained(pocket_frames, later, *constant, "epochs=1", more=1)
    assert any("from 1 to 2 epochs, with the same result as if requested from the start" in line for line in reported())
    assert (more.steps, more.best_step, more.validation_frame_accuracy) == (
        *(whole.steps, whole.best_step, whole.validation_frame_accuracy),
    )
    for name in (BEST_NAME, "training.csv"):
        assert (later / name).read_bytes() == (at_first / name).read_bytes(), name
    states = [torch.load(run / STATE_NAME, weights_only=True)["sha256"] for run in (at_first, later)]
    assert states[0] == states[1]
    # the plain command with as many epochs now considers the run finished
    assert trained(pocket_frames, later, *constant, "epochs=2") == more


def test_a_schedule_that_changes_the_result_is_reported(pocket_frames, tmp_path, reported):
    trained(pocket_frames, tmp_path / "run", "epochs=1")  # cosine decay
    assert trained(pocket_frames, tmp_path / "run", more=1).steps == 2
    assert any(
        "the result differs from that of a run with this many epochs from the start: cosine" in line
        for line in reported()
    )


def test_only_a_finished_run_is_trained_further_and_an_interrupted_one_resumes(pocket_frames, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="not a run folder of this kit"):
        trained(pocket_frames, run, more=1)
    trained(pocket_frames, run, "epochs=1")
    with pytest.raises(UsageError, match="holds another run"):
        trained(pocket_frames, run, "optimizer.lr=0.5", more=1)
    with monkeypatch.context() as patched:
        patched.setattr("orbit_lite.training.loop.save_state", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained(pocket_frames, run, more=1)
    with pytest.raises(UsageError, match=r"not finished \(step 1 of 2\)"):
        trained(pocket_frames, run, more=3)
    assert trained(pocket_frames, run, more=1).steps == 2
    assert json.loads((run / "run.json").read_text())["settings"]["config"]["epochs"] == 2
