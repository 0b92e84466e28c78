from collections import Counter
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.formats.scorecard import ObjectScore, Overall, TaskScore, UserScore, VideoScore
from eval.metrics import (
    METRICS,
    PredictedVideos,
    confusion_counts,
    frame_accuracy,
    frames_to_recognition,
    video_accuracy,
)

# The properties of each metric. A metric that is missing from this table fails a test.
IGNORES_ORDER = {"frame_accuracy": True, "frames_to_recognition": False, "video_accuracy": True}


def brute_frame_accuracy(predictions, label):
    return sum(1 for p in predictions if p == label) / len(predictions)


def brute_frames_to_recognition(predictions, label):
    for index, p in enumerate(predictions):
        if p == label:
            return index / len(predictions)
    return 1.0


def brute_video_accuracy(predictions, label):
    counts = Counter(predictions)
    most = max(counts.values())
    return 1.0 if min(p for p in counts if counts[p] == most) == label else 0.0


BRUTE = {
    "frame_accuracy": brute_frame_accuracy,
    "frames_to_recognition": brute_frames_to_recognition,
    "video_accuracy": brute_video_accuracy,
}

video = st.lists(st.integers(0, 4), min_size=1, max_size=30)
label = st.integers(0, 4)


def test_every_metric_is_in_the_tables_and_in_every_record():
    assert list(METRICS) == list(IGNORES_ORDER) == list(BRUTE)
    assert list(Overall.model_fields) == [*METRICS, "chance", "ece", "answers"]
    for record in (VideoScore, TaskScore, ObjectScore, UserScore):
        assert list(record.model_fields)[-len(METRICS) :] == list(METRICS)


@pytest.mark.parametrize(
    ("predictions", "right", "accuracy", "recognition", "most"),
    [
        ([1, 1, 0, 1], 1, 3 / 4, 0.0, 1.0),  # 3 of 4; the first is right; 1 appears three times
        ([0, 0, 2, 1, 2], 2, 2 / 5, 2 / 5, 0.0),  # two before the first 2; 0 and 2 tie, 0 is lower
        ([0, 0, 2, 1, 2], 0, 2 / 5, 0.0, 1.0),  # the same tie, won by the lowest
        ([3, 3, 3], 0, 0.0, 1.0, 0.0),  # never right
        ([0, 0, 0, 5], 5, 1 / 4, 3 / 4, 0.0),  # only the last frame is right: still below 1
        ([7], 7, 1.0, 0.0, 1.0),  # one frame
    ],
)
def test_by_hand(predictions, right, accuracy, recognition, most):
    array = np.array(predictions)
    assert frame_accuracy(array, right) == accuracy
    assert frames_to_recognition(array, right) == recognition
    assert video_accuracy(array, right) == most


@given(st.lists(st.tuples(video, label), min_size=1, max_size=12))
@settings(max_examples=500)  # some 3,000 videos
def test_one_video_many_videos_and_brute_force_agree(videos):
    together = PredictedVideos(
        predictions=np.concatenate([np.array(frames) for frames, _ in videos]),
        labels=np.array([right for _, right in videos]),
        counts=np.array([len(frames) for frames, _ in videos]),
    )
    for name, metric in METRICS.items():
        expected = [BRUTE[name](frames, right) for frames, right in videos]
        assert [metric.function(np.array(frames), right) for frames, right in videos] == expected
        assert metric.of_videos(together).tolist() == expected
        assert metric.of_videos(together).dtype == np.float64


@given(video, label, st.randoms())
def test_order_does_not_matter_where_it_should_not(frames, right, random):
    shuffled = random.sample(frames, len(frames))
    for name, metric in METRICS.items():
        if IGNORES_ORDER[name]:
            assert metric.function(np.array(frames), right) == metric.function(np.array(shuffled), right)


def test_order_matters_where_it_should():
    for name, metric in METRICS.items():
        if not IGNORES_ORDER[name]:
            assert metric.function(np.array([0, 1]), 1) != metric.function(np.array([1, 0]), 1)


@given(st.lists(st.integers(0, 2), min_size=3, max_size=7), st.integers(0, 2))
def test_a_sample_of_frames_gives_the_whole_videos_number_where_it_is_said_to(frames, right):
    for metric in METRICS.values():
        samples = [metric.function(np.array(sample), right) for sample in combinations(frames, 3)]  # in time order
        if not metric.needs_every_frame:
            assert fmean(samples) == pytest.approx(metric.function(np.array(frames), right))


def test_a_sample_of_frames_gives_another_number_where_it_is_said_to():
    frames = np.array([0, 1, 1, 1])
    for metric in METRICS.values():
        if metric.needs_every_frame:
            samples = [metric.function(np.array(sample), 0) for sample in combinations(frames, 2)]
            assert fmean(samples) != pytest.approx(metric.function(frames, 0))


@given(
    st.integers(1, 6).flatmap(lambda way: st.tuples(st.just(way), st.lists(st.tuples(*[st.integers(0, way - 1)] * 2))))
)
@settings(max_examples=300)
def test_confusion_counts_agree_with_counting(case):
    way, pairs = case
    truth, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    counts = confusion_counts(truth, predicted, way=way)
    assert counts.tolist() == [[pairs.count((i, j)) for j in range(way)] for i in range(way)]
    assert counts.trace() == sum(i == j for i, j in pairs)


def test_confusion_counts_refuse_invalid_classes_and_lengths():
    with pytest.raises(ValueError, match="expected 0 to 1"):
        confusion_counts(np.array([0, 1]), np.array([0, 2]), way=2)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        confusion_counts(np.array([-1, 1]), np.array([0, 1]), way=2)
    with pytest.raises(ValueError, match="shape"):
        confusion_counts(np.array([0, 1]), np.array([0]), way=2)


@given(video, video, label)
def test_recognition_once_seen_is_the_same_frame_however_long_the_video(seen, rest, right):
    whole = frames_to_recognition(np.array(seen + rest), right)
    if right in seen:
        index = frames_to_recognition(np.array(seen), right) * len(seen)
        assert whole * len(seen + rest) == pytest.approx(index)
    else:
        assert whole >= len(seen) / len(seen + rest)


@given(video, label, st.permutations(range(5)))
def test_renaming_classes_changes_no_metric_but_a_tie(frames, right, names):
    renamed = np.array([names[p] for p in frames])
    assert frame_accuracy(renamed, names[right]) == frame_accuracy(np.array(frames), right)
    assert frames_to_recognition(renamed, names[right]) == frames_to_recognition(np.array(frames), right)
    ranks = Counter(frames).most_common(2)
    if len(ranks) == 1 or ranks[0][1] > ranks[1][1]:
        assert video_accuracy(renamed, names[right]) == video_accuracy(np.array(frames), right)


@pytest.mark.parametrize("wrong", [np.array([], dtype=int), np.zeros((2, 3), dtype=int)])
def test_no_frame_or_more_than_one_dimension_is_refused(wrong):
    for metric in METRICS.values():
        with pytest.raises(ValueError, match="at least one frame"):
            metric.function(wrong, 0)


@pytest.mark.parametrize("counts", [[2, 0], [1, 2], []])
def test_videos_that_do_not_add_up_are_refused(counts):
    with pytest.raises(ValueError, match=r"frames? in|without frames"):
        PredictedVideos(np.array([0, 1]), np.zeros(len(counts), dtype=int), np.array(counts, dtype=int))
