import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.formats.answer_text import NONE_OF_THESE
from eval.metrics import video_accuracy
from orbit_lite.personal.answering.answers import Answerer, FrameAnswer, RunningAverage, VideoTally, answer_text
from orbit_lite.personal.decision.rejection import UNTESTED, Certainty, OperatingPoint
from orbit_lite.personal.recognizer import FrameScores

OBJECTS = ("bag", "keys", "mug")
POINT = OperatingPoint(aim=0.1, threshold=0.4, sure_threshold=0.6)
FINE = st.floats(0.0, 1.0, width=32)


def scored(probabilities, familiarity):
    rows = np.asarray(probabilities, np.float32).reshape(-1, len(OBJECTS))
    return FrameScores(rows, np.asarray(familiarity, np.float32))


def answers(times_s, scores, *, smooth_s=0.0, point=POINT):
    return list(Answerer(OBJECTS, point, smooth_s=smooth_s).answers(range(1, len(times_s) + 1), times_s, scores))


@st.composite
def videos(draw):
    """Times that never decrease, with gaps and repeats, and scores of as many frames."""
    steps = draw(st.lists(st.sampled_from([0.0, 1 / 30, 1 / 15, 0.2, 7.5]), min_size=1, max_size=30))
    rows = draw(st.lists(st.tuples(FINE, FINE, FINE), min_size=len(steps), max_size=len(steps)))
    familiarity = draw(st.lists(FINE, min_size=len(steps), max_size=len(steps)))
    return np.cumsum(steps).tolist(), scored(rows, familiarity)


def test_a_frame_is_answered_with_its_likeliest_object_or_none_of_these():
    scores = scored([[0.2, 0.05, 0.75], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], [0.9, 0.39, 0.45])
    found = answers([0.0, 0.1, 0.2], scores)
    assert [(a.object, a.kind, a.label) for a in found] == [
        ("mug", Certainty.SURE, 2),
        (NONE_OF_THESE, Certainty.NONE, 3),
        ("keys", Certainty.MAYBE, 1),
    ]
    assert [a.text for a in found] == ["mug", "none of these", "maybe keys"]
    assert [a.likeliest for a in found] == ["mug", "bag", "keys"]
    assert [a.confidence for a in found] == pytest.approx([0.75, 0.5, 0.8])
    assert [a.familiarity for a in found] == pytest.approx([0.9, 0.39, 0.45])
    assert [(a.frame, a.time_s) for a in found] == [(1, 0.0), (2, 0.1), (3, 0.2)]


def test_a_frame_just_as_familiar_as_the_threshold_is_an_object():
    scores = FrameScores(np.array([[0.2, 0.1, 0.7]] * 3), np.array([0.4, np.nextafter(0.4, 0), 0.75]))
    assert [a.known for a in answers([0.0, 0.1, 0.2], scores)] == [True, False, True]


@pytest.mark.parametrize(
    ("familiarity", "confidence", "kind"),
    [
        (0.6, 0.7, Certainty.SURE),
        (0.59, 0.9, Certainty.MAYBE),
        (0.6, 0.69, Certainty.MAYBE),
        (0.39, 0.99, Certainty.NONE),
    ],
)
def test_an_answer_is_sure_if_familiar_and_confident(familiarity, confidence, kind):
    assert POINT.kind(familiarity, confidence) is kind


def test_without_a_threshold_every_answer_is_a_maybe():
    (found,) = answers([0.0], scored([[0.0, 0.0, 1.0]], [-1.0]), point=UNTESTED)
    assert (found.object, found.kind, found.text) == ("mug", Certainty.MAYBE, "maybe mug")


@pytest.mark.parametrize("name", [NONE_OF_THESE, "None of  These", "maybe mug", "Maybe"])
def test_a_name_that_reads_like_another_answer_is_quoted(name):
    reads_like = name != "Maybe"  # there is no answer of one word
    assert answer_text(name, Certainty.SURE) == (f'"{name}"' if reads_like else name)
    assert answer_text(name, Certainty.MAYBE) == (f'maybe "{name}"' if reads_like else f"maybe {name}")
    every = {answer_text(thing, kind) for thing in (name, "mug") for kind in Certainty}
    assert len(every) == 5  # only "none of these" is the same for both


