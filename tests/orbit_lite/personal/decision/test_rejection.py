"""Rejection: quantiles by hand, the share that thresholds refuse in other videos, and the choice of the point."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from groundwork.errors import UsageError
from orbit_lite.personal.decision.calibration import UNCALIBRATED, Calibration, Estimate
from orbit_lite.personal.decision.familiarity import Familiarity
from orbit_lite.personal.decision.rejection import (
    CURVE_AIMS,
    STRICTNESS,
    SURE_CONFIDENCE,
    SURE_FACTOR,
    UNTESTED,
    Certainty,
    HeldOutFamiliarity,
    OperatingPoint,
    Rejection,
    cross_fitted_refusals,
    lower_quantiles,
)

AIMS = tuple(STRICTNESS.values())


def held_out(values, videos):
    return HeldOutFamiliarity(np.asarray(values, np.float64), np.asarray(videos, np.int64))


def group(rng, count, spread, *, frames=None):
    """Familiarity of the frames of `count` videos, which differ by `spread`; frames differ by 1."""
    frames = rng.integers(1, 10, count) if frames is None else np.full(count, frames)
    videos = np.repeat(np.arange(count), frames)
    return held_out(spread * rng.normal(size=count)[videos] + rng.normal(size=len(videos)), videos)


class TestQuantiles:
    def test_by_hand(self):
        # each frame is a separate video and weighs a fifth; nothing is below the smallest, and a fifth below the next
        known = held_out([3, 1, 5, 2, 4], range(5))
        assert lower_quantiles(known, [0, 0.19, 0.2, 0.39, 0.4, 0.99]).tolist() == [1, 1, 2, 2, 3, 5]

    def test_each_video_weighs_the_same(self):
        # video 0 has four frames that weigh an eighth each; video 1 has one that weighs a half
        known = held_out([1, 2, 3, 4, 2.5], [0, 0, 0, 0, 1])
        assert lower_quantiles(known, [0.1, 0.125, 0.25, 0.74, 0.75, 0.875]).tolist() == [1, 2, 2.5, 2.5, 3, 4]

    def test_equal_values_are_not_below_each_other(self):
        known = held_out([1, 1, 1, 2, 2], range(5))
        assert lower_quantiles(known, [0, 0.59, 0.6, 0.99]).tolist() == [1, 1, 2, 2]
        assert lower_quantiles(held_out([7, 7], [0, 1]), [0, 0.5, 0.9]).tolist() == [7, 7, 7]

    @given(
        st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=30),
        st.lists(st.integers(0, 99), min_size=1, max_size=4),
    )
    def test_it_is_the_largest_value_with_at_most_this_share_below(self, frames, percents):
        known = held_out(*zip(*frames, strict=True))
        shares = [percent / 100 for percent in percents]
        per_video = [known.values[known.videos == number] for number in np.unique(known.videos)]

        def below(value):
            return np.mean([(values < value).mean() for values in per_video])

        for share, found in zip(shares, lower_quantiles(known, shares), strict=True):
            assert below(found) <= share + 1e-8
            larger = known.values[known.values > found]
            assert not len(larger) or below(larger.min()) > share


class TestThresholds:
    def test_by_hand(self):
        # with 19 videos, 1 in 20 may be refused: none of the 19, because a new one is lower than all in 1 of 20;
        # with 39, (.05 * 40 - 1) / 39 = one of them
        known = held_out(range(19), range(19))
        assert known.thresholds([0.05, 0.1, 0.15]).tolist() == [0, 1, 2]
        assert held_out(range(39), range(39)).thresholds([0.05]).tolist() == [1]

    @pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
    @pytest.mark.parametrize("videos", [4, 9, 19, 40])
    def test_no_more_of_a_new_video_is_refused_than_promised(self, videos, spread):
        """500 users with 20 new videos each; the mean, within three standard errors (at most .02)."""
        check_misses(videos, spread, users=500)

    @pytest.mark.long
    @pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 4.0])
    @pytest.mark.parametrize("videos", [2, 3, 4, 6, 9, 10, 14, 19, 20, 40])
    def test_no_more_of_a_new_video_is_refused_than_promised_for_many_users(self, videos, spread):
        """10,000 users; three standard errors are at most .007."""
        check_misses(videos, spread, users=10_000)

    def test_stricter_thresholds_are_never_lower_and_sure_ones_never_below(self):
        known = group(np.random.default_rng(0), 20, 1.0)
        thresholds, sure = known.thresholds(CURVE_AIMS), known.sure_thresholds(CURVE_AIMS)
        assert (np.diff(thresholds) >= 0).all() and (np.diff(sure) >= 0).all() and (sure >= thresholds).all()
        assert (
            sure.tolist()
            == np.maximum(thresholds, lower_quantiles(known, [SURE_FACTOR * aim for aim in CURVE_AIMS])).tolist()
        )
        assert (sure > thresholds).any()


def check_misses(videos, spread, *, users):
    """The promise is the aim or, with too few videos for that, one in (videos + 1)."""
    rng = np.random.default_rng([videos, int(10 * spread)])
    missed = np.zeros((users, len(AIMS)))
    for number in range(users):
        thresholds = group(rng, videos, spread).thresholds(AIMS)
        missed[number] = (group(rng, 20, spread, frames=5).values[:, None] < thresholds).mean(axis=0)
    promised = np.array([rejection_of(aim, videos).promised_misses for aim in AIMS], np.float64)
    error = 3 * missed.std(axis=0) / np.sqrt(users)
    assert (missed.mean(axis=0) <= promised + error).all(), (missed.mean(axis=0), promised)
    if spread == 4.0:  # if the frames of a video are nearly alike, the promise is not kept by refusing almost nothing
        assert (missed.mean(axis=0) >= promised / 2 - error).all()


def rejection_of(aim, videos):
    return Rejection(curve=(OperatingPoint(aim, 0.0, 0.0),), videos=videos)


class TestPromise:
    @pytest.mark.parametrize(
        ("aim", "videos", "promised"), [(0.1, 9, 0.1), (0.1, 8, 1 / 9), (0.05, 4, 0.2), (0.2, 4, 0.2), (0.2, 48, 0.2)]
    )
    def test_n_videos_promise_no_less_than_one_in_n_plus_one(self, aim, videos, promised):
        assert rejection_of(aim, videos).promised_misses == pytest.approx(promised)

    def test_without_held_out_videos_nothing_is_promised(self):
        assert Rejection().promised_misses is None

    def test_with_very_few_videos_the_aim_alone_would_not_hold(self):
        """2,000 users with 4 very different videos: a new one is lower than all in 1 of 5, and no threshold helps."""
        rng = np.random.default_rng(5)
        missed = [(group(rng, 20, 9.0).values < group(rng, 4, 9.0).thresholds([0.05])).mean() for _ in range(2_000)]
        assert np.mean(missed) > 0.15


class TestCrossFitted:
    def test_by_hand(self):
        # with an aim of .1, two videos give their lowest value
        known = held_out([1, 5, 3, 9, 0, 7], [0, 0, 1, 1, 2, 2])
        (refused,) = cross_fitted_refusals(known, [0.1]).T
        # video 0 uses the lowest of 3, 9, 0, 7; video 1 that of 1, 5, 0, 7; video 2 that of 1, 5, 3, 9
        assert refused.tolist() == [False, False, False, False, True, False]

    def test_a_videos_own_frames_do_not_change_its_threshold(self):
        rng = np.random.default_rng(1)
        known = group(rng, 12, 1.0)
        before = cross_fitted_refusals(known, CURVE_AIMS)
        for number in range(12):
            own = known.videos == number
            for changed in (-100.0, 100.0):
                values = known.values.copy()
                values[np.flatnonzero(own)[0]] = changed
                after = cross_fitted_refusals(held_out(values, known.videos), CURVE_AIMS)
                rest = np.flatnonzero(own)[1:]
                assert (after[rest] == before[rest]).all()
                assert (after[np.flatnonzero(own)[0]] == (changed < 0)).all()

    def test_with_one_video_there_are_none(self):
        assert cross_fitted_refusals(held_out([1, 2], [3, 3]), [0.1]) is None

    @pytest.mark.parametrize("videos", [4, 12, 30])
    def test_their_share_is_that_in_new_videos(self, videos):
        """600 users: the mean share reported equals that of new videos within .02."""
        rng = np.random.default_rng(videos)
        reported, got = [], []
        for _ in range(600):
            known = group(rng, videos, 1.5, frames=4)
            reported.append(cross_fitted_refusals(known, AIMS).mean(axis=0))
            new = group(rng, 20, 1.5, frames=4).values[:, None]
            got.append((new < known.thresholds(AIMS)).mean(axis=0))
        # one video fewer sets them, which shifts both by at most 1 / (videos + 1) - 1 / videos
        slack = 0.02 + 1 / videos - 1 / (videos + 1)
        assert np.mean(reported, axis=0) == pytest.approx(np.mean(got, axis=0), abs=slack)


POINTS = tuple(OperatingPoint(aim, aim, aim, aim, 1 - aim) for aim in CURVE_AIMS)
FOUND = Rejection(curve=POINTS, auroc=0.8, videos=40, frames=160)


class TestPoint:
    @pytest.mark.parametrize(("strictness", "aim"), [("careful", 0.2), ("balanced", 0.1), ("eager", 0.05)])
    def test_the_point_of_each_strictness(self, strictness, aim):
        assert FOUND.at(strictness).point == POINTS[CURVE_AIMS.index(aim)]

    def test_the_default_is_balanced(self):
        assert FOUND.point == FOUND.at("balanced").point
        assert FOUND.asking(0.6).at("eager").point.aim == 0.05

    @pytest.mark.parametrize(("share", "aim"), [(0.5, 0.5), (0.6, 0.4), (0.605, 0.4), (0.999, 0.01)])
    def test_for_a_share_of_false_alarms_the_point_that_refuses_least_is_chosen(self, share, aim):
        asked = FOUND.asking(share)
        assert asked.point.aim == aim and asked.point.false_alarms <= share
        assert (asked.asked, asked.strictness) == (share, "")

    def test_an_impossible_share_is_refused_and_the_lowest_is_named(self):
        with pytest.raises(
            UsageError, match=r"--false-alarms 0.3: the lowest share that these videos can promise is 0\.50"
        ):
            FOUND.asking(0.3)
        unknown = replace(FOUND, curve=tuple(replace(point, false_alarms=None) for point in POINTS))
        with pytest.raises(UsageError, match="can't be estimated; this takes three objects"):
            unknown.asking(0.9)
        with pytest.raises(UsageError, match="expected one of careful, balanced, eager"):
            FOUND.at("bold")
        with pytest.raises(UsageError, match="no object had two videos"):
            Rejection().at("eager")

    def test_if_the_share_can_no_longer_be_promised_the_strictest_point_is_used(self):
        """Forgetting objects may make the requested share impossible."""
        assert replace(FOUND, strictness="", asked=0.3).point == POINTS[-1]
        assert FOUND.least_false_alarms == pytest.approx(0.5)

    def test_without_a_curve_the_fallback_point_is_used(self):
        assert Rejection().point == UNTESTED and Rejection().least_false_alarms is None
        far = OperatingPoint(None, 0.5, None)
        assert Rejection(otherwise=far).point == far


class TestKind:
    @pytest.mark.parametrize(
        ("familiarity", "confidence", "kind"),
        [
            (0.99, 1.0, Certainty.NONE),
            (1.0, 1.0, Certainty.MAYBE),
            (1.99, 1.0, Certainty.MAYBE),
            (2.0, SURE_CONFIDENCE, Certainty.SURE),
            (2.0, SURE_CONFIDENCE - 0.01, Certainty.MAYBE),
            (9.0, 0.2, Certainty.MAYBE),
        ],
    )
    def test_the_answer_of_a_frame(self, familiarity, confidence, kind):
        assert OperatingPoint(0.1, 1.0, 2.0).kind(familiarity, confidence) is kind

    def test_untested_every_answer_is_a_maybe(self):
        assert UNTESTED.kind(-1e9, 1.0) is Certainty.MAYBE and UNTESTED.kind(1e9, 1.0) is Certainty.MAYBE

    def test_without_a_sure_threshold_no_answer_is_sure(self):
        far = OperatingPoint(None, 0.5, None)
        assert far.kind(0.4, 1.0) is Certainty.NONE and far.kind(9.0, 1.0) is Certainty.MAYBE


ESTIMATE = Estimate(0.9, 0.8, 0.95, 0.99, 0.125, 0.04, 40, 160, False)
WHOLE = Calibration(0.3, Familiarity(1.0, 2.0, -3.0), FOUND, ESTIMATE)


class TestRecords:
    @pytest.mark.parametrize("found", [WHOLE, UNCALIBRATED, Calibration(rejection=FOUND.asking(0.7))])
    def test_they_survive_json(self, found):
        adapter = TypeAdapter(Calibration)
        assert adapter.validate_json(adapter.dump_json(found)) == found
        assert adapter.validate_python(adapter.dump_python(found, mode="json")) == found

    @pytest.mark.parametrize(
        ("record", "text"),
        [
            (OperatingPoint, '{"aim": 0.1, "threshold": NaN, "sure_threshold": null}'),
            (OperatingPoint, '{"aim": 0.1, "threshold": 0.5}'),
            (OperatingPoint, '{"aim": 0.1, "threshold": 0.5, "sure_threshold": 1, "color": 1}'),
            (Rejection, '{"otherwise": 3}'),
            (Rejection, '{"strictest": "careful"}'),
            (Calibration, '{"temperature": "warm"}'),
            (Calibration, '{"temperature": Infinity}'),
            (Estimate, '{"accuracy": 0.5}'),
        ],
    )
    def test_invalid_records_are_refused(self, record, text):
        with pytest.raises(ValidationError):
            TypeAdapter(record).validate_json(text)
