"""What the Tab key offers, asked as bash asks through argcomplete."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orbit_lite.config import builtin_names

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash, which argcomplete lists files with")
ASK = """
import json, os, sys
from orbit_lite.cli.completion import complete
from orbit_lite.cli.parser import _parser

answers = []
for line in json.loads(sys.argv[1]):
    os.environ |= {"COMP_LINE": line, "COMP_POINT": str(len(line.encode()))}
    try:
        complete(_parser())
    except SystemExit:
        with open(os.environ["_ARGCOMPLETE_STDOUT_FILENAME"]) as file:
            answers.append(file.read().split("\\v"))
print(json.dumps(answers))
"""
LINES = {
    "verbs": "orbit-lite perso",
    "british": "orbit-lite recogn",
    "inner verbs": "orbit-lite prep ex",
    "options": "orbit-lite train pocket --mo",
    "choices": "orbit-lite evaluate --engine ",
    "experiments": "orbit-lite train poc",
    "protocols": "orbit-lite tasks --protocol orbit-2021-c",
    "learners": "orbit-lite cost --model protonets_",
    "files": "orbit-lite train --data fra",
    "numbers": "orbit-lite tasks --seed ",
    "wrong option before": "orbit-lite train --nonesuch poc",
}
POCKET = [name for name in builtin_names("experiment") if name.startswith("poc")]
OFFERED = {
    "verbs": ["personalize "],
    "british": ["recognize "],
    "inner verbs": ["extract "],
    "options": ["--more-epochs "],
    "choices": ["torch", "openvino", "eager"],
    "experiments": [*POCKET, "pocket-photos.yaml"],
    "protocols": ["orbit-2021-cle-ve", "orbit-2021-clean-training", "orbit-2021-clu-ve"],
    "learners": ["protonets_cosine "],
    "files": ["frames/"],
    "numbers": [],
    "wrong option before": [*POCKET, "pocket-photos.yaml"],
}


def environment(folder: Path) -> dict[str, str]:
    answer = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "answer")}
    return os.environ | answer | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, list[str]]:
    pytest.importorskip("argcomplete", reason="the extra 'completion' is not installed")
    folder = tmp_path_factory.mktemp("completion")
    (folder / "work" / "frames").mkdir(parents=True)
    (folder / "work" / "pocket-photos.yaml").touch()
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(list(LINES.values()))],
        cwd=folder / "work",
        env=environment(folder),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(LINES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("what", OFFERED)
def test_what_is_offered(answers, what):
    assert sorted(filter(None, answers[what])) == sorted(OFFERED[what])


def test_the_command_itself_answers(tmp_path):
    pytest.importorskip("argcomplete", reason="the extra 'completion' is not installed")
    line = {"COMP_LINE": "orbit-lite leader", "COMP_POINT": "17"}
    command = [sys.executable, "-m", "orbit_lite"]
    done = subprocess.run(command, env=environment(tmp_path) | line, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "answer").read_text() == "leaderboard "


def test_without_argcomplete_the_command_works_as_before(tmp_path):
    code = (
        "import sys; sys.modules['argcomplete'] = None; sys.argv = ['orbit-lite', '--version']\n"
        "from orbit_lite.cli.parser import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("orbit-lite ")
