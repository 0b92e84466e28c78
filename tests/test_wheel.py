"""The wheel, unpacked far from the checkout: built-in names resolve, and nothing is missing."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PYTHONPATH": str(site)}
    # -P and the far working folder: nothing may come from the checkout
    return subprocess.run(
        [sys.executable, "-P", *command], cwd=site.parent, env=environment, capture_output=True, text=True
    )


def test_built_in_names_resolve_from_the_wheel(site):
    code = (
        "import orbit_lite.config as c, orbit_lite.training.experiment as e; "
        "print(c.__file__, c.load_protocol('orbit-2022').name, e.load_experiment('pocket').name)"
    )
    done = run(site, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(site / "orbit_lite" / "config.py"), "orbit-2022", "pocket"]


def test_the_command_answers_and_every_file_is_in_it(site):
    assert run(site, "-m", "orbit_lite", "--help").returncode == 0
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    floors = ("data_prep/", "eval/", "groundwork/", "orbit_lite/")
    missing = [name for name in tracked if name.startswith(floors) and not (site / name).is_file()]
    assert missing == []


def test_type_checkers_read_the_annotations_of_all_four_floors(site):
    assert all((site / floor / "py.typed").is_file() for floor in ("data_prep", "eval", "groundwork", "orbit_lite"))
