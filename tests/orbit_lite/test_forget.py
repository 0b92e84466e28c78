"""Removing a user from runs: the rest equals an evaluation without them, plus a note that somebody was removed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from data_prep.forgetting.forget import forget_user
from data_prep.tree.index import open_index
from eval.formats.records import (
    read_predictions,
    read_predictions_metadata,
    read_scorecard,
    read_tasks,
    tasks_fingerprint,
)
from eval.verbs import check_files, report_run, score_files, write_results_file
from groundwork.errors import DataError, UsageError
from groundwork.removal import OpenFolder
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.forget import forget, forget_in_run, plan_forget
from orbit_lite.models.choice import ModelChoice
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
USER, STAYS = "P3001", "P3002"  # the pocket set's test users
NOTE = "1 user was removed from this run at their request"


def request(data, *, split="test", protocol="orbit-2022"):
    return EvaluateRequest(ModelChoice("protonets", "tiny"), data, protocol, split, seed=3, tasks_per_user=2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def evaluated(pocket_frames, tmp_path_factory):
    """A run on both test users, with times and pictures. Do not change it."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    evaluate(request(pocket_frames), run, workers=0, device=CPU, thumbnails=True, timed=True)
    write_results_file(run / "tasks.jsonl", run / "predictions.parquet", run / "results.json")
    return run


@pytest.fixture(scope="module")
def evaluated_alone(evaluated, tmp_path_factory):
    """A run on only one user. Do not change it."""
    run = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(evaluated, run)
    forget_in_run(run, STAYS)
    return run


@pytest.fixture(scope="module")
def without_them(pocket_frames, tmp_path_factory):
    """A run on a tree without the user."""
    folder = tmp_path_factory.mktemp("without")
    for part in ("test", "annotations/test"):
        shutil.copytree(pocket_frames / part, folder / "frames" / part, ignore=shutil.ignore_patterns(f"{USER}*"))
    evaluate(request(folder / "frames"), folder / "run", workers=0, device=CPU)
    return folder / "run"


@pytest.fixture
def tree(pocket_frames, tmp_path):
    """A tree with only the test users, which the evaluations here use."""
    for part in ("test", "annotations/test"):
        shutil.copytree(pocket_frames / part, tmp_path / "frames" / part)
    return tmp_path / "frames"


@pytest.fixture
def run(evaluated, tmp_path):
    shutil.copytree(evaluated, tmp_path / "run")
    return tmp_path / "run"


def require_no_mention(folder, user):
    """Check that no path and no file contains the user's name; Parquet is read, because it is compressed."""
    for path in folder.rglob("*"):
        assert user not in str(path.relative_to(folder)), path
        if path.is_file():
            assert user.encode() not in path.read_bytes(), path
    for path in folder.rglob("*.parquet"):
        table = read_predictions(path)
        for column in ("user", "video"):
            assert not any(user in name for name in table[column].cat.categories), path


def test_the_rest_is_a_run_of_the_other_users(tree, run, without_them):
    forgotten = forget(tree, USER, [run])
    require_no_mention(run, USER)
    require_no_mention(tree, USER)
    left, expected = (read_scorecard(folder / "scorecard.json") for folder in (run, without_them))
    same = ("overall", "counts", "left_out", "per_user", "per_task", "per_object", "per_video", "confusion")
    for name in (*same, "by_annotation"):
        assert getattr(left, name) == getattr(expected, name), name
    assert left.cost.macs_to_personalize == expected.cost.macs_to_personalize
    assert left.cost.seconds_to_personalize.n == 2  # the two tasks of the remaining user
    tasks = [read_tasks(folder / "tasks.jsonl").tasks for folder in (run, without_them)]
    assert tasks[0] == tasks[1]
    tables = [read_predictions(folder / "predictions.parquet").astype(str) for folder in (run, without_them)]
    pd.testing.assert_frame_equal(*tables)
    results = json.loads((run / "results.json").read_text())
    assert list(results) == [STAYS]
    for part in ("predictions.parquet: ", "tasks.jsonl: 2 tasks", "results.json: 1 entry", "without video frames"):
        assert part in str(forgotten)


def test_scorecard_and_report_state_that_somebody_was_removed_but_not_who(tree, run):
    before = read_tasks(run / "tasks.jsonl")
    forget(tree, USER, [run])
    card = read_scorecard(run / "scorecard.json")
    assert any(note.startswith(NOTE) for note in card.notes)
    assert NOTE in (run / "report.html").read_text() and NOTE in (run / "report.md").read_text()
    after = read_tasks(run / "tasks.jsonl")
    # the tasks were drawn from the tree with the user, so they still have its fingerprint
    assert card.data_fingerprint == after.data_fingerprint == before.data_fingerprint
    assert card.data_fingerprint != open_index(tree).fingerprint
    assert card.tasks_fingerprint == tasks_fingerprint(after) != tasks_fingerprint(before)
    assert read_predictions_metadata(run / "predictions.parquet")["users_removed"] == "1"


