"""How near a frame is to what was taught, and where the line is drawn."""

import numpy as np
import pytest
import torch

from orbit_lite.personal.familiarity import FALSE_ALARMS, Threshold, familiarity, find_threshold


def test_a_class_mean_is_wholly_familiar_and_length_says_nothing():
    means = torch.randn(4, 8)
    near = familiarity(means * 7, means)
    assert near.shape == (4, 4)
    assert torch.allclose(near.diagonal(), torch.ones(4), atol=1e-6)
    assert near.abs().max() <= 1 + 1e-6


def test_the_threshold_lets_so_many_strange_frames_pass():
    rng = np.random.default_rng(1)
    strange, known = rng.normal(0, 1, 20_000), rng.normal(2, 1, 20_000)
    found = find_threshold(known, strange)
    assert found.value == pytest.approx(1.645, abs=0.03)  # the normal distribution's 95 % point
    assert found.auroc == pytest.approx(0.921, abs=0.01)  # Phi(2 / sqrt 2)
    assert (found.false_alarms, found.frames) == (FALSE_ALARMS, 20_000)


def test_without_frames_there_is_none():
    assert find_threshold(np.empty(0), np.empty(0)) == Threshold(None)
