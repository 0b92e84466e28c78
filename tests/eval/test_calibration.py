"""The expected calibration error, by hand and for simulated calibrated recognizers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.calibration import BINS, expected_calibration_error

CALIBRATED = {  # random confidences, which determine the probability of being right
    "very sure": lambda rng, n: rng.beta(9, 1, n),
    "fairly sure": lambda rng, n: rng.uniform(0.5, 1, n),
    "of anything": lambda rng, n: rng.uniform(0, 1, n),
}


def test_by_hand():
    # bin 15: three frames, mean confidence .95, 2 of 3 right; bin 8 (.467 to .533): one, wrong
    sure, right = [0.94, 0.95, 0.96, 0.5], [True, True, False, False]
    assert expected_calibration_error(sure, right) == pytest.approx(3 / 4 * (0.95 - 2 / 3) + 1 / 4 * 0.5)
    # in a single bin, over- and underconfidence cancel
    assert expected_calibration_error([0.9, 0.1], [False, True], bins=1) == pytest.approx(0)
    assert expected_calibration_error([0.9, 0.1], [False, True], bins=2) == pytest.approx(0.9)


def test_a_calibrated_recognizer_has_no_error_and_a_certain_one_its_error_rate():
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == 0
    right = np.arange(100) % 3 == 0
    assert expected_calibration_error(np.ones(100), right) == pytest.approx(1 - right.mean())


def test_bins_begin_with_their_lower_edge_and_the_last_holds_1():
    assert expected_calibration_error([0.5, 0.49], [True, False], bins=2) == pytest.approx((0.5 + 0.49) / 2)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.randoms())
def test_it_is_at_least_the_mean_difference_and_independent_of_order(frames, random):
    sure, right = zip(*frames, strict=True)
    found = expected_calibration_error(sure, right)
    assert 0 <= found <= 1
    assert found >= abs(np.mean(sure) - np.mean(right)) - 1e-9
    random.shuffle(frames)
    assert expected_calibration_error(*zip(*frames, strict=True)) == pytest.approx(found)


@pytest.mark.parametrize("drawn", CALIBRATED)
def test_a_calibrated_recognizer_tends_to_0_and_a_known_error_is_found(drawn):
    rng = np.random.default_rng(1)
    sure = CALIBRATED[drawn](rng, 200_000)
    assert expected_calibration_error(sure, rng.random(len(sure)) < sure) < 0.005
    too_sure = rng.random(len(sure)) < 0.8 * sure  # right four fifths as often as it claims
    assert expected_calibration_error(sure, too_sure) == pytest.approx(0.2 * sure.mean(), abs=0.005)


@pytest.mark.parametrize(("drawn", "about"), [("very sure", 0.06), ("fairly sure", 0.09), ("of anything", 0.12)])
def test_100_frames_of_a_calibrated_recognizer_give_what_the_docstring_says(drawn, about):
    """The mean of 1,000 draws of 100 frames."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(1_000):
        sure = CALIBRATED[drawn](rng, 100)
        found.append(expected_calibration_error(sure, rng.random(100) < sure))
    assert np.mean(found) == pytest.approx(about, abs=0.005)
    assert ".06 to .12" in (expected_calibration_error.__doc__ or "") and BINS == 15


@pytest.mark.parametrize(
    ("sure", "right", "said"),
    [
        ([], [], "have shape"),
        ([0.5, 0.5], [True], "have shape"),
        ([[0.5]], [[True]], "have shape"),
        ([1.01], [True], "outside"),
        ([-0.01], [True], "outside"),
        ([float("nan")], [True], "outside"),
    ],
)
def test_invalid_confidences_are_refused(sure, right, said):
    with pytest.raises(ValueError, match=said):
        expected_calibration_error(sure, right)
