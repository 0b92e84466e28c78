"""Personal recognizers that give every kind of answer on the frames they are compared on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.decision.calibration import Calibration
from orbit_lite.personal.decision.rejection import OperatingPoint, Rejection
from orbit_lite.personal.exporting.agreement import Images, noise_images
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.personalize import personalize


def _answering(personal: PersonalRecognizer, images: Images) -> PersonalRecognizer:
    """The recognizer, calibrated so that a third of these frames is none of these, and half of the rest may be sure."""
    frames = torch.from_numpy(images)
    near = personal.scores(frames).familiarity
    ranked = np.sort(near)
    threshold, sure = (float(ranked[k - 1 : k + 1].mean()) for k in (len(near) // 3, 2 * len(near) // 3))
    best = personal.fitted.logits(frames[torch.from_numpy(near >= sure)]).sort(dim=1).values
    # then at least one frame is sure: the softmax of (0, -2, -2) is (0.79, 0.11, 0.11)
    temperature = float((best[:, -1] - best[:, -2]).median()) / 2
    point = OperatingPoint(aim=0.1, threshold=threshold, sure_threshold=sure)
    familiarity = personal.calibration.familiarity
    return replace(personal, calibration=Calibration(temperature, familiarity, Rejection(curve=(point,))))


@pytest.fixture(scope="session")
def make_answering() -> Callable[[PersonalRecognizer, Images], PersonalRecognizer]:
    return _answering


@pytest.fixture(scope="session")
def learned_files(alice, alice_file, tmp_path_factory) -> dict[str, Path]:
    """The recognizers of alice's objects on `tiny`, by learner. Do not change it."""
    ridge = tmp_path_factory.mktemp("learned") / "ridge.safetensors"
    personalize(ModelChoice("ridge", "tiny", "random"), [alice], ridge, device=torch.device("cpu"))
    return {"protonets": alice_file, "ridge": ridge}


@pytest.fixture(scope="session")
def noise_files(learned_files, tmp_path_factory) -> dict[str, Path]:
    """The recognizers, calibrated to give `noise_images` every kind of answer. Do not change it."""
    folder = tmp_path_factory.mktemp("answering-noise")
    for name, file in learned_files.items():
        personal = load_personal(file)
        save_personal(folder / f"{name}.safetensors", _answering(personal, noise_images(personal.frame_size_px)))
    return {name: folder / f"{name}.safetensors" for name in learned_files}
