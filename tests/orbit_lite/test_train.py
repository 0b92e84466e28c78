import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from data_prep.index import open_index
from groundwork.errors import AskedWrong, FoundWrong
from orbit_lite.config import load_experiment
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info
from orbit_lite.train import BEST_NAME, STATE_NAME, Steps, TrainingTasks, train

ROOT = Path(__file__).resolve().parents[2]
# 96-px frames would need a tree of their own; few tasks keep it quick instead
QUICK = ["epochs=3", "tasks.tasks_per_user=2", "tasks_per_step=4", "tasks.query.frames.at_most=2", "lite.h=4"]
QUICK += ["optimizer.warmup_epochs=0"]
CPU = torch.device("cpu")


def quick(*more):
    return load_experiment("pocket", [*QUICK, *more])


def weights(run):
    return torch.load(run / STATE_NAME, weights_only=True)["recognizer"]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def finished(pocket_frames, tmp_path_factory):
    run = tmp_path_factory.mktemp("train") / "run"
    return run, train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)


def test_a_run_folder_holds_what_it_promises(finished, pocket_frames):
    run, summary = finished
    rows = list(csv.DictReader((run / "training.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(1, 7))  # 3 users * 2 tasks / 4 a step = 2 steps an epoch
    found = {int(row["step"]): row["validation_frame_accuracy"] for row in rows}
    assert [step for step, value in found.items() if value] == [2, 4, 6]
    assert summary.validation_frame_accuracy == max(float(value) for value in found.values() if value)
    info = read_checkpoint_info(run / BEST_NAME)
    assert info.config == quick().model_dump(mode="json")
    assert info.meta["step"] == summary.best_step
    assert info.meta["data"] == open_index(pocket_frames).fingerprint
    assert {"run.json", "log.txt", STATE_NAME} <= {path.name for path in run.iterdir()}
    assert isinstance(load_recognizer(run / BEST_NAME), torch.nn.Module)


def test_training_changes_the_extractor(finished):
    run, _ = finished
    from orbit_lite.models.recognizer import build_recognizer

    start = build_recognizer("protonets", "tiny", weights="random", seed=quick().seed).state_dict()
    assert all(not torch.equal(start[name], value) for name, value in weights(run).items() if "weight" in name)


def test_nothing_about_test_users_reaches_training(finished, pocket_frames, tmp_path):
    """Without the test users in the tree the weights are the same; without validation users it is refused."""
    tree = tmp_path / "frames"
    shutil.copytree(pocket_frames, tree, ignore=shutil.ignore_patterns("test", "index.csv", "manifest.json"))
    summary = train(quick(), data=tree, out=tmp_path / "run", workers=0, device=CPU)
    assert same(weights(tmp_path / "run"), weights(finished[0]))
    assert summary.validation_frame_accuracy == finished[1].validation_frame_accuracy
    shutil.rmtree(tree / "validation")
    (tree / "index.csv").unlink()
    with pytest.raises(AskedWrong, match="no split 'validation'"):
        train(quick(), data=tree, out=tmp_path / "other", workers=0, device=CPU)
    assert not (tmp_path / "other").exists()


def test_the_same_weights_with_workers(finished, pocket_frames, tmp_path):
    train(quick(), data=pocket_frames, out=tmp_path / "run", workers=2, device=CPU)
    assert same(weights(tmp_path / "run"), weights(finished[0]))


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_weights(finished, pocket_frames, tmp_path):
    """SIGKILL, again and again, each time a little later; then the command once more."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "orbit_lite", "train", "pocket", *QUICK, "--data", str(pocket_frames)]
    command += ["--out", str(run), "--workers", "0", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = 0
    for wait_s in (0.1, 1.0, 2.5):
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (run / "run.json").exists():
            time.sleep(0.02)
        time.sleep(wait_s)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed > 0
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same(weights(run), weights(finished[0]))
    assert (run / "training.csv").read_bytes() == (finished[0] / "training.csv").read_bytes()


def test_a_finished_run_is_not_run_again_and_another_is_refused(finished, pocket_frames):
    run, summary = finished
    before = {path: path.read_bytes() for path in run.iterdir() if path.name != "log.txt"}
    assert train(quick(), data=pocket_frames, out=run, workers=0, device=CPU) == summary
    with pytest.raises(AskedWrong, match=r"holds another run \(config\.optimizer\.lr is 0\.\d+ there, 0\.5 here\)"):
        train(quick("optimizer.lr=0.5"), data=pocket_frames, out=run, workers=0, device=CPU)
    assert before == {path: path.read_bytes() for path in run.iterdir() if path.name != "log.txt"}


def test_a_damaged_state_stops_the_run(finished, pocket_frames, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    (run / STATE_NAME).write_bytes((run / STATE_NAME).read_bytes()[:5000])
    with pytest.raises(FoundWrong, match=r"state\.pt: the run can't go on"):
        train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_task(pocket_frames, tmp_path):
    with pytest.raises(FoundWrong, match=r"(training task|features)"):
        train(quick("optimizer.lr=1e30"), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def test_steps_of_the_2023_settings():
    steps = Steps(tasks_an_epoch=44 * 50, tasks_a_step=16, epochs=30)
    assert steps.an_epoch == 138  # 2,200 / 16, the last one short: FACTS of the 2023 settings
    assert len(steps.tasks_of(137)) == 2200 - 137 * 16
    numbers = [number for step in range(2 * 138) for number in steps.tasks_of(step)]
    assert numbers == list(range(2 * 2200))


def test_an_epoch_has_every_users_tasks_once_and_no_task_comes_twice(pocket_frames):
    drawer = TaskDrawer(open_index(pocket_frames), quick().tasks, split="train", seed=1)
    tasks = list(TrainingTasks(drawer, epochs=2))
    assert sorted((t.user, t.task) for t in tasks) == [(user, n) for user in drawer.users for n in range(4)]
    assert {t.task for t in tasks[:6]} == {0, 1}
    assert list(TrainingTasks(drawer, epochs=2, start=5)) == tasks[5:]
