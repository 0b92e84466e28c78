"""One small pocket set for all tests that need real video: 3 train users, 1 validation user, 2 test users."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from data_prep.extract import extract
from data_prep.pocket import make_pocket


@pytest.fixture(scope="session", autouse=True)
def _two_threads():
    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def pocket_raw(tmp_path_factory) -> Path:
    """Raw tree. Not to be changed."""
    root = tmp_path_factory.mktemp("pocket") / "raw"
    make_pocket(root, users=(3, 1, 2), objects=3, clean_videos=2, clutter_videos=1, seed=5)
    return root


@pytest.fixture(scope="session")
def pocket_frames(pocket_raw) -> Path:
    """The frame tree of `pocket_raw`, with its index. Not to be changed: copy it."""
    root = pocket_raw.parent / "frames"
    extract(pocket_raw, root)
    return root


@pytest.fixture
def small_disk(tmp_path_factory) -> Iterator[Callable[[int], Path]]:
    """Make a file system of so many KB (a tmpfs, which takes root): a real full disk."""
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        place = tmp_path_factory.mktemp("disk")
        options = f"size={kilobytes}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip(f"a tmpfs can't be mounted here: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)
