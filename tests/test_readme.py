"""The README's commands, run as they stand, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path):
    assert len(commands()) >= 8
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in commands():
        name, *arguments = shlex.split(command)
        assert name == "orbit-lite"
        done = subprocess.run(
            [sys.executable, "-m", "orbit_lite", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    for file in ("run/best.safetensors", "after/report.html", "before/scorecard.json", "scorecard.json"):
        assert (tmp_path / file).is_file(), file


def test_files_the_readme_links_to_are_there():
    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_targets_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
