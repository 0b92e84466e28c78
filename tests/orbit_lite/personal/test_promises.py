"""The sentences about a recognizer: each number in them is from the record, and each condition is stated."""

import re
from dataclasses import replace

import pytest

from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.personal.decision.calibration import Estimate
from orbit_lite.personal.decision.rejection import OperatingPoint, Rejection
from orbit_lite.personal.promises import HARDER, estimate_lines, rejection_lines, share
from orbit_lite.personal.start import PLACE_LOSSES

EMBEDDED = {"model": EMBEDDED_START.describe()}
RANDOM = {"model": ModelChoice("protonets", "tiny", "random").describe()}
OTHER = {"model": {"checkpoint": "best.safetensors"}}
ESTIMATE = Estimate(
    accuracy=0.874,
    low=0.7149,
    high=0.956,
    same_place=0.981,
    chance=0.125,
    ece=0.04,
    videos=24,
    frames=120,
    pairs=False,
)
POINT = OperatingPoint(aim=0.1, threshold=-1.0, sure_threshold=0.0, misses=0.083, false_alarms=0.584)
REJECTION = Rejection(curve=(POINT,), auroc=0.789, videos=24, frames=120)


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?", text)


class TestEstimate:
    def test_the_headline_has_every_number_in_order(self):
        headline, basis, *_ = estimate_lines(ESTIMATE, OTHER)
        assert numbers(headline) == ["87", "95", "71", "96", "12"] and numbers(basis) == ["24", "98", "4"]
        assert headline.startswith(
            "About 87 % of the frames are likely to be recognized in a new place (95 % interval 71"
        )

    def test_the_embedded_start_states_the_loss_in_a_new_place(self):
        loss = PLACE_LOSSES["ridge_two_views", "efficientnet_lite0", "pretrained"]
        *_, cost, harder = estimate_lines(ESTIMATE, EMBEDDED)
        assert numbers(cost)[:4] == [f"{value:.0f}" for value in (loss.points, loss.least, loss.most, loss.runs)]
        assert loss.data in cost and harder == HARDER

    def test_other_starts_state_that_this_was_not_measured(self):
        *_, unknown, _ = estimate_lines(ESTIMATE, OTHER)
        assert "the loss in a new place was not measured: the estimate may be too high" in unknown

    def test_a_weak_start_is_stated_instead(self):
        *_, weak = estimate_lines(replace(ESTIMATE, pairs=True), RANDOM)
        assert "random weights" in weak

    def test_pairs_state_the_direction_of_the_error(self):
        *_, pairs, _, _ = estimate_lines(replace(ESTIMATE, pairs=True), EMBEDDED)
        assert "too high if both videos of an object show one place (by about 2 points where" in pairs
        assert "too low if they show two" in pairs
        *_, pairs, _, _ = estimate_lines(replace(ESTIMATE, pairs=True), OTHER)
        assert "both videos of an object show one place, and too low if they show two." in pairs

    def test_without_held_out_videos_there_is_no_number(self):
        (line,) = estimate_lines(None, EMBEDDED)
        assert "can't be estimated" in line and not numbers(line)


class TestRejection:
    def test_every_number_is_that_of_the_point(self):
        promise, misses, alarms = rejection_lines(REJECTION, OTHER)
        assert promise.startswith("'None of these' (balanced)") and numbers(promise) == ["10"]
        assert "in a new place. This holds if the videos show two or more places." in promise
        assert numbers(misses) == ["8", "24"]
        assert numbers(alarms) == ["58", "0.79", "0.5"]

    def test_few_videos_do_not_promise_too_much(self):
        promise, *_ = rejection_lines(replace(REJECTION, videos=6), OTHER)
        assert (
            "for at most 14 % of the frames of these objects in a new place, the lowest share that 6 held-out videos"
            in promise
        )

    def test_the_embedded_start_states_the_result_for_very_different_things(self):
        *_, far = rejection_lines(REJECTION, EMBEDDED)
        assert "a very different kind" in far and numbers(far)[:3] == ["1", "100", "10"]
        assert "a very different kind" not in " ".join(rejection_lines(REJECTION, OTHER))

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            (replace(REJECTION, strictness="", asked=0.6), "(at most 60 % false alarms)"),
            (
                replace(REJECTION, strictness="", asked=0.2),
                "(at most 20 % false alarms, which these videos can't promise)",
            ),
            (replace(REJECTION, strictness="eager"), "(eager)"),
        ],
    )
    def test_it_states_the_requested_share(self, found, message):
        assert message in rejection_lines(found, OTHER)[0]

    def test_two_objects_state_that_false_alarms_are_unknown(self):
        unknown = replace(REJECTION, curve=(replace(POINT, false_alarms=None),), auroc=None)
        assert rejection_lines(unknown, OTHER)[2].endswith("can't be estimated: this takes three objects.")

    def test_unknown_misses_are_not_mentioned(self):
        unknown = replace(REJECTION, curve=(replace(POINT, misses=None),))
        assert len(rejection_lines(unknown, OTHER)) == 2

    def test_without_held_out_videos_it_states_what_is_answered(self):
        (never,) = rejection_lines(Rejection(), OTHER)
        assert "It never answers 'none of these'" in never and not numbers(never)
        (far,) = rejection_lines(Rejection(otherwise=OperatingPoint(None, 0.525, None)), EMBEDDED)
        assert "only for things of a very different kind" in far and not numbers(far)


def test_shares_are_stated_in_whole_percent():
    assert [share(value) for value in (0.0, 0.004, 0.0051, 0.5, 0.999, 1.0)] == [
        *("0 %", "0 %", "1 %", "50 %", "100 %", "100 %")
    ]
