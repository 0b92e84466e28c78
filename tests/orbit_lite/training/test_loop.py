import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_prep.tree.index import open_index
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run
from groundwork.randomness import keyed_rng
from orbit_lite.cli.parser import main
from orbit_lite.config import builtin_names
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info, save_recognizer
from orbit_lite.models.learner import load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.models.task_gradient import task_gradient
from orbit_lite.runs.ranks import Ranks
from orbit_lite.training.experiment import LiteConfig, load_experiment
from orbit_lite.training.loop import BEST_NAME, STATE_NAME, in_bf16, step_gradient, train
from orbit_lite.training.tasks import TrainingTasks

ROOT = Path(__file__).resolve().parents[3]
# 96-px frames would need their own tree; instead, few tasks keep it fast
QUICK = ["epochs=3", "tasks.tasks_per_user=2", "tasks_per_step=4", "tasks.query.frames.at_most=2", "lite.h=4"]
QUICK += ["optimizer.warmup_epochs=0"]
CPU = torch.device("cpu")


def quick(*more):
    """The fast settings, with `more` replacing those with the same key."""
    by_key = {override.partition("=")[0]: override for override in [*QUICK, *more]}
    return load_experiment("pocket", list(by_key.values()))


def weights(run):
    return torch.load(run / STATE_NAME, map_location="cpu", weights_only=True)["recognizer"]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def finished(pocket_frames, tmp_path_factory):
    run = tmp_path_factory.mktemp("train") / "run"
    return run, train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)


