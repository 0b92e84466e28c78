"""The study of meta-training on episodes, with a few steps on a few drawn objects."""

import csv
import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import episodes_study
from benchmarks.__main__ import RESULTS, main
from benchmarks.drawn_things import Things
from benchmarks.episodes_study import ARMS, RESULT_NAME, WHOLE, Workload
from benchmarks.episodes_study_report import Run, arms_table, half_width
from data_prep.pocket.objects import user_looks
from data_prep.pocket.pocket_set import plan_videos
from data_prep.tree.layout import SPLITS
from eval.formats.records import read_tasks
from groundwork.errors import UsageError
from orbit_lite.training.experiment import load_experiment

DOCS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "lite.md"
SMALL = Workload(
    Things((1, 1, 1), classes=3, images=4),
    seeds=(0, 1),
    tasks=3,
    overrides=(
        *("epochs=1", "tasks.tasks=3", "tasks.way=3", "tasks.shot=1", "tasks.query=1"),
        *("validation.protocol_keys=[way=3, shot=2, query=1]", "validation.tasks_per_user=2"),
    ),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with `runs`, a small study, and `out`, the command's output files."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(episodes_study, "WHOLE", SMALL)
        assert main(["episodes-study", "--runs", str(folder / "runs"), "--out", str(folder / "out")]) == 0
    return folder


def rows(folder):
    (path,) = (folder / "out").iterdir()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_arm_is_trained_with_every_seed_and_asked_about_the_same_tasks(study):
    found = rows(study)
    assert [(row["arm"], int(row["seed"])) for row in found] == [(arm, seed) for seed in (0, 1) for arm in ARMS]
    assert {(row["steps"], row["tasks"]) for row in found} == {("2", "3")}
    assert [int(row["frame_size_px"]) for row in found[:3]] == [128, 128, 48]
    asked = {read_tasks(path).tasks for path in study.glob("runs/runs/*/test/tasks.jsonl")}
    assert len(asked) == 1  # whatever the size of their images


def test_finished_work_is_not_repeated(study, monkeypatch):
    result = study / "runs" / "runs" / "small-task-1" / RESULT_NAME
    before = result.read_bytes()
    result.unlink()
    trained = []
    train = episodes_study.train
    monkeypatch.setattr(
        episodes_study, "train", lambda config, **how: (trained.append(config), train(config, **how))[1]
    )
    again = episodes_study.run(study / "runs", SMALL)
    assert [(config.name, config.seed) for config in trained] == [(ARMS["small task"], 1)]
    assert [run.accuracy for run in again] == pytest.approx([float(row["accuracy"]) for row in rows(study)], rel=1e-5)
    (resumed,) = (run for run in again if (run.arm, run.seed) == ("small task", 1))
    assert resumed.train_s is None  # its checkpoint existed, so its time was not measured
    result.write_bytes(before)


def test_a_folder_of_another_study_or_of_other_things_is_refused(study, tmp_path):
    with pytest.raises(UsageError, match="holds a study of another size; name another folder"):
        episodes_study.run(study / "runs", dataclasses.replace(SMALL, tasks=4))
    shutil.copy(study / "runs" / "study.json", tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="holds other things"):
        episodes_study.run(tmp_path, SMALL)


@pytest.mark.parametrize("arguments", [["episodes-study"], ["lite", "--runs", "runs"]])
def test_runs_are_asked_for_with_the_study_alone(arguments, capsys):
    assert main(arguments) == 2
    assert "benchmark episodes-study and --runs must be used together" in capsys.readouterr().err


def test_held_out_classes_are_never_trained_on():
    """No object in one split has the same shape, texture and colors as an object in another."""
    users = {split: {v.user for v in plan_videos(WHOLE.things.pocket) if v.split == split} for split in SPLITS}
    looks = {
        split: {
            (look.shape, look.texture, look.colors)
            for user in own
            for look in user_looks(WHOLE.things.seed, user, WHOLE.things.classes)
        }
        for split, own in users.items()
    }
    assert [len(own) for own in users.values()] == list(WHOLE.things.sets)
    assert not looks["test"] & (looks["train"] | looks["validation"])
    assert not looks["validation"] & looks["train"]


def test_arms_have_as_many_pixels_with_a_gradient_and_as_many_steps():
    lite, small, no_lite = (load_experiment(name) for name in ARMS.values())
    support = lite.tasks.way * lite.tasks.shot
    assert small.tasks.way * small.tasks.shot == lite.lite.h == lite.lite.gradient_chunk == small.lite.gradient_chunk
    assert no_lite.tasks == lite.tasks
    assert no_lite.lite.gradient_chunk == support  # in one graph
    ratio = support * no_lite.frame_size_px**2 / (lite.lite.h * lite.frame_size_px**2)
    assert ratio == pytest.approx(1, abs=0.02)  # 112 * 48^2 / (16 * 128^2) = 0.984
    for arm in (small, no_lite):
        assert (arm.epochs, arm.tasks.tasks, arm.tasks_per_step) == (lite.epochs, lite.tasks.tasks, lite.tasks_per_step)
        assert (arm.optimizer, arm.validation) == (lite.optimizer, lite.validation)


def made_run(arm, seed, accuracies, **changed):
    numbers = {"frame_size_px": 128, "support": 112, "with_gradient": 16, "peak_mb": 20.2, "steps": 500, "threads": 2}
    times = {"train_s": 60.0, "train_cpu_s": 90.0, "best_step": 500, "validation": 0.5}
    return Run(arm=arm, seed=seed, task_accuracies=accuracies, **(numbers | times | changed))


def test_the_table_compares_task_by_task():
    runs = [
        *(made_run("LITE", 0, [0.5, 0.6, 0.7]), made_run("small task", 0, [0.4, 0.5, 0.6], peak_mb=19.0)),
        *(made_run("LITE", 1, [0.7, 0.8, 0.9]), made_run("small task", 1, [0.6, 0.7, 0.8], train_s=None)),
    ]
    lite, small = arms_table(runs).rows
    # by hand: means over seeds 0.6, 0.7, 0.8, whose s is 0.1; 1.96 * 0.1 / sqrt(3) = 0.113
    assert lite[-3:] == ("70.0 ± 11.3", "60.0, 80.0", "")
    assert small[-3:] == ("60.0 ± 11.3", "50.0, 70.0", "-10.0 ± 0.0")  # every task differs by the same amount
    assert small[4:6] == ("19 to 20", "60")
    assert half_width([0.5, 0.6, 0.7]) == pytest.approx(0.11316, abs=1e-5)


def test_the_docs_hold_what_was_measured():
    """Each arm's row in docs/lite.md has the accuracies of its runs in the CSV file that the docs name."""
    (name,) = set(re.findall(r"episodes-study-[a-z0-9-]+\.csv", DOCS_PAGE.read_text()))
    with (RESULTS / name).open(newline="") as file:
        found = list(csv.DictReader(file))
    lines = DOCS_PAGE.read_text().splitlines()
    for arm, experiment in ARMS.items():
        own = [row for row in found if row["arm"] == arm]
        (line,) = (line for line in lines if line.startswith(f"| {arm} |"))
        assert ", ".join(f"{100 * float(row['accuracy']):.1f}" for row in own) in line
        config = load_experiment(experiment)
        assert {int(row["frame_size_px"]) for row in own} == {config.frame_size_px}
        assert {int(row["steps"]) for row in own} == {config.epochs * config.tasks.tasks // config.tasks_per_step}
        assert {int(row["tasks"]) for row in own} == {WHOLE.tasks * WHOLE.things.sets[2]}
