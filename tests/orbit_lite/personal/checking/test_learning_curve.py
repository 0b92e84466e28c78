"""The learning curve: its last point equals leaving out one video at a time, and no frame is judged by what it
taught."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
import torch

from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, TaughtRecognizer, hold_out, rounds_of_single_videos
from orbit_lite.personal.checking.learning_curve import (
    MOST_POINTS,
    LearningCurve,
    Rise,
    learning_curve,
    videos_counts,
)
from orbit_lite.personal.recognizer import SupportSet, video_of_each_frame

COUNTS = [{"bag": 4, "keys": 4, "mug": 4}, {"bag": 2, "keys": 1, "mug": 5, "watch": 3}]


def curve_of(support, *, seed=1, draws=5):
    return learning_curve(HeadTeaching(PrototypeHead, support), seed=seed, draws=draws, quiet=True)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_last_point_is_leaving_one_video_out_at_a_time(make_support, counts):
    support = make_support(counts, apart=0.4)
    rounds = rounds_of_single_videos(support.videos)
    curve, found = curve_of(support), hold_out(HeadTeaching(PrototypeHead, support), rounds)
    of_video = video_of_each_frame(support.videos).numpy()[found.frame]
    right = [int(found.right[of_video == place].sum()) for place in np.unique(of_video)]
    assert 0 < sum(right) < len(found.frame)  # neither all nor none, so the numbers are informative
    assert curve.videos_taught[-1] == max(counts.values()) - 1
    assert curve.right[-1].tolist() == [right] * 5
    assert curve.frames.tolist() == [4] * len(right)
    assert curve.accuracy()[-1] == pytest.approx(found.right.mean())
    for label, (name, count) in enumerate(sorted(counts.items())):
        if count > 1:
            own = curve.accuracy(name)
            assert own.shape == (count - 1, 5)
            if count == max(counts.values()):
                assert own[-1] == pytest.approx(found.right[found.label == label].mean())


@pytest.mark.parametrize("counts", COUNTS)
def test_every_recognizer_is_taught_with_n_videos_and_tested_on_others(make_support, counts):
    support = make_support(counts)
    of_frame = video_of_each_frame(support.videos)
    seen = defaultdict(set)

    @dataclasses.dataclass
    class Watched:
        videos: tuple
        comparison_features: torch.Tensor

        def teach(self, frames):
            made = HeadTeaching(PrototypeHead, support).teach(frames)
            taught = set(of_frame[frames].tolist())
            assert all(bool(frames[of_frame == place].all()) for place in taught)  # whole videos
            number = max(sum(support.videos[p].object == name for p in taught) for name in support.objects)

            def features(asked):
                held = set(of_frame[asked].tolist())
                assert not taught & held and held
                for name, count in counts.items():
                    own = sum(support.videos[p].object == name for p in taught)
                    available = count - sum(support.videos[p].object == name for p in held)
                    assert own == min(number, available)
                seen[number].add((frozenset(taught), frozenset(held)))
                return made.features(asked)

            return TaughtRecognizer(made.head, made.means, features)

    curve = learning_curve(Watched(support.videos, support.features), seed=1, draws=5, quiet=True)
    assert sorted(seen) == list(curve.videos_taught)
    assert len(seen[1]) > max(counts.values())  # more than one subset per round
    # every small subset is part of a larger one
    for few, more in zip(curve.videos_taught, curve.videos_taught[1:], strict=False):
        for taught, held in seen[few]:
            assert any(taught <= other and held == same for other, same in seen[more])


def test_the_same_seed_gives_the_same_curve_and_another_seed_other_subsets(make_support):
    support = make_support({"bag": 5, "keys": 5, "mug": 5}, apart=0.4)
    first, again, other = curve_of(support), curve_of(support), curve_of(support, seed=2)
    assert np.array_equal(first.right, again.right)
    assert not np.array_equal(first.right[0], other.right[0])
    assert np.array_equal(first.right[-1], other.right[-1])  # there is nothing to draw
    # more draws include these
    assert np.array_equal(curve_of(support, draws=7).right[:, :5], first.right)


def test_order_of_videos_changes_nothing(make_support):
    support = make_support({"bag": 3, "keys": 4, "mug": 5}, apart=0.4)
    curve = curve_of(support)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(support.videos))
        parts = support.parts()
        other = SupportSet.of([parts[place] for place in order])
        shuffled = curve_of(other)
        columns = [shuffled_place(support, other, place) for place in range(len(support.videos))]
        assert np.array_equal(shuffled.right[:, :, columns], curve.right)


def shuffled_place(support, other, place):
    return [video.digest for video in other.videos].index(support.videos[place].digest)


def test_adding_an_object_does_not_change_the_draws_of_another(make_support):
    """Draws are keyed by object, so very different objects are judged the same whatever others there are."""
    parts = make_support({"bag": 4, "keys": 4, "mug": 4}, apart=0.4).parts()
    both = [pair for pair in parts if pair[0].object != "mug"]
    far = [(video, features + 1000) for video, features in parts if video.object == "mug"]
    assert np.array_equal(curve_of(SupportSet.of(both + far)).right[:, :, :8], curve_of(SupportSet.of(both)).right)


def test_very_different_objects_are_recognized_with_the_first_video(make_support):
    curve = curve_of(make_support({"bag": 3, "keys": 4}, apart=50))
    assert (curve.accuracy() == 1).all()
    rise = curve.rise()
    assert (rise.gain, rise.better, rise.worse) == (0, 0, 0)


def test_more_videos_help_if_videos_differ(make_support):
    """Videos are scattered around their object's center, and the mean of five is closer to it than one."""
    gains = []
    for seed in range(6):
        support = make_support({"bag": 5, "keys": 5, "mug": 5}, apart=1.0, drift=1.0, seed=seed)
        gains.append(curve_of(support, draws=3).rise().gain)
    assert np.mean(gains) > 0.05


