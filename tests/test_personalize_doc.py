"""The walk-through of docs/personalize.md, run as it stands, in an empty folder, by a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL = 'orbit-lite() { "$PYTHON" -m orbit_lite "$@"; }\nset -e\n'


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "personalize.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to run them with")
def test_the_walk_through_runs(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    told = ""
    assert len(commands()) >= 8
    for command in commands():
        done = subprocess.run(
            ["bash", "-c", SHELL + command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        told += done.stdout
    for file in ("check/check.html", "alice.csv", "answers.csv", "answers.json", "alice.onnx"):
        assert (tmp_path / file).is_file(), file
    assert "could not reach: " in told


def test_every_verb_of_one_user_is_walked_through():
    verbs = {command.split()[1] for command in commands()}
    assert {"personalize", "recognize", "check-user", "forget", "export"} <= verbs
