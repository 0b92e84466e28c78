"""`python -m eval` as a person runs it: a process, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.records import read_scorecard, tasks_fingerprint, write_predictions, write_tasks
from eval.score import score

ROOT = Path(__file__).resolve().parents[2]

# A None in sys.modules would not do: scipy and others look a module up and fall over it.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def run(tmp_path, task_set, predictions):
    write_tasks(tmp_path / "tasks.jsonl", task_set)
    write_predictions(tmp_path / "predictions.parquet", predictions, metadata={"model": "made"})
    return tmp_path


def arguments(run, **other):
    chosen = {
        "tasks": run / "tasks.jsonl",
        "predictions": run / "predictions.parquet",
        "out": run / "scorecard.json",
    } | other
    return ["score", *(part for name, path in chosen.items() for part in (f"--{name}", str(path)))]


def test_score_and_report_without_torch(run, task_set, predictions):
    code = BLOCKED + (
        "from eval.__main__ import main\n"
        f"assert main({arguments(run)!r}) == 0\n"
        f"assert main(['report', {str(run)!r}]) == 0\n"
        "import importlib, pkgutil, eval as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'eval.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert not {'torch', 'torchvision', 'timm', 'data_prep', 'orbit_lite'} & set(sys.modules)\n"
        "try: import torch\n"
        "except ModuleNotFoundError: print('blocked')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "blocked"
    assert read_scorecard(run / "scorecard.json") == score(task_set, predictions, provenance={"model": "made"})
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    headline = json.loads((run / "scorecard.json").read_text())["overall"]["frame_accuracy"]["per_video"]["mean"]
    assert f"{100 * headline:.2f}" in done.stdout


def test_module_runs_and_says_how_it_is_used():
    done = subprocess.run(
        [sys.executable, "-m", "eval", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "score" in done.stdout
    assert "report" in done.stdout


@pytest.mark.parametrize(
    ("damage", "code", "expected"),
    [
        (lambda run: (run / "tasks.jsonl").unlink(), 2, "no such file"),
        (lambda run: (run / "predictions.parquet").unlink(), 2, "no such file"),
        (lambda run: (run / "tasks.jsonl").write_text("{"), 1, r"tasks.jsonl:1: "),
        (lambda run: (run / "predictions.parquet").write_bytes(b"PAR1"), 1, "not a whole parquet file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(run, capsys, damage, code, expected):
    damage(run)
    assert main(arguments(run)) == code
    error = capsys.readouterr().err
    assert error.startswith("eval: ")
    assert expected in error
    assert error.count("\n") == 1
    assert not (run / "scorecard.json").exists()


def test_predictions_that_are_not_whole_are_refused(run, predictions, capsys):
    write_predictions(run / "predictions.parquet", predictions.iloc[3:], metadata={})
    assert main(arguments(run)) == 1
    assert "missing" in capsys.readouterr().err
    assert not (run / "scorecard.json").exists()


def test_predictions_made_for_other_tasks_are_refused_though_their_frames_fit(run, task_set, predictions, capsys):
    path = run / "predictions.parquet"
    write_predictions(path, predictions, metadata={"tasks_fingerprint": tasks_fingerprint(task_set)})
    assert main(arguments(run)) == 0
    write_predictions(path, predictions, metadata={"tasks_fingerprint": "of others"})
    assert main(arguments(run)) == 1
    assert "made for other tasks" in capsys.readouterr().err


def test_out_takes_the_place_of_nothing(run, capsys):
    tasks = (run / "tasks.jsonl").read_bytes()
    assert main(arguments(run, out=run)) == 2
    assert main(arguments(run, out=run / "tasks.jsonl")) == 2
    assert (run / "tasks.jsonl").read_bytes() == tasks
    assert capsys.readouterr().err.count("\n") == 2


def test_report_without_a_scorecard_was_asked_wrong(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "scorecard.json: no such file" in capsys.readouterr().err


def test_an_error_of_the_machine_is_one_line_too(run, capsys):
    (run / "file").write_text("")
    assert main(arguments(run, out=run / "file" / "scorecard.json")) == 1
    assert capsys.readouterr().err.startswith("eval: ")


@pytest.mark.parametrize("wrong", [[], ["guess"], ["score"], ["score", "--tasks"]])
def test_a_wrong_command_line_exits_2(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert "usage" in capsys.readouterr().err
