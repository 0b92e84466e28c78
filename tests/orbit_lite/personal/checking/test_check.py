"""The check's results for each object, each video and overall, compared with numbers computed in another way."""

import dataclasses

import numpy as np
import pytest

from eval.metrics import video_accuracy
from groundwork.errors import DataError
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.calibrate import calibrate_head
from orbit_lite.personal.calibrating.leave_out import (
    HeadTeaching,
    hold_out,
    rounds_by_likeness,
    rounds_of_single_videos,
)
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.recognizer import SupportSet, video_of_each_frame


@pytest.fixture
def mixed(make_support):
    """Some frames are right and some wrong; one object has a single video."""
    return make_support({"bag": 4, "keys": 1, "mug": 3, "watch": 2}, apart=0.5, noise=0.6)


def held_out_of(support):
    return hold_out(HeadTeaching(PrototypeHead, support), rounds_by_likeness(support.videos, support.features))


def test_numbers_are_those_of_the_videos_held_out_by_likeness(mixed, check_support):
    found, result = held_out_of(mixed), check_support(mixed)
    assert result.accuracy == result.estimate.accuracy == pytest.approx(found.right.mean()) and 0 < result.accuracy < 1
    of_video = video_of_each_frame(mixed.videos).numpy()[found.frame]
    assert [video.video for video in result.held_out] == [
        f"{mixed.videos[place].object}/{place}.mp4" for place in np.unique(of_video)
    ]
    for video, place in zip(result.held_out, np.unique(of_video), strict=True):
        predictions, label = found.prediction[of_video == place], int(found.label[of_video == place][0])
        assert (video.frames, video.right) == (len(predictions), (predictions == label).sum())
        assert video.recognized == bool(video_accuracy(predictions, label)) == (video.answer == video.object)
    for label, thing in enumerate(result.objects):
        own = found.label == label
        if thing.object == "keys":
            assert thing.accuracy is None and thing.held_out == () and thing.none is None
            assert (thing.videos, thing.frames, thing.recognized) == (1, 4, 0)
            continue
        assert thing.accuracy == pytest.approx(found.right[own].mean())
        assert thing.recognized == sum(video.recognized for video in result.held_out if video.object == thing.object)
        counts = np.bincount(found.prediction[own], minlength=4)
        assert result.confusion[label] == tuple(counts)
        wrong = {name: count for name, count in zip(mixed.objects, counts, strict=True) if name != thing.object}
        most = max(wrong, key=wrong.get)
        if wrong[most]:
            assert wrong[thing.taken_for] == wrong[most] and thing.share == pytest.approx(wrong[most] / own.sum())
        else:
            assert (thing.taken_for, thing.share) == ("", 0)
    assert result.recognized == sum(thing.recognized for thing in result.objects)
    singles = hold_out(HeadTeaching(PrototypeHead, mixed), rounds_of_single_videos(mixed.videos))
    assert result.estimate.same_place == pytest.approx(singles.right.mean())
    assert result.estimate.chance == 1 / 4 and result.estimate.low <= result.accuracy <= result.estimate.high


def test_none_of_these_uses_thresholds_set_without_the_frames_own_video(mixed, check_support):
    found, result = held_out_of(mixed), check_support(mixed)
    calibration = calibrate_head(HeadTeaching(PrototypeHead, mixed))
    near = calibration.familiarity(found.logits.max(axis=1), found.cosine)
    videos = np.unique(found.video)
    assert 0 < sum(thing.none or 0 for thing in result.objects) < 3  # some are refused
    for label, thing in enumerate(result.objects):
        refused = []
        for video in videos[[found.label[found.video == video][0] == label for video in videos]]:
            own, rest = near[found.video == video], near[found.video != video]
            aim = (0.1 * len(videos) - 1) / (len(videos) - 1)  # with one video fewer held out: 8 videos
            ranked = np.sort(rest)  # each video has four frames, so all weigh the same
            below = int(np.floor(max(0.0, aim) * len(ranked) + 1e-9))
            refused += (own < ranked[below]).tolist()
        assert thing.none == (pytest.approx(np.mean(refused)) if refused else None)


