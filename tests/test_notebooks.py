"""The notebooks of docs/, their code cells run in order as they stand."""

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.formats.records import (
    PREDICTION_COLUMNS,
    Task,
    TaskSet,
    VideoPlan,
    read_scorecard,
    write_predictions,
    write_scorecard,
    write_tasks,
)
from eval.score import score

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
# Each cell as IPython runs it: what its last line gives is shown.
RUN = """
import ast, json, sys
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        *lines, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(lines, []), cell["id"], "exec"), names)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
            if shown is not None:
                print(shown.to_string() if hasattr(shown, "to_string") else shown)
        else:
            exec(compile(ast.Module([last], []), cell["id"], "exec"), names)
"""


def run(name: str, folder: Path) -> str:
    """What the notebook prints and shows, run in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", RUN, str(ROOT / "docs" / name)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs_and_begin_with_text(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["cells"][0]["cell_type"]) == (4, "markdown")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        assert all(len(line) <= 120 for line in source.splitlines()), cell["id"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            assert not any(line.startswith(("%", "!")) for line in source.splitlines())


def test_every_notebook_is_run_here():
    assert [path.name for path in NOTEBOOKS] == ["results.ipynb", "tour.ipynb"]


@pytest.mark.slow
def test_the_tour_teaches_objects_and_answers(tmp_path):
    shown = run("tour.ipynb", tmp_path)
    assert "frames: uint8, shape (" in shown
    assert "taught 3 objects" in shown
    assert shown.count("frames right") == 3
    assert list(tmp_path.iterdir()) == []  # what it draws is in a temporary folder


def write_run(folder: Path) -> None:
    """A run of five users on drawn predictions, right in about 60 % of the frames."""
    rng, tasks, rows = np.random.default_rng(0), [], []
    objects = ("bag", "keys", "mug")
    for user, number in product(("P1", "P2", "P3", "P4", "P5"), range(2)):
        query = [
            VideoPlan(f"{user}--{name}--clutter--{place}", label, tuple(range(1, 60, 2)))
            for (label, name), place in product(enumerate(objects), range(2))
        ]
        support = [VideoPlan(f"{user}--{name}--clean--0", label, (1, 31)) for label, name in enumerate(objects)]
        tasks.append(Task(user, number, objects, tuple(support), tuple(query)))
        for plan in query:
            for frame in plan.frames:
                predicted = plan.label if rng.random() < 0.4 else int(rng.integers(len(objects)))
                rows.append((user, number, plan.video, frame, predicted, rng.random()))
    task_set = TaskSet("orbit-2021-clu-ve", "test", 0, True, "0f" * 32, (), tuple(tasks))
    predictions = pd.DataFrame(rows, columns=[column.name for column in PREDICTION_COLUMNS])
    folder.mkdir()
    write_tasks(folder / "tasks.jsonl", task_set)
    write_predictions(folder / "predictions.parquet", predictions, metadata={})
    write_scorecard(folder / "scorecard.json", score(task_set, predictions))


@pytest.mark.slow
def test_results_become_tables_and_plots(tmp_path):
    write_run(tmp_path / "after")
    shown = run("results.ipynb", tmp_path)
    card = read_scorecard(tmp_path / "after" / "scorecard.json")
    mean = 100 * card.overall.frame_accuracy.headline.mean
    assert re.search(rf"^Frame accuracy +{mean:.1f} ", shown, re.MULTILINE)
    for row in card.per_user:
        assert re.search(rf"^{row.user} +6 +{row.frame_accuracy:.3f} +0\.\d+ +0\.\d+$", shown, re.MULTILINE), row.user
    lowest = min(card.per_user, key=lambda row: row.frame_accuracy)
    assert f"lowest: {lowest.user}, {100 * lowest.frame_accuracy:.1f} %" in shown
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        *("confusion.pdf", "over_time.pdf", "per_user.pdf"),
    }
