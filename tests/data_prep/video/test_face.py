"""The package's public names, and that nothing is loaded before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep import video

ROOT = Path(__file__).parents[3]
OTHERS = ("data_prep/[!v]*/*.py", "orbit_lite/**/*.py", "eval/**/*.py", "benchmarks/*.py")


@pytest.mark.parametrize("name", video.__all__)
def test_every_public_name_exists(name):
    assert getattr(video, name) is not None and name in dir(video)


def test_an_unknown_name():
    assert not hasattr(video, "nothing")


def test_decoders_are_loaded_only_on_use():
    code = "import sys, data_prep.tree.index, data_prep.video; print({'av', 'cv2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_other_packages_import_only_public_names():
    files = [path for pattern in OTHERS for path in ROOT.glob(pattern)]
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith("data_prep.video."), path
