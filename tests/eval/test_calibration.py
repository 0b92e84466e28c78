import numpy as np
import pytest

from eval.calibration import expected_calibration_error


def test_by_hand():
    # two bins of ten: at 0.9, 2 of 4 are right; at 0.3, 1 of 1
    found = expected_calibration_error([0.9, 0.9, 0.9, 0.9, 0.3], [1, 1, 0, 0, 1], bins=10)
    assert found == pytest.approx(4 / 5 * abs(0.9 - 0.5) + 1 / 5 * abs(0.3 - 1))


def test_who_is_as_sure_as_right_has_none():
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0


def test_whoever_is_always_sure_has_the_share_that_is_wrong():
    right = np.arange(100) % 3 == 0
    assert expected_calibration_error(np.ones(100), right) == pytest.approx(1 - right.mean())


def test_the_order_of_frames_plays_no_part():
    rng = np.random.default_rng(0)
    confidence, right, order = rng.random(200), rng.random(200) < 0.5, rng.permutation(200)
    first = expected_calibration_error(confidence, right)
    assert expected_calibration_error(confidence[order], right[order]) == pytest.approx(first)
    assert 0 < first < 1


@pytest.mark.parametrize(
    ("confidence", "right"), [([], []), ([0.5], [True, False]), ([1.1], [True]), ([float("nan")], [True])]
)
def test_what_is_no_set_of_answers_is_refused(confidence, right):
    with pytest.raises(ValueError, match="confidence"):
        expected_calibration_error(confidence, right)
