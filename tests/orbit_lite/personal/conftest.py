"""A personal recogniser of one pocket user, for all tests of what is done with one."""

from pathlib import Path

import pytest
import torch

from orbit_lite.model_choice import ModelChoice
from orbit_lite.personal.personalize import personalize


@pytest.fixture(scope="session")
def alice(pocket_raw) -> Path:
    """A test user's folder of raw videos: 3 objects, 2 clean videos and 1 clutter video each. Not to be changed."""
    return sorted((pocket_raw / "test").iterdir())[0]


@pytest.fixture(scope="session")
def alice_file(alice, tmp_path_factory) -> Path:
    """The personal recogniser of `alice`: ProtoNets on `tiny`, random weights. Not to be changed: copy it."""
    out = tmp_path_factory.mktemp("personal") / "alice.safetensors"
    personalize(ModelChoice("protonets", "tiny", "random"), [alice], out, device=torch.device("cpu"))
    return out