def test_a_run_folder_holds_what_it_promises(finished, pocket_frames):
    run, summary = finished
    rows = list(csv.DictReader((run / "training.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(1, 7))  # 3 users * 2 tasks / 4 per step = 2 steps per epoch
    # cosine decay of 0.001, without warm-up, over 6 steps
    rates = [0.0005 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates)
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
    """Without test users in the tree the weights are the same; without validation users training is refused."""
    tree = tmp_path / "frames"
    shutil.copytree(pocket_frames, tree, ignore=shutil.ignore_patterns("test", "index.csv", "manifest.json"))
    summary = train(quick(), data=tree, out=tmp_path / "run", workers=0, device=CPU)
    assert same(weights(tmp_path / "run"), weights(finished[0]))
    assert summary.validation_frame_accuracy == finished[1].validation_frame_accuracy
    shutil.rmtree(tree / "validation")
    (tree / "index.csv").unlink()
    with pytest.raises(UsageError, match="no split 'validation'"):
        train(quick(), data=tree, out=tmp_path / "other", workers=0, device=CPU)
    assert not (tmp_path / "other").exists()


def test_the_same_weights_with_workers(finished, pocket_frames, tmp_path):
    train(quick(), data=pocket_frames, out=tmp_path / "run", workers=2, device=CPU)
    assert same(weights(tmp_path / "run"), weights(finished[0]))


def command_line(frames, run, workers):
    command = [sys.executable, "-m", "orbit_lite", "train", "pocket", *QUICK, "--data", str(frames)]
    return [*command, "--out", str(run), "--workers", str(workers), "--device", "cpu"]


def environment():
    return os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}


FILES = ("run.json", BEST_NAME, "training.csv", STATE_NAME)
# Each file before and after it is renamed, the last two also in the second epoch.
AT_WRITES = [(name, renamed) for name in (*FILES, *FILES[2:]) for renamed in (False, True)]
# Also while a step is computed and a process reads ahead, once before and once after the first checkpoint.
KILLED_AT = {
    "some writes": [AT_WRITES[0], ("step", 2), *AT_WRITES[3::5], ("step", 1)],
    "every write": [*AT_WRITES[:2], ("step", 2), *AT_WRITES[2:], ("step", 1)],
}
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from orbit_lite.training import loop
from orbit_lite.training.experiment import load_experiment

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killed_at_step(number):
    compute = loop.step_gradient
    def watched(*arguments, **how):
        nonlocal number
        number -= 1
        return compute(*arguments, **how) if number else kill()
    loop.step_gradient = watched

def killed_at(name, renamed):
    if name == "step":
        return killed_at_step(renamed)
    sync, written = os.fsync, None
    def watched(descriptor):
        nonlocal written
        path = Path(os.readlink("/proc/self/fd/" + str(descriptor)))
        if (written == name) if path.is_dir() and renamed else (path.name == "." + name + ".part" and not renamed):
            kill()
        written = None if path.is_dir() else path.name[1:-5]
        sync(descriptor)
    os.fsync = watched

torch.set_num_threads({threads})
data, out = map(Path, sys.argv[1:])
for moment in [*{moments!r}, ("nothing", True)]:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            killed_at(*moment)
            config, workers = load_experiment("pocket", {quick!r}), int(moment[0] == "step")
            loop.train(config, data=data, out=out, workers=workers, device=torch.device("cpu"))
            os._exit(0)
        finally:
            os._exit(1)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moments", ["some writes", pytest.param("every write", marks=pytest.mark.long)])
def test_killed_at_any_moment_it_resumes_to_the_same_weights(finished, pocket_frames, tmp_path, moments):
    """SIGKILL at several moments in one run, which resumes each time."""
    run = tmp_path / "run"
    code = KILLED.format(quick=QUICK, threads=torch.get_num_threads(), moments=KILLED_AT[moments])
    command = [sys.executable, "-c", code, str(pocket_frames), str(run)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert ends == ["ended -9"] * len(KILLED_AT[moments]) + ["ended 0"], done.stdout + done.stderr
    assert same(weights(run), weights(finished[0]))
    for name in (BEST_NAME, "training.csv"):
        assert (run / name).read_bytes() == (finished[0] / name).read_bytes()


def test_a_second_run_in_the_same_folder_is_refused(finished, pocket_frames, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    before = {path: path.read_bytes() for path in run.iterdir()}
    with only_run(run):
        assert main(command_line(pocket_frames, run, workers=0)[3:]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and f"{run}: another run is writing here" in said[0]
    assert before == {path: path.read_bytes() for path in run.iterdir()}


def test_resuming_with_another_number_of_threads_is_reported(finished, pocket_frames, tmp_path, reported, monkeypatch):
    run, threads = tmp_path / "run", torch.get_num_threads()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("orbit_lite.training.loop.CHECKPOINT_EVERY_S", 0.0)
        patch.setattr("orbit_lite.training.loop.Validation.__call__", interrupt)
        train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)
    reported()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)
    said = reported()
    assert said[0] == "resuming from step 1 of 6"
    assert f"threads {threads}, now {threads + 1}" in said[1] and "may differ by rounding" in said[1]
    assert said[1] in (run / "log.txt").read_text()


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_finished_run_is_not_run_again_and_another_is_refused(finished, pocket_frames):
    run, summary = finished
    before = {path: path.read_bytes() for path in run.iterdir() if path.name != "log.txt"}
    assert train(quick(), data=pocket_frames, out=run, workers=0, device=CPU) == summary
    with pytest.raises(UsageError, match=r"holds another run \(config\.optimizer\.lr is 0\.\d+ there, 0\.5 here\)"):
        train(quick("optimizer.lr=0.5"), data=pocket_frames, out=run, workers=0, device=CPU)
    assert before == {path: path.read_bytes() for path in run.iterdir() if path.name != "log.txt"}


def test_a_damaged_state_stops_the_run(finished, pocket_frames, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    (run / STATE_NAME).write_bytes((run / STATE_NAME).read_bytes()[:5000])
    with pytest.raises(DataError, match=r"state\.pt: the run can't resume"):
        train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)


@pytest.fixture
def second_task_not_finite(monkeypatch):
    """Makes the gradient of the run's task 5 NaN, since valid data never does so reliably."""

    def gradient(recognizer, pixels, *, rng, **how):
        result = task_gradient(recognizer, pixels, rng=rng, **how)
        if rng.bit_generator.seed_seq.entropy == keyed_rng(quick().seed, "lite", 5).bit_generator.seed_seq.entropy:
            next(recognizer.parameters()).grad[0] = float("nan")
        return result

    monkeypatch.setattr("orbit_lite.training.loop.task_gradient", gradient)


def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_task(
    second_task_not_finite, pocket_frames, tmp_path
):
    tasks = TrainingTasks(TaskSampler(open_index(pocket_frames), quick().tasks, split="train", seed=quick().seed))
    told = rf"step 2, training task 5 \(user {tasks.task(5).user}\): its loss or gradient is not finite"
    with pytest.raises(DataError, match=told):
        train(quick(), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def test_or_the_step_is_skipped_on_request(second_task_not_finite, pocket_frames, tmp_path, reported):
    run = tmp_path / "run"
    train(quick("skip_not_finite=true"), data=pocket_frames, out=run, workers=0, device=CPU)
    assert any("step 2, training task 5" in line for line in reported())
    assert "step skipped" in (run / "log.txt").read_text()
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    assert len(list(csv.DictReader((run / "training.csv").open()))) == 6


@pytest.mark.parametrize("skip", ["false", "true"])
def test_weights_that_have_diverged_stop_the_run(pocket_frames, tmp_path, skip):
    """Even if steps can be skipped, because the weights are broken, not a step. 1e30 is too large to be squared."""
    config = quick("optimizer.lr=1e30", f"skip_not_finite={skip}", "tasks.tasks_per_user=1")
    said = "validation after step 1: .*NaN or infinite features"  # an epoch of one step, so validation finds it first
    with pytest.raises(DataError, match=said):
        train(config, data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def made_task(number):
    generator = torch.Generator().manual_seed(number)
    images = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.tensor([0, 1, 0, 1])
    return TaskPixels(images[:4], labels, images[4:], labels[:3], 2)


META_TRAINED = [name for name in builtin_names("learner") if load_learner(name).meta_learned]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("learner", META_TRAINED)
def test_a_step_reports_which_task_is_not_finite_for_every_learner(learner, bf16):
    """Some learners detect it in the loss, some before there is one."""
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=32)
    weight = recognizer.extractor.net[0].weight
    sound = weight.detach().clone()

    def pixels():
        for number in (10, 11, 12):
            with torch.no_grad():
                weight.copy_(sound * (float("inf") if number == 11 else 1))
            yield made_task(number)

    lite = LiteConfig(h=2, bf16=bf16, estimator="exact" if learner == "imaml" else "lite")
    done = step_gradient(recognizer, pixels(), range(10, 13), Ranks(CPU), lite=lite, seed=5)
    assert done.wrong_task == 11
    with torch.no_grad():
        weight.copy_(sound)
    recognizer.zero_grad()
    right = step_gradient(recognizer, map(made_task, range(3)), range(3), Ranks(CPU), lite=lite, seed=5)
    assert right.wrong_task is None


def test_a_head_that_is_not_solved_stops_the_run_and_names_the_task():
    learner = load_learner("anil_implicit").model_copy(update={"head_settings": {"most_steps": 1}})
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=32)
    with pytest.raises(DataError, match=r"^training task 10: the head of 2 classes and 4 support items is not solved"):
        step_gradient(recognizer, map(made_task, [10]), range(10, 11), Ranks(CPU), lite=LiteConfig(), seed=5)


def test_a_run_stopped_by_this_names_step_and_user(pocket_frames, tmp_path):
    config = quick("learner=anil_implicit", "learner.head_settings.most_steps=1")
    with pytest.raises(DataError, match=r"^step 1, training task 0 \(user P\d+\): the head of .* is not solved"):
        train(config, data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)


def test_an_inner_loop_that_diverges_names_task_and_step():
    learner = load_learner("maml").model_copy(update={"step_lr": 1e30, "steps": 3})
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=32)
    done = step_gradient(recognizer, map(made_task, range(7, 9)), range(7, 9), Ranks(CPU), lite=LiteConfig(h=2), seed=5)
    assert done.wrong_task == 7
    assert re.search(r"inner step \d of 3; .*step_lr", done.reason)


@pytest.mark.parametrize("count", [4, 1])
def test_a_steps_gradient_is_the_mean_over_its_tasks(count):
    """Also in a shorter step."""
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32).double()
    numbers, lite = range(20, 20 + count), LiteConfig(h=2)

    def gradient():
        found = torch.cat([parameter.grad.flatten() for parameter in recognizer.parameters()])
        recognizer.zero_grad()
        return found

    done = step_gradient(recognizer, map(made_task, numbers), numbers, Ranks(CPU), lite=lite, seed=5)
    step, alone, losses = gradient(), [], []
    for number in numbers:
        result = task_gradient(recognizer, made_task(number), h=2, rng=keyed_rng(5, "lite", number))
        alone.append(gradient())
        losses.append(result.loss)
    torch.testing.assert_close(step, torch.stack(alone).mean(dim=0), rtol=1e-9, atol=1e-12)
    assert done.loss == pytest.approx(sum(losses) / count)


@pytest.mark.parametrize("estimator", ["lite", "full"])
def test_a_clamp_holds_each_tasks_part_and_then_their_sum(estimator):
    """The published MAML code clamps the running sum after each task, which depends on the order of tasks."""
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32).double()
    numbers, lite = range(20, 24), LiteConfig(h=2, estimator=estimator)

    def gradient():
        found = torch.cat([parameter.grad.flatten() for parameter in recognizer.parameters()])
        recognizer.zero_grad(set_to_none=True)
        return found

    parts = []
    for number in numbers:
        how = {"h": 2, "rng": keyed_rng(5, "lite", number), "loss_scale": 1 / 4, "estimator": estimator}
        task_gradient(recognizer, made_task(number), **how)
        parts.append(gradient())
    bound = float(torch.stack(parts).abs().quantile(0.9))
    step_gradient(recognizer, map(made_task, numbers), numbers, Ranks(CPU), lite=lite, seed=5, clamp=bound)
    found, clamped = gradient(), torch.stack([part.clamp(-bound, bound) for part in parts])
    torch.testing.assert_close(found, clamped.sum(dim=0).clamp(-bound, bound), rtol=1e-9, atol=1e-15)
    assert not torch.allclose(found, torch.stack(parts).sum(dim=0).clamp(-bound, bound), rtol=1e-3)
    one_by_one = torch.zeros_like(found)
    for part in parts:
        one_by_one = (one_by_one + part).clamp(-bound, bound)
    within = torch.stack(parts).cumsum(dim=0).abs().amax(dim=0) < bound
    within &= torch.stack(parts).abs().amax(dim=0) < bound
    torch.testing.assert_close(found[within], one_by_one[within], rtol=1e-9, atol=1e-15)
    assert 0.2 < within.double().mean() < 1


