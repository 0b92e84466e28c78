"""docs/evaluation.md: its example runs, and its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.formats.records import write_predictions, write_tasks
from eval.score import score

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


def test_the_example_prints_the_scorecards_headline(tmp_path, task_set, predictions):
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    write_tasks(tmp_path / "tasks.jsonl", task_set)
    write_predictions(tmp_path / "predictions.parquet", predictions, metadata={})
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    headline = score(task_set, predictions).overall.frame_accuracy.per_video
    assert done.stdout == f"{100 * headline.mean:.2f} % of frames right, mean over {headline.n} videos of tasks\n"


def test_every_verb_is_explained_and_there(capsys):
    named = set(re.findall(r"^\| `(?!python)([a-z]+) ", PAGE.read_text(), re.MULTILINE))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert named == set(re.findall(r"^    ([a-z]+)\b", capsys.readouterr().out, re.MULTILINE))
