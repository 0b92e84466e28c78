"""The sentences that a person is told: each number in them is the record's, and each condition is said."""

import re
from dataclasses import replace

import pytest

from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.personal.decision.calibration import Estimate
from orbit_lite.personal.decision.rejection import OperatingPoint, Rejection
from orbit_lite.personal.promises import HARDER, PAIRS_TOO_GOOD, estimate_lines, rejection_lines, share
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

    def test_of_the_embedded_start_it_says_what_a_new_place_cost(self):
        loss = PLACE_LOSSES["ridge", "efficientnet_lite0", "pretrained"]
        *_, cost, harder = estimate_lines(ESTIMATE, EMBEDDED)
        assert numbers(cost)[:4] == [f"{value:.0f}" for value in (loss.points, loss.least, loss.most, loss.runs)]
        assert loss.data in cost and harder == HARDER

    def test_of_another_start_it_says_that_this_was_not_measured(self):
        *_, unknown, _ = estimate_lines(ESTIMATE, OTHER)
        assert "was not measured for this start: the estimate may be too good" in unknown

    def test_of_a_weak_start_it_says_that_instead(self):
        *_, weak = estimate_lines(replace(ESTIMATE, pairs=True), RANDOM)
        assert "random weights" in weak

    def test_of_pairs_it_says_which_way_it_errs(self):
        *_, pairs, _, _ = estimate_lines(replace(ESTIMATE, pairs=True), EMBEDDED)
        assert f"too good where both show one place (by about {PAIRS_TOO_GOOD} points" in pairs
        assert "too low where they show two" in pairs

    def test_where_nothing_was_held_out_there_is_no_number(self):
        (line,) = estimate_lines(None, EMBEDDED)
        assert "can't be estimated" in line and not numbers(line)


class TestRejection:
    def test_every_number_is_the_points(self):
        promise, misses, alarms = rejection_lines(REJECTION, OTHER)
        assert promise.startswith("'None of these' (balanced)") and numbers(promise) == ["10"]
        assert "in a new place. That holds if the videos show two places or more." in promise
        assert numbers(misses) == ["8", "24"]
        assert numbers(alarms) == ["58", "0.79", "0.5"]

    def test_what_few_videos_cannot_promise_is_not_promised(self):
        promise, *_ = rejection_lines(replace(REJECTION, videos=6), OTHER)
        assert (
            "for at most 14 % of the frames of these objects in a new place, the least that 6 held-out videos"
            in promise
        )

    def test_of_the_embedded_start_it_says_what_becomes_of_quite_other_things(self):
        *_, far = rejection_lines(REJECTION, EMBEDDED)
        assert "quite another kind" in far and numbers(far)[:3] == ["1", "100", "10"]
        assert "quite another kind" not in " ".join(rejection_lines(REJECTION, OTHER))

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (replace(REJECTION, strictness="", asked=0.6), "(at most 60 % false alarms)"),
            (
                replace(REJECTION, strictness="", asked=0.2),
                "(at most 20 % false alarms, which these videos can't promise)",
            ),
            (replace(REJECTION, strictness="eager"), "(eager)"),
        ],
    )
    def test_it_says_what_was_asked_for(self, found, said):
        assert said in rejection_lines(found, OTHER)[0]

    def test_of_two_objects_it_says_that_false_alarms_are_not_known(self):
        unknown = replace(REJECTION, curve=(replace(POINT, false_alarms=None),), auroc=None)
        assert rejection_lines(unknown, OTHER)[2].endswith("can't be estimated: it takes three objects.")

    def test_of_misses_that_are_not_known_nothing_is_said(self):
        unknown = replace(REJECTION, curve=(replace(POINT, misses=None),))
        assert len(rejection_lines(unknown, OTHER)) == 2

    def test_where_nothing_was_held_out_it_says_what_is_answered(self):
        (never,) = rejection_lines(Rejection(), OTHER)
        assert "'None of these' is never answered" in never and not numbers(never)
        (far,) = rejection_lines(Rejection(otherwise=OperatingPoint(None, 0.525, None)), EMBEDDED)
        assert "things of quite another kind only" in far and not numbers(far)


def test_shares_are_told_in_whole_percent():
    assert [share(value) for value in (0.0, 0.004, 0.0051, 0.5, 0.999, 1.0)] == [
        *("0 %", "0 %", "1 %", "50 %", "100 %", "100 %")
    ]