def test_the_run_can_be_checked_scored_and_reported(run, tmp_path):
    forget_in_run(run, USER)
    assert check_files(run / "tasks.jsonl", run / "predictions.parquet") == []
    again = score_files(run / "tasks.jsonl", run / "predictions.parquet", tmp_path / "again.json")
    assert again.overall == read_scorecard(run / "scorecard.json").overall
    assert again.provenance["users_removed"] == "1"
    page = (run / "report.html").read_bytes()
    report_run(run)
    assert (run / "report.html").read_bytes() == page


@pytest.mark.parametrize("forgotten_in_tree", [True, False])
def test_the_run_can_not_be_resumed(tree, run, forgotten_in_tree):
    """Not even on a copy of the tree that still has the user, with the same settings."""
    forget_in_run(run, USER, data=tree)
    if forgotten_in_tree:
        forget_user(tree, USER)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"run: a user was removed from this run at their request.*another --out$"):
        evaluate(request(tree), run, workers=0, device=CPU)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_without_the_tree_accuracy_by_annotation_is_left_out_and_this_is_reported(run):
    assert read_scorecard(run / "scorecard.json").by_annotation
    result = str(forget_in_run(run, USER))
    assert "again, without accuracy by annotation and video frames" in result
    card = read_scorecard(run / "scorecard.json")
    assert card.by_annotation is None and card.cost.macs_to_personalize.n == 2
    assert not (run / "by_annotation.csv").exists()


def test_a_run_of_only_this_user_is_removed_completely(run, tree):
    forget_in_run(run, STAYS)
    result = forget(tree, USER, [run])
    assert not run.exists() and "the whole run, because it has only this user" in str(result)
    assert [path for path in run.parent.iterdir() if path.name.startswith(".run")] == []


