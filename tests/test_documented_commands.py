"""The commands of the README and of the walk-through, run as they stand, in an empty folder, by a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep.video import encode_jpeg
from orbit_lite.cli.parser import main
from orbit_lite.models import choice
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.checking import check_user

ROOT = Path(__file__).resolve().parent.parent
# A shell takes a line apart (names of files, quotes), and says what orbit-lite would be given.
WORDS = "set -e\norbit-lite() { printf '%s\\0' \"$@\"; }\n"
PROCESS = 'set -e\norbit-lite() { "$PYTHON" -m orbit_lite "$@"; }\n'
# The README's set, but for its seed, is the tests' own.
OF_POCKET_RAW = "orbit-lite prep pocket raw --users 3 1 2 --objects 3 --clean-videos 2 --clutter-videos 1"
LEAVES = {  # files that the commands of each document leave behind
    "README.md": ("run/best.safetensors", "after/report.html", "before/scorecard.json", "alice.safetensors"),
    "docs/study.md": (
        *("checks/P3001/check.html", "checks/participants.html", "personal/P3004.safetensors"),
        *("measured/participants_objects.csv", "measured/participants.html"),
    ),
    "docs/episodes.md": ("one-shot/report.html", "five-shot/scorecard.json", "tasks.jsonl"),
    "docs/personalize.md": (
        *("check/check.html", "alice.csv", "answers.csv", "answers.json", "alice.onnx"),
        *("measured/report.html", "measured/answers_curve.csv"),
    ),
}


def commands(document: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def shell(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    return subprocess.run(["bash", "-c", lines], cwd=folder, env=environment, capture_output=True, text=True)


def in_this_process(command: str) -> tuple[int, str]:
    """Exit status, and what went wrong in the shell. Saves the seconds in which a process of its own loads torch, and
    where no model is named, starts from one that takes a tenth of the time; the demo's test has the real one."""
    assert not re.search(r"[|<>&;$]", command), f"more than one call of orbit-lite: {command}"
    done = shell(WORDS + command, Path.cwd())
    with pytest.MonkeyPatch.context() as patch:
        for module in (choice, check_user):
            patch.setattr(module, "EMBEDDED_START", ModelChoice("ridge", "tiny", "random"))
        return done.returncode or main(done.stdout.split("\0")[:-1]), done.stderr


def in_a_process_of_its_own(command: str) -> tuple[int, str]:
    done = shell(PROCESS + command, Path.cwd())
    return done.returncode, done.stderr


def draw_photos(folder: Path) -> None:
    """Six classes of 20 pictures, each of noise around a color of its class."""
    rng = np.random.default_rng(0)
    for place in range(6):
        color = rng.integers(60, 200, 3)
        (folder / f"class {place}").mkdir(parents=True)
        for number in range(20):
            picture = np.clip(color + rng.integers(-50, 50, (40, 40, 3)), 0, 255).astype(np.uint8)
            (folder / f"class {place}" / f"{number}.jpg").write_bytes(encode_jpeg(picture))


def holds(path: Path, user: str) -> bool:
    """Whether a file or folder has a user's name, or a file has it in its bytes."""
    return user in path.name or (path.is_file() and user.encode() in path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("document", LEAVES)
@pytest.mark.parametrize("run", [in_this_process, pytest.param(in_a_process_of_its_own, marks=pytest.mark.long)])
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to run them with")
def test_the_commands_run(document, run, tmp_path, monkeypatch, pocket_raw):
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    monkeypatch.chdir(tmp_path)
    if document == "docs/episodes.md":
        draw_photos(tmp_path / "photos")
    for command in commands(document):
        if run is in_this_process and command == OF_POCKET_RAW:  # drawn already; with the others' commands it is drawn
            shutil.copytree(pocket_raw, "raw")
            command += " --seed 5"
        status, said = run(command)
        assert status == 0, f"{command}\n{said}"
    for file in LEAVES[document]:
        assert (tmp_path / file).is_file(), file
    for user in re.findall(r"--participant (\S+)", " ".join(commands(document))):
        assert [path for path in tmp_path.rglob("*") if holds(path, user)] == []


def test_they_walk_through_the_verbs_of_one_user_and_of_the_road():
    verbs = {document: {command.split()[1] for command in commands(document)} for document in LEAVES}
    assert {"personalize", "recognize", "evaluate", "check-user", "forget", "export"} <= verbs["docs/personalize.md"]
    assert {"prep", "train", "tasks", "predict", "score", "evaluate", "report"} <= verbs["README.md"]
    assert OF_POCKET_RAW in commands("README.md")
