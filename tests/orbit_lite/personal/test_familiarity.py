"""How near a frame is to what was taught, and where the line is drawn."""

import numpy as np
import pytest
import torch

from orbit_lite.personal.decision.familiarity import Threshold, familiarity, find_threshold


def drawn(apart, frames=20_000):
    rng = np.random.default_rng(1)
    return rng.normal(apart, 1, frames), rng.normal(0, 1, frames)


def test_a_class_mean_is_wholly_familiar_and_length_says_nothing():
    means = torch.randn(4, 8)
    near = familiarity(means * 7, means)
    assert near.shape == (4, 4)
    assert torch.allclose(near.diagonal(), torch.ones(4), atol=1e-6)
    assert near.abs().max() <= 1 + 1e-6


def test_balanced_it_lies_where_both_mistakes_together_are_fewest():
    found = find_threshold(*drawn(apart=2))
    assert found.value == pytest.approx(1, abs=0.1)  # of two equal normal distributions, half way
    assert found.false_alarms == pytest.approx(0.159, abs=0.03)  # 1 - Phi(1)
    assert found.misses == pytest.approx(0.159, abs=0.03)
    assert found.auroc == pytest.approx(0.921, abs=0.01)  # Phi(2 / sqrt 2)
    assert found.frames == 20_000


@pytest.mark.parametrize("asked", [0.0, 0.05, 0.5])
def test_asked_for_a_share_of_false_alarms_it_lets_no_more_pass(asked):
    known, strange = drawn(apart=2, frames=2_000)
    found = find_threshold(known, strange, false_alarms=asked)
    assert np.mean(strange >= found.value) == found.false_alarms
    assert asked - 0.001 <= found.false_alarms <= asked
    assert np.mean(known < found.value) == pytest.approx(found.misses)


def test_a_value_holds_at_the_precision_of_the_scores():
    known, strange = (values.astype(np.float32) for values in drawn(apart=2, frames=500))
    found = find_threshold(known, strange)
    assert np.mean(strange >= np.float32(found.value)) == pytest.approx(found.false_alarms)


def test_with_the_most_familiar_strange_nothing_passes_and_the_value_is_finite():
    found = find_threshold(np.array([0.5, 0.6, 0.7]), np.array([0.1, 0.2, 0.9]), false_alarms=0.0)
    assert np.isfinite(found.value) and (found.false_alarms, found.misses) == (0, 1)


def test_without_frames_or_where_familiarity_tells_nothing_there_is_none():
    assert find_threshold(np.empty(0), np.empty(0)) == Threshold(None)
    assert find_threshold(*drawn(apart=-1)).value is None
    same = find_threshold(np.ones(5), np.ones(5))
    assert (same.value, same.auroc, same.frames) == (None, 0.5, 5)