def test_other_files_in_a_removed_runs_folder_stay(run, tree, tmp_path):
    forget_in_run(run, STAYS)
    for name in ("thesis.tex", "figures/accuracy_per_user.svg", ".notes.part"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    (tmp_path / "table.csv").write_text("mine")
    (run / "mine.csv").symlink_to(tmp_path / "table.csv")
    result = forget(tree, USER, [run])
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert files == {"thesis.tex", "figures/accuracy_per_user.svg", ".notes.part", "mine.csv", "run.json"}
    assert [line.removeprefix(f"{run}/").split(":")[0] for line in result.left] == sorted(
        [".notes.part", "figures", "mine.csv", "thesis.tex"]
    )
    again = forget(tree, USER, [run])
    assert again.left == result.left and not again.removed and "already gone" in again.note


def test_a_run_is_removed_completely_after_any_interruption(evaluated_alone, tmp_path, monkeypatch):
    run = tmp_path / "run"
    steps = after = 0

    def until_stopped(step):
        def counted(*arguments):
            nonlocal steps
            steps += 1
            if steps == after:
                raise KeyboardInterrupt
            return step(*arguments)

        return counted

    for name in ("remove", "remove_empty"):
        monkeypatch.setattr(OpenFolder, name, until_stopped(getattr(OpenFolder, name)))
    while True:
        shutil.copytree(evaluated_alone, run)
        steps, after = 0, after + 1
        try:
            forget_in_run(run, USER)
        except KeyboardInterrupt:
            after, stopped_at = 0, after
            forget_in_run(run, USER)
            after = stopped_at
            assert not run.exists(), after
        else:
            break
    assert after > 15 and not run.exists()


# Every kind of file in a finished and an interrupted run, and a folder: each is a link in turn.
IN_RUN = ("run.json", "log.txt", "tasks.jsonl", "predictions.parquet", "scorecard.json", "report.html", "report.md")
IN_RUN += ("per_user.csv", "timelines.csv", "seconds_to_personalize.csv")
IN_RUN += ("results.json", ".parts", ".tasks.jsonl.part")


@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
@pytest.mark.parametrize("name", [*IN_RUN, f".parts/{USER}.parquet"])
def test_a_run_with_a_link_among_its_files_is_not_changed(name, alone, evaluated_alone, evaluated, tree, tmp_path):
    run, away = tmp_path / "run", tmp_path / "away"
    shutil.copytree(evaluated_alone if alone else evaluated, run)
    (run / ".parts").mkdir()
    (run / f".parts/{USER}.parquet").write_bytes(b"x")
    (run / ".tasks.jsonl.part").write_text("x")
    shutil.move(run / name, away)
    (run / name).symlink_to(away)
    before = {path: path.read_bytes() for path in (*run.rglob("*"), away, *away.rglob("*")) if path.is_file()}
    result = forget(tree, USER, [run])
    after = {path: path.read_bytes() for path in (*run.rglob("*"), away, *away.rglob("*")) if path.is_file()}
    assert after == before
    assert result.remaining == (
        f"{run}: not changed, because {run / name} is a symbolic link to {away}; put the file itself there",
    )
    assert not (tree / "test" / USER).exists()


@pytest.mark.parametrize("name", ["tasks.jsonl", "report.html", ".parts"])
def test_a_link_that_appears_in_a_run_after_the_list_is_not_followed(name, run, tree, tmp_path):
    (run / ".parts").mkdir()
    (run / f".parts/{USER}.parquet").write_bytes(b"x")
    plan = plan_forget(tree, USER, [run])
    shutil.move(run / name, tmp_path / "away")
    (run / name).symlink_to(tmp_path / "away")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = plan.carry_out()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert any(line.startswith(f"{run}: not changed") for line in result.remaining)


def test_a_run_named_by_a_link_is_refused(run, tree, tmp_path):
    (tmp_path / "latest").symlink_to(run)
    with pytest.raises(UsageError, match=f"a symbolic link to {run}"):
        forget(tree, USER, [tmp_path / "latest"])
    assert (tree / "test" / USER).is_dir()


@pytest.mark.slow
def test_a_second_user_is_counted(pocket_frames, tmp_path):
    out = tmp_path / "out"
    evaluate(request(pocket_frames, split="train"), out, workers=0, device=CPU)
    for user in ("P1001", "P1003"):
        forget_in_run(out, user)
        require_no_mention(out, user)
    notes = read_scorecard(out / "scorecard.json").notes
    assert [note for note in notes if "removed" in note] == [
        "2 users were removed from this run at their request; all numbers are for the remaining users."
    ]


def test_a_run_interrupted_before_its_predictions_loses_the_users_part(tree, tmp_path, monkeypatch):
    from orbit_lite.evaluation.predict import predict_users

    def first_user_only(*arguments, **how):
        yield next(predict_users(*arguments, **how))
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("orbit_lite.evaluation.evaluate.predict_users", first_user_only)
        evaluate(request(tree), out, workers=0, device=CPU)
    assert (out / f".parts/{USER}.parquet").is_file()
    (out / f".parts/.{USER}.parquet.part").write_bytes(b"cut off")
    forgotten = forget(tree, USER, [out])
    require_no_mention(out, USER)
    assert "evaluate again into another folder" in str(forgotten)


def test_only_log_lines_that_name_the_user_are_removed(run):
    log = run / "log.txt"
    whole = log.read_text()
    log.write_text(whole + f"2026-01-01 12:00:00 step 3: training task 5 (user {USER}): not finite\nP30010 stays\n")
    forget_in_run(run, USER)
    assert log.read_text() == whole + "P30010 stays\n"


def test_files_that_are_not_the_runs_are_reported(run):
    (run / "comparison.md").write_text(f"{USER} is the worst")
    forgotten = forget_in_run(run, USER)
    assert f"{run / 'comparison.md'}: not this run's, but names {USER}; look into it" in forgotten.unreachable


def test_a_scorecard_without_predictions_is_reported(run):
    (run / "predictions.parquet").unlink()
    forgotten = forget_in_run(run, USER)
    assert any("its scorecard and report" in line and "remove the folder" in line for line in forgotten.unreachable)


def test_unknown_users_and_missing_runs(run, tree, tmp_path):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for forgotten in (forget_in_run(run, "P3003"), forget(tree, "P3003", [run])):
        assert forgotten.removed == () and "already gone, or never here (if you meant 'P300" in forgotten.note
    for forgotten in (lambda: forget_in_run(run, "p3001"), lambda: forget(tree, "P-3001", [run])):
        with pytest.raises(DataError, match=r"did you mean 'P3001'\? Nothing was removed"):
            forgotten()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    for name in ("..", "", "a/b"):
        with pytest.raises(UsageError, match="expected the name of one user's folder"):
            forget(tree, name, [run])
    with pytest.raises(UsageError, match="no such folder"):
        forget(tmp_path / "none", USER)
    with pytest.raises(UsageError, match="not a run folder of this kit"):
        forget_in_run(tree, USER)


def test_a_second_time_nothing_is_left(run, tree):
    assert forget(tree, USER, [run]).removed
    before = {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
    again = forget(tree, USER, [run])
    assert (again.removed, again.left, again.remaining) == ((), (), ()) and "already gone" in again.note
    assert {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()} == before


def test_a_list_changes_nothing(run, tree):
    before = {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
    lines = str(plan_forget(tree, USER, [run]))
    assert {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()} == before
    assert f"{run / 'tasks.jsonl'}: 2 tasks" in lines and "scored and reported again" in lines


def test_a_missing_run_is_reported_and_the_rest_is_done(tree, tmp_path):
    forgotten = forget(tree, USER, [tmp_path / "none"])
    assert f"{tmp_path / 'none'}: no such run; it was removed before, or the path is wrong" in forgotten.unreachable
    assert not (tree / "test" / USER).exists()


@pytest.fixture(scope="module")
def trained(pocket_frames, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    quick = ["epochs=1", "tasks.tasks_per_user=1", "lite.h=2", "optimizer.warmup_epochs=0"]
    train(load_experiment("pocket", quick), data=pocket_frames, out=run, workers=0, device=CPU)
    return run


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("P1001", "best.safetensors and state.pt learned from their videos and can't unlearn them; train again"),
        ("P2001", "best.safetensors and state.pt were chosen by accuracy on their videos; train again"),
        ("P3001", ""),
    ],
)
def test_what_the_weights_learned_from_a_user_is_reported(user, message, trained, pocket_frames, tmp_path):
    before = {path: path.read_bytes() for path in trained.iterdir()}
    tree = tmp_path / "frames"
    tree.mkdir()
    shutil.copy(pocket_frames / "index.csv", tree)
    lines = [line for line in forget(tree, user, [trained]).unreachable if line.startswith(str(trained))]
    assert len(lines) == bool(message) and all(message in line for line in lines)
    assert {path: path.read_bytes() for path in trained.iterdir()} == before
    # the tree has changed, so this is no longer known
    [line] = forget_in_run(trained, user, data=tree).unreachable
    assert "if they were in the tree that it was trained on" in line


# Forks for every given number n; the fork kills itself (SIGKILL) before its n-th change to files of the run or the tree
# other than frames.
KILLER = """
import os, signal, sys
from pathlib import Path
import eval.report, matplotlib.backends.backend_svg, pyarrow.parquet
from orbit_lite.forget import forget

left = changes = 0
run = sys.argv[3]

def by_handle(arguments):
    return isinstance(arguments[1], int) and arguments[1] >= 0 and not arguments[0].endswith(".jpg")

def count(event, arguments):
    global changes
    if event in ("os.remove", "os.rename") and (str(arguments[0]).startswith(run) or by_handle(arguments)):
        changes += 1
        if changes == left:
            os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    if (child := os.fork()) == 0:
        left = int(line)
        sys.addaudithook(count)
        forget(Path(sys.argv[1]), sys.argv[2], [Path(run)])
        os.write(1, f"{changes}\\n".encode())
        os._exit(0)
    if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        os.write(1, b"killed\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.long)])
def test_after_a_kill_at_any_moment_the_same_call_finishes(pocket_frames, tmp_path, step):
    """Before every `step`-th change within the run; tests/data_prep/forgetting/test_forget.py does the same within the
    tree."""
    small, work = tmp_path / "small", tmp_path / "work"
    for user in (USER, STAYS):
        for thing in sorted((pocket_frames / "test" / user).iterdir())[:2]:
            shutil.copytree(thing, small / "frames/test" / user / thing.name)
    shutil.copytree(pocket_frames / "annotations/test", small / "frames/annotations/test")
    evaluate(request(small / "frames"), small / "run", workers=0, device=CPU)
    command = [sys.executable, "-c", KILLER, str(work / "frames"), USER, str(work / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as killer:

        def attempt(kill_at):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(small, work)
            print(kill_at, file=killer.stdin, flush=True)
            return killer.stdout.readline().strip()

        def end():
            return {path: path.read_bytes() for path in work.rglob("*") if path.is_file() and path.name != ".lock"}

        changes = int(attempt(0))
        whole = end()
        require_no_mention(work, USER)
        assert changes > 20  # record, scorecard, predictions, tasks and each file of the report
        for kill_at in range(1, changes, step):
            assert attempt(kill_at) == "killed"
            forget(work / "frames", USER, [work / "run"])
            require_no_mention(work, USER)
            assert end() == whole, kill_at
        killer.stdin.close()