def test_rejection_is_the_same_as_in_the_personal_file(mixed, check_support):
    result, calibration = check_support(mixed), calibrate_head(HeadTeaching(PrototypeHead, mixed))
    assert result.rejection == calibration.rejection and result.rejection.point.kind(-99, 1) is Certainty.NONE
    assert check_support(mixed).estimate == calibration.estimate


def test_with_two_objects_false_alarms_are_unknown(make_support, check_support):
    result = check_support(make_support({"bag": 3, "mug": 1}))
    assert result.rejection.auroc is None and result.rejection.point.false_alarms is None
    assert [thing.accuracy for thing in result.objects] == [1.0, None]


def test_very_different_objects_are_all_recognized_without_confusion(make_support, check_support):
    result = check_support(make_support({"bag": 3, "keys": 3, "mug": 4}, apart=50))
    assert result.accuracy == 1 and result.recognized == len(result.held_out) == 10
    assert np.array_equal(result.confusion, np.diag([12, 12, 16]))
    assert {thing.taken_for for thing in result.objects} == {""}
    assert {thing.advice.kind for thing in result.objects} == {"well"}


def test_random_names_are_recognized_at_chance(make_support, check_support):
    """The same videos assigned to objects at random: recognition falls to about chance, and no object is rated well."""
    support = make_support({"bag": 6, "keys": 6, "mug": 6}, apart=50)
    assert check_support(support).accuracy == 1
    shares = []
    for seed in range(10):
        names = np.random.default_rng(seed).permutation([video.object for video in support.videos]).tolist()
        parts = [
            (dataclasses.replace(video, object=name), features)
            for name, (video, features) in zip(names, support.parts(), strict=True)
        ]
        shares.append(check_support(SupportSet.of(parts), draws=0).accuracy)
    assert np.mean(shares) < 0.45  # chance is a third


def test_the_curve_exists_if_there_are_enough_videos(make_support, check_support):
    support = make_support({"bag": 3, "mug": 2})
    result = check_support(support, seed=4, draws=3)
    assert result.curve.draws == 3 and result.no_curve == ""
    assert result.curve.accuracy()[-1] == pytest.approx(result.estimate.same_place)
    assert dict(result.facts)["learning curve"] == "seed 4, 3 draws per point"
    without = check_support(support, draws=0)
    assert without.curve is None and "--draws 0" in without.no_curve
    # with two videos, one is held out and one teaches; a single point is not a curve
    assert "needs an object with at least 3 videos" in check_support(make_support({"bag": 2, "mug": 2})).no_curve


def test_the_advice_considers_how_videos_were_filmed(make_support, check_support):
    parts = make_support({"bag": 3, "mug": 3}, apart=0.1).parts()
    blurred = [
        (dataclasses.replace(video, issues=("blurred",) if video.object == "bag" else ()), features)
        for video, features in parts
    ]
    bag, mug = check_support(SupportSet.of(blurred), draws=1).objects
    assert bag.advice.kind == "again" and "Film again: all 3 of your videos are blurred" in bag.advice.text
    assert "blurred" not in mug.advice.text


def test_unchecked_objects_come_first_and_the_best_last(mixed, check_support):
    order = check_support(mixed).worst_first
    assert order[0].object == "keys"
    accuracies = [thing.accuracy for thing in order[1:]]
    assert accuracies == sorted(accuracies)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"bag": 3}, r"user alice: has only 1 object \(bag\), so it can't be mistaken for another: film at least 2"),
        ({"bag": 1, "mug": 1}, "user alice: none of the 2 objects has 2 videos, .*film a second video of each"),
    ],
)
def test_videos_that_allow_no_check_are_refused(make_support, counts, message, check_support):
    with pytest.raises(DataError, match=message):
        check_support(make_support(counts))
