"""Runs the code and the shell loop in docs/learners.md on a smaller experiment."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orbit_lite.cli.parser import main
from orbit_lite.training import experiment

ROOT = Path(__file__).resolve().parents[3]
SMALLER = ("epochs=1", "tasks.tasks_per_user=1", "tasks_per_step=4", "tasks.query.frames.at_most=2", "lite.h=4")
WORDS = "set -e\norbit-lite() { printf '%s\\0' \"$@\" END; }\n"


def block(language: str) -> str:
    """The only code block in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/learners.md").read_text(), re.DOTALL)
    return found


@pytest.fixture
def folder(pocket_frames, tmp_path, monkeypatch):
    shutil.copytree(pocket_frames, tmp_path / "frames")
    load = experiment.load_experiment
    monkeypatch.setattr(experiment, "load_experiment", lambda name, keys: load(name, sorted({*SMALLER, *keys})))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_function_that_logs_is_called(folder, capsys):
    exec(block("python"), {"__name__": "docs"})
    assert re.match(r"1 0\.00 \{'learning_rate': ", capsys.readouterr().out)
    assert (folder / "run/best.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to take the loop apart")
def test_the_sweep_ends_in_a_table(folder, capsys):
    runs = ("sweep/lr-0.0003", "sweep/lr-0.001")
    for run in runs:  # for the pattern in the last command
        (folder / "elsewhere" / run / "validation").mkdir(parents=True)
    script = ["bash", "-c", WORDS + block("bash")]
    said = subprocess.run(script, cwd=folder / "elsewhere", capture_output=True, text=True, check=True).stdout
    commands = [command.split("\0")[:-1] for command in said.split("END\0")[:-1]]
    assert [words[0] for words in commands] == ["train", "evaluate", "train", "evaluate", "leaderboard"]
    for words in commands:
        assert main([*words, "--tasks-per-user", "1"] if words[0] == "evaluate" else words) == 0, words
    table = capsys.readouterr().out
    assert all(f"{run}/validation" in table for run in runs)