@given(videos(), st.sampled_from([0.0, 0.3, 2.0]), st.data())
def test_cutting_a_video_short_or_into_batches_changes_no_answer(video, smooth_s, data):
    times_s, scores = video
    whole = answers(times_s, scores, smooth_s=smooth_s)
    cut = data.draw(st.integers(0, len(times_s)))
    answerer = Answerer(OBJECTS, POINT, smooth_s=smooth_s)
    parts: list[FrameAnswer] = []
    for part in (slice(0, cut), slice(cut, None)):
        rows = FrameScores(scores.probabilities[part], scores.familiarity[part])
        parts += answerer.answers(range(1, len(times_s) + 1)[part], times_s[part], rows)
        assert parts == whole[: len(parts)]
    assert parts == whole


@given(videos(), st.sampled_from([0.1, 0.5, 3.0]))
def test_the_running_average_is_the_weighted_mean_of_all_values_so_far(video, constant_s):
    """Weights exp(-age / constant), as in its docstring, summed again for each frame."""
    times_s, scores = np.asarray(video[0]), video[1].probabilities.astype(float)
    average = RunningAverage(constant_s)
    for place, time_s in enumerate(times_s):
        weights = np.exp(-(time_s - times_s[: place + 1]) / constant_s)
        expected = weights @ scores[: place + 1] / weights.sum()
        assert average.next(time_s, scores[place]) == pytest.approx(expected, abs=1e-9)


def test_smoothing_ignores_a_single_deviating_frame_and_follows_a_change():
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


def given_answers(labels, confidences=None, unsure=()):
    names = (*OBJECTS, NONE_OF_THESE)
    confidences = confidences or [0.5] * len(labels)
    kinds = [
        Certainty.NONE if k == 3 else Certainty.MAYBE if n in unsure else Certainty.SURE for n, k in enumerate(labels)
    ]
    rows = enumerate(zip(labels, kinds, confidences, strict=True))
    return [FrameAnswer(k + 1, k / 30, kind, label, names[label], c, "bag", 0.5) for k, (label, kind, c) in rows]


def tallied(found):
    tally = VideoTally()
    for answer in found:
        tally.add(answer)
    return tally.video_answer()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_the_video_answer_agrees_with_video_accuracy(labels):
    found = tallied(given_answers(labels))
    assert video_accuracy(np.array(labels), (*OBJECTS, NONE_OF_THESE).index(found.object)) == 1.0
    assert found.frames == len(labels) == sum(frames for _, frames in found.frames_by_answer)
    assert found.share == labels.count((*OBJECTS, NONE_OF_THESE).index(found.object)) / len(labels)


def test_a_video_answer_by_hand():
    found = tallied(given_answers([3, 2, 0, 2, 2], [0.4, 0.6, 0.9, 0.8, 1.0]))
    assert (found.object, found.kind, found.frames, found.share) == ("mug", Certainty.SURE, 5, 0.6)
    assert (found.first_frame, found.first_s) == (2, 1 / 30)
    assert found.confidence == pytest.approx(0.8)  # (0.6 + 0.8 + 1.0) / 3
    assert found.frames_by_answer == (("mug", 3), ("bag", 1), (NONE_OF_THESE, 1))


def test_a_video_is_unsure_if_most_frames_that_name_its_object_are():
    labels = [2, 2, 2, 0, 3]
    for unsure, kind, counts in (
        ([0], Certainty.SURE, (("mug", 2), ("bag", 1), ("maybe mug", 1), (NONE_OF_THESE, 1))),
        ([0, 1], Certainty.MAYBE, (("maybe mug", 2), ("bag", 1), ("mug", 1), (NONE_OF_THESE, 1))),
    ):
        found = tallied(given_answers(labels, unsure=unsure))
        assert (found.object, found.kind, found.share) == ("mug", kind, 0.6)
        assert sorted(found.frames_by_answer) == sorted(counts)
        assert found.frames_by_answer[0] == counts[0]
        assert found.text == ("mug" if kind is Certainty.SURE else "maybe mug")


def test_none_of_these_loses_a_tie_and_has_no_confidence():
    assert tallied(given_answers([3, 2])).object == "mug"
    found = tallied(given_answers([3, 3, 2]))
    assert (found.object, found.kind, found.confidence) == (NONE_OF_THESE, Certainty.NONE, None)


def test_a_video_without_a_frame_has_no_answer():
    with pytest.raises(ValueError, match="no frame"):
        VideoTally().video_answer()