def test_numbers_by_hand():
    # two objects with 3 and 2 videos of 10 frames; 2 points, 2 draws
    curve = LearningCurve(
        videos_taught=(1, 2),
        objects=("bag", "bag", "bag", "mug", "mug"),
        frames=np.full(5, 10),
        right=np.array([[[5, 5, 5, 0, 10], [7, 5, 3, 2, 8]], [[9, 4, 8, 6, 9], [9, 4, 8, 6, 9]]]),
    )
    assert curve.draws == 2
    assert curve.accuracy().tolist() == [[0.5, 0.5], [0.72, 0.72]]
    assert curve.accuracy("bag").tolist() == [[0.5, 0.5], [0.7, 0.7]]
    assert curve.accuracy("mug").tolist() == [[0.5, 0.5]]  # one other video to teach with: a single point
    assert curve.rise("mug") is None
    # 12 to 18 up, 10 to 8 down, 8 to 16 up
    assert curve.rise("bag") == Rise(few=1, many=2, before=0.5, after=0.7, better=2, worse=1)
    assert curve.rise("bag").gain == pytest.approx(0.2)
    whole = curve.rise()
    assert (whole.few, whole.many, whole.better, whole.worse) == (1, 2, 3, 1)  # mug: 2 to 12 up, 18 to 18 even


def test_a_rise_is_measured_from_at_most_half_as_many_videos():
    frames, right = np.full(6, 1), np.ones((5, 1, 6), np.int64)
    curve = LearningCurve((1, 2, 3, 4, 5), ("bag",) * 6, frames, right)
    assert (curve.rise().few, curve.rise().many) == (2, 5)


@pytest.mark.parametrize("most", [1, 2, 7, 8, 9, 11, 14, 37, 200])
def test_the_numbers_of_videos_go_from_one_to_all(most):
    counts = videos_counts(most)
    assert counts[0] == 1 and counts[-1] == most
    assert counts == sorted(set(counts)) and len(counts) == min(most, MOST_POINTS)


def test_a_repeated_subset_is_not_taught_again(make_support):
    support = make_support({"bag": 2, "keys": 2})
    calls = []

    class Counted(HeadTeaching):
        def teach(self, frames):
            calls.append(frames)
            return super().teach(frames)

    learning_curve(Counted(PrototypeHead, support), seed=0, draws=10, quiet=True)
    assert len(calls) == 2  # one per round, because there is only one other video of each
    assert not any(torch.equal(a, b) for k, a in enumerate(calls) for b in calls[:k])