def test_a_clamp_does_not_hide_an_infinite_gradient(monkeypatch):
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)

    def gradient(recognizer, pixels, **how):
        result = task_gradient(recognizer, pixels, **how)
        next(recognizer.parameters()).grad[0] = float("inf")
        return result

    monkeypatch.setattr("orbit_lite.training.loop.task_gradient", gradient)
    done = step_gradient(
        recognizer, map(made_task, range(2)), range(2), Ranks(CPU), lite=LiteConfig(h=2), seed=5, clamp=10.0
    )
    assert done.wrong_task == 0


def test_the_clamp_of_the_config_reaches_the_steps(pocket_frames, tmp_path, monkeypatch):
    asked = []

    def watched(*arguments, clamp, **how):
        asked.append(clamp)
        return step_gradient(*arguments, clamp=clamp, **how)

    monkeypatch.setattr("orbit_lite.training.loop.step_gradient", watched)
    config = quick("optimizer.clamp_gradient=10", "epochs=1")
    train(config, data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)
    assert asked == [10.0, 10.0]
    assert quick().optimizer.clamp_gradient is None


ADDED = [("optimizer", "warmup"), ("optimizer", "decay_at_epochs"), ("optimizer", "clamp_gradient")]
ADDED += [("lite", "film_penalty"), ("lite", "film_penalty_batch")]


