"""Folders to break: copies of small real trees, made once and copied for every fault."""

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

# These send signals that Windows does not have.
collect_ignore = ["test_hostile.py", "test_kills.py"] if sys.platform == "win32" else []


@pytest.fixture(scope="session")
def whole(made_once) -> Path:
    """A folder with raw videos and frames of one user per split, pictures of two objects, and an archive of frames as
    `prep download` takes it. Don't change it."""
    from data_prep.making.extract import extract
    from data_prep.pocket.pocket_set import make_pocket

    def make(folder: Path) -> None:
        make_pocket(folder / "raw", users=(1, 1, 1), objects=3, clean_videos=2, clutter_videos=1, seed=7)
        extract(folder / "raw", folder / "frames")
        (user,) = (folder / "frames/test").iterdir()
        for owned in sorted(user.iterdir())[:2]:
            (folder / "pictures" / owned.name).mkdir(parents=True)
            for picture in sorted(owned.glob("clean/*/*.jpg"))[:4]:
                shutil.copy(picture, folder / "pictures" / owned.name / picture.name)
        with zipfile.ZipFile(folder / "test.zip", "w") as archive:
            for path in sorted(user.rglob("*.jpg")):
                archive.write(path, path.relative_to(folder / "frames"))

    return made_once("whole", make)


@pytest.fixture
def copied(whole, tmp_path) -> Callable[[], Path]:
    """A function that returns a fresh copy of `whole`."""
    made = []

    def copy() -> Path:
        made.append(tmp_path / f"copy{len(made)}")
        return Path(shutil.copytree(whole, made[-1]))

    return copy
