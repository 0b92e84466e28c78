"""A personal recognizer of one pocket user, shared by the tests that use one."""

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
    """Run a verb of orbit-lite; return its exit status, its output, and its last line on stderr."""

    def call(verb, *arguments):
        capsys.readouterr()
        try:
            status = main([verb, *map(str, arguments)])
        except SystemExit as stop:  # argparse's own
            status = stop.code
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return status, output.out, output.err.strip().splitlines()[-1] if output.err.strip() else ""

    return call


@pytest.fixture(scope="session")
def alice(pocket_raw) -> Path:
    """A test user's folder of raw videos: 3 objects, 2 clean videos and 1 clutter video each. Do not change it."""
    return sorted((pocket_raw / "test").iterdir())[0]


@pytest.fixture(scope="session")
def alice_file(alice, tmp_path_factory) -> Path:
    """The personal recognizer of `alice`: ProtoNets on `tiny`, random weights. Do not change it; copy it."""
    out = tmp_path_factory.mktemp("personal") / "alice.safetensors"
    personalize(ModelChoice("protonets", "tiny", "random"), [alice], out, device=torch.device("cpu"))
    return out


@pytest.fixture
def user_dir(alice, tmp_path) -> Path:
    """A copy of `alice`'s folder that tests may damage."""
    return Path(shutil.copytree(alice, tmp_path / "raw" / alice.name))


def _make_support(
    videos: Mapping[str, int], *, apart: float = 5.0, drift: float = 0.5, noise: float = 0.1, seed: int = 0
) -> SupportSet:
    """A support set with 4 frames of 8 features per video; objects differ by `apart`, videos by `drift`, and frames by
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
