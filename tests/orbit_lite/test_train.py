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
from groundwork.randomness import keyed_rng
from orbit_lite.config import load_experiment
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info
from orbit_lite.models.lite import task_gradient
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.train import BEST_NAME, STATE_NAME, train
from orbit_lite.training_tasks import TrainingTasks

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


@pytest.fixture
def second_task_not_finite(monkeypatch):
    """The gradient of the run's task 5 is NaN: nothing in a run with sound data makes one reliably."""

    def gradient(recognizer, pixels, *, rng, **how):
        result = task_gradient(recognizer, pixels, rng=rng, **how)
        if rng.bit_generator.seed_seq.entropy == keyed_rng(quick().seed, "lite", 5).bit_generator.seed_seq.entropy:
            next(recognizer.parameters()).grad[0] = float("nan")
        return result

    monkeypatch.setattr("orbit_lite.train.task_gradient", gradient)


def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_task(
    second_task_not_finite, pocket_frames, tmp_path
):
    tasks = TrainingTasks(TaskDrawer(open_index(pocket_frames), quick().tasks, split="train", seed=quick().seed))
    told = rf"step 2, training task 5 \(user {tasks.task(5).user}\): its loss or gradient is not finite"
    with pytest.raises(FoundWrong, match=told):
        train(quick(), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def test_or_the_step_is_left_out_if_asked(second_task_not_finite, pocket_frames, tmp_path, capsys):
    run = tmp_path / "run"
    train(quick("skip_not_finite=true"), data=pocket_frames, out=run, workers=0, device=CPU)
    assert "step 2, training task 5" in capsys.readouterr().out
    assert "step left out" in (run / "log.txt").read_text()
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    assert len(list(csv.DictReader((run / "training.csv").open()))) == 6


def test_a_loss_that_is_not_finite_stops_the_run(pocket_frames, tmp_path):
    with pytest.raises(FoundWrong, match=r"(training task|features)"):
        train(quick("optimizer.lr=1e30"), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def test_a_learner_with_nothing_to_meta_train_is_written_as_it_is(pocket_frames, tmp_path):
    config = load_experiment("pocket", ["learner=finetuner", "epochs=0"])
    summary = train(config, data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)
    assert summary.validation_frame_accuracy is None and summary.steps == 0
    written = load_recognizer(tmp_path / "run" / BEST_NAME)
    built = build_recognizer(config.learner, "tiny", weights="random", seed=config.seed)
    assert written.learner == config.learner and same(written.state_dict(), built.state_dict())


@pytest.mark.parametrize("learner", ["cnaps", "simple_cnaps"])
def test_learners_that_adapt_their_extractor_train(pocket_frames, tmp_path, learner):
    config = quick(f"learner={learner}", "epochs=1", "tasks.tasks_per_user=1")
    train(config, data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)
    before = build_recognizer(config.learner, "tiny", weights="random", seed=config.seed).state_dict()
    after = load_recognizer(tmp_path / "run" / BEST_NAME).state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("extractor.") for name in changed)
    learned = {name for name, _ in load_recognizer(tmp_path / "run" / BEST_NAME).named_parameters()}
    assert changed == {name for name in learned if not name.startswith("extractor.")}


def test_the_curve_goes_to_tensorboard_if_asked(pocket_frames, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(quick("epochs=1"), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU, tensorboard=True)
    found = events.EventAccumulator(str(tmp_path / "run/tensorboard"))
    found.Reload()
    rows = list(csv.DictReader((tmp_path / "run/training.csv").open()))
    assert [event.value for event in found.Scalars("loss")] == pytest.approx([float(row["loss"]) for row in rows])
    assert [event.step for event in found.Scalars("validation_frame_accuracy")] == [2]