def without_added(config):
    """A config from before these keys existed."""
    for part, key in ADDED:
        del config[part][key]
    for role in ("support", "query"):
        del config["tasks"][role]["frames"]["fill_last_clip"]
    return config


def test_a_run_from_before_a_setting_resumes_if_the_setting_reproduces_it(
    finished, pocket_frames, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("orbit_lite.training.loop.CHECKPOINT_EVERY_S", 0.0)
        patch.setattr("orbit_lite.training.loop.Validation.__call__", interrupt)
        train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)
    record = json.loads((run / "run.json").read_text())
    without_added(record["settings"]["config"])
    (run / "run.json").write_text(json.dumps(record))
    for setting, words in {
        "optimizer.warmup=epoch": "config.optimizer.warmup is 'step' there, 'epoch' here",
        "lite.film_penalty_batch=256": "config.lite.film_penalty_batch is not set there, 256 here",
        "optimizer.clamp_gradient=10": "config.optimizer.clamp_gradient is not set there, 10.0 here",
    }.items():
        with pytest.raises(UsageError, match=re.escape(words)):
            train(quick(setting), data=pocket_frames, out=run, workers=0, device=CPU)
    train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)
    assert same(weights(run), weights(finished[0]))


def test_before_bf16_was_a_setting_it_was_float32(finished, pocket_frames, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    record = json.loads((run / "run.json").read_text())
    del record["settings"]["config"]["lite"]["bf16"]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"config\.lite\.bf16 is False there, not set here"):
        train(quick(), data=pocket_frames, out=run, workers=0, device=CPU)
    assert train(quick("lite.bf16=false"), data=pocket_frames, out=run, workers=0, device=CPU).steps == 6


