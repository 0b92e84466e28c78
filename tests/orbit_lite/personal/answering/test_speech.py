import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eval.formats.answer_text import NONE_OF_THESE
from orbit_lite.personal.answering.answers import FrameAnswer
from orbit_lite.personal.answering.speech import HOLD_S, NOT_KNOWN, Speech, spoken
from orbit_lite.personal.decision.rejection import Certainty

ROOT = Path(__file__).parents[4]
NAMES = ("bag", "mug", NONE_OF_THESE)


def answer(label, time_s=0.0, *, maybe=False):
    kind = Certainty.NONE if label == 2 else Certainty.MAYBE if maybe else Certainty.SURE
    return FrameAnswer(1, time_s, kind, label, NAMES[label], 0.9, "bag", 0.5)


def heard(labels, *, fps=30.0, unsure=()):
    """(frame, line) of every spoken line; the frames in `unsure` are answered with a maybe."""
    speech = Speech()
    lines = [speech.line(answer(label, k / fps, maybe=k in unsure)) for k, label in enumerate(labels)]
    return [(place, line) for place, line in enumerate(lines) if line is not None]


def test_an_answer_is_spoken_once_when_it_has_held():
    assert heard([1] * 100) == [(15, "mug")]  # 0.5 s at 30 frames per second
    assert heard([1] * 40 + [2] * 40 + [0] * 40) == [(15, "mug"), (55, NOT_KNOWN), (95, "bag")]


def test_deviating_frames_are_not_spoken_and_cause_no_repetition():
    assert heard([1] * 40 + [0] + [1] * 40 + [0] * 14 + [1] * 40) == [(15, "mug")]


def test_a_single_frame_is_never_spoken_even_at_a_low_rate():
    assert heard([0, 1, 1, 0, 1], fps=0.5) == [(2, "mug")]


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(0, 60))
def test_later_frames_do_not_change_earlier_speech(labels, cut):
    assert heard(labels[:cut]) == [(place, line) for place, line in heard(labels) if place < cut]


@given(st.lists(st.sampled_from([0] * 20 + [1] * 20 + [2]), max_size=120))
def test_every_spoken_line_held_long_enough_and_differs_from_the_last(labels):
    output = heard(labels)
    frames = round(HOLD_S * 30)
    assert all(len(set(labels[place - frames : place + 1])) == 1 for place, _ in output)
    assert all(one[1] != other[1] for one, other in itertools.pairwise(output))


def test_maybe_is_spoken_until_all_frames_are_sure():
    assert heard([1] * 60, unsure=range(60)) == [(15, "maybe mug")]
    assert heard([1] * 60, unsure=range(20)) == [(15, "maybe mug"), (35, "mug")]
    assert heard([1] * 60, unsure=[10]) == [(15, "maybe mug"), (26, "mug")]
    # once sure, it is not changed while the object stays
    assert heard([1] * 60, unsure=range(30, 60)) == [(15, "mug")]
    assert heard([1] * 30 + [0] * 30 + [1] * 30, unsure=range(60, 90)) == [(15, "mug"), (45, "bag"), (75, "maybe mug")]


def test_names_are_spoken_as_one_line_of_plain_words():
    assert spoken("my_house  keys\nspare", Certainty.SURE) == "my house keys spare"
    assert spoken("my_house  keys\nspare", Certainty.MAYBE) == "maybe my house keys spare"
    assert spoken(NONE_OF_THESE, Certainty.NONE) == "I do not know this"
    assert spoken(NONE_OF_THESE, Certainty.SURE) == NONE_OF_THESE  # an object with this name
