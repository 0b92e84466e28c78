import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics import video_accuracy
from orbit_lite.personal.answering.answers import NONE_OF_THESE, Answerer, FrameAnswer, RunningAverage, VideoTally
from orbit_lite.personal.recognizer import FrameScores

OBJECTS = ("bag", "keys", "mug")
THRESHOLD = 0.4
FINE = st.floats(0.0, 1.0, width=32)


def scored(probabilities, familiarity):
    rows = np.asarray(probabilities, np.float32).reshape(-1, len(OBJECTS))
    return FrameScores(rows, np.asarray(familiarity, np.float32))


def answers(times_s, scores, *, smooth_s=0.0, threshold=THRESHOLD):
    return list(Answerer(OBJECTS, threshold, smooth_s=smooth_s).answers(range(1, len(times_s) + 1), times_s, scores))


@st.composite
def videos(draw):
    """Times that never fall, with gaps and repeats, and scores of as many frames."""
    steps = draw(st.lists(st.sampled_from([0.0, 1 / 30, 1 / 15, 0.2, 7.5]), min_size=1, max_size=30))
    rows = draw(st.lists(st.tuples(FINE, FINE, FINE), min_size=len(steps), max_size=len(steps)))
    familiarity = draw(st.lists(FINE, min_size=len(steps), max_size=len(steps)))
    return np.cumsum(steps).tolist(), scored(rows, familiarity)


def test_a_frame_by_itself_is_its_likeliest_object_or_none_of_these():
    scores = scored([[0.2, 0.1, 0.7], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], [0.9, 0.39, 0.4])
    found = answers([0.0, 0.1, 0.2], scores)
    assert [(a.object, a.known, a.label) for a in found] == [
        ("mug", True, 2),
        (NONE_OF_THESE, False, 3),
        ("keys", True, 1),
    ]
    assert [a.likeliest for a in found] == ["mug", "bag", "keys"]
    assert [a.confidence for a in found] == pytest.approx([0.7, 0.5, 0.8])
    assert [a.familiarity for a in found] == pytest.approx([0.9, 0.39, 0.4])
    assert [(a.frame, a.time_s) for a in found] == [(1, 0.0), (2, 0.1), (3, 0.2)]


def test_a_frame_just_as_familiar_as_the_threshold_is_an_object():
    """As `find_threshold` counts: its shares are of frames at or above the value."""
    scores = scored([[0.2, 0.1, 0.7]] * 3, [0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0.75])
    assert [a.known for a in answers([0.0, 0.1, 0.2], scores, threshold=0.5)] == [True, False, True]


def test_without_a_threshold_every_frame_is_one_of_the_objects():
    (found,) = answers([0.0], scored([[0.3, 0.3, 0.4]], [-1.0]), threshold=None)
    assert (found.object, found.known) == ("mug", True)


@given(videos(), st.sampled_from([0.0, 0.3, 2.0]), st.data())
def test_cutting_a_video_short_or_into_batches_changes_no_answer(video, smooth_s, data):
    times_s, scores = video
    whole = answers(times_s, scores, smooth_s=smooth_s)
    cut = data.draw(st.integers(0, len(times_s)))
    answerer = Answerer(OBJECTS, THRESHOLD, smooth_s=smooth_s)
    parts: list[FrameAnswer] = []
    for part in (slice(0, cut), slice(cut, None)):
        rows = FrameScores(scores.probabilities[part], scores.familiarity[part])
        parts += answerer.answers(range(1, len(times_s) + 1)[part], times_s[part], rows)
        assert parts == whole[: len(parts)]
    assert parts == whole


@given(videos(), st.sampled_from([0.1, 0.5, 3.0]))
def test_the_running_average_is_the_weighted_mean_of_all_values_so_far(video, constant_s):
    """Weights exp(-age / constant), as its docstring says, summed anew for each frame."""
    times_s, scores = np.asarray(video[0]), video[1].probabilities.astype(float)
    average = RunningAverage(constant_s)
    for place, time_s in enumerate(times_s):
        weights = np.exp(-(time_s - times_s[: place + 1]) / constant_s)
        expected = weights @ scores[: place + 1] / weights.sum()
        assert average.next(time_s, scores[place]) == pytest.approx(expected, abs=1e-9)


def test_smoothing_passes_over_one_odd_frame_and_follows_a_change():
    rows = [[0.8, 0.1, 0.1]] * 30 + [[0.1, 0.8, 0.1]] + [[0.8, 0.1, 0.1]] * 30 + [[0.1, 0.8, 0.1]] * 30
    times_s = [k / 30 for k in range(len(rows))]
    scores = scored(rows, [0.9] * 30 + [0.0] + [0.9] * 60)
    smoothed = [a.object for a in answers(times_s, scores, smooth_s=0.3)]
    assert smoothed[:61] == ["bag"] * 61
    change = smoothed.index("keys")
    assert math.log(2) * 0.3 * 30 == pytest.approx(change - 61, abs=1.5)  # half of the weight is younger than that
    assert smoothed[change:] == ["keys"] * (len(rows) - change)
    assert answers(times_s, scores)[30].object == NONE_OF_THESE


def test_after_a_gap_the_earlier_frames_count_less():
    rows, near = [[0.8, 0.1, 0.1]] * 9 + [[0.1, 0.8, 0.1]], [0.9] * 10
    steady = [k / 30 for k in range(10)]
    assert answers(steady, scored(rows, near), smooth_s=0.5)[-1].object == "bag"
    assert answers([*steady[:-1], 60.0], scored(rows, near), smooth_s=0.5)[-1].object == "keys"


def given_answers(labels, confidences=None):
    names = (*OBJECTS, NONE_OF_THESE)
    confidences = confidences or [0.5] * len(labels)
    pairs = enumerate(zip(labels, confidences, strict=True))
    return [FrameAnswer(k + 1, k / 30, label < 3, label, names[label], c, "bag", 0.5) for k, (label, c) in pairs]


def tallied(found):
    tally = VideoTally()
    for answer in found:
        tally.add(answer)
    return tally.video_answer()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_a_video_is_what_video_accuracy_takes_it_for(labels):
    found = tallied(given_answers(labels))
    assert video_accuracy(np.array(labels), (*OBJECTS, NONE_OF_THESE).index(found.object)) == 1.0
    assert found.frames == len(labels) == sum(frames for _, frames in found.frames_by_answer)
    assert found.share == labels.count((*OBJECTS, NONE_OF_THESE).index(found.object)) / len(labels)


def test_what_is_told_of_a_video():
    found = tallied(given_answers([3, 2, 0, 2, 2], [0.4, 0.6, 0.9, 0.8, 1.0]))
    assert (found.object, found.known, found.frames, found.share) == ("mug", True, 5, 0.6)
    assert (found.first_frame, found.first_s) == (2, 1 / 30)
    assert found.confidence == pytest.approx(0.8)  # (0.6 + 0.8 + 1.0) / 3
    assert found.frames_by_answer == (("mug", 3), ("bag", 1), (NONE_OF_THESE, 1))


def test_none_of_these_loses_a_tie_and_has_no_confidence():
    assert tallied(given_answers([3, 2])).object == "mug"
    found = tallied(given_answers([3, 3, 2]))
    assert (found.object, found.known, found.confidence) == (NONE_OF_THESE, False, None)


def test_a_video_without_a_frame_has_no_answer():
    with pytest.raises(ValueError, match="no frame"):
        VideoTally().video_answer()
