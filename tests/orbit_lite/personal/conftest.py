"""A personal recognizer of one pocket user, for all tests of what is done with one."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from orbit_lite.cli.parser import main
from orbit_lite.models.choice import ModelChoice
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.calibrate import calibrate_head
from orbit_lite.personal.calibrating.leave_out import HeadTeaching
from orbit_lite.personal.checking.check import UserCheck, check, require_checkable
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo
from orbit_lite.personal.teaching.personalize import personalize


@pytest.fixture
def run_verb(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a verb of orbit-lite; give its exit status, what it printed, and its last line on stderr."""

    def call(verb, *arguments):
        capsys.readouterr()
        try:
            status = main([verb, *map(str, arguments)])
        except SystemExit as stop:  # argparse's own
            status = stop.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err.strip().splitlines()[-1] if said.err.strip() else ""

    return call


@pytest.fixture(scope="session")
def alice(pocket_raw) -> Path:
    """A test user's folder of raw videos: 3 objects, 2 clean videos and 1 clutter video each. Not to be changed."""
    return sorted((pocket_raw / "test").iterdir())[0]


@pytest.fixture(scope="session")
def alice_file(alice, tmp_path_factory) -> Path:
    """The personal recognizer of `alice`: ProtoNets on `tiny`, random weights. Not to be changed: copy it."""
    out = tmp_path_factory.mktemp("personal") / "alice.safetensors"
    personalize(ModelChoice("protonets", "tiny", "random"), [alice], out, device=torch.device("cpu"))
    return out


@pytest.fixture
def user_dir(alice, tmp_path) -> Path:
    """A copy of `alice`'s folder that may be spoilt."""
    return Path(shutil.copytree(alice, tmp_path / "raw" / alice.name))


def _make_support(
    videos: Mapping[str, int], *, apart: float = 5.0, drift: float = 0.5, noise: float = 0.1, seed: int = 0
) -> SupportSet:
    """So many videos of each object, 4 frames of 8 numbers each: objects `apart`, their videos by `drift`, frames by
    `noise`."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, count in videos.items():
        center = apart * rng.normal(size=8)
        for number in range(count):
            frames = center + drift * rng.normal(size=8) + noise * rng.normal(size=(4, 8))
            digest = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
            parts.append((TaughtVideo(name, 120, (1, 31, 61, 91), digest), torch.tensor(frames, dtype=torch.float32)))
    return SupportSet.of(parts)


@pytest.fixture(scope="session")
def check_support() -> Callable[..., UserCheck]:
    """Check a support set by nearest class means."""

    def checked(support: SupportSet, **options) -> UserCheck:
        names = [f"{video.object}/{number}.mp4" for number, video in enumerate(support.videos)]
        teaching = HeadTeaching(PrototypeHead, support)
        options = {"user": "alice", "names": names, "origin": {}, "quiet": True, **options}
        require_checkable(options["user"], support.videos)
        return check(teaching, calibrate_head(teaching), **options)

    return checked


@pytest.fixture(scope="session")
def make_support() -> Callable[..., SupportSet]:
    return _make_support
