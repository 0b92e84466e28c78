"""What leaving videos out tells of each object, each video and all together: against numbers had another way."""

import dataclasses

import numpy as np
import pytest

from eval.metrics import video_accuracy
from groundwork.errors import FoundWrong
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, leave_one_video_out
from orbit_lite.personal.checking.check import check
from orbit_lite.personal.decision.familiarity import find_threshold
from orbit_lite.personal.recognizer import SupportSet, video_of_each_frame


def checked(support, **options):
    names = [f"{video.object}/{number}.mp4" for number, video in enumerate(support.videos)]
    teaching = HeadTeaching(PrototypeHead, support)
    return check(teaching, user="alice", names=names, quiet=True, **options)


@pytest.fixture
def mixed(make_support):
    """Some is right and some is wrong; one object has a single video."""
    return make_support({"bag": 4, "keys": 1, "mug": 3, "watch": 2}, apart=0.5, noise=0.6)


def test_numbers_are_those_of_leave_one_video_out(mixed):
    found, told = leave_one_video_out(HeadTeaching(PrototypeHead, mixed)), checked(mixed)
    assert told.accuracy == pytest.approx(found.right.mean()) and 0 < told.accuracy < 1
    of_video = video_of_each_frame(mixed.videos).numpy()[found.frame]
    assert [video.video for video in told.held_out] == [
        f"{mixed.videos[place].object}/{place}.mp4" for place in np.unique(of_video)
    ]
    for video, place in zip(told.held_out, np.unique(of_video), strict=True):
        predictions, label = found.prediction[of_video == place], int(found.label[of_video == place][0])
        assert (video.frames, video.right) == (len(predictions), (predictions == label).sum())
        assert video.recognised == bool(video_accuracy(predictions, label)) == (video.answer == video.object)
    for label, thing in enumerate(told.objects):
        own = found.label == label
        if thing.object == "keys":
            assert thing.accuracy is None and thing.held_out == () and thing.strange is None
            assert (thing.videos, thing.frames, thing.recognised) == (1, 4, 0)
            continue
        assert thing.accuracy == pytest.approx(found.right[own].mean())
        assert thing.recognised == sum(video.recognised for video in told.held_out if video.object == thing.object)
        counts = np.bincount(found.prediction[own], minlength=4)
        assert told.confusion[label] == tuple(counts)
        wrong = {name: count for name, count in zip(mixed.objects, counts, strict=True) if name != thing.object}
        most = max(wrong, key=wrong.get)
        if wrong[most]:
            assert wrong[thing.taken_for] == wrong[most] and thing.share == pytest.approx(wrong[most] / own.sum())
        else:
            assert (thing.taken_for, thing.share) == ("", 0)
    assert told.recognised == sum(thing.recognised for thing in told.objects)
    assert told.auroc == find_threshold(found.known, found.strange).auroc


def test_none_of_these_is_judged_by_a_threshold_that_did_not_see_the_object(mixed):
    found, told = leave_one_video_out(HeadTeaching(PrototypeHead, mixed)), checked(mixed)
    rejected, passed, frames = 0, 0, 0
    for label, thing in enumerate(told.objects):
        own = found.label == label
        if not own.any():
            continue
        value = find_threshold(found.known[~own], found.strange[~own]).value
        assert thing.strange.rejected == pytest.approx(np.mean(found.known[own] < value))
        assert thing.strange.passed == pytest.approx(np.mean(found.strange[own] >= value))
        rejected += (found.known[own] < value).sum()
        passed += (found.strange[own] >= value).sum()
        frames += own.sum()
    assert told.strange.rejected == pytest.approx(rejected / frames)
    assert told.strange.passed == pytest.approx(passed / frames)


def test_with_one_object_to_hold_out_nothing_can_be_said_of_none_of_these(make_support):
    told = checked(make_support({"bag": 3, "mug": 1}))
    assert told.strange is None
    assert [thing.accuracy for thing in told.objects] == [1.0, None]


def test_things_far_apart_are_all_recognised_and_nothing_is_confused(make_support):
    told = checked(make_support({"bag": 3, "keys": 3, "mug": 4}, apart=50))
    assert told.accuracy == 1 and told.recognised == len(told.held_out) == 10
    assert np.array_equal(told.confusion, np.diag([12, 12, 16]))
    assert {thing.taken_for for thing in told.objects} == {""}
    assert {thing.advice.kind for thing in told.objects} == {"well"}


def test_names_that_say_nothing_are_found_out(make_support):
    """The same videos dealt to the objects anew: from all recognised to about chance, and nothing is called well."""
    support = make_support({"bag": 6, "keys": 6, "mug": 6}, apart=50)
    assert checked(support).accuracy == 1
    shares = []
    for seed in range(10):
        names = np.random.default_rng(seed).permutation([video.object for video in support.videos]).tolist()
        parts = [
            (dataclasses.replace(video, object=name), features)
            for name, (video, features) in zip(names, support.parts(), strict=True)
        ]
        shares.append(checked(SupportSet.of(parts), draws=0).accuracy)
    assert np.mean(shares) < 0.45  # a third would be chance


def test_the_curve_is_there_where_there_is_one(make_support):
    support = make_support({"bag": 3, "mug": 2})
    told = checked(support, seed=4, draws=3)
    assert told.curve.draws == 3 and told.no_curve == ""
    assert told.curve.accuracy()[-1] == pytest.approx(told.accuracy)
    assert dict(told.facts)["learning curve"] == "seed 4, 3 draws a point"
    without = checked(support, draws=0)
    assert without.curve is None and "--draws 0" in without.no_curve
    # with two videos one is held out and one teaches: a curve of one point is none
    assert "takes an object with 3 videos" in checked(make_support({"bag": 2, "mug": 2})).no_curve


def test_how_videos_were_filmed_comes_into_the_advice(make_support):
    parts = make_support({"bag": 3, "mug": 3}, apart=0.1).parts()
    blurred = [
        (dataclasses.replace(video, issues=("blurred",) if video.object == "bag" else ()), features)
        for video, features in parts
    ]
    bag, mug = checked(SupportSet.of(blurred), draws=1).objects
    assert bag.advice.kind == "again" and "Film again: all 3 of your clips are blurred" in bag.advice.text
    assert "blurred" not in mug.advice.text


def test_objects_that_could_not_be_checked_come_first_and_the_best_last(mixed):
    order = checked(mixed).worst_first
    assert order[0].object == "keys"
    accuracies = [thing.accuracy for thing in order[1:]]
    assert accuracies == sorted(accuracies)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"bag": 3}, r"user alice: 1 object \(bag\); there is nothing that it could be taken for: film at least 2"),
        ({"bag": 1, "mug": 1}, "user alice: none of 2 objects has 2 videos, .*film a second video of each"),
    ],
)
def test_what_leaves_nothing_to_check_is_refused(make_support, counts, said):
    with pytest.raises(FoundWrong, match=said):
        checked(make_support(counts))
