"""Confidences: they sum to 1, are never certain, and match the accuracy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.calibration import expected_calibration_error
from orbit_lite.personal.decision.confidence import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    SMOOTHING,
    confidences,
    fit_temperature,
)

FRAMES = 20_000


def calibrated(way, temperature=1.0, frames=FRAMES, seed=0):
    """Logits whose softmax at `temperature` is calibrated, because the labels are drawn from it."""
    rng = np.random.default_rng([seed, way])
    scores = 2 * rng.normal(size=(frames, way))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < rng.random((frames, 1))).sum(axis=1)
    return temperature * scores, np.minimum(labels, way - 1)


@given(
    st.integers(2, 20).flatmap(lambda way: st.lists(st.floats(-1e4, 1e4), min_size=way, max_size=way)),
    st.floats(LEAST_TEMPERATURE, MOST_TEMPERATURE),
)
def test_they_sum_to_1_keep_the_order_and_are_never_certain(logits, temperature):
    (found,) = confidences(np.array([logits]), temperature)
    way = len(logits)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= SMOOTHING / way - 1e-12
    assert found.max() <= 1 - SMOOTHING + SMOOTHING / way + 1e-12
    assert found[np.argmax(logits)] == found.max()


def test_by_hand():
    # two objects, logits 2 apart at a temperature of 2: a softmax of 1 / (1 + 1/e)
    sure = 1 / (1 + math.exp(-1))
    assert confidences(np.array([[3.0, 1.0]]), 2.0)[0] == pytest.approx(
        [0.995 * sure + 0.0025, 0.995 * (1 - sure) + 0.0025]
    )
    assert confidences(np.array([[1e6, 0.0, 0.0, 0.0]]), 1.0)[0, 0] == pytest.approx(1 - 0.005 + 0.005 / 4)
    assert confidences(np.array([[7, 7, 7]], np.float32), 1.0)[0] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("way", [2, 5, 20])
def test_the_temperature_of_calibrated_logits_is_found(way, temperature):
    """From 20,000 frames, within 6 %; smoothing alone raises it by 3 % with two objects, and by less with more."""
    found = fit_temperature(*calibrated(way, temperature), np.ones(FRAMES))
    assert found == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_with_it_the_confidence_of_new_frames_is_their_accuracy(factor):
    """20,000 frames set it and 20,000 others test it; the raw logits are far too sure, or not sure enough."""
    temperature = fit_temperature(*calibrated(5, factor), np.ones(FRAMES))
    logits, labels = calibrated(5, factor, frames=20_000, seed=1)

    def error(temperature):
        shares = confidences(logits, temperature)
        return expected_calibration_error(shares.max(axis=1), shares.argmax(axis=1) == labels)

    assert error(temperature) < 0.02
    assert error(1.0) > 0.2


def test_two_objects_by_hand():
    # logits 1 apart, 80 of 100 right: most likely where the softmax says .8, smoothed .8 * .995 + .2 * .005
    logits, labels = np.tile([1.0, 0.0], (100, 1)), np.repeat([0, 1], [80, 20])
    share = 0.8 * (1 - SMOOTHING) + 0.2 * SMOOTHING
    assert fit_temperature(logits, labels, np.ones(100)) == pytest.approx(1 / math.log(share / (1 - share)), rel=1e-4)


@pytest.mark.parametrize("way", [2, 4])
def test_if_all_answers_are_right_smoothing_limits_it(way):
    # then the label's share is .995, and the others' are .005 / (way - 1) each
    logits = np.eye(way)
    expected = 1 / math.log((1 - SMOOTHING) * (way - 1) / SMOOTHING)
    assert fit_temperature(logits, np.arange(way), np.ones(way)) == pytest.approx(expected, rel=1e-4)


def test_a_frame_of_twice_the_weight_counts_as_two():
    logits, labels = calibrated(3, frames=60)
    weights = np.random.default_rng(1).integers(1, 5, 60)
    repeated = np.repeat(np.arange(60), weights)
    found = fit_temperature(logits, labels, weights)
    assert found == pytest.approx(fit_temperature(logits[repeated], labels[repeated], np.ones(len(repeated))), rel=1e-3)
    assert found == pytest.approx(fit_temperature(logits, labels, weights / 1000), rel=1e-3)
    assert found != pytest.approx(fit_temperature(logits, labels, np.ones(60)), rel=1e-2)


@pytest.mark.parametrize("factor", [1e-2, 3.0, 50.0])
def test_it_grows_with_the_logits(factor):
    logits, labels = calibrated(4, frames=500)
    once = fit_temperature(logits, labels, np.ones(500))
    assert fit_temperature(factor * logits, labels, np.ones(500)) == pytest.approx(factor * once, rel=1e-3)


def test_with_uninformative_scores_confidence_is_that_of_guessing():
    logits = np.random.default_rng(3).normal(size=(2_000, 4))
    labels = np.random.default_rng(4).integers(0, 4, 2_000)
    temperature = fit_temperature(logits, labels, np.ones(2_000))
    assert temperature <= MOST_TEMPERATURE and confidences(logits, temperature).max() < 0.4
    inverted = fit_temperature(
        -10 * calibrated(4)[0], calibrated(4)[1], np.ones(FRAMES)
    )  # wrong objects have the highest scores
    assert inverted == pytest.approx(MOST_TEMPERATURE, rel=0.01)