def test_a_checkpoint_from_before_a_setting_is_read(finished, tmp_path):
    info = read_checkpoint_info(finished[0] / BEST_NAME)
    recognizer = load_recognizer(finished[0] / BEST_NAME)
    save_recognizer(tmp_path / "old.safetensors", recognizer, config=without_added(info.config), meta=info.meta)
    old = load_recognizer(tmp_path / "old.safetensors")
    assert same(old.state_dict(), recognizer.state_dict())
    assert "warmup" not in read_checkpoint_info(tmp_path / "old.safetensors").config["optimizer"]


def test_bfloat16_depends_on_the_device_unless_the_config_sets_it(pocket_frames, tmp_path, finished):
    assert [in_bf16(LiteConfig(bf16=asked), CPU) for asked in (None, False, True)] == [False, False, True]
    train(quick("lite.bf16=true", "epochs=1"), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU)
    losses = [
        [float(row["loss"]) for row in csv.DictReader((run / "training.csv").open())][:1]
        for run in (tmp_path / "run", finished[0])
    ]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.05)  # of the first step
    assert all(value.dtype == torch.float32 for value in weights(tmp_path / "run").values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("learner", META_TRAINED)
def test_it_trains_on_a_gpu(pocket_frames, tmp_path, learner):
    cuda = torch.device("cuda")
    config = quick(f"learner={learner}", "epochs=1")
    summary = train(config, data=pocket_frames, out=tmp_path / "run", workers=2, device=cuda)
    rows = list(csv.DictReader((tmp_path / "run" / "training.csv").open()))
    assert len(rows) == 2 and summary.validation_frame_accuracy is not None
    start = build_recognizer(config.learner, "tiny", weights="random", seed=config.seed).state_dict()
    assert not same(start, weights(tmp_path / "run"))
    on_cpu = train(
        quick(f"learner={learner}", "epochs=1"), data=pocket_frames, out=tmp_path / "cpu", workers=0, device=CPU
    )
    first = [float(next(csv.DictReader((tmp_path / run / "training.csv").open()))["loss"]) for run in ("run", "cpu")]
    assert first[0] == pytest.approx(first[1], rel=0.05)  # bfloat16 if the GPU supports it well
    assert on_cpu.steps == summary.steps


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


def test_a_function_of_the_callers_gets_each_step(pocket_frames, tmp_path):
    called = []
    config = quick("epochs=1")
    train(
        config,
        data=pocket_frames,
        out=tmp_path / "run",
        workers=0,
        device=CPU,
        on_step=lambda step, epoch, metrics: called.append({"step": step, "epoch": epoch, **metrics}),
    )
    rows = list(csv.DictReader((tmp_path / "run/training.csv").open()))
    assert called == [{name: float(value) for name, value in row.items() if value} for row in rows]
    assert [sorted(set(rows[0]) - set(metrics)) for metrics in called] == [["validation_frame_accuracy"], []]


def test_an_error_of_that_function_is_the_callers_and_the_run_resumes(finished, pocket_frames, tmp_path):
    def fail(step, epoch, metrics):
        if step == 3:
            raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        train(quick(), data=pocket_frames, out=tmp_path / "run", workers=0, device=CPU, on_step=fail)
    steps = []
    train(
        quick(),
        data=pocket_frames,
        out=tmp_path / "run",
        workers=0,
        device=CPU,
        on_step=lambda step, *_: steps.append(step),
    )
    assert steps == [3, 4, 5, 6]  # the checkpoint is from step 2, after an epoch
    assert same(weights(tmp_path / "run"), weights(finished[0]))
