"""The commands of the README and of the walk-through, run as they stand, in an empty folder, by a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL = 'set -e\norbit-lite() { "$PYTHON" -m orbit_lite "$@"; }\n'
LEAVES = {  # files that the commands of each document leave behind
    "README.md": ("run/best.safetensors", "after/report.html", "before/scorecard.json", "alice.safetensors"),
    "docs/personalize.md": ("check/check.html", "alice.csv", "answers.csv", "answers.json", "alice.onnx"),
}


def commands(document: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.slow
@pytest.mark.parametrize("document", LEAVES)
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to run them with")
def test_the_commands_run(document, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    for command in commands(document):
        done = subprocess.run(
            ["bash", "-c", SHELL + command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    for file in LEAVES[document]:
        assert (tmp_path / file).is_file(), file


def test_they_walk_through_the_verbs_of_one_user_and_of_the_road():
    verbs = {document: {command.split()[1] for command in commands(document)} for document in LEAVES}
    assert {"personalize", "recognize", "check-user", "forget", "export"} <= verbs["docs/personalize.md"]
    assert {"prep", "train", "tasks", "predict", "score", "evaluate", "report"} <= verbs["README.md"]
